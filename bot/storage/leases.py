"""Leases: what only one process may do at a time, over all bots on one database."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.learning_tables import Lease
from bot.storage.tables import now

OVER = datetime(1970, 1, 1, tzinfo=UTC)  # whatever the clock says
DOUBT = timedelta(minutes=1)


async def wait_in_line(session: AsyncSession, name: str) -> None:
    """Let one transaction at a time pass here until it ends, over all bots; what it then reads, nobody else changes.

    SQLite has one writer anyhow.
    """
    if session.get_bind().dialect.name == "sqlite":
        return
    await _know(session, name)
    await session.execute(select(Lease.name).where(Lease.name == name).with_for_update())


async def _know(session: AsyncSession, name: str) -> None:
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    await session.execute(insert(Lease).values(name=name, owner="", fence=0, until=OVER).on_conflict_do_nothing())


async def read_shared_clock(session: AsyncSession) -> datetime:
    """Return this moment by the one clock that all bots on a database share."""
    if session.get_bind().dialect.name == "sqlite":
        return now()
    moment: datetime = (await session.scalars(select(func.clock_timestamp()))).one()
    return moment


async def take_lease(session: AsyncSession, name: str, *, owner: str, seconds: float) -> int | None:
    """Take a lease that is free, over, or *owner*'s own; return its fence, or None while somebody else holds it.

    One that lasts for longer than any is given is from before the clock was set back, and whoever had it may be gone.
    """
    await _know(session, name)
    moment = await read_shared_clock(session)
    until = moment + timedelta(seconds=seconds)
    is_free = or_(Lease.until < moment, Lease.until > until + DOUBT, Lease.owner == owner)
    statement = (
        update(Lease)
        .where(Lease.name == name, is_free)
        .values(owner=owner, fence=Lease.fence + 1, until=until)
        .returning(Lease.fence)
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def renew_lease(session: AsyncSession, name: str, *, fence: int, seconds: float) -> bool:
    """Hold a lease for longer; False when another process has taken it since."""
    until = await read_shared_clock(session) + timedelta(seconds=seconds)
    statement = update(Lease).where(Lease.name == name, Lease.fence == fence).returning(Lease.name)
    return (await session.scalar(statement.values(until=until))) is not None


async def drop_lease(session: AsyncSession, name: str, *, fence: int) -> None:
    """Give a lease back, if it is still ours."""
    statement = update(Lease).where(Lease.name == name, Lease.fence == fence)
    await session.execute(statement.values(owner="", until=OVER))
