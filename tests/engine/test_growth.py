"""The usual step, in which everybody only grows: it equals planning anew, and what goes wrong in it harms one alone."""

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

from bot.engine.llama.context import Context
from bot.engine.llama.model import Model, start_backend
from bot.engine.types import Delta, SamplingParams
from tests.engine.test_loop import Rig, answer_alone, ask, prompts
from tests.engine.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Iterator[Model]:
    """Return the loaded tiny model."""
    start_backend()
    loaded = Model(tiny_model, n_gpu_layers=0)
    yield loaded
    loaded.close()


@pytest.fixture(params=[True, False], ids=["unified", "split"])
def rig(request: pytest.FixtureRequest, model: Model) -> Iterator[Rig]:
    """Return a loop over either kind of KV cache."""
    built = Rig(model, kv_unified=request.param)
    yield built
    built.context.close()


def grow(rig: Rig, asked: list[tuple[int, ...]], **fields: object) -> None:
    """Submit and step until every answer grows."""
    for number, prompt in enumerate(asked):
        rig.loop.submit(ask(str(number), prompt, **fields))
    while not rig.loop._growth:
        rig.loop.step()


def finish(rig: Rig, number: int) -> list[tuple[int, ...]]:
    """Step until all is done; return the answers."""
    while rig.loop.step():
        pass
    return [rig.tokens_of(str(index)) for index in range(number)]


def errors(deltas: list[Delta]) -> dict[str, str]:
    """Return what was said to whom."""
    return {delta.request_id: delta.error for delta in deltas if delta.error}


def test_growing_equals_planning(rig: Rig, model: Model) -> None:
    """Answers of different lengths, one of which is cancelled and one of which comes later, are what each is alone."""
    asked = prompts(6)
    for number, prompt in enumerate(asked[:5]):
        rig.loop.submit(ask(str(number), prompt, max_tokens=20 + 7 * number))
    for step in range(30):
        rig.loop.step()
        if step == 12:
            rig.loop.submit(ask("5", asked[5]))
        if step == 15:
            rig.loop.cancel("4")

    answers = finish(rig, 6)

    for number in (0, 1, 2, 3):
        assert answers[number] == answer_alone(model, asked[number], max_tokens=20 + 7 * number)
    assert answers[5] == answer_alone(model, asked[5])
    assert answers[4] == answer_alone(model, asked[4], max_tokens=48)[: len(answers[4])]


def test_answers_grow_while_others_wait(model: Model) -> None:
    """A full engine plans nothing anew although somebody waits, and whoever waits gets the first free place."""
    rig = Rig(model, max_running=2)
    asked = prompts(3)
    grow(rig, asked)
    rig.loop.step()

    assert rig.loop._growth
    assert len(rig.loop.scheduler.waiting) == 1
    assert finish(rig, 3) == [answer_alone(model, prompt) for prompt in asked]
    rig.context.close()


def test_quick_tokens_come_together(model: Model) -> None:
    """Many tokens are handed over at a time, but the first and the last at once; nothing is lost or out of order."""
    rig = Rig(model)
    handed: list[list[Delta]] = []
    rig.loop._deliver = lambda deltas: handed.append(list(deltas))

    rig.run(ask("0", prompts(1)[0], max_tokens=400))

    tokens = tuple(token for deltas in handed for delta in deltas for token in delta.token_ids)
    assert len(handed[0]) == 1
    assert handed[-1][-1].finish_reason == "length"
    assert 2 < len(handed) < 200
    assert tokens == answer_alone(model, prompts(1)[0], max_tokens=400)
    rig.context.close()


def test_held_tokens_wait_for_nobody(model: Model) -> None:
    """Somebody else's prompt lets go of what was held before it is computed, and a cancelled answer's is dropped."""
    rig = Rig(model)
    grow(rig, prompts(2), max_tokens=400)
    while not rig.loop._deltas:
        rig.loop.step()
    held = len(rig.loop._deltas)
    before = len(rig.deltas)
    rig.loop.cancel("1")
    rig.loop.submit(ask("late", prompts(3)[2], max_tokens=1))

    rig.loop.step()

    assert held == 2
    assert [delta.request_id for delta in rig.deltas[before:]] == ["0", "0", "late"]
    rig.loop.shut_down("The end.")
    rig.context.close()


