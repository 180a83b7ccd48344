"""The channels of OpenAI's open models: which text is reasoning, which the answer, and which a call of a function.

Pure. The marks are control tokens, so each of them arrives whole.
"""

import re

CHANNEL, MESSAGE, END, START = "<|channel|>", "<|message|>", "<|end|>", "<|start|>"
MARKS = (CHANNEL, MESSAGE, END, START, "<|constrain|>")
CALL = "<|start|>functions."  # how a call's header is passed on, whatever the model wrote around its name
_ENDS = re.compile("|".join(map(re.escape, (END, START, CHANNEL))))
_RECIPIENT = re.compile(r"to=functions\.([^\s<]+)")


class HarmonySplit:
    """Divides one answer's text by its channels; what comes without a header is the answer."""

    def __init__(self) -> None:
        self._header: str | None = None
        self._is_analysis = False

    @property
    def is_thinking(self) -> bool:
        """Whether the text stands inside the reasoning or between two channels."""
        return self._is_analysis or self._header is not None

    def push(self, text: str) -> tuple[str, str]:
        """Return what *text* adds to the reasoning and to the answer."""
        thought = visible = ""
        while text:
            if self._header is None:
                end = _ENDS.search(text)
                body, text = (text[: end.start()], text[end.end() :]) if end else (text, "")
                self._header = "" if end else None
                thought, visible = (thought + body, visible) if self._is_analysis else (thought, visible + body)
                continue
            before, mark, text = text.partition(MESSAGE)
            self._header += before
            if mark:
                visible += self._open(self._header)
        return thought, visible

    def _open(self, header: str) -> str:
        self._header, self._is_analysis = None, "analysis" in header
        called = _RECIPIENT.search(header)
        if not called:
            return ""
        self._is_analysis = False
        return f"{CALL}{called[1]}{MESSAGE}"

    def finish(self) -> tuple[str, str]:
        """Return what was held back: an unfinished header is nobody's text."""
        return "", ""
