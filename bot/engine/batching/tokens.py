"""Token sequences as arrays."""

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]


def common_prefix(left: Tokens, right: Tokens) -> int:
    """Return how many leading tokens *left* and *right* share."""
    limit = min(len(left), len(right))
    different = left[:limit] != right[:limit]
    first = int(different.argmax()) if limit else 0
    return first if limit and different[first] else limit
