"""Draws the token of an answer that is bound to a grammar.

The free choice is tried first and kept if the grammar permits it, which is the usual case; only else the whole
vocabulary is searched. Knows arrays; the sampler and the grammar come in as functions.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
NOT_NUMBERS, DEAD_END = -1, -2
Table = NDArray[np.void]


class BoundDraw:
    """One answer's table of candidates; *forbid* sets what the grammar excludes to minus infinity."""

    def __init__(self, n_vocab: int, *, choose: Callable[[Table], int], forbid: Callable[[Table], None]) -> None:
        self._table: Table = np.zeros(n_vocab, dtype=CANDIDATE)
        self._one: Table = np.zeros(1, dtype=CANDIDATE)
        self._choose = choose
        self._forbid = forbid

    def draw(self, logits: NDArray[np.float32]) -> int:
        """Return a permitted token, or DEAD_END if the vocabulary has none: accepting another would abort."""
        self._fill(logits)
        token = self._choose(self._table)
        if self._permits(token):
            return token
        self._fill(logits)
        self._forbid(self._table)
        if not np.isfinite(self._table["logit"]).any():
            return DEAD_END
        token = self._choose(self._table)
        return token if self._permits(token) else DEAD_END

    def _fill(self, logits: NDArray[np.float32]) -> None:
        self._table["id"] = np.arange(len(logits), dtype=np.int32)
        self._table["logit"] = logits

    def _permits(self, token: int) -> bool:
        self._one["id"], self._one["logit"] = token, 0
        self._forbid(self._one)
        return bool(np.isfinite(self._one["logit"][0]))
