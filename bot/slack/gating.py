"""Should the assistant answer this event? Pure choices on Slack's payloads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.slack.text import has_mention, mentioned_users
from bot.storage.inbox import Arrival
from bot.storage.threads import Place

SPOKEN_SUBTYPES = {None, "", "file_share", "thread_broadcast", "me_message"}


@dataclass(frozen=True)
class Heard:
    """A message of a person that the assistant can read; *place* is the thread that an answer would go to."""

    arrival: Arrival
    place: Place
    is_direct: bool
    is_mention: bool
    is_reply: bool
    is_to_others: bool


def hear(body: Mapping[str, Any], *, bot_user_id: str) -> Heard | None:
    """Read an event; None when it is not a person speaking."""
    event = body.get("event")
    if not isinstance(event, dict) or event.get("type") not in {"message", "app_mention"}:
        return None
    channel, ts, user = (event.get(key) for key in ("channel", "ts", "user"))
    if not (channel and ts and user) or event.get("subtype") not in SPOKEN_SUBTYPES:
        return None
    if event.get("bot_id") or user in {bot_user_id, "USLACKBOT"}:
        return None
    place = Place(_team(body, event), str(channel), str(event.get("thread_ts") or ts))
    is_mention = event["type"] == "app_mention" or has_mention(event, bot_user_id)
    return Heard(
        arrival=Arrival(
            event_id=str(body.get("event_id") or f"{channel}:{ts}:{event['type']}"),
            team_id=place.team_id,
            channel_id=place.channel_id,
            ts=str(ts),
            thread_ts=place.thread_ts,
            kind="message",
            payload={"event": event, "is_shared": bool(body.get("is_ext_shared_channel"))},
        ),
        place=place,
        is_direct=event.get("channel_type") == "im" or str(channel).startswith("D"),
        is_mention=is_mention,
        is_reply=event.get("thread_ts") not in {None, ts},
        is_to_others=not is_mention and any(other != bot_user_id for other in mentioned_users(event)),
    )


def wants_answer(heard: Heard, *, is_engaged: bool) -> bool:
    """Return whether to answer: in direct messages, when mentioned, and in threads that the assistant is part of.

    A reply that mentions somebody else is talk between people, and the assistant stays out of it.
    """
    if heard.is_direct or heard.is_mention:
        return True
    return heard.is_reply and is_engaged and not heard.is_to_others


def _team(body: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """Return the workspace that installed the app: in a shared channel `team_id` can be somebody else's."""
    authorizations = body.get("authorizations") or [{}]
    return str(authorizations[0].get("team_id") or body.get("team_id") or event.get("team") or "")
