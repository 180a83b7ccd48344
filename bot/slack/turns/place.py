"""Where a question stands in line, shown to whoever asked until its answer begins.

In Slack's status line where the workspace has it, else in the message that the answer will take over.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bot.conversation.draft import Draft
from bot.engine.types import QueuePlace
from bot.language import _
from bot.slack.calls import Calls
from bot.slack.delivery.delivery import Delivery
from bot.slack.delivery.pace import Pace
from bot.slack.delivery.posts import Target

METHOD = "assistant.threads.setStatus"
PATIENCE_S = 1.0  # whoever waits no longer than this need not hear of it
FASTEST_S = 3.0  # a queue moves slowly, and Slack counts these calls for the whole workspace


@asynccontextmanager
async def place_shown(
    calls: Calls, target: Target, draft: Draft, delivery: Delivery, *, pace: Pace
) -> AsyncIterator[None]:
    """Show where *draft* stands while the block runs."""
    line = PlaceLine(calls, target, delivery)
    showing = asyncio.create_task(_keep_shown(line, draft, pace))
    try:
        yield
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
        await line.clear()


async def _keep_shown(line: "PlaceLine", draft: Draft, pace: Pace) -> None:
    await draft.moved.wait()
    await asyncio.sleep(PATIENCE_S)
    while True:
        draft.moved.clear()
        await line.show(draft.place)
        await draft.moved.wait()
        await asyncio.sleep(0 if draft.place is None else max(FASTEST_S, pace.update_interval()))


class PlaceLine:
    """What a thread says about one waiting question."""

    def __init__(self, calls: Calls, target: Target, delivery: Delivery) -> None:
        self._calls = calls
        self._delivery = delivery
        self._place = {"channel_id": target.channel_id, "thread_ts": target.thread_ts}
        self._shown = ""

    async def show(self, place: QueuePlace | None) -> None:
        """Show *place*, or that its turn has come; nothing as long as there was nothing to tell."""
        words = render_place(place)
        if words == self._shown or (not words and not self._shown):
            return
        self._shown = words
        # Clearing the line could take Slack's Stop button with it while the answer is still to come.
        status = _("is waiting: {place}").format(place=words) if words else tell_thinking()
        if await self._calls.call_if_possible(METHOD, status=status, **self._place) is None and words:
            sentence = _("You are {place}.").format(place=words)
            await self._delivery.wait(f"_{sentence}_")

    async def clear(self) -> None:
        """Take the line away, if there ever was one."""
        if self._shown:
            await self._calls.call_if_possible(METHOD, status="", **self._place)


def render_place(place: QueuePlace | None) -> str:
    """Say where somebody stands and for how long, as far as that is known; nothing when the turn has come."""
    if place is None or place.position < 1:
        return ""
    words = _("next in line") if place.position == 1 else _("number {number} in line").format(number=place.position)
    if place.seconds is None:
        return words
    return _("{place}, about {time}").format(place=words, time=_round(place.seconds))


def tell_thinking() -> str:
    """Say that the answer is being made, as Slack shows it after the assistant's name."""
    return _("is thinking…")


def _round(seconds: float) -> str:
    """Return a time as precisely as an estimate deserves."""
    if seconds >= 90:
        return _("{minutes} min").format(minutes=round(seconds / 60))
    rounded = max(1, round(seconds)) if seconds < 10 else round(seconds / 5) * 5
    return _("{seconds} s").format(seconds=rounded)
