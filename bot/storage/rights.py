"""What admins have decided about people: who is blocked, and who may do more than others."""

from collections.abc import Sequence

from sqlalchemy import delete, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.admin_tables import Right, UserRight
from bot.storage.tables import Correction, Feedback, Message, now


async def find_right(session: AsyncSession, user_id: str) -> Right | None:
    """Return what was decided about somebody; None where nothing was."""
    found = await session.scalar(select(UserRight.right).filter_by(user_id=user_id))
    return None if found is None else Right(found)


async def all_rights(session: AsyncSession) -> Sequence[UserRight]:
    """Return everybody about whom something was decided, the newest decision first."""
    return list(await session.scalars(select(UserRight).order_by(UserRight.at.desc(), UserRight.user_id)))


async def set_right(session: AsyncSession, user_id: str, right: Right, *, by: str) -> Right | None:
    """Decide about somebody, and return what had been decided before."""
    before = await drop_right(session, user_id)
    session.add(UserRight(user_id=user_id, right=right, by=by, at=now()))
    return before


async def drop_right(session: AsyncSession, user_id: str) -> Right | None:
    """Decide nothing about somebody any more, and return what had been decided before."""
    before = await find_right(session, user_id)
    await session.execute(delete(UserRight).where(UserRight.user_id == user_id))
    return before


async def has_spoken(session: AsyncSession, user_id: str) -> bool:
    """Return whether anything that is stored was said or thought by somebody."""
    stored = [select(table.user_id).filter_by(user_id=user_id) for table in (Message, Feedback, Correction)]
    return (await session.scalar(union_all(*stored).limit(1))) is not None
