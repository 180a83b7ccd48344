"""The newest edit of each message: Slack promises no order, so one may come before its message or after a newer one."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from bot.storage.inbox import edit_of

MOST = 1000
MOST_BYTES = 20_000_000  # of all of them, packed: one message can have hundreds of thousands
SAID = ("text", "blocks", "files", "edited")
LATE_S = 3600.0  # after a message was said; then whoever puts a mention in does not ask anew


def is_late_edit(body: Mapping[str, Any]) -> bool:
    """Return whether an event tells of a mention only because its old message was edited: Slack does so every time."""
    event = body.get("event")
    if not isinstance(event, dict) or event.get("type") != "app_mention" or not edit_of(event):
        return False
    return float(edit_of(event)) - float(event["ts"]) > LATE_S


class NewestEdits:
    """Remembers the newest edits of this process, in memory alone: most are of messages that nobody asked us."""

    def __init__(self) -> None:
        self._messages: OrderedDict[tuple[str, str], tuple[str, bytes]] = OrderedDict()
        self._bytes = 0

    def note(self, channel_id: str, ts: str, message: Mapping[str, Any]) -> bool:
        """Remember what a message says now; False where a newer edit of it is known, so that this one is to be left."""
        known = self._messages.get((channel_id, ts))
        if known is not None and known[0] > edit_of(message):
            return False
        self.forget(channel_id, ts)
        said = json.dumps({key: message[key] for key in SAID if key in message}).encode()
        self._messages[channel_id, ts] = edit_of(message), said
        self._bytes += len(said)
        while len(self._messages) > MOST or self._bytes > MOST_BYTES:
            self.forget(*next(iter(self._messages)))
        return True

    def forget(self, channel_id: str, ts: str) -> None:
        """Forget the words of a message that is gone."""
        self._bytes -= len(self._messages.pop((channel_id, ts), ("", b""))[1])

    def apply(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an event that says what its author has made of it already."""
        event = body.get("event")
        if not isinstance(event, dict) or event.get("subtype") in {"message_changed", "message_deleted"}:
            return body
        known = self._messages.get((str(event.get("channel")), str(event.get("ts"))))
        if known is None or known[0] <= edit_of(event):
            return body
        rest = {key: value for key, value in event.items() if key not in SAID}
        return {**body, "event": {**rest, **json.loads(known[1])}}
