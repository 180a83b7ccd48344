"""Reads what the page sends: who acts, where, and with what; refuses what that person may not see."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bot.playground.entities import Channel, Message, User
from bot.playground.errors import PageError
from bot.playground.hub import Hub

HUB = web.AppKey("hub", Hub)


class PageRequest:
    """One request of the page: its values by name, and the people, channels and messages they name."""

    def __init__(self, hub: Hub, values: Mapping[str, Any]) -> None:
        self.hub = hub
        self._values = values

    def value(self, name: str) -> Any:
        """Return a value as it came; None if absent."""
        return self._values.get(name)

    def text(self, name: str) -> str:
        """Return a text that must be there, though it may be empty."""
        value = self._values.get(name)
        if not isinstance(value, str):
            raise PageError(f"“{name}” is missing.")
        return value

    def optional(self, name: str) -> str | None:
        """Return a text, or None if it is absent or empty."""
        value = self._values.get(name)
        return value if isinstance(value, str) and value else None

    def number(self, name: str, *, default: float | None = None) -> float:
        """Return a number, which may have come as text."""
        value = self._values.get(name, default)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise PageError(f"“{name}” must be a number.")
        return number

    @property
    def user(self) -> User:
        """The person who acts."""
        return self.person("user")

    def person(self, name: str) -> User:
        """Find a user of the workspace."""
        user = self.hub.workspace.users.get(self.text(name))
        if user is None:
            raise PageError("There is no such person in this workspace.", status=404)
        return user

    def channel(self) -> Channel:
        """Find a conversation that the person may see; a hidden one does not exist for them."""
        channel = self.hub.workspace.channels.get(self.text("channel"))
        if channel is None or not self.hub.workspace.can_see(self.user.id, channel):
            raise PageError("This conversation does not exist or is not open to you.", status=404)
        return channel

    def membership(self) -> Channel:
        """Find a conversation that the person is in."""
        channel = self.channel()
        if self.user.id not in channel.members:
            raise PageError(f"Join #{channel.name} to take part in it.", status=403)
        return channel

    def message(self, name: str = "ts") -> Message:
        """Find a message in a conversation that the person may see."""
        message = self.hub.workspace.find(self.channel().id, self.text(name))
        if message is None or message.deleted:
            raise PageError("This message does not exist any more.", status=404)
        return message


async def read_request(request: web.Request) -> PageRequest:
    """Read a page's request from its query or its JSON body."""
    hub = request.app[HUB]
    if request.method == "GET":
        return PageRequest(hub, request.query)
    if request.content_type == "application/octet-stream":
        return PageRequest(hub, {**request.query, "content": await request.read()})
    try:
        values = json.loads(await request.text() or "{}")
    except (ValueError, RecursionError):
        raise PageError("The request is not JSON.") from None
    if not isinstance(values, dict):
        raise PageError("The request must be a JSON object.")
    return PageRequest(hub, values)
