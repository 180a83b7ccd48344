"""Server-sent events of an OpenAI-compatible stream, from whatever pieces the network delivers.

Pure; one object per stream.
"""

import json
from contextlib import suppress

DONE = "[DONE]"
QUEUE = ": queue "
MOST_BYTES = 16_000_000  # of one event: a long conversation's token ids are two


class EventParser:
    """Collects bytes and returns the JSON objects of complete events; unknown fields are skipped, and comments too.

    Only a comment of our own engine counts: it becomes an event that says under `queue` where the request waits.
    """

    def __init__(self) -> None:
        self.is_done = False
        self._line = bytearray()
        self._data: list[str] = []
        self._bytes = 0  # of the event so far

    def feed(self, data: bytes) -> list[dict[str, object]]:
        """Return the events that *data* completes, raising *ValueError* if one is no JSON object, or has no end."""
        self._line += data
        self._bytes += len(data)
        events = []
        if b"\n" in data:
            *lines, self._line = self._line.split(b"\n")
            for line in lines:
                event = self._take(line.rstrip(b"\r").decode("utf-8", "replace"))
                if event is not None:
                    events.append(event)
        if self._bytes > MOST_BYTES:
            raise ValueError("an event of the stream has no end")
        return events

    def _take(self, line: str) -> dict[str, object] | None:
        if line.startswith(QUEUE):
            return _read_place(line)
        if line:
            name, _, value = line.partition(":")
            if name in {"data", "error"}:
                self._data.append(value.removeprefix(" "))
            return None
        text, self._data, self._bytes = "\n".join(self._data), [], len(self._line)
        if not text or self.is_done:
            return None
        if text.strip() == DONE:
            self.is_done = True
            return None
        event = json.loads(text)
        if not isinstance(event, dict):
            raise ValueError("an event of the stream is not a JSON object")  # noqa: TRY004 - the text is at fault
        return event


def _read_place(line: str) -> dict[str, object] | None:
    with suppress(ValueError):
        return {"queue": json.loads(line.removeprefix(QUEUE))}
    return None
