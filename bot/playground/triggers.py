"""The two short-lived rights an interaction grants: a trigger for a modal, a URL for responses."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from bot.playground.errors import SlackError

TRIGGER_SECONDS = 3.0
RESPONSE_SECONDS = 30 * 60.0
RESPONSE_USES = 5


@dataclass(slots=True)
class Trigger:
    """The right to show one modal to one person, soon."""

    user: str
    expires: float
    is_used: bool = False


@dataclass(slots=True)
class ResponseTicket:
    """The right to respond to one interaction: where, to whom, and about which message."""

    channel: str
    user: str
    message_ts: str | None
    expires: float
    uses_left: int = RESPONSE_USES


class Triggers:
    """Issues trigger ids and lets each be used once."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._triggers: dict[str, Trigger] = {}

    def issue(self, user: str) -> str:
        """Return a trigger id for *user* that works for three seconds."""
        self._forget_old()
        trigger_id = f"{int(self._now() * 1000)}.{secrets.randbelow(10**10):010d}.{secrets.token_hex(16)}"
        self._triggers[trigger_id] = Trigger(user, self._now() + TRIGGER_SECONDS)
        return trigger_id

    def use(self, trigger_id: str) -> str:
        """Return the person a trigger belongs to and void it."""
        trigger = self._triggers.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.is_used:
            raise SlackError("exchanged_trigger_id")
        if self._now() > trigger.expires:
            raise SlackError("expired_trigger_id")
        trigger.is_used = True
        return trigger.user

    def _forget_old(self) -> None:
        limit = self._now() - 3600
        self._triggers = {key: trigger for key, trigger in self._triggers.items() if trigger.expires > limit}


class ResponseUrls:
    """Issues response URLs' ids and counts their uses."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._tickets: dict[str, ResponseTicket] = {}

    def issue(self, *, channel: str, user: str, message_ts: str | None = None) -> str:
        """Return an id that responds to this place five times within thirty minutes."""
        self._forget_old()
        key = secrets.token_urlsafe(18)
        self._tickets[key] = ResponseTicket(channel, user, message_ts, self._now() + RESPONSE_SECONDS)
        return key

    def has(self, key: str) -> bool:
        """Say whether an id was issued here."""
        return key in self._tickets

    def find(self, key: str) -> ResponseTicket:
        """Return a ticket that can still be used."""
        ticket = self._tickets.get(key)
        if ticket is None or self._now() > ticket.expires:
            raise SlackError("expired_url")
        if not ticket.uses_left:
            raise SlackError("used_url")
        return ticket

    def _forget_old(self) -> None:
        now = self._now()
        self._tickets = {key: ticket for key, ticket in self._tickets.items() if ticket.expires > now}
