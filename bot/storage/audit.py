"""What people with more rights than others did, and what follows from the newest of it."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.learning_tables import AuditRow


def record(session: AsyncSession, action: str, *, by: str, target: str = "", **details: Any) -> None:
    """Add a row about what *by* did; *details* hold no text of the team."""
    session.add(AuditRow(actor=by, action=action, target=target, details=details))


async def newest(session: AsyncSession, actions: Collection[str]) -> AuditRow | None:
    """Return the newest row about one of *actions*."""
    statement = select(AuditRow).where(AuditRow.action.in_(actions)).order_by(AuditRow.id.desc()).limit(1)
    return await session.scalar(statement)
