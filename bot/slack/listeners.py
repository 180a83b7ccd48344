"""What Bolt's listeners hear, and what they do after they have acknowledged: tasks that nobody else would wait for."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncAck
from slack_bolt.listener.async_listener_start_handler import AsyncListenerStartHandler
from slack_bolt.middleware.ignoring_self_events.async_ignoring_self_events import AsyncIgnoringSelfEvents
from slack_bolt.request.async_request import AsyncBoltRequest

T = TypeVar("T")
PATIENCE_S = 1.0  # Slack waits for three seconds


class Listeners(AsyncListenerStartHandler):
    """Knows every listener under way, so that a stop lets it end: an `ask` for one pair of eyes, a summary, a form."""

    def __init__(self) -> None:
        self.under_way: set[asyncio.Task[object]] = set()

    async def handle(self, request: AsyncBoltRequest, response: BoltResponse | None) -> None:  # noqa: ARG002 - Bolt's
        """Note the task of a listener that begins."""
        task = asyncio.current_task()
        if task is not None:
            self.under_way.add(task)
            task.add_done_callback(self.under_way.discard)


async def acknowledge_done(ack: AsyncAck, work: Coroutine[Any, Any, T]) -> T:
    """Acknowledge what was ordered once it is carried out, and return what came of it.

    Nobody else knows of an order: Slack says that it did not work when this process dies before. What takes longer is
    acknowledged while it is under way.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=PATIENCE_S)
        await ack()
        return await task
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        raise


class OthersEvents(AsyncIgnoringSelfEvents):
    """Bolt's own filter of what the bot itself does; a deletion of its words is heard, for others can do that too."""

    @classmethod
    def _is_self_event(cls, *who: Any) -> bool:
        event = who[-1].get("event") or {}
        return event.get("subtype") != "message_deleted" and bool(super()._is_self_event(*who))
