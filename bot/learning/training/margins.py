"""How much likelier a fold's adapter made the answers that it was not trained on; nothing else of a fold is kept.

P1 has proven before that torch scores as the engine does, so no engine has to load what is thrown away.
"""

import time
from collections.abc import Sequence
from typing import Any

from bot.learning.examples import Split, read_examples
from bot.learning.plan import EXAMPLES, MARGINS, Progress, write_json
from bot.learning.training.base import score
from bot.learning.training.rows import measure
from bot.learning.training.watching import Watch


def leave_margins(adapted: Any, watch: Watch, *, longest: int) -> bool:
    """Write the margins of each held-out answer by its example's id; False when a signal came."""
    rows = [row for row in read_examples(watch.folder / EXAMPLES) if row.split is Split.TEST]
    found: dict[str, list[float]] = {}
    for row in rows:
        watch.hold(Progress(phase="scoring", step=watch.steps, steps=watch.steps, at=time.time()))
        if watch.is_stopped:
            return False
        if measure(row) <= longest:
            answers = (row.completion_ids, row.rejected_ids)
            found[row.id] = [measure_margin(adapted, row.prompt_ids, answer) for answer in answers if answer]
    write_json(watch.folder / MARGINS, found)
    return True


def measure_margin(adapted: Any, prompt: Sequence[int], answer: Sequence[int]) -> float:
    """Return how much likelier a token of an answer is with the adapter than without, in nats."""
    text, start = [(*prompt, *answer)], len(prompt) - 1
    own = score(adapted, text)[0].given[start:]
    with adapted.disable_adapter():
        base = score(adapted, text)[0].given[start:]
    return float(own.mean() - base.mean())
