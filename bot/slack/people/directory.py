"""Who is who and which channel is what, asked of Slack once in a while."""

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.errors import DeliveryError
from bot.slack.calls import Calls, error_code, is_failing, is_passing
from bot.slack.people.quotes import drop_quoted, find_quoted
from bot.slack.text import read_typed
from bot.slack.workspaces import key_of
from bot.storage.channels import close_channel, has_public
from bot.storage.db import Database
from bot.storage.tables import Audience

FRESH_S = 600.0
SOON_S = 60.0
NOW_S = 3.0
MOST_ASKED = 40  # people about whom Slack is asked for one text
MOST_KNOWN = 10_000  # people, and as many channels
USER, CHANNEL = "users.info", "conversations.info"
CLOSED = {"group", "mpim"}  # types of channels that an event tells of

log = logging.getLogger(__name__)


class Directory:
    """Names of people and audiences of channels; what Slack does not tell is taken at its most private."""

    def __init__(self, calls: Calls, database: Database | None = None) -> None:
        self._calls = calls
        self._database = database  # which follows where a channel is found to be private
        self._users: OrderedDict[str, tuple[float, Mapping[str, Any]]] = OrderedDict()
        self._channels: OrderedDict[str, tuple[float, Mapping[str, Any]]] = OrderedDict()
        self._closed: OrderedDict[str, tuple[float, Mapping[str, Any]]] = OrderedDict()  # as events tell

    async def name(self, user_id: str) -> str:
        """Return the name that people see, or the id when Slack does not tell."""
        user, _ = await self.user(user_id, fresh_s=FRESH_S, stale_s=FRESH_S)
        return _display_name(user or {}) or user_id

    async def user(self, user_id: str, *, fresh_s: float, stale_s: float) -> tuple[Mapping[str, Any] | None, bool]:
        """Return what users.info says, and whether Slack said it within *fresh_s*; older than *stale_s* it is None.

        Nobody (empty) is who Slack does not know, or whom it does not show us; None is said only while Slack is away.
        """
        key = key_of(user_id)
        known = self._users.get(key)
        if known and time.monotonic() - known[0] < fresh_s:
            return known[1], True
        try:
            answer = await self._calls.call_soon(USER, user=user_id, include_locale=True)
            is_told = bool(answer.get("user"))
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            log.info("slack: users.info did not work (%s)", error_code(error))
            answer, is_told = {}, not (is_passing(error) or is_failing(error))
        if not is_told:
            is_kept = known is not None and time.monotonic() - known[0] < stale_s
            return (known[1] if known and is_kept else None), False
        return _remember(self._users, key, answer.get("user") or {}), True

    async def locale(self, user_id: str) -> str:
        """Return the locale that somebody has chosen in Slack, such as zh-CN; empty when Slack does not tell."""
        user, _ = await self.user(user_id, fresh_s=FRESH_S, stale_s=FRESH_S)
        return str((user or {}).get("locale") or "")

    async def names(self, user_ids: Iterable[str]) -> dict[str, str]:
        """Return the names of several people, the first ones first.

        Of many whom nobody has asked about yet, some keep their ids: a text that mentions a thousand would otherwise
        have everybody wait until Slack tells again who they are, and whether they may be answered.
        """
        found, left = {}, MOST_ASKED
        for user_id in dict.fromkeys(user_ids):
            at, user = self._users.get(key_of(user_id), (-FRESH_S, {}))
            if time.monotonic() - at >= FRESH_S and left and self._calls.budget.has_spare(USER):
                left -= 1
                found[user_id] = await self.name(user_id)
            else:
                found[user_id] = _display_name(user) or user_id
        return found

    async def audience(self, channel_id: str, *, channel_type: str | None, is_shared: bool) -> Audience:
        """Return who can read in a channel."""
        if is_shared:
            return Audience.SHARED
        if channel_type == "im" or channel_id.startswith("D"):
            return Audience.DIRECT
        # An event that names the channel's type tells by itself that a channel has become private.
        said = await self.channel(channel_id, fresh_s=FRESH_S if channel_type else SOON_S)
        is_closed = channel_type in CLOSED or (channel_type is None and key_of(channel_id) in self._closed)
        if said and is_closed and not said.get("is_private"):
            said = await self.channel(channel_id, fresh_s=SOON_S)
        return _audience(said, is_closed=is_closed)

    async def audience_now(self, channel_id: str) -> Audience:
        """Return who can read in a channel, for what is kept or said by it: older than seconds is not good enough."""
        if not channel_id.startswith("D"):
            await self.channel(channel_id, fresh_s=min(NOW_S, SOON_S))
        return await self.audience(channel_id, channel_type=None, is_shared=False)

    def is_known_closed(self, channel_id: str) -> bool:
        """Return whether a channel is known to be private, without asking: a form waits three seconds at the most."""
        key = key_of(channel_id)
        return key in self._closed or bool(self._channels.get(key, (0.0, {}))[1].get("is_private"))

    async def hear(self, event: Mapping[str, Any]) -> None:
        """Close a channel with the first event that tells that it is private now, such as Slack's own word of that.

        A mention does not tell it, and what Slack said of the channel before may be a minute old.
        """
        channel_id, channel_type = event.get("channel"), event.get("channel_type")
        if not isinstance(channel_id, str) or not isinstance(channel_type, str):
            return
        key = key_of(channel_id)
        if channel_type not in CLOSED:
            self._closed.pop(key, None)
            return
        at, _ = self._closed.get(key, (-SOON_S, {}))
        if time.monotonic() - at >= SOON_S:  # again after a while: a turn may have begun just before
            if self._database is not None:
                await self._close(self._database, channel_id)
            _remember(self._closed, key, {})

    async def readable(
        self,
        message: Mapping[str, Any],
        *,
        channel_id: str,
        audience: Audience | None = None,
        are_ours: Callable[[Audience], Awaitable[bool]],
    ) -> Mapping[str, Any]:
        """Return a message of a channel without what it quotes of places that not all who read there may read.

        *audience* is of the channel, where it is known. Whoever is alone with us in a direct message is shown by Slack
        what they may read; elsewhere only what is public stays, where *are_ours* says that only members read along.
        """
        quoted = find_quoted(message, channel_id)
        if not quoted:
            return message
        if audience is None:
            audience = await self.audience(channel_id, channel_type=None, is_shared=False)
        if audience is Audience.DIRECT:
            return message
        is_ours = False  # while Slack does not tell
        with suppress(DeliveryError):
            is_ours = audience is not Audience.SHARED and await are_ours(audience)
        closed = {place for place in quoted if not (is_ours and await self._is_public(place))}
        return drop_quoted(message, closed)

    async def _is_public(self, channel_id: str) -> bool:
        """Return whether everybody may read a channel; of many that are quoted the last ones count as no."""
        if not channel_id or not self._calls.budget.has_spare(CHANNEL):
            return False
        return await self.audience(channel_id, channel_type=None, is_shared=False) is Audience.PUBLIC

    async def is_in(self, channel_id: str) -> bool:
        """Return whether the assistant is in a conversation, and hears what becomes of it; no while Slack is away."""
        said = await self.channel(channel_id, fresh_s=SOON_S)
        return any(said.get(name) for name in ("is_member", "is_im", "is_mpim"))

    async def channel(self, channel_id: str, *, fresh_s: float = FRESH_S) -> Mapping[str, Any]:
        """Return what Slack says about a channel; empty where it says nothing."""
        key = key_of(channel_id)
        known = self._channels.get(key)
        if known and time.monotonic() - known[0] < fresh_s:
            return known[1]
        answer = await self._calls.call_if_possible(CHANNEL, channel=channel_id)
        if answer is None:
            return {}
        said = _remember(self._channels, key, answer.get("channel") or {})
        if said.get("is_private") and self._database is not None:
            await self._close(self._database, channel_id)
        return said

    async def _close(self, database: Database, channel_id: str) -> None:
        """Let what was said there before, while it was public, be what its people alone may read, as Slack has it."""
        async with database.read() as session:
            is_closed = not await has_public(session, channel_id)
        if not is_closed:
            async with database.begin() as session:
                await close_channel(session, channel_id)


def _remember(known: OrderedDict[str, tuple[float, Mapping[str, Any]]], key: str, said: Any) -> Mapping[str, Any]:
    """Keep what Slack said, and forget what it said longest ago: anybody can mention whom they like."""
    known[key] = time.monotonic(), said
    known.move_to_end(key)
    if len(known) > MOST_KNOWN:
        known.popitem(last=False)
    return known[key][1]


def _display_name(user: Mapping[str, Any]) -> str:
    profile = user.get("profile") or {}
    names = (profile.get("display_name"), profile.get("real_name"), user.get("real_name"), user.get("name"))
    return " ".join(read_typed(next((name for name in names if name), "")).split())[:80]


def _audience(channel: Mapping[str, Any], *, is_closed: bool) -> Audience:
    if channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"):
        return Audience.SHARED
    if channel.get("is_im"):
        return Audience.DIRECT
    if channel.get("is_private") or channel.get("is_mpim") or is_closed:
        return Audience.PRIVATE
    return Audience.PUBLIC if channel.get("id") else Audience.PRIVATE
