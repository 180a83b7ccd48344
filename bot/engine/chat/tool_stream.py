"""Reads calls of functions out of an answer while it arrives; what is no call stays text.

Pure; one object per answer.
"""

import secrets

from bot.engine.api.tool_fields import ToolUse
from bot.engine.chat.reasoning import overlap
from bot.engine.chat.tool_forms import ToolForm
from bot.engine.types import ToolCall

Heard = tuple[str, tuple[ToolCall, ...]]


class ToolStream:
    """Holds back what may still become a call; a call is passed on when it is complete."""

    def __init__(self, form: ToolForm, use: ToolUse) -> None:
        self.count = 0
        self._form = form
        self._names = {tool.name for tool in use.tools}
        self._limit = 128 if use.is_parallel else 1
        self._held = ""
        self._opening = ""  # what stood before a call's block, to be shown if it is none
        self._state = "start" if form.is_whole else "text"

    def push(self, text: str) -> Heard:
        """Return the text that is certain now, and the calls that are complete."""
        self._held += text
        if self._state == "start":
            self._start()
        shown, calls = "", tuple[ToolCall, ...]()
        while True:
            if self._state == "text" and self._form.begin in self._held:
                shown += self._open()
            elif self._state == "call" and self._form.end and self._form.end in self._held:
                block, _, self._held = self._held.partition(self._form.end)
                words, found = self._read(block, self._form.end)
                shown, calls, self._state = shown + words, calls + found, "text"
                self._held = self._held.lstrip() if found else self._held
            else:
                return shown + self._release(), calls

    def finish(self) -> Heard:
        """Return what was held back, because nothing follows."""
        held, self._held = self._held, ""
        if self._state == "call":
            return self._read(held, "")
        return held.rstrip() if self.count else held, ()

    def _start(self) -> None:
        """Find out whether an answer that is a call as a whole, or not at all, is one."""
        text = self._held.lstrip()
        if text.startswith((self._form.begin, "{")):
            block = text.removeprefix(self._form.begin)
            self._opening = self._held[: len(self._held) - len(block)]
            self._state, self._held = "call", block
        elif not self._form.begin.startswith(text):
            self._state = "over"

    def _open(self) -> str:
        """Step into a block, and return the text before it without the space between them."""
        before, begin, self._held = self._held.partition(self._form.begin)
        text = before.rstrip()
        self._state, self._opening = "call", before[len(text) :] + begin
        return text

    def _release(self) -> str:
        """Return what cannot belong to a call."""
        if self._state in {"start", "call"}:
            return ""
        keep = overlap(self._held, self._form.begin) if self._state == "text" else 0
        text = self._held[: len(self._held) - keep]
        text = text.rstrip() if self._state == "text" else text
        self._held = self._held[len(text) :]
        return text

    def _read(self, block: str, end: str) -> Heard:
        """Return the calls of a block, or the block itself if it has none of a function that was offered."""
        try:
            called = self._form.read(block)
        except (ValueError, RecursionError):
            called = []
        if not called or any(name not in self._names for name, _ in called):
            return f"{self._opening}{block}{end}", ()
        start = self.count
        called = called[: self._limit - start]
        self.count += len(called)
        calls = (ToolCall(start + index, secrets.token_hex(5)[:9], *call) for index, call in enumerate(called))
        return "", tuple(calls)
