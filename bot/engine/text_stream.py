"""Turns the bytes of tokens into text that is safe to show: whole characters, and nothing of a stop string.

Pure; one object per answer.
"""

import codecs

from bot.engine.chat.reasoning import build_split, overlap
from bot.engine.types import Reasoning


class TextStream:
    """Collects pieces; holds back what may still become another character or the beginning of a stop string.

    Stop strings are not looked for in the reasoning.
    """

    def __init__(self, stop: tuple[str, ...] = (), reasoning: Reasoning | None = None) -> None:
        self.is_stopped = False
        self.stop_reason = ""
        self._reasoning = ""
        self._split = build_split(reasoning) if reasoning else None
        self._stop = stop
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def push(self, piece: bytes) -> str:
        """Add a token's bytes and return the text that is certain now."""
        text = self._decoder.decode(piece)
        if self._split:
            thought, text = self._split.push(text)
            self._reasoning += thought
        return self._release(text)

    def take_reasoning(self) -> str:
        """Return what was found of it since the last call."""
        if not self._reasoning:
            return ""
        taken, self._reasoning = self._reasoning, ""
        return taken

    @property
    def is_thinking(self) -> bool:
        """Whether what comes next belongs to the reasoning."""
        return self._split is not None and self._split.is_thinking

    def finish(self) -> str:
        """Return what was held back, because nothing follows."""
        text = self._decoder.decode(b"", final=True)
        if self._split:
            (thought, text), (last_thought, rest) = self._split.push(text), self._split.finish()
            self._reasoning, text = self._reasoning + thought + last_thought, text + rest
        text = self._release(text)
        rest, self._held = self._held, ""
        return text + rest

    def _release(self, text: str) -> str:
        if not self._stop:
            return text
        if self.is_stopped:
            return ""
        text = self._held + text
        found = [(position, stop) for stop in self._stop if (position := text.find(stop)) >= 0]
        if found:
            position, self.stop_reason = min(found)
            self.is_stopped, self._held = True, ""
            return text[:position]
        keep = max((overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]
