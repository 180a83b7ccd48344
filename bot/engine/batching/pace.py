"""How many prompt tokens a step may take while answers are growing, learned from the steps before.

Pure arithmetic; the loop measures.
"""

from collections import deque
from statistics import median

TARGET_SECONDS = 0.035  # a quarter, with all beside it, of what a server takes that computes 2,000 tokens in one go
FLOOR = 128  # fewer tokens together cost a third more each, whatever the model: matrices are computed in blocks
REMEMBERED = 3
FADING = 0.99
MEASURABLE_TOKENS = 32


class PrefillPace:
    """Keeps a step near its target time, so that a long prompt never makes the others' text stutter."""

    def __init__(self, *, ceiling: int) -> None:
        self._ceiling = ceiling
        self._rates = deque([FLOOR / TARGET_SECONDS], maxlen=REMEMBERED)
        self._slowest_token = 0.0

    def observe(self, tokens: int, seconds: float) -> None:
        """Learn from a decode; steps with few tokens say nothing about prompts."""
        self._slowest_token = max(FADING * self._slowest_token, seconds / tokens)
        if tokens >= MEASURABLE_TOKENS and seconds > 0:
            self._rates.append(tokens / seconds)

    def longest_step(self) -> float | None:
        """Return the seconds that no step should take, None before anything was measured.

        A batch's tokens share the work of reading the weights, so alone each of them takes longest.
        """
        return self._slowest_token * self._ceiling or None

    def budget(self) -> int:
        """Return the share of prompt tokens for the next step; one step that had to wait for its core says nothing."""
        return max(FLOOR, min(self._ceiling, int(median(self._rates) * TARGET_SECONDS)))
