"""Messages of other places that Slack quotes below a link to them. Pure.

Slack quotes what whoever pasted the link may read, and sends it to every app that hears the message. A message that
somebody forwards is none of these: they say it anew, to everybody there.
"""

from collections.abc import Collection, Mapping
from typing import Any

ELSEWHERE = ""  # the place of a quotation that does not say where it is from


def find_quoted(message: Mapping[str, Any], channel_id: str) -> frozenset[str]:
    """Return the places that a message of a channel quotes by links, other than its own."""
    return frozenset(_place_of(one) for one in _quotations(message)) - {channel_id}


def drop_quoted(message: Mapping[str, Any], places: Collection[str]) -> Mapping[str, Any]:
    """Return a message without what it quotes from some places."""
    if not places:
        return message
    gone = [one for one in _quotations(message) if _place_of(one) in places]
    return {**message, "attachments": [one for one in message["attachments"] if one not in gone]}


def _quotations(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    attachments = message.get("attachments")
    found = [one for one in attachments if isinstance(one, dict)] if isinstance(attachments, list) else []
    return [one for one in found if one.get("is_msg_unfurl") and not one.get("is_share")]


def _place_of(quotation: Mapping[str, Any]) -> str:
    return str(quotation.get("channel_id") or ELSEWHERE)
