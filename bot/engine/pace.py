"""How many prompt tokens a step may take while answers are growing, learned from the steps before.

Pure arithmetic; the loop measures.
"""

TARGET_SECONDS = 0.05
FLOOR = 128  # fewer tokens together cost a third more each, whatever the model: matrices are computed in blocks
SMOOTHING = 0.2
FADING = 0.99
MEASURABLE_TOKENS = 32


class PrefillPace:
    """Keeps a step near its target time, so that a long prompt never makes the others' text stutter."""

    def __init__(self, *, ceiling: int) -> None:
        self._ceiling = ceiling
        self._tokens_per_second = FLOOR / TARGET_SECONDS
        self._slowest_token = 0.0

    def observe(self, tokens: int, seconds: float) -> None:
        """Learn from a decode; steps with few tokens say nothing about prompts."""
        self._slowest_token = max(FADING * self._slowest_token, seconds / tokens)
        if tokens >= MEASURABLE_TOKENS and seconds > 0:
            rate = tokens / seconds
            self._tokens_per_second += SMOOTHING * (rate - self._tokens_per_second)

    def longest_step(self) -> float | None:
        """Return the seconds that no step should take, None before anything was measured.

        A batch's tokens share the work of reading the weights, so alone each of them takes longest.
        """
        return self._slowest_token * self._ceiling or None

    def budget(self) -> int:
        """Return the share of prompt tokens for the next step."""
        return max(FLOOR, min(self._ceiling, int(self._tokens_per_second * TARGET_SECONDS)))
