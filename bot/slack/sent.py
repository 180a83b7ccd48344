"""What stands in Slack already: every message that is posted carries a key, by which it is found again.

A call whose answer never came may have taken effect: whoever is in doubt looks here before sending a second time.
Every app of the workspace can read a key, so it means nothing to anybody else; and each can write the same one below
a message of its own, so only what the bot's own user said counts.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

EVENT_TYPE = "apprentice_message"
PAGE = 200

Call = Callable[..., Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of ours; without a key and without files it is a stream that was not ended."""

    channel_id: str
    ts: str
    key: str
    has_files: bool


def build_metadata(key: str) -> dict[str, Any]:
    """Return what lets a message be found again."""
    return {"event_type": EVENT_TYPE, "event_payload": {"key": key}}


def read_key(message: Mapping[str, Any]) -> str:
    """Return a message's key; empty where it has none."""
    payload = (message.get("metadata") or {}).get("event_payload") or {}
    return str(payload.get("key") or "")


async def read_sent(call: Call, channel: str, thread_ts: str = "", *, own_user_id: str) -> list[Sent]:
    """Return what the bot said in a thread, or lately in a channel or to the person that *channel* names."""
    if channel.startswith(("U", "W")):
        channel = str((await call("conversations.open", users=channel))["channel"]["id"])
    if thread_ts:
        messages = await read_thread(call, channel, thread_ts)
    else:
        messages = list((await call("conversations.history", **_where(channel))).get("messages") or [])
    return pick_own(messages, channel, own_user_id=own_user_id)


def pick_own(messages: Iterable[Mapping[str, Any]], channel: str, *, own_user_id: str) -> list[Sent]:
    """Return which of a channel's messages are the bot's own."""
    return [
        Sent(
            channel_id=channel,
            ts=str(message["ts"]),
            key=read_key(message),
            has_files=bool(message.get("files")),
        )
        for message in messages
        if message.get("bot_id") and message.get("user") == own_user_id
    ]


async def read_thread(call: Call, channel: str, thread_ts: str) -> list[Mapping[str, Any]]:
    """Return what anybody said in a thread; raise what prevents it."""
    messages: list[Mapping[str, Any]] = []
    where, cursor = {**_where(channel), "ts": thread_ts}, ""
    while True:
        page = await call("conversations.replies", **where, **({"cursor": cursor} if cursor else {}))
        messages += page.get("messages") or []
        cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
        if not cursor:
            return messages


def _where(channel: str) -> dict[str, Any]:
    return {"channel": channel, "include_all_metadata": True, "limit": PAGE}
