"""Who is who and which channel is what, asked of Slack once in a while."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from bot.slack.calls import Calls
from bot.storage.tables import Audience

FRESH_S = 600.0


class Directory:
    """Names of people and audiences of channels; what Slack does not tell is taken at its most private."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._users: dict[str, tuple[float, str]] = {}
        self._channels: dict[str, tuple[float, Audience]] = {}

    async def name(self, user_id: str) -> str:
        """Return the name that people see, or the id when Slack does not tell."""
        known = self._users.get(user_id)
        if known and time.monotonic() - known[0] < FRESH_S:
            return known[1]
        answer = await self._calls.call_if_possible("users.info", user=user_id)
        name = _display_name((answer or {}).get("user") or {}) or user_id
        if answer is not None:
            self._users[user_id] = (time.monotonic(), name)
        return name

    async def names(self, user_ids: Iterable[str]) -> dict[str, str]:
        """Return the names of several people."""
        return {user_id: await self.name(user_id) for user_id in user_ids}

    async def audience(self, channel_id: str, *, channel_type: str | None, is_shared: bool) -> Audience:
        """Return who can read in a channel."""
        if is_shared:
            return Audience.SHARED
        if channel_type == "im" or channel_id.startswith("D"):
            return Audience.DIRECT
        known = self._channels.get(channel_id)
        if known and time.monotonic() - known[0] < FRESH_S:
            return known[1]
        answer = await self._calls.call_if_possible("conversations.info", channel=channel_id)
        audience = _audience((answer or {}).get("channel") or {}, channel_type=channel_type)
        if answer is not None:
            self._channels[channel_id] = (time.monotonic(), audience)
        return audience


def _display_name(user: Mapping[str, Any]) -> str:
    profile = user.get("profile") or {}
    names = (profile.get("display_name"), profile.get("real_name"), user.get("real_name"), user.get("name"))
    return " ".join(str(next((name for name in names if name), "")).split())[:80]


def _audience(channel: Mapping[str, Any], *, channel_type: str | None) -> Audience:
    if channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"):
        return Audience.SHARED
    if channel.get("is_im"):
        return Audience.DIRECT
    if channel.get("is_private") or channel.get("is_mpim") or channel_type in {"group", "mpim"}:
        return Audience.PRIVATE
    return Audience.PUBLIC if channel.get("id") else Audience.PRIVATE
