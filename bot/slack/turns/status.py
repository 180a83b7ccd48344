"""The line that says that an answer is being written, and Slack's own Stop button beside it."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.errors import DeliveryError
from bot.slack.calls import Calls, error_code, is_passing, is_unclear
from bot.slack.delivery.posts import Target
from bot.slack.turns.place import tell_thinking

SESSION, LEGACY = "agents.sessions.setStatus", "assistant.threads.setStatus"
TITLE_LENGTH = 60

log = logging.getLogger(__name__)


@asynccontextmanager
async def working(calls: Calls, target: Target, *, title: str, may_be_shown: bool = False) -> AsyncIterator[None]:
    """Show that the assistant works for as long as the block runs; the work does not wait for it to be shown.

    A passing *DeliveryError* says that Slack could not be told of the end: *end_status* is for later then.
    Slack uses *title* only for a session that is new, so a name that somebody gave it stays. *may_be_shown* says that
    an earlier process may have left the status there.
    """
    place = {"channel_id": target.channel_id, "thread_ts": target.thread_ts}
    new = {"title": build_title(title), "initiator_user_id": target.user_id}
    shown = asyncio.create_task(_show(calls, place, new, may_be_shown=may_be_shown))
    try:
        yield
    except BaseException:
        with suppress(DeliveryError):
            await _end_shown(calls, await shown, place)
        raise
    await _end_shown(calls, await shown, place)


async def end_status(calls: Calls, channel_id: str, thread_ts: str) -> None:
    """Let nothing say that the assistant works in a thread; raise a passing *DeliveryError* while Slack is away."""
    method = SESSION if not calls.lacks(SESSION) else LEGACY
    await _end(calls, method, {"channel_id": channel_id, "thread_ts": thread_ts})


async def _end_shown(calls: Calls, method: str | None, place: dict[str, str]) -> None:
    if method == SESSION:
        calls.budget.redeem(method)
    if method is not None:
        await _end(calls, method, place)


async def _end(calls: Calls, method: str, place: dict[str, str]) -> None:
    if calls.lacks(method):
        return
    try:
        await calls.call(method, status="active" if method == SESSION else "", **place)
    except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
        if is_passing(error):
            raise DeliveryError(is_passing=True) from error
        log.info("slack: the end of a status could not be shown (%s)", error_code(error))


def build_title(text: str) -> str:
    """Make a conversation's title of its first words; no client may read a control sequence in it."""
    line = re.sub(r"<(?=\s*[!@#])", "‹", " ".join(text.split()))
    return line if len(line) <= TITLE_LENGTH else line[:TITLE_LENGTH].rsplit(" ", 1)[0] + "…"


async def _show(calls: Calls, place: dict[str, str], new: dict[str, str], *, may_be_shown: bool) -> str | None:
    """Show the status in the newest way that the workspace has; return the method by which it must be ended."""
    if calls.budget.room(SESSION) < 2 and not may_be_shown:
        return None  # while so many answers begin, the end of each needs the call more
    calls.budget.promise(SESSION)
    if calls.budget.room(SESSION) < 1:
        return SESSION  # there is room for its end alone
    try:
        if not calls.lacks(SESSION):
            await calls.call_soon(SESSION, status="processing", **place, **new)
            return SESSION
    except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
        log.info("slack: a status could not be shown (%s)", error_code(error))
        if is_unclear(error):
            return SESSION  # it may stand there
    calls.budget.redeem(SESSION)
    return LEGACY if await calls.call_if_possible(LEGACY, status=tell_thinking(), **place) is not None else None
