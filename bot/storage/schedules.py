"""Reminders and digests: kept, listed, and each due time given to one process only."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Update, and_, case, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.audit import RESTORED, UNPLAN, newest, record
from bot.storage.schedule_tables import Occurrence, OccurrenceState, Schedule
from bot.storage.worker_tables import Worker

LEASE = timedelta(minutes=10)  # for so long whoever runs one may take
MAX_ATTEMPTS = 3
IN_ONE_PLACE = 3  # are begun at once: more would only wait there for Slack, in the way of all others
KEEP = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Due:
    """A schedule whose time has come; *attempts* beyond the first follow a crash or a Slack that was away."""

    schedule: Schedule
    due_at: datetime
    attempts: int

    @property
    def key(self) -> str:
        """Return what tells this due time from every other."""
        return f"{self.schedule.id}-{int(self.due_at.timestamp())}"

    @property
    def place(self) -> str:
        """Return where it is said, and of which kind it is, as the database writes it."""
        schedule = self.schedule
        return f"{schedule.kind}/{schedule.team_id}/{schedule.channel_id or schedule.user_id}"


PLACE = (
    Schedule.kind
    + "/"
    + Schedule.team_id
    + "/"
    + case((Schedule.channel_id == "", Schedule.user_id), else_=Schedule.channel_id)
)


async def add_schedule(session: AsyncSession, schedule: Schedule) -> Schedule:
    """Keep a schedule; it has its number then."""
    session.add(schedule)
    await session.flush()
    return schedule


async def count_schedules(
    session: AsyncSession, team_id: str, *, user_id: str | None = None, channel_id: str | None = None
) -> int:
    """Return how many schedules of a person, or for a channel, are still to come."""
    coming = (
        select(func.count()).select_from(Schedule).where(Schedule.team_id == team_id, Schedule.next_at.is_not(None))
    )
    if user_id is not None:
        coming = coming.where(Schedule.user_id == user_id)
    if channel_id is not None:
        coming = coming.where(Schedule.channel_id == channel_id)
    return (await session.scalar(coming)) or 0


async def list_schedules(session: AsyncSession, team_id: str, *, user_id: str, channel_id: str) -> Sequence[Schedule]:
    """Return what somebody wanted, and what will be said in the channel in which they ask, soonest first."""
    mine_or_here = or_(Schedule.user_id == user_id, Schedule.channel_id == channel_id)
    coming = select(Schedule).where(Schedule.team_id == team_id, Schedule.next_at.is_not(None), mine_or_here)
    return list(await session.scalars(coming.order_by(Schedule.next_at, Schedule.id)))


async def find_schedule(session: AsyncSession, team_id: str, schedule_id: int) -> Schedule | None:
    """Return a schedule that is still to come."""
    one = select(Schedule).where(Schedule.id == schedule_id, Schedule.team_id == team_id)
    return await session.scalar(one.where(Schedule.next_at.is_not(None)))


async def remove_schedule(session: AsyncSession, schedule: Schedule, *, by: str) -> None:
    """Delete a schedule with its text; the audit log says so to a restore, which would plan it again."""
    planned = {"number": schedule.id, "planned_at": schedule.created_at.isoformat()}
    record(session, UNPLAN, by=by, target=schedule.user_id, **planned)
    await session.execute(delete(Schedule).where(Schedule.id == schedule.id))


async def has_due(session: AsyncSession, *, moment: datetime) -> bool:
    """Return whether there is anything to claim."""
    fresh = select(Schedule.id).where(Schedule.next_at <= moment).limit(1)
    stale = select(Occurrence.schedule_id).where(*_is_over(moment)).limit(1)
    return (await session.scalar(fresh)) is not None or (await session.scalar(stale)) is not None


async def claim_due(
    session: AsyncSession,
    *,
    moment: datetime,
    find_next: Callable[[Schedule], datetime | None],
    limit: int,
    worker_id: str,
    full: Collection[str] = (),
) -> Sequence[Due]:
    """Claim what is due at *moment*, each time for one process only; *find_next* says when a schedule is due again.

    Of one place only a few, and none of those that are *full*.
    """
    turn = func.row_number().over(partition_by=PLACE, order_by=(Schedule.next_at, Schedule.id)).label("turn")
    coming = select(Schedule.id, turn).where(Schedule.next_at <= moment, PLACE.not_in(full)).subquery()
    due = select(Schedule).join(coming, Schedule.id == coming.c.id).where(coming.c.turn <= IN_ONE_PLACE)
    due = due.order_by(Schedule.next_at, Schedule.id).limit(limit)
    claimed = []
    for schedule in await session.scalars(due):
        due_at = schedule.next_at
        if due_at is None:
            continue
        row = {"schedule_id": schedule.id, "due_at": due_at, "state": OccurrenceState.RUNNING, "attempts": 1}
        is_ours = await _insert(session, {**row, "until": moment + LEASE, "worker_id": worker_id})
        # Whoever was faster has moved it on already; moving it to the same time again does no harm.
        move = update(Schedule).where(Schedule.id == schedule.id, Schedule.next_at == due_at)
        await session.execute(move.values(next_at=find_next(schedule)))
        if is_ours:
            claimed.append(Due(schedule, due_at, 1))
    return claimed


async def _insert(session: AsyncSession, row: dict[str, object]) -> bool:
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    statement = insert(Occurrence).values(row).on_conflict_do_nothing().returning(Occurrence.schedule_id)
    return (await session.scalar(statement)) is not None


async def claim_stale(
    session: AsyncSession, *, moment: datetime, limit: int, worker_id: str, full: Collection[str] = ()
) -> Sequence[Due]:
    """Claim what another process has begun and not ended, or what was put off until now.

    Of one place only a few, and none of those that are *full*.
    """
    turn = func.row_number().over(partition_by=PLACE, order_by=(Occurrence.due_at, Schedule.id)).label("turn")
    over = select(Schedule.id, Occurrence.due_at, turn).join(Schedule, Occurrence.schedule_id == Schedule.id)
    waiting = over.where(*_is_over(moment), PLACE.not_in(full)).subquery()
    is_same = and_(Occurrence.schedule_id == waiting.c.id, Occurrence.due_at == waiting.c.due_at)
    found = (
        select(Occurrence)
        .join(waiting, is_same)
        .where(*_is_over(moment), waiting.c.turn <= IN_ONE_PLACE)
        .order_by(Occurrence.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Occurrence)
    )
    claimed = []
    for row in await session.scalars(found):
        row.until, row.attempts, row.worker_id = moment + LEASE, row.attempts + 1, worker_id
        schedule = await session.get(Schedule, row.schedule_id)
        if schedule is not None:
            claimed.append(Due(schedule, row.due_at, row.attempts))
    return claimed


async def give_back(session: AsyncSession) -> int:
    """Let be claimed at once what a worker had begun that is on the list no more; return how many due times."""
    is_known = Occurrence.worker_id.is_not(None)  # else one of an earlier version may be at it
    is_gone = and_(is_known, Occurrence.worker_id.not_in(select(Worker.id)))
    statement = update(Occurrence).where(Occurrence.state == OccurrenceState.RUNNING, is_gone)
    given = statement.values(until=Occurrence.due_at, worker_id=None).returning(Occurrence.schedule_id)
    return len((await session.execute(given)).all())


async def put_off(session: AsyncSession, due: Due, *, until: datetime) -> None:
    """Let whoever comes after *until* try again; that Slack was away counts as no attempt."""
    await session.execute(_row(due).values(until=until, attempts=due.attempts - 1, worker_id=None))


async def end_occurrence(session: AsyncSession, due: Due, *, state: OccurrenceState, moment: datetime) -> None:
    """Write down how a due time ended; a schedule that has no other loses its text."""
    await session.execute(_row(due).values(state=state, ended_at=moment))
    over = update(Schedule).where(Schedule.id == due.schedule.id, Schedule.next_at.is_(None))
    await session.execute(over.values(text=""))


async def last_done(session: AsyncSession, schedule_id: int) -> datetime | None:
    """Return when a schedule was last brought to its good end; None where it never was, or not of late."""
    done = select(func.max(Occurrence.ended_at)).filter_by(schedule_id=schedule_id, state=OccurrenceState.DONE)
    return await session.scalar(done)


async def first_due(session: AsyncSession, schedule_id: int) -> datetime | None:
    """Return when a schedule was due first, of what is still known, however that ended."""
    return await session.scalar(select(func.min(Occurrence.due_at)).filter_by(schedule_id=schedule_id))


async def is_of_before_a_loss(session: AsyncSession, due: Due) -> bool:
    """Return whether a backup was put back since, and nothing there could say what was said after it was made."""
    restored = await newest(session, [RESTORED])
    return restored is not None and due.due_at <= restored.at and restored.details.get("erased") is None


async def end_schedule(session: AsyncSession, due: Due) -> None:
    """Let a schedule have no further time."""
    await session.execute(update(Schedule).where(Schedule.id == due.schedule.id).values(next_at=None, text=""))


async def prune_schedules(session: AsyncSession, *, moment: datetime) -> None:
    """Forget due times and whole schedules that ended long ago."""
    await session.execute(delete(Occurrence).where(Occurrence.ended_at < moment - KEEP))
    open_ones = select(Occurrence.schedule_id)
    over = delete(Schedule).where(Schedule.next_at.is_(None), Schedule.id.not_in(open_ones))
    await session.execute(over.where(Schedule.created_at < moment - KEEP))


def _is_over(moment: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Occurrence.state == OccurrenceState.RUNNING, Occurrence.until <= moment


def _row(due: Due) -> Update:
    return update(Occurrence).where(Occurrence.schedule_id == due.schedule.id, Occurrence.due_at == due.due_at)
