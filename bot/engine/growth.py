"""The usual step: every answer grows by its one token and nobody comes or goes, so nothing is planned anew.

Holds for as long as the loop changes nothing else; belongs to the loop's thread.
"""

from collections.abc import Sequence

from bot.engine.answer import Answer
from bot.engine.batching.cells import CellPool
from bot.engine.llama.context import Context

Drawn = tuple[Answer, int]


class Growth:
    """The answers of one batch in its order, each with the token that it sampled last."""

    def __init__(self, answers: Sequence[Answer], pool: CellPool) -> None:
        self.drawn: tuple[Drawn, ...] = tuple((answer, index) for index, answer in enumerate(answers))
        self._drew_at: float | None = None
        self._sequences = [answer.sequence for answer in answers]
        self._slots = [sequence.slot for sequence in self._sequences]
        self._pool = pool

    def build(self, context: Context) -> bool:
        """Take a cell for each answer and put its token into the batch; False if the cells do not suffice."""
        if self._pool.free() < len(self._slots):
            return False
        tokens = [answer.last_token for answer, _ in self.drawn]
        context.build_next(tokens, [sequence.computed for sequence in self._sequences])
        self._pool.extend_each(self._slots)
        return True

    def commit(self) -> None:
        """Record that the tokens are in the KV cache now."""
        for sequence in self._sequences:
            sequence.computed += 1

    def retract(self) -> None:
        """Give the cells back, because the tokens could not be decoded."""
        for sequence in self._sequences:
            self._pool.trim(sequence.slot, sequence.computed)

    def wait(self, now: float) -> float:
        """Return for how long everybody waited for the token that they drew now."""
        before, self._drew_at = self._drew_at or self.drawn[0][0].waits_since, now
        return now - before

    def end(self) -> None:
        """Tell the answers since when they wait for their next token."""
        if self._drew_at is not None:
            for answer, _ in self.drawn:
                answer.waits_since = self._drew_at
