"""Which part of an answer is the model's reasoning, told apart while the text arrives.

Pure. Only what stands at the beginning of an answer counts: a tag that comes later is part of the answer.
"""

from bot.engine.chat.harmony import CHANNEL, HarmonySplit
from bot.engine.types import Reasoning


def build_split(form: Reasoning) -> "ReasoningSplit | HarmonySplit":
    """Return what divides an answer of this form."""
    return HarmonySplit() if form.begin == CHANNEL else ReasoningSplit(form)


class ReasoningSplit:
    """Divides one answer's text; holds back what may still become a tag."""

    def __init__(self, form: Reasoning) -> None:
        self._begin, self._end = form.begin, form.end
        self._held = ""
        self._state = "thinking" if form.is_open else "start"

    @property
    def is_thinking(self) -> bool:
        """Whether the text stands inside the reasoning."""
        return self._state == "thinking"

    def push(self, text: str) -> tuple[str, str]:
        """Return what *text* adds to the reasoning and to the answer."""
        if self._state == "answer":
            return "", text
        self._held += text
        if self._state == "start" and not self._begins():
            return "", self._leave()
        if self._state != "thinking":
            return ("", self._trim()) if self._state == "gap" else ("", "")
        return self._think()

    def finish(self) -> tuple[str, str]:
        """Return what was held back, because nothing follows."""
        held, self._held = self._held, ""
        return (held, "") if self.is_thinking else ("", "" if self._state == "gap" else held)

    def _begins(self) -> bool:
        """Whether the answer begins, or may still begin, with the first tag."""
        text = self._held.lstrip()
        if text.startswith(self._begin):
            self._state, self._held = "thinking", text[len(self._begin) :]
        return self.is_thinking or self._begin.startswith(text)

    def _think(self) -> tuple[str, str]:
        before, tag, after = self._held.partition(self._end)
        if tag:
            self._state, self._held = "gap", after
            return before, self._trim()
        keep = overlap(before, self._end)
        self._held = before[len(before) - keep :]
        return before[: len(before) - keep], ""

    def _trim(self) -> str:
        """Drop the white space between reasoning and answer."""
        self._held = self._held.lstrip()
        return self._leave() if self._held else ""

    def _leave(self) -> str:
        text, self._held, self._state = self._held, "", "answer"
        return text


def overlap(text: str, mark: str) -> int:
    """Return how many characters at the end of *text* begin *mark*."""
    limit = min(len(text), len(mark) - 1)
    return next((size for size in range(limit, 0, -1) if text.endswith(mark[:size])), 0)
