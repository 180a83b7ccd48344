"""What Bolt's listeners do after they have acknowledged: tasks that Bolt starts and nobody else would wait for."""

import asyncio

from slack_bolt import BoltResponse
from slack_bolt.listener.async_listener_start_handler import AsyncListenerStartHandler
from slack_bolt.request.async_request import AsyncBoltRequest


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
