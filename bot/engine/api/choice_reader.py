"""One choice on its way out: reads calls of functions from its text, and puts the prompt before it if asked to.

Knows no HTTP and no model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.engine.chat.tool_stream import ToolStream
from bot.engine.types import Delta, TokenLogprob


@dataclass(frozen=True, slots=True)
class Echo:
    """A prompt that comes before its continuation; *is_all* when nothing was to be continued."""

    text: str
    first_token: int
    is_all: bool


class ChoiceReader:
    """Changes the deltas of one answer into what its reader gets."""

    def __init__(self, tools: ToolStream | None = None, echo: Echo | None = None) -> None:
        self._tools = tools
        self._echo = echo

    def read(self, delta: Delta) -> Delta:
        """Return what *delta* says in the reply."""
        if self._echo:
            delta = _put_before(delta, self._echo)
            self._echo = None
        return self._hear(delta, self._tools) if self._tools else delta

    def _hear(self, delta: Delta, tools: ToolStream) -> Delta:
        text, calls = tools.push(delta.text)
        reason = delta.finish_reason
        if reason:
            rest, last = tools.finish()
            text, calls = text + rest, calls + last
            reason = "tool_calls" if reason == "stop" and tools.count else reason
        return replace(delta, text=text, calls=calls, finish_reason=reason)


def _put_before(delta: Delta, echo: Echo) -> Delta:
    scores: Sequence[TokenLogprob] = ()
    if delta.logprobs:
        scores = (TokenLogprob(echo.first_token, math.nan), *delta.prompt_logprobs)
    if echo.is_all:
        return replace(delta, text=echo.text, token_ids=(), logprobs=tuple(scores), finish_reason="length")
    return replace(delta, text=echo.text + delta.text, logprobs=(*scores, *delta.logprobs))
