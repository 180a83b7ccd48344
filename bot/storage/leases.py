"""Leases: what only one process may do at a time, over all bots on one database."""

from datetime import timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.learning_tables import Lease
from bot.storage.tables import now


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
    over = now() - timedelta(seconds=1)
    await session.execute(insert(Lease).values(name=name, owner="", fence=0, until=over).on_conflict_do_nothing())


async def take_lease(session: AsyncSession, name: str, *, owner: str, seconds: float) -> int | None:
    """Take a lease that is free, over, or *owner*'s own; return its fence, or None while somebody else holds it."""
    await _know(session, name)
    statement = (
        update(Lease)
        .where(Lease.name == name, or_(Lease.until < now(), Lease.owner == owner))
        .values(owner=owner, fence=Lease.fence + 1, until=now() + timedelta(seconds=seconds))
        .returning(Lease.fence)
    )
    return (await session.execute(statement)).scalar_one_or_none()


async def renew_lease(session: AsyncSession, name: str, *, fence: int, seconds: float) -> bool:
    """Hold a lease for longer; False when another process has taken it since."""
    statement = update(Lease).where(Lease.name == name, Lease.fence == fence).returning(Lease.name)
    return (await session.scalar(statement.values(until=now() + timedelta(seconds=seconds)))) is not None


async def drop_lease(session: AsyncSession, name: str, *, fence: int) -> None:
    """Give a lease back, if it is still ours."""
    statement = update(Lease).where(Lease.name == name, Lease.fence == fence)
    await session.execute(statement.values(owner="", until=now() - timedelta(seconds=1)))