def test_a_spoilt_slot_fails_alone(rig: Rig, model: Model) -> None:
    """When llama.cpp refuses the batch because of one conversation, only that one ends; the others are unharmed."""
    asked = prompts(5, seed=4)  # whose greedy choices are clear: other cells mean another order of summation
    grow(rig, asked)
    victim = next(s for s in rig.loop.scheduler.sequences() if s.request.request_id == "2")
    assert rig.context.trim(victim.slot, victim.computed - 2)  # now its next token leaves a gap

    answers = finish(rig, 5)

    assert errors(rig.deltas) == {"2": "llama.cpp refused this conversation's tokens."}
    for number in (0, 1, 3, 4):
        assert answers[number] == answer_alone(model, asked[number])


def test_missing_cells_fail_nobody(model: Model) -> None:
    """When llama.cpp has fewer cells than were counted, somebody gives way and goes on later; nobody fails."""
    rig = Rig(model, n_cells=256, n_slots=8)
    rig.loop.scheduler.pool.capacity = 100_000
    asked = [prompt[:20] for prompt in prompts(8)]

    answers = rig.run(*(ask(str(n), prompt, max_tokens=60) for n, prompt in enumerate(asked)))

    assert errors(rig.deltas) == {}
    assert rig.loop.scheduler.preemptions > 0
    assert answers == [answer_alone(model, prompt, max_tokens=60) for prompt in asked]
    rig.context.close()


def test_what_can_never_fit_is_said(model: Model) -> None:
    """The last conversation goes on by halves, and when not one more token fits it ends with the reason."""
    rig = Rig(model, n_cells=256, n_slots=2)
    rig.loop.scheduler.pool.capacity = 100_000
    prompt = tuple(range(250)) + tuple(range(50))

    rig.run(ask("0", prompt))

    assert errors(rig.deltas) == {"0": "The conversation does not fit into the KV cache."}
    assert rig.loop.scheduler.pool.used() == 0
    rig.context.close()


def test_a_batch_goes_on_only_where_it_was(model: Model) -> None:
    """The next tokens need a batch of one token and one output for each slot, decoded without an error."""
    context = Context(model, n_cells=256, n_slots=4, n_batch=32, kv_unified=True, threads=1)
    token = np.array([5], dtype=np.int32)
    with pytest.raises(ValueError, match="was not one token"):
        context.build_next([1], [0])
    assert context.decode([(0, token, 0, 1), (1, token, 0, 1)]) == 0
    with pytest.raises(ValueError, match="was not one token"):
        context.build_next([1], [1])
    with pytest.raises(ValueError, match="out of range"):
        context.build_next([1, model.n_vocab], [1, 1])

    context.build_next([1, 2], [1, 1])
    assert context.compute() == 0

    assert (context.length(0), context.length(1)) == (2, 2)
    context.build_next([1, 2], [2, 9])  # a gap
    assert context.compute() == -1
    with pytest.raises(ValueError, match="was not one token"):
        context.build_next([1, 2], [2, 2])
    context.close()


def test_no_numbers_end_an_answer_with_the_reason(tmp_path: Path) -> None:
    """A model whose numbers overflow gives an error at the first token; its NaN never reaches a sorting sampler."""
    path = write_tiny_model(tmp_path / "spoilt.gguf")
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path, "r+").tensors}
    tensors["output_norm.weight"][:] = 3e38  # infinity minus infinity is NaN
    tensors["output_norm.weight"].flush()
    spoilt = Model(path, n_gpu_layers=0)
    rig = Rig(spoilt)

    rig.run(ask("0", (1, 2, 3)), ask("1", (4, 5), sampling=SamplingParams(temperature=1.0, top_k=0)))

    assert errors(rig.deltas) == dict.fromkeys(("0", "1"), "The model produced no numbers (NaN).")
    rig.context.close()
    spoilt.close()
