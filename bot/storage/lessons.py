"""What one person wrote and another wants taught: kept until its author answers, a correction once they say yes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.answers import load_answer
from bot.storage.choices import PERSON, newest_choice
from bot.storage.correction_index import is_same
from bot.storage.erasure_tables import Cause
from bot.storage.erasures import record_messages, record_rows
from bot.storage.feedback import save_correction
from bot.storage.feedback_tables import Lesson, LessonState
from bot.storage.privacy import is_stored
from bot.storage.tables import Answer, AnswerState, Audience, Correction, Message, Thread, now
from bot.storage.threads import Place, join_thread, save_message
from bot.storage.traces import forget_prompts_with

PATIENCE = timedelta(days=7)
MOST_WAITING = 3  # lessons that one author is asked about at the same time
MOST_ASKED = 10  # for which one person waits at the same time: each is a message to somebody


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What somebody wrote in Slack, and the question that it answers."""

    place: Place
    ts: str
    author_id: str
    asked_by: str
    audience: Audience
    question: str
    text: str


async def find_question(session: AsyncSession, place: Place, *, user_id: str, before_ts: str) -> str:
    """Return what a person last asked of the assistant in a thread before a message; empty where nothing.

    Only their own words: they are stored as theirs, and nobody else's choices and deletions would reach them.
    """
    asked = select(Message.text).join(Thread, Message.thread_id == Thread.id).filter_by(**vars(place))
    found = asked.where(Message.user_id == user_id, Message.ts < before_ts, Message.text != "")
    found = found.order_by(Message.ts.desc())
    return await session.scalar(found.limit(1)) or ""


async def may_be_asked(session: AsyncSession, author_id: str) -> bool:
    """Return whether somebody may be asked for a lesson: who wants no learning, or was asked enough, is not."""
    if not await is_stored(session, author_id) or not await is_willing(session, author_id):
        return False
    waiting = select(func.count()).select_from(Lesson).filter_by(user_id=author_id, state=LessonState.WAITING)
    return (await session.scalar(waiting) or 0) < MOST_WAITING


async def is_willing(session: AsyncSession, user_id: str) -> bool:
    """Return whether somebody has not said that they want no learning from what they write."""
    choice = await newest_choice(session, kind=PERSON, subject_id=user_id)
    return choice is None or choice.is_allowed


async def may_ask(session: AsyncSession, user_id: str) -> bool:
    """Return whether somebody may ask others for a lesson: who waits for many already may not."""
    waiting = select(func.count()).select_from(Lesson).filter_by(asked_by=user_id, state=LessonState.WAITING)
    return (await session.scalar(waiting) or 0) < MOST_ASKED


async def is_known(session: AsyncSession, place: Place, *, ts: str) -> bool:
    """Return whether a message was asked for already, whatever became of it."""
    here = {"team_id": place.team_id, "channel_id": place.channel_id, "ts": ts}
    return (await session.scalar(select(Lesson.id).filter_by(**here))) is not None


async def save_lesson(session: AsyncSession, taught: Taught) -> Lesson:
    """Keep a lesson until its author answers."""
    lesson = Lesson(
        team_id=taught.place.team_id,
        channel_id=taught.place.channel_id,
        ts=taught.ts,
        user_id=taught.author_id,
        asked_by=taught.asked_by,
        audience=taught.audience,
        question=taught.question,
        text=taught.text,
        state=LessonState.WAITING,
    )
    session.add(lesson)
    await session.flush()
    return lesson


async def find_waiting(session: AsyncSession, lesson_id: str, *, author_id: str) -> Lesson | None:
    """Return a lesson that its author is asked about; None when it is theirs no more: decided, or too long ago."""
    lesson = await session.scalar(select(Lesson).filter_by(id=lesson_id).with_for_update())
    if lesson is None or lesson.user_id != author_id or lesson.state != LessonState.WAITING:
        return None
    return lesson if lesson.asked_at > now() - PATIENCE else None


