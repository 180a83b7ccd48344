"""A message as it stands in Slack now, for whoever read it some time ago."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_sdk.errors import SlackApiError

from bot.slack.calls import error_code

REPLIES = "conversations.replies"
GONE, TOMBSTONE = {"thread_not_found", "message_not_found"}, "tombstone"

Call = Callable[..., Awaitable[Mapping[str, Any]]]


async def find_standing(call: Call, channel_id: str, *, thread_ts: str, ts: str) -> Mapping[str, Any] | None:
    """Return a message of a thread, perhaps its first; None where it was deleted; raise what prevents to see it."""
    moment = {"oldest": ts, "latest": ts, "inclusive": True, "limit": 2}
    try:
        found = await call(REPLIES, channel=channel_id, ts=thread_ts, **moment)
    except SlackApiError as error:
        if error_code(error) in GONE:
            return None
        raise
    there = (one for one in found.get("messages") or [] if one.get("ts") == ts)
    return next((one for one in there if one.get("subtype") != TOMBSTONE), None)
