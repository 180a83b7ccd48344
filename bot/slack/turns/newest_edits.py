"""The newest edit of each message: Slack promises no order, so one may come before its message or after a newer one."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from bot.storage.inbox import edit_of

MOST = 1000
SAID = ("text", "blocks", "files", "edited")


class NewestEdits:
    """Remembers the newest edits of this process, in memory alone: most are of messages that nobody asked us."""

    def __init__(self) -> None:
        self._messages: OrderedDict[tuple[str, str], Mapping[str, Any]] = OrderedDict()

    def note(self, channel_id: str, ts: str, message: Mapping[str, Any]) -> bool:
        """Remember what a message says now; False where a newer edit of it is known, so that this one is to be left."""
        known = self._messages.get((channel_id, ts))
        if known is not None and edit_of(known) > edit_of(message):
            return False
        self._messages[channel_id, ts] = message
        self._messages.move_to_end((channel_id, ts))
        if len(self._messages) > MOST:
            self._messages.popitem(last=False)
        return True

    def forget(self, channel_id: str, ts: str) -> None:
        """Forget the words of a message that is gone."""
        self._messages.pop((channel_id, ts), None)

    def apply(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an event that says what its author has made of it already."""
        event = body.get("event")
        if not isinstance(event, dict) or event.get("subtype") in {"message_changed", "message_deleted"}:
            return body
        newest = self._messages.get((str(event.get("channel")), str(event.get("ts"))))
        if newest is None or edit_of(newest) <= edit_of(event):
            return body
        rest = {key: value for key, value in event.items() if key not in SAID}
        return {**body, "event": {**rest, **{key: newest[key] for key in SAID if key in newest}}}
