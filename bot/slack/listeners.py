"""What Bolt's listeners do after they have acknowledged: tasks that Bolt starts and nobody else would wait for."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncAck
from slack_bolt.listener.async_listener_start_handler import AsyncListenerStartHandler
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
