"""The hold that a process has on the work that it began: what it writes counts for as long as it has it, no longer."""

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.worker_tables import Worker

PAUSE_S = 0.2


class Released(asyncio.CancelledError):
    """The work was given to another process: whatever is under way here ends as if it were cancelled."""


class Hold:
    """One worker's hold; *sure_until* is when, by this machine's clock, somebody else may begin to doubt it."""

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self.sure_until = math.inf
        self.is_lost = False

    def is_sure(self) -> bool:
        """Return whether nobody else can have taken the work."""
        return not self.is_lost and time.monotonic() < self.sure_until


_hold: ContextVar[Hold | None] = ContextVar("hold", default=None)


@contextmanager
def holding(hold: Hold) -> Iterator[None]:
    """Let what this task and the tasks that it starts write depend on *hold*."""
    token = _hold.set(hold)
    try:
        yield
    finally:
        _hold.reset(token)


async def until_sure() -> None:
    """Return when what this task does is certainly its own to do; raise *Released* when it is another's."""
    hold = _hold.get()
    while hold is not None and not hold.is_sure():
        if hold.is_lost:
            raise Released
        await asyncio.sleep(PAUSE_S)


async def check_hold(session: AsyncSession) -> None:
    """Raise *Released* when this task's work was given to another; until *session* ends it cannot be."""
    hold = _hold.get()
    if hold is None:
        return
    there = select(Worker.id).where(Worker.id == hold.worker_id).with_for_update(read=True, key_share=True)
    if await session.scalar(there) is None:
        hold.is_lost = True
        raise Released