async def find_askable(session: AsyncSession, lesson_id: str, *, author_id: str) -> Lesson | None:
    """Return a lesson for which its author is to be asked now; None where that is decided by now.

    Nothing is kept where its author, or whoever asks, wants nothing of theirs stored or learned by now.
    """
    lesson = await find_waiting(session, lesson_id, author_id=author_id)
    if lesson is None:
        return None
    for person in (author_id, lesson.asked_by):
        if not (await is_stored(session, person) and await is_willing(session, person)):
            refuse(lesson)
            return None
    return lesson


async def teach(session: AsyncSession, lesson: Lesson) -> str:
    """Make a correction of a lesson, as its author says; return its id.

    It stands in a conversation of its own, so that nobody reads it as something that was said to the assistant.
    """
    place = Place(lesson.team_id, lesson.channel_id, f"teach:{lesson.id}"[:32])
    thread = await join_thread(session, place, audience=lesson.audience)
    message = await save_message(
        session,
        thread,
        ts=place.thread_ts,
        user_id=lesson.asked_by,
        user_name="",
        text=lesson.question,
        audience=lesson.audience,
    )
    answer = Answer(message_id=message.id, state=AnswerState.COMPLETE, audience=lesson.audience, reply_ts=[])
    session.add(answer)
    await session.flush()
    await save_correction(session, answer, user_id=lesson.user_id, text=lesson.text)
    found = await session.scalars(select(Correction.id).filter_by(answer_id=answer.id, user_id=lesson.user_id))
    lesson.correction_id = found.one()
    _empty(lesson, LessonState.TAUGHT)
    return lesson.correction_id


def refuse(lesson: Lesson) -> None:
    """Keep that its author does not want it, and nothing of what it said."""
    _empty(lesson, LessonState.REFUSED)


async def list_lessons(session: AsyncSession, team_id: str, *, since: datetime, most: int) -> list[tuple[str, str]]:
    """Return which messages, by channel and ts, were lately asked for and not refused, the newest first."""
    lately = select(Lesson.channel_id, Lesson.ts).filter_by(team_id=team_id)
    lately = lately.where(Lesson.asked_at >= since, Lesson.state != LessonState.REFUSED)
    rows = await session.execute(lately.order_by(Lesson.asked_at.desc()).limit(most))
    return [(row[0], row[1]) for row in rows]


async def forget_waited(session: AsyncSession, *, before: datetime) -> int:
    """Let go of what nobody answered, as if its author had refused; return how many."""
    waited = await session.scalars(select(Lesson).where(Lesson.state == LessonState.WAITING, Lesson.asked_at < before))
    lessons = waited.all()
    for lesson in lessons:
        refuse(lesson)
    return len(lessons)


async def drop_lesson(
    session: AsyncSession, team_id: str, channel_id: str, *, ts: str, edited: str | None = None
) -> None:
    """Forget what a message taught, or its author is asked about, that is deleted in Slack, or says other words now.

    What was refused stays refused, whatever it says.
    """
    lesson = await session.scalar(select(Lesson).filter_by(team_id=team_id, channel_id=channel_id, ts=ts))
    if lesson is None:
        return
    correction = await session.get(Correction, lesson.correction_id) if lesson.correction_id else None
    words = correction.text if correction is not None else lesson.text
    if edited is not None and (lesson.state == LessonState.REFUSED or is_same(words, edited)):
        return
    record = await load_answer(session, correction.answer_id) if correction is not None else None
    await record_rows(session, Lesson.metadata.tables[Lesson.__tablename__], [lesson.id], cause=Cause.MESSAGE)
    await session.execute(delete(Lesson).where(Lesson.id == lesson.id))
    if record is not None and correction is not None:
        await forget_prompts_with(session, [correction.id])
        await record_messages(session, Message.id == record.message.id, cause=Cause.MESSAGE)
        await session.execute(delete(Message).where(Message.id == record.message.id))


def _empty(lesson: Lesson, state: LessonState) -> None:
    lesson.state, lesson.question, lesson.text = state, "", ""
