"""Orders that take longer than Slack waits: written down before they are acknowledged, so none is lost without a word.

None is given twice: whoever comes after a process that died tells the person that nobody knows how far it came. One
that only slept goes on with nothing that was told so.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from bot.storage import pledged
from bot.storage.db import Database
from bot.storage.hold import PAUSE_S, Claim, Hold, Released, lay_open
from bot.storage.inbox import Arrival
from bot.storage.tables import new_id

CUT = "cut_order"  # the kind of such an event in the inbox

log = logging.getLogger(__name__)


class Pledge:
    """What is owed to whoever gave an order: its outcome, or word that there is none."""

    def __init__(self, database: Database, arrival: Arrival, *, find_hold: Callable[[], Hold], claim: Claim) -> None:
        self._database = database
        self._arrival = arrival
        self._find_hold = find_hold
        self._claim = claim
        self._is_kept = False

    @property
    def is_taken(self) -> bool:
        """Return whether another process has taken this one for dead, and told whoever gave the order."""
        return not self._claim.is_open and self._claim.hold.is_lost

    async def keep(self) -> None:
        """Write it down as begun by this process, which goes on with it only for as long as no other has taken it.

        A process that is not on the list yet, or not again, waits until it is: nobody's work would be anybody's.
        """
        while not (hold := self._find_hold()).is_there:  # noqa: ASYNC110 - a beat brings it
            await asyncio.sleep(PAUSE_S)
        self._is_kept = True
        async with self._database.begin() as session:
            await pledged.begin(session, self._arrival, worker_id=hold.worker_id)
        self._claim.hold, self._claim.is_open = hold, False

    async def redeem(self) -> None:
        """Forget it: whoever gave the order has heard what came of it."""
        if not self._is_kept or self.is_taken:
            return
        try:
            async with self._database.begin() as session:
                await pledged.redeem(session, self._arrival.event_id)
        except Released:
            log.info("orders: another process has taken one over that this one had begun")
        except Exception as error:  # noqa: BLE001 - the next process says too much then, and not too little
            log.warning("orders: that one is done could not be written down (%s)", type(error).__name__)


current: ContextVar[Pledge | None] = ContextVar("pledge", default=None)  # of the order that a task carries out


def is_taken() -> bool:
    """Return whether another process has taken over what this task was ordered, and told its person so."""
    pledge = current.get()
    return pledge is not None and pledge.is_taken


async def redeem() -> None:
    """Owe nothing more to whoever gave the order that this task carries out."""
    if (pledge := current.get()) is not None:
        await pledge.redeem()


def read_pledge(database: Database, body: Mapping[str, Any], *, find_hold: Callable[[], Hold]) -> Pledge | None:
    """Return what is owed for a command, a press of a button or a form; None for what nobody ordered.

    It says who gave an order where and when, and nothing of what they wrote.
    """
    if body.get("command"):
        team_id, channel_id, user_id = (str(body.get(f"{name}_id") or "") for name in ("team", "channel", "user"))
    else:
        parts = [body.get(name) for name in ("team", "channel", "user")]
        team_id, channel_id, user_id = (str(part.get("id") or "") if isinstance(part, dict) else "" for part in parts)
    if not user_id:
        return None
    event_id = new_id()
    arrival = Arrival(
        event_id=event_id,
        team_id=team_id,
        channel_id=channel_id,
        ts=f"{time.time():.6f}",
        thread_ts=event_id,  # it stands in no line
        kind=CUT,
        payload={"user_id": user_id},
    )
    return Pledge(database, arrival, find_hold=find_hold, claim=lay_open())
