"""Shares one batch between the sequences that run: every growing answer its token, prompts what is left.

Pure arithmetic; it must not know slots' contents, time or llama.cpp.
"""

from collections.abc import Iterable

from bot.engine.batching.plan import Piece
from bot.engine.batching.sequence import Sequence

AGING_TOKENS = 64


def share_batch(running: Iterable[Sequence], *, n_batch: int, prefill: int, scored: int) -> list[Piece]:
    """Return the pieces of a batch in the order of *running*: shortest and longest-waiting prompts first served.

    Prompts get *prefill* tokens together while answers grow, and those whose tokens are scored *scored* at most.
    """
    shares: dict[Sequence, int] = {}
    prompts = []
    for sequence in running:
        if sequence.pending == 1:
            shares[sequence] = 1
        else:
            shares[sequence] = 0
            prompts.append(sequence)
    if prompts:
        _share_prompts(prompts, shares, n_batch=n_batch, prefill=prefill, scored=scored)
    return [
        Piece(sequence, sequence.computed, count, wants_logits=count == sequence.pending)
        for sequence, count in shares.items()
        if count
    ]


def _share_prompts(
    prompts: list[Sequence], shares: dict[Sequence, int], *, n_batch: int, prefill: int, scored: int
) -> None:
    growing = len(shares) - len(prompts)
    room = min(n_batch - growing, prefill) if growing else n_batch
    for sequence in sorted(prompts, key=lambda item: (item.pending - AGING_TOKENS * item.starved, item.arrival)):
        count = min(sequence.readable if sequence.request.pictures else sequence.pending, room)
        if sequence.request.prompt_logprobs is not None:
            count = min(count, scored)
            scored -= max(0, count)
        if count > 0:
            shares[sequence] = count
            room -= count
