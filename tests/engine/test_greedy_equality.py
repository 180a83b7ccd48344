"""Many at once answer as one alone does: token by token, and where not, by how little it was missed."""

import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from bot.engine.chat.template import Message
from bot.engine.loaded import build_encoder
from bot.engine.types import Delta, Request
from tests.engine.lanes_rig import GREEDY, LanesRig, make_word, tokens_of

DATA = Path(__file__).parents[2] / "starter" / "data"
MAX_TOKENS = 32
CLEAR_MARGIN = 0.05  # in log probability: below it the last bit of a sum decides
Tokens = tuple[int, ...]


def collect_prompts(rig: LanesRig, number: int) -> list[Tokens]:
    """Return conversations of one to three turns about what the starter model was made for, and about nothing."""
    rng, encoder = random.Random(5), build_encoder(rig.model)
    lines = [line for path in sorted(DATA.glob("*.txt")) for line in path.read_text().splitlines() if len(line) > 12]
    rng.shuffle(lines)
    questions, prompts = iter(lines), []
    for index in range(number):
        turns = [Message("system", "You are a helpful assistant.")]
        for text in islice(questions, 1 + index % 3):
            turns += [Message("user", f"{text} {make_word(rng)}?"), Message("assistant", "Yes.")]
        prompts.append(encoder.encode(turns[:-1]).tokens)
    return prompts


def ask(name: str, prompt: Tokens, **fields: object) -> Request:
    """Return a greedy request that does not end early."""
    return Request(
        request_id=name,
        prompt=prompt,
        max_tokens=MAX_TOKENS,
        sampling=GREEDY,
        ignore_eos=True,
        top_logprobs=2,
        **fields,
    )


def find_difference(one: list[Delta], other: list[Delta]) -> tuple[int, float] | None:
    """Return where two answers part, and how clear the choice was there for the first; None if they never do."""
    pairs = zip(tokens_of(one), tokens_of(other), strict=True)
    at = next((index for index, (left, right) in enumerate(pairs) if left != right), None)
    if at is None:
        return None
    top = [item for delta in one for item in delta.logprobs][at].top
    return at, top[0][1] - top[1][1]


def report(kind: str, alone: dict[str, list[Delta]], others: dict[str, list[Delta]]) -> None:
    """Print how many answers are equal and each first difference, and hold them against the goal."""
    found = {name: find_difference(alone[name], others[name]) for name in alone}
    different = {name: what for name, what in found.items() if what}
    print(f"\n{kind}: {len(alone) - len(different)} of {len(alone)} answers equal token by token")
    for name, (at, margin) in different.items():
        print(f"  prompt {name}: first difference at token {at}, margin of the choice there {margin:.5f}")
    assert len(different) <= max(1, 0.01 * len(alone))  # a sample of a few may have one tie
    assert all(margin < CLEAR_MARGIN for _, margin in different.values())


@pytest.mark.parametrize("kv_unified", [True, False], ids=["unified", "split"])
@pytest.mark.parametrize("number", [24, pytest.param(200, marks=[pytest.mark.nightly, pytest.mark.timeout(1800)])])
def test_many_answer_as_one(tmp_path: Path, kv_unified: bool, number: int) -> None:
    """Eight at a time, with other prompts computed beside them, give the greedy answers of one sequence alone."""
    rig = LanesRig(tmp_path, n_cells=1024, n_slots=1, running=1)
    prompts = collect_prompts(rig, number)
    alone = {str(index): rig.answer(ask(str(index), prompt)) for index, prompt in enumerate(prompts)}
    rig.close()
    many = LanesRig(tmp_path, n_cells=8192, n_slots=8, running=8, n_batch=256, kv_unified=kv_unified)

    many.lanes[0].loop.submit(*(ask(str(index), prompt) for index, prompt in enumerate(prompts)))
    many.run()
    found = many.take()

    many.close()
    report(f"greedy, eight at once, {'unified' if kv_unified else 'split'} KV", alone, found)


@pytest.mark.parametrize("number", [20, pytest.param(200, marks=[pytest.mark.nightly, pytest.mark.timeout(1800)])])
def test_cached_answers_as_cold(tmp_path: Path, number: int) -> None:
    """Second turns that go on from the cache, and from host memory, have the log probabilities of cold ones."""
    cold = LanesRig(tmp_path, n_cells=1024, n_slots=1, running=1)
    prompts = collect_prompts(cold, number)
    rig = LanesRig(tmp_path, n_cells=1024, n_slots=8, running=1, host_bytes=2 * 10**6 * number)
    firsts = [rig.answer(ask(f"first {index}", prompt, scope=str(index))) for index, prompt in enumerate(prompts)]
    longer = [(*prompt, *tokens_of(first), *prompt[-20:]) for prompt, first in zip(prompts, firsts, strict=True)]

    warm = {str(index): rig.answer(ask(str(index), prompt, scope=str(index))) for index, prompt in enumerate(longer)}
    alone = {str(index): cold.answer(ask(str(index), prompt)) for index, prompt in enumerate(longer)}

    cached = sum(deltas[-1].cached_tokens for deltas in warm.values())
    loads = rig.lanes[0].loop.scheduler.slots.loads
    worst = max(abs(left - right) for name in alone for left, right in compare_first(alone[name], warm[name]))
    rig.close()
    cold.close()
    report(f"greedy, second turns, {cached} tokens from the cache, {loads} states from host memory", alone, warm)
    print(f"largest difference of a first log probability: {worst:.6f}")
    assert cached > sum(map(len, prompts))
    assert loads > number / 3
    assert worst < 0.05


def compare_first(one: list[Delta], other: list[Delta]) -> np.ndarray:
    """Return the log probabilities of the first token's choices, one run's beside the other's."""
    pairs = [dict(deltas[0].logprobs[0].top) for deltas in (one, other)]
    common = pairs[0].keys() & pairs[1].keys()
    return np.array([[pairs[0][token], pairs[1][token]] for token in common])
