"""The line that says that an answer is being written, and Slack's own Stop button beside it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.slack.calls import Calls
from bot.slack.posts import Target


@asynccontextmanager
async def working(calls: Calls, target: Target) -> AsyncIterator[None]:
    """Show that the assistant works for as long as the block runs; the work does not wait for it to be shown."""
    place = {"channel_id": target.channel_id, "thread_ts": target.thread_ts}
    shown = asyncio.create_task(_show(calls, place))
    try:
        yield
    finally:
        method = await shown
        if method == "agents.sessions.setStatus":
            await calls.call_if_possible(method, status="active", **place)
        elif method is not None:
            await calls.call_if_possible(method, status="", **place)


async def _show(calls: Calls, place: dict[str, str]) -> str | None:
    """Show the status in the newest way that the workspace has; return the method that worked."""
    if await calls.call_if_possible("agents.sessions.setStatus", status="processing", **place) is not None:
        return "agents.sessions.setStatus"
    legacy = "assistant.threads.setStatus"
    return legacy if await calls.call_if_possible(legacy, status="is thinking…", **place) is not None else None
