"""What people chose or ended after a backup was made: read from the database a restore replaces, kept in what it fills.

Of two rows the later counts. What somebody wrote since does not come with it, but for a reviewer's own words.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, inspect, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot.storage.admin_tables import RefusedWords, ReviewRow
from bot.storage.choices import newest_choice
from bot.storage.feedback_tables import Lesson, LessonState
from bot.storage.learning_tables import TrainingChoice
from bot.storage.lessons import refuse
from bot.storage.manners_tables import ThreadManners
from bot.storage.preference_tables import Preference
from bot.storage.schedule_tables import Occurrence, OccurrenceState, Schedule
from bot.storage.tables import Base, Correction, Feedback, PreferencePair, Vote
from bot.storage.thread_manners import KEY, STATES
from bot.storage.traces import forget_prompts_with
from bot.storage.types import UtcDateTime

Row = Mapping[str, Any]
Rows = Sequence[tuple[str, Row]]  # the name of a table, and of a row what counts, moments as ISO 8601

COLUMNS: Mapping[type[Base], Collection[str]] = {
    Schedule: ("id", "created_at", "next_at"),
    Occurrence: ("schedule_id", "due_at", "state", "attempts", "until", "ended_at"),
    Preference: tuple(Preference.__table__.columns.keys()),
    ThreadManners: (*KEY, "active_ts", *STATES),
    ReviewRow: tuple(ReviewRow.__table__.columns.keys()),
    RefusedWords: tuple(RefusedWords.__table__.columns.keys()),
    TrainingChoice: tuple(TrainingChoice.__table__.columns.keys()),
    Correction: ("id", "superseded_at"),
    Feedback: ("id", "superseded_at"),
    Lesson: ("id", "state"),
}
ENDED = {  # of these alone what has come to an end
    Correction: Correction.superseded_at.is_not(None),
    Feedback: Feedback.superseded_at.is_not(None),
    Lesson: Lesson.state == LessonState.REFUSED,
}
SAYING: Mapping[type[Base], Collection[str]] = {  # what has not ended where it is said again
    Correction: ("text", "is_for_everyone"),
    Feedback: ("vote", "comment"),
}


async def read_outliving(session: AsyncSession) -> Rows:
    """Return what people have chosen and ended, whenever; of an earlier version what that knew of it."""
    there = await (await session.connection()).run_sync(_list_columns)
    found: list[tuple[str, Row]] = []
    for table, names in COLUMNS.items():
        if not set(names) <= there.get(table.__tablename__, set()):
            continue
        statement = select(*(getattr(table, name) for name in names)).where(ENDED.get(table, true()))
        if table in SAYING and set(SAYING[table]) <= there[table.__tablename__]:
            statement = statement.where(~_is_said_again(table))
        for row in await session.execute(statement):
            values = zip(names, row, strict=True)
            written = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in values}
            found.append((table.__tablename__, written))
    return found


def _is_said_again(table: type[Any]) -> ColumnElement[bool]:
    """Match what counts no more itself, while the same person says the same about the same answer."""
    newer = aliased(table)
    same = (getattr(newer, name) == getattr(table, name) for name in ("answer_id", "user_id", *SAYING[table]))
    return exists().where(newer.superseded_at.is_(None), *same)


def _list_columns(connection: Connection) -> Mapping[str, set[str]]:
    looked = inspect(connection)
    names = set(looked.get_table_names()) & {table.__tablename__ for table in COLUMNS}
    return {name: {column["name"] for column in looked.get_columns(name)} for name in names}


async def settle_outliving(session: AsyncSession, rows: Rows, *, without: Collection[str] = ()) -> int:
    """Let what was chosen and ended be so here too; return how many rows changed.

    *without* whom: those who were forgotten here, and not where the rows are from.
    """
    tables = {table.__tablename__: table for table in COLUMNS}
    count = 0
    for name, written in rows:
        table = tables[name]
        moments = {key for key in written if isinstance(table.__table__.c[key].type, UtcDateTime)}
        row = {k: datetime.fromisoformat(v) if v and k in moments else v for k, v in written.items()}
        if row.get("user_id") not in without:
            count += await SETTLE[table](session, row)
            await session.flush()
    under_way = select(Occurrence.schedule_id).where(Occurrence.state == OccurrenceState.RUNNING)
    over = update(Schedule).where(Schedule.next_at.is_(None), Schedule.id.not_in(under_way))
    await session.execute(over.values(text=""))
    return count


async def remove_again(session: AsyncSession, number: str, planned_at: str) -> int:
    """Delete a schedule that was taken back; a number may have been given again."""
    which = and_(Schedule.id == int(number), Schedule.created_at == datetime.fromisoformat(planned_at))
    removed = await session.scalar(delete(Schedule).where(which).returning(Schedule.id))
    return int(removed is not None)


async def _settle_schedule(session: AsyncSession, row: Row) -> bool:
    """Let it come next when it would have there: it only goes forward, and never begins again."""
    here, next_at = await session.get(Schedule, row["id"]), row["next_at"]
    if here is None or here.created_at != row["created_at"] or here.next_at is None:
        return False
    if next_at is not None and next_at <= here.next_at:
        return False
    here.next_at = next_at
    return True


async def _settle_occurrence(session: AsyncSession, row: Row) -> bool:
    schedule = await session.get(Schedule, row["schedule_id"])
    if schedule is None or schedule.created_at > row["due_at"]:  # its number was another's
        return False
    here = await session.get(Occurrence, (row["schedule_id"], row["due_at"]))
    if here is not None and (here.ended_at is not None or row["ended_at"] is None):
        return False
    return _put(session, Occurrence, here, row)


async def _settle_preference(session: AsyncSession, row: Row) -> bool:
    here = await session.get(Preference, row["user_id"])
    return (here is None or row["at"] > here.at) and _put(session, Preference, here, row)


async def _settle_manners(session: AsyncSession, row: Row) -> bool:
    """Take the row with the newer word; of the same word that which is quiet, since only quiet is kept without one."""
    here = await session.get(ThreadManners, tuple(row[name] for name in KEY))
    is_later = here is None or (row["active_ts"], row["is_muted"]) > (here.active_ts, here.is_muted)
    return is_later and _put(session, ThreadManners, here, row)


async def _settle_review(session: AsyncSession, row: Row) -> bool:
    if await session.get(Correction, row["correction_id"]) is None:
        return False
    here = await session.get(ReviewRow, row["correction_id"])
    if here is not None and row["at"] <= here.at:
        return False
    if here is not None and here.text not in {"", row["text"]}:
        await forget_prompts_with(session, [here.correction_id])  # in which the words that go may stand
    return _put(session, ReviewRow, here, row)


async def _settle_refused_words(session: AsyncSession, row: Row) -> bool:
    here = await session.get(RefusedWords, row["id"])
    return (here is None or row["at"] > here.at) and _put(session, RefusedWords, here, row)


async def _settle_choice(session: AsyncSession, row: Row) -> bool:
    """Take what was chosen later; a no to learning that nobody knows here counts whenever it was (`settle_since`)."""
    here = await newest_choice(session, kind=row["kind"], subject_id=row["subject_id"])
    return (here is None or row["at"] > here.at) and _put(session, TrainingChoice, None, row)


async def _settle_correction(session: AsyncSession, row: Row) -> bool:
    here = await session.get(Correction, row["id"])
    if here is None or here.superseded_at is not None:
        return False
    here.superseded_at = row["superseded_at"]
    return True


async def _settle_vote(session: AsyncSession, row: Row) -> bool:
    """Let it count no more, and no more prefer its answer to the one before."""
    here = await session.get(Feedback, row["id"])
    if here is None or here.superseded_at is not None:
        return False
    here.superseded_at = row["superseded_at"]
    if here.vote == Vote.UP:
        pair = delete(PreferencePair).filter_by(chosen_id=here.answer_id, user_id=here.user_id, source="regenerate")
        await session.execute(pair)
    return True


async def _settle_lesson(session: AsyncSession, row: Row) -> bool:
    here = await session.get(Lesson, row["id"])
    if here is None or here.state != LessonState.WAITING:
        return False
    refuse(here)
    return True


def _put(session: AsyncSession, table: type[Base], here: Base | None, row: Row) -> bool:
    if here is None:
        session.add(table(**row))
    else:
        for name, value in row.items():
            setattr(here, name, value)
    return True


SETTLE: Mapping[type[Base], Callable[[AsyncSession, Row], Awaitable[bool]]] = {
    Schedule: _settle_schedule,
    Occurrence: _settle_occurrence,
    Preference: _settle_preference,
    ThreadManners: _settle_manners,
    ReviewRow: _settle_review,
    RefusedWords: _settle_refused_words,
    TrainingChoice: _settle_choice,
    Correction: _settle_correction,
    Feedback: _settle_vote,
    Lesson: _settle_lesson,
}
