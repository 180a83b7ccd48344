"""Whether learning is permitted, and whether it is on hold: the newest audit row says so."""

from dataclasses import dataclass
from datetime import datetime

from bot.language import N_
from bot.storage.adapters import QUEUE
from bot.storage.audit import ALLOW, FORBID, newest, record
from bot.storage.db import Session
from bot.storage.leases import wait_in_line

PAUSE, RESUME = "training.pause", "training.resume"


@dataclass(frozen=True, slots=True)
class Permission:
    """Who acknowledged what training on the workspace's conversations means, and when."""

    by: str
    at: datetime | None = None


async def find_permission(session: Session, *, needs_one: bool) -> Permission | None:
    """Return the permission; the playground, where nobody is real, *needs_one* not."""
    row = await newest(session, (ALLOW, FORBID))
    if row is None:
        return None if needs_one else Permission(N_("the playground"))
    return Permission(row.actor, row.at) if row.action == ALLOW else None


async def take_back_permission(session: Session, *, by: str) -> None:
    """Keep that nothing is to be learned, or served by itself, from now on; what is being served just now is first."""
    await wait_in_line(session, QUEUE)
    record(session, FORBID, by=by)


async def is_on_hold(session: Session) -> bool:
    """Return whether somebody paused the learning."""
    row = await newest(session, (PAUSE, RESUME))
    return row is not None and row.action == PAUSE
