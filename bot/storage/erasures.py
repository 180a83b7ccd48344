"""What goes is written down by its id and checksum just before it goes, and found again wherever it may still count."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, String, Table, and_, delete, exists, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.erasure_tables import Cause, Erasure
from bot.storage.file_tables import MessageFile
from bot.storage.learning_tables import Run, RunExample
from bot.storage.moments import later
from bot.storage.tables import Answer, Base, Correction, Feedback, Message, PreferencePair, Thread
from bot.storage.threads import Place

T = TypeVar("T")
SAME_ROW = and_(Erasure.row_table == RunExample.row_table, Erasure.row_id == RunExample.row_id)


async def record_messages(session: AsyncSession, which: ColumnElement[bool], *, cause: Cause) -> None:
    """Write down messages that are about to go, and all that goes with them."""
    messages = select(Message.id).where(which)
    scopes = await _find_scopes(session, which)
    await _record(session, Message, which, cause=cause, scopes=scopes)
    await _record_answers(session, Answer.message_id.in_(messages), cause=cause, scopes=scopes)
    await _record(session, MessageFile, MessageFile.message_id.in_(messages), cause=cause)


async def record_answers(session: AsyncSession, which: ColumnElement[bool], *, cause: Cause) -> None:
    """Write down answers that are about to go while their questions stay, and all that goes with them."""
    asked = Message.id.in_(select(Answer.message_id).where(which))
    await _record_answers(session, which, cause=cause, scopes=await _find_scopes(session, asked))


async def _record_answers(
    session: AsyncSession, which: ColumnElement[bool], *, cause: Cause, scopes: Mapping[str, str]
) -> None:
    answers = select(Answer.id).where(which)
    await _record(session, Answer, which, cause=cause, scopes=scopes)
    await _record(session, Correction, Correction.answer_id.in_(answers), cause=cause)
    await _record(session, Feedback, Feedback.answer_id.in_(answers), cause=cause)
    pairs = or_(PreferencePair.chosen_id.in_(answers), PreferencePair.rejected_id.in_(answers))
    await _record(session, PreferencePair, pairs, cause=cause)


async def record_edit(session: AsyncSession, message: Message) -> None:
    """Write down what a message says, before it says something else."""
    which = Message.id == message.id
    await _record(session, Message, which, cause=Cause.EDIT, scopes=await _find_scopes(session, which))


async def record_files(session: AsyncSession, which: ColumnElement[bool]) -> None:
    """Write down files that are about to go while their messages stay."""
    scopes = await _find_scopes(session, Message.id.in_(select(MessageFile.message_id).where(which)))
    await _record(session, MessageFile, which, cause=Cause.FILE, scopes=scopes)


async def record_person(session: AsyncSession, user_id: str, tables: Sequence[Table]) -> None:
    """Write down what somebody has in *tables*, and what goes with their messages.

    Numbers are given again when a row is gone; only ids that never return can tell of it.
    """
    for table in tables:
        is_unique = "id" in table.c and isinstance(table.c.id.type, String)
        if is_unique and table.name != Message.__tablename__:
            await _record(session, table, table.c.user_id == user_id, cause=Cause.PERSON)
    await record_messages(session, Message.user_id == user_id, cause=Cause.PERSON)


async def _record(
    session: AsyncSession,
    where: type[Base] | Table,
    which: ColumnElement[bool],
    *,
    cause: Cause,
    scopes: Mapping[str, str] | None = None,
) -> None:
    table: Any = where if isinstance(where, Table) else where.__table__
    rows = (await session.execute(select(table).where(which).order_by(table.c.id))).mappings().all()
    at = await later(session)
    values = [
        {
            "row_table": table.name,
            "row_id": str(row["id"]),
            "sha256": hash_row(row),
            "cause": cause,
            "scope": (scopes or {}).get(row.get("thread_id") or row.get("message_id") or "", ""),
            "at": at,
        }
        for row in rows
    ]
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    new = insert(Erasure)  # an earlier word of the same row, also one that another process writes just now, gives way
    keys = ["row_table", "row_id"]
    kept = {column.name: new.excluded[column.name] for column in Erasure.__table__.c if column.name not in keys}
    for lot in batched(values):
        await session.execute(new.on_conflict_do_update(index_elements=keys, set_=kept), lot)


def hash_row(row: Mapping[Any, Any]) -> str:
    """Return the checksum of a row; its id in it, which nobody can guess, keeps short words from being guessed."""
    return sha256(repr(sorted((str(name), value) for name, value in row.items())).encode()).hexdigest()


async def _find_scopes(session: AsyncSession, which: ColumnElement[bool]) -> dict[str, str]:
    """Return the engine's scopes of some messages, by the ids of the messages and of their threads."""
    columns = (Message.id, Thread.id, Thread.team_id, Thread.channel_id, Thread.thread_ts)
    found: dict[str, str] = {}
    for message_id, thread_id, *place in await session.execute(select(*columns).join(Thread).where(which)):
        found[message_id] = found[thread_id] = Place(*place).scope
    return found


