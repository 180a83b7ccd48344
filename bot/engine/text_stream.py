"""Turns the bytes of tokens into text that is safe to show: whole characters, and nothing of a stop string.

Pure; one object per answer.
"""

import codecs


class TextStream:
    """Collects pieces; holds back what may still become another character or the beginning of a stop string."""

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self.is_stopped = False
        self._stop = stop
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def push(self, piece: bytes) -> str:
        """Add a token's bytes and return the text that is certain now."""
        return self._release(self._decoder.decode(piece))

    def finish(self) -> str:
        """Return what was held back, because nothing follows."""
        text = self._release(self._decoder.decode(b"", final=True))
        rest, self._held = self._held, ""
        return text + rest

    def _release(self, text: str) -> str:
        if self.is_stopped:
            return ""
        text = self._held + text
        found = [position for position in (text.find(stop) for stop in self._stop) if position >= 0]
        if found:
            self.is_stopped, self._held = True, ""
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of *text* begin *stop*."""
    limit = min(len(text), len(stop) - 1)
    return next((size for size in range(limit, 0, -1) if text.endswith(stop[:size])), 0)
