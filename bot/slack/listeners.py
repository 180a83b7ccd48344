"""What Bolt's listeners hear, and what they do after they have acknowledged: tasks that nobody else would wait for."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncAck
from slack_bolt.listener.async_listener_completion_handler import AsyncListenerCompletionHandler
from slack_bolt.listener.async_listener_start_handler import AsyncListenerStartHandler
from slack_bolt.middleware.ignoring_self_events.async_ignoring_self_events import AsyncIgnoringSelfEvents
from slack_bolt.request.async_request import AsyncBoltRequest

from bot.signals import is_ending
from bot.slack import pledges
from bot.storage.db import Database
from bot.storage.hold import Hold

T = TypeVar("T")
PATIENCE_S = 1.0  # Slack waits for three seconds
KEEPING_S = 1.0

log = logging.getLogger(__name__)


class Listeners(AsyncListenerStartHandler):
    """Knows every listener under way, so that a stop lets it end: an `ask` for one pair of eyes, a summary, a form."""

    def __init__(self, database: Database, find_hold: Callable[[], Hold]) -> None:
        self.under_way: set[asyncio.Task[object]] = set()
        self._database = database
        self._find_hold = find_hold

    async def handle(self, request: AsyncBoltRequest, response: BoltResponse | None) -> None:  # noqa: ARG002 - Bolt's
        """Note the task of a listener that begins, and what it owes to whom."""
        pledges.current.set(pledges.read_pledge(self._database, request.body, find_hold=self._find_hold))
        task = asyncio.current_task()
        if task is not None:
            self.under_way.add(task)
            task.add_done_callback(self.under_way.discard)


class Endings(AsyncListenerCompletionHandler):
    """Hears of every listener that has ended, however it did."""

    async def handle(self, request: AsyncBoltRequest, response: BoltResponse | None) -> None:  # noqa: ARG002 - Bolt's
        """Owe nothing more to whoever gave an order; the next process tells those whose order was cut off by a stop."""
        if not is_ending():
            await pledges.redeem()


async def acknowledge_done(ack: AsyncAck, work: Coroutine[Any, Any, T]) -> T:
    """Acknowledge what was ordered once it is carried out, and return what came of it.

    Nobody else knows of an order: Slack says that it did not work when this process dies before. What takes longer is
    written down, and acknowledged while it is under way.
    """
    task = asyncio.create_task(work)
    try:
        done, _pending = await asyncio.wait({task}, timeout=PATIENCE_S)
        if not done:
            await _keep_in_mind()
        await ack()
        return await task
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        raise


async def _keep_in_mind() -> None:
    """Write down that an order is under way; a database that takes nothing holds up no acknowledgement."""
    pledge = pledges.current.get()
    if pledge is None:
        return
    try:
        async with asyncio.timeout(KEEPING_S):
            await pledge.keep()
    except Exception as error:  # noqa: BLE001 - the order is carried out all the same
        log.warning("orders: that one is under way could not be written down (%s)", type(error).__name__)


class OthersEvents(AsyncIgnoringSelfEvents):
    """Bolt's own filter of what the bot itself does; a deletion of its words is heard, for others can do that too."""

    @classmethod
    def _is_self_event(cls, *who: Any) -> bool:
        event = who[-1].get("event") or {}
        return event.get("subtype") != "message_deleted" and bool(super()._is_self_event(*who))