def batched(values: Sequence[T], most: int = 500) -> Iterator[Sequence[T]]:
    """Yield lots that fit into one statement of any database."""
    for start in range(0, len(values), most):
        yield values[start : start + most]


async def erased_scopes(session: AsyncSession, *, since: datetime) -> Collection[str]:
    """Return the threads of which words went since a moment, as the engine knows them."""
    return set(await session.scalars(select(Erasure.scope).where(Erasure.scope != "", Erasure.at >= since).distinct()))


async def runs_with_erased(session: AsyncSession, *, since: datetime | None, aged: bool = False) -> Collection[int]:
    """Return the runs that learned from words that are gone now: written down since a moment, or whenever.

    What only became too old (*aged*) is told apart: it was learned from when it might be.
    """
    gone = Erasure.cause == Cause.AGE if aged else Erasure.cause != Cause.AGE
    statement = _joined(select(RunExample.run_id).distinct()).where(gone)
    return set(await session.scalars(statement if since is None else statement.where(Erasure.at >= since)))


async def has_erased(session: AsyncSession, run_id: int) -> bool:
    """Return whether a run learns from words that were deleted or changed since."""
    statement = _joined(select(RunExample.id)).where(RunExample.run_id == run_id, Erasure.cause != Cause.AGE)
    return (await session.scalar(statement.limit(1))) is not None


def _joined(statement: Select[Any]) -> Select[Any]:
    """Join what runs learned from with what is gone; what was edited before a run began, it has read as it is now."""
    is_after = or_(Erasure.cause != Cause.EDIT, Run.started_at.is_(None), Erasure.at > Run.started_at)
    return (
        statement.select_from(RunExample).join(Erasure, SAME_ROW).join(Run, Run.id == RunExample.run_id).where(is_after)
    )


async def count_erased(session: AsyncSession) -> tuple[int, datetime | None]:
    """Return how many rows are written down as gone, and when the newest went."""
    found = await session.execute(select(func.count(), func.max(Erasure.at)).where(Erasure.cause != Cause.EDIT))
    count, newest = found.one()
    return count, newest


async def erased_ids(
    session: AsyncSession, *, cause: Cause | None = None, since: datetime | None = None
) -> Collection[str]:
    """Return the ids of all rows that are written down as gone, or of those that went for one *cause*, or lately."""
    which = Erasure.cause != Cause.EDIT if cause is None else Erasure.cause == cause
    statement = select(Erasure.row_id).where(which)
    return set(await session.scalars(statement if since is None else statement.where(Erasure.at >= since)))


async def find_returned(session: AsyncSession) -> Mapping[str, Collection[str]]:
    """Return the ids of rows that are written down as gone and stand there all the same, by their table."""
    found: dict[str, Collection[str]] = {}
    names = await session.scalars(select(Erasure.row_table).distinct())
    for table in [Base.metadata.tables[name] for name in names if name in Base.metadata.tables]:
        gone = exists().where(
            Erasure.row_table == table.name, Erasure.row_id == table.c.id, Erasure.cause != Cause.EDIT
        )
        ids = set(await session.scalars(select(table.c.id).where(gone)))
        if ids:
            found[table.name] = ids
    return found


async def record_rows(session: AsyncSession, table: Table, ids: Collection[str], *, cause: Cause) -> None:
    """Write down some rows of a table that are about to go."""
    await _record(session, table, table.c.id.in_(ids), cause=cause)


async def prune_erasures(session: AsyncSession, *, before: datetime) -> None:
    """Forget what went so long ago that nothing can bring it back."""
    await session.execute(delete(Erasure).where(Erasure.at < before))
