"""The line that says that an answer is being written, and Slack's own Stop button beside it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.slack.calls import Calls
from bot.slack.delivery.posts import Target
from bot.slack.turns.place import tell_thinking

SESSION = "agents.sessions.setStatus"
TITLE_LENGTH = 60


@asynccontextmanager
async def working(calls: Calls, target: Target, *, title: str) -> AsyncIterator[None]:
    """Show that the assistant works for as long as the block runs; the work does not wait for it to be shown.

    Slack uses *title* only for a session that is new, so a name that somebody gave it stays.
    """
    place = {"channel_id": target.channel_id, "thread_ts": target.thread_ts}
    new = {"title": build_title(title), "initiator_user_id": target.user_id}
    shown = asyncio.create_task(_show(calls, place, new))
    try:
        yield
    finally:
        method = await shown
        if method == SESSION:
            calls.budget.redeem(method)
            await calls.call_if_possible(method, status="active", **place)
        elif method is not None:
            await calls.call_if_possible(method, status="", **place)


def build_title(text: str) -> str:
    """Make a conversation's title of its first words."""
    line = " ".join(text.split())
    return line if len(line) <= TITLE_LENGTH else line[:TITLE_LENGTH].rsplit(" ", 1)[0] + "…"


async def _show(calls: Calls, place: dict[str, str], new: dict[str, str]) -> str | None:
    """Show the status in the newest way that the workspace has; return the method that worked."""
    if calls.budget.room(SESSION) < 2:
        return None  # while so many answers begin, the end of each needs the call more
    calls.budget.promise(SESSION)
    if await calls.call_if_possible(SESSION, status="processing", **place, **new) is not None:
        return SESSION
    calls.budget.redeem(SESSION)
    legacy = "assistant.threads.setStatus"
    return legacy if await calls.call_if_possible(legacy, status=tell_thinking(), **place) is not None else None
