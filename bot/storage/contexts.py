"""What stood in the prompt of an answer, as far as it is still there: for whoever asks why."""

from dataclasses import dataclass

from sqlalchemy import and_, exists, false, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot.storage.admin_tables import ReviewRow, ReviewState
from bot.storage.answers import answers_another
from bot.storage.file_tables import AnswerFile, MessageFile
from bot.storage.memory_tables import AnswerSource, SourceKind, ThreadSummary
from bot.storage.preference_tables import Preference
from bot.storage.standing import stands
from bot.storage.tables import Answer, Audience, Correction, Message, Thread


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """An earlier message of the thread."""

    ts: str
    user_name: str
    text: str


@dataclass(frozen=True, slots=True)
class ReadCorrection:
    """What somebody taught before; *is_open* when everybody of the workspace could read it where it was said.

    *question* is empty where it was made another one since, perhaps in a place that nobody else reads. *is_kept* was
    said where only whoever asked could read it, and not taught to everyone. *shown* is how its author wants what they
    write beside a 👎 to be shown; empty is with their name. *is_edited*: the words are those of a reviewer.
    """

    question: str
    text: str
    user_id: str
    channel_id: str
    reply_ts: str
    is_open: bool
    score: float
    shown: str = ""
    is_kept: bool = False
    is_edited: bool = False


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file of the thread; *part* is empty for all of it."""

    name: str
    permalink: str
    part: str


@dataclass(frozen=True, slots=True)
class Context:
    """What an answer was made from; *lost* counts what was deleted since."""

    messages: tuple[ReadMessage, ...] = ()
    corrections: tuple[ReadCorrection, ...] = ()
    files: tuple[ReadFile, ...] = ()
    summary: str = ""
    summarised: int = 0
    is_shortened: bool = False  # from an answer to the same question
    lost: int = 0


async def load_context(session: AsyncSession, answer_id: str) -> Context:
    """Return what stood in the prompt of an answer."""
    messages = await session.execute(
        select(Message.ts, Message.user_name, Message.text)
        .join(AnswerSource, AnswerSource.ref_id == Message.id)
        .where(AnswerSource.answer_id == answer_id, AnswerSource.kind == SourceKind.MESSAGE)
        .order_by(AnswerSource.position)
    )
    files = await session.execute(
        select(MessageFile.name, MessageFile.permalink, AnswerFile.part)
        .join(AnswerFile, AnswerFile.file_id == MessageFile.id)
        .where(AnswerFile.answer_id == answer_id)
        .order_by(MessageFile.id)
    )
    summary = await session.scalar(
        select(ThreadSummary)
        .join(AnswerSource, AnswerSource.ref_id == ThreadSummary.id)
        .where(AnswerSource.answer_id == answer_id, AnswerSource.kind == SourceKind.SUMMARY)
    )
    read = tuple(ReadMessage(*row) for row in messages)
    taught = await _load_corrections(session, answer_id)
    of_answers = exists().where(AnswerSource.answer_id == answer_id, AnswerSource.kind == SourceKind.ANSWER)
    is_shortened = bool(await session.scalar(select(of_answers)))
    known = len(read) + len(taught) + bool(summary) + is_shortened
    is_counted = (AnswerSource.answer_id == answer_id, AnswerSource.kind != SourceKind.FILE)
    total = select(func.count()).select_from(AnswerSource).where(*is_counted)
    return Context(
        messages=read,
        corrections=taught,
        files=tuple(ReadFile(*row) for row in files),
        summary=summary.text if summary else "",
        summarised=summary.messages if summary else 0,
        is_shortened=is_shortened,
        lost=(await session.scalar(total) or 0) - known,
    )


async def _load_corrections(session: AsyncSession, answer_id: str) -> tuple[ReadCorrection, ...]:
    """Return what stood there in the words that did; what a reviewer rejected or put other words for since is lost."""
    told = aliased(Answer)
    is_edited = func.coalesce(ReviewRow.state == ReviewState.EDITED, false())
    is_gone = or_(ReviewRow.state == ReviewState.REJECTED, and_(is_edited, ReviewRow.at > told.created_at))
    rows = await session.execute(
        select(Correction, Message, Answer, Thread, AnswerSource.score, Preference.shown, is_edited, ReviewRow.text)
        .join(AnswerSource, AnswerSource.ref_id == Correction.id)
        .join(told, AnswerSource.answer_id == told.id)
        .join(Answer, Correction.answer_id == Answer.id)
        .join(Message, Answer.message_id == Message.id)
        .join(Thread, Message.thread_id == Thread.id)
        .outerjoin(Preference, Preference.user_id == Correction.user_id)
        .outerjoin(ReviewRow, ReviewRow.correction_id == Correction.id)
        .where(AnswerSource.answer_id == answer_id, AnswerSource.kind == SourceKind.CORRECTION)
        .where(stands(), ~func.coalesce(is_gone, false()))  # its author took it back, or says something else now
        .order_by(AnswerSource.position)
    )
    return tuple(
        ReadCorrection(
            question="" if answers_another(message, answer) else message.text,
            text=edited if by_reviewer else correction.text,
            user_id=correction.user_id,
            channel_id=thread.channel_id,
            reply_ts=next(iter(answer.reply_ts), thread.thread_ts),
            is_open={Audience(thread.audience), Audience(answer.audience)} == {Audience.PUBLIC},
            score=score or 0.0,
            shown=shown or "",
            is_kept=Audience.DIRECT in {thread.audience, message.audience, answer.audience, correction.audience}
            and not (correction.is_for_everyone and correction.user_id == message.user_id),
            is_edited=by_reviewer,
        )
        for correction, message, answer, thread, score, shown, by_reviewer, edited in rows
    )
