"""The hold that a process has on the work that it began: what it writes counts for as long as it has it, no longer."""

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.worker_tables import Worker

PAUSE_S = 0.2


class Released(asyncio.CancelledError):
    """The work was given to another process: whatever is under way here ends as if it were cancelled."""


class Hold:
    """One worker's hold; *sure_until* is when, by this machine's clock, somebody else may begin to doubt it.

    Without a *worker_id* it is that of a process which nobody has on the list yet.
    """

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self.sure_until = math.inf
        self.is_lost = False

    @property
    def is_there(self) -> bool:
        """Return whether something can be begun by it."""
        return bool(self.worker_id) and not self.is_lost

    def is_sure(self) -> bool:
        """Return whether nobody else can have taken the work."""
        return not self.is_lost and time.monotonic() < self.sure_until


@dataclass
class Claim:
    """What a task does by a worker's hold; *is_open*: nobody else can take it yet, for it is written down nowhere."""

    hold: Hold
    is_open: bool = False


_claim: ContextVar[Claim | None] = ContextVar("claim", default=None)


@contextmanager
def holding(hold: Hold) -> Iterator[None]:
    """Let what this task and the tasks that it starts write depend on *hold*."""
    token = _claim.set(Claim(hold))
    try:
        yield
    finally:
        _claim.reset(token)


def lay_open() -> Claim:
    """Let what this task and those that it starts write depend on a hold once the claim has one and is not open."""
    claim = Claim(Hold(""), is_open=True)
    _claim.set(claim)
    return claim


async def until_sure() -> None:
    """Return when what this task does is certainly its own to do; raise *Released* when it is another's."""
    claim = _claim.get()
    while claim is not None and not (claim.is_open or claim.hold.is_sure()):
        if claim.hold.is_lost:
            raise Released
        await asyncio.sleep(PAUSE_S)


async def check_hold(session: AsyncSession) -> None:
    """Raise *Released* when this task's work was given to another; until *session* ends it cannot be."""
    claim = _claim.get()
    if claim is None or claim.is_open:
        return
    there = select(Worker.id).where(Worker.id == claim.hold.worker_id).with_for_update(read=True, key_share=True)
    if await session.scalar(there) is None:
        claim.hold.is_lost = True
        raise Released
