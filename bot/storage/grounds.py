"""What the answers of a thread rest on beside what was said in it, and the answers themselves: by their rows."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot.storage.file_tables import MessageFile
from bot.storage.memory_tables import AnswerSource, SourceKind
from bot.storage.signals import Signal, find_corrections
from bot.storage.tables import Answer, Correction, Message

Row = tuple[str, str, str]  # table, id, and the person whose row it is
_SAID = aliased(Message)
_IS_GONE = or_(
    *(
        and_(AnswerSource.kind == kind, ~exists().where(table.id == AnswerSource.ref_id))
        for kind, table in (
            (SourceKind.MESSAGE, _SAID),
            (SourceKind.CORRECTION, Correction),
            (SourceKind.FILE, MessageFile),
        )
    )
)


@dataclass(frozen=True, slots=True)
class Ground:
    """An answer, or what stood in its prompt, with the *ts* of its question.

    *taught* is there for a correction, which stands there with the question that it answers. *is_gone*: nobody can tell
    any more whose words it was.
    """

    ts: str
    rows: tuple[Row, ...] = ()
    taught: Signal | None = None
    is_gone: bool = False


async def load_grounds(session: AsyncSession, thread_ids: Collection[str]) -> Mapping[str, list[Ground]]:
    """Return what the answers of threads rest on; what was said and shared there is known from its messages."""
    grounds: dict[str, list[Ground]] = defaultdict(list)
    answers = select(Message.thread_id, Message.ts, Message.user_id, Answer.id).join(Answer)
    answers = answers.where(Message.thread_id.in_(thread_ids)).order_by(Message.ts, Answer.id)
    for thread_id, ts, user_id, answer_id in await session.execute(answers):
        grounds[thread_id].append(Ground(ts, (("answers", answer_id, user_id),)))
    is_taught = AnswerSource.kind == SourceKind.CORRECTION
    sources = (
        select(Message.thread_id, Message.ts, AnswerSource.ref_id, _IS_GONE)
        .join(Answer, AnswerSource.answer_id == Answer.id)
        .join(Message, Answer.message_id == Message.id)
        .where(Message.thread_id.in_(thread_ids), or_(is_taught, _IS_GONE))
        .order_by(Message.ts, Answer.id, AnswerSource.position)
    )
    found = (await session.execute(sources)).all()
    taught = await find_corrections(session, {ref_id for _, _, ref_id, is_gone in found if not is_gone})
    for thread_id, ts, ref_id, _ in found:
        signal = taught.get(ref_id)
        grounds[thread_id].append(Ground(ts, _list_rows(signal), signal) if signal else Ground(ts, is_gone=True))
    return grounds


def _list_rows(taught: Signal) -> tuple[Row, ...]:
    return (taught.table, taught.row_id, taught.user_id), ("messages", taught.message_id, taught.asker_id)
