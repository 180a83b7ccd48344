"""Vectors of texts: a context of its own beside the conversations', opened by the first text that wants one.

Belongs to the engine's thread; knows no HTTP.
"""

from collections.abc import Sequence

import numpy as np

from bot.engine.llama.context import Context
from bot.engine.loaded import LoadedModel

LOGIT_BYTES = 1024**3  # llama.cpp reserves logits for every token of a text, although nobody reads them


class Embedder:
    """Computes one text after the other."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._context: Context | None = None

    def embed(self, tokens: Sequence[int]) -> list[float]:
        """Return the vector of *tokens*, of length one; *ValueError* if there is none."""
        vector = self._open().embed(tokens).astype(np.float64)
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or not length:
            raise ValueError("the model computed no numbers for this text")
        return [float(value) for value in vector / length]

    def _open(self) -> Context:
        if self._context is None:
            limit = find_limit(self._loaded)
            self._context = Context(
                self._loaded.model,
                n_cells=limit,
                n_slots=1,
                n_batch=limit,
                kv_unified=True,
                threads=self._loaded.facts.threads,
                embeds=True,
            )
        return self._context

    def close(self) -> None:
        """Free the context."""
        if self._context:
            self._context.close()


def find_limit(loaded: LoadedModel) -> int:
    """Return how many tokens a text may have: a text is computed at once."""
    facts = loaded.facts
    return max(1, min(facts.n_ctx, facts.n_ctx_train, LOGIT_BYTES // (4 * facts.n_vocab)))
