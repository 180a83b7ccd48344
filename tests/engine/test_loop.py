"""The loop over real llama.cpp: many conversations in one context answer as each would alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bot.engine.batching.host_tier import HostTier
from bot.engine.llama.context import Context
from bot.engine.llama.model import Model, start_backend
from bot.engine.loop import EngineLoop
from bot.engine.metrics import EngineMetrics
from bot.engine.types import Delta, Request, SamplingParams

GREEDY = SamplingParams(temperature=0)


class Rig:
    """A loop whose steps the test takes itself."""

    def __init__(
        self,
        model: Model,
        *,
        n_cells: int = 4096,
        n_slots: int = 16,
        max_running: int = 8,
        host: HostTier | None = None,
        kind: type[Context] = Context,
        **fields: object,
    ) -> None:
        chosen = {"n_batch": 256, "kv_unified": True, "threads": 1} | fields
        self.context = kind(model, n_cells=n_cells, n_slots=n_slots, **chosen)
        self.deltas: list[Delta] = []
        self.metrics = EngineMetrics()
        self.loop = EngineLoop(
            model, self.context, max_running=max_running, deliver=self.deltas.extend, metrics=self.metrics, host=host
        )

    def run(self, *requests: Request) -> list[tuple[int, ...]]:
        """Submit and step until all are done; return each one's tokens."""
        for request in requests:
            self.loop.submit(request)
        while self.loop.step():
            pass
        return [self.tokens_of(request.request_id) for request in requests]

    def tokens_of(self, request_id: str) -> tuple[int, ...]:
        """Return what was delivered to a request."""
        return tuple(token for delta in self.deltas if delta.request_id == request_id for token in delta.token_ids)

    def last_of(self, request_id: str) -> Delta:
        """Return a request's last delta."""
        return next(delta for delta in reversed(self.deltas) if delta.request_id == request_id)


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


def prompts(number: int, *, seed: int = 1) -> list[tuple[int, ...]]:
    """Return prompts of different lengths."""
    rng = np.random.default_rng(seed)
    return [tuple(int(t) for t in rng.integers(0, 256, size=int(rng.integers(3, 90)))) for _ in range(number)]


def ask(request_id: str, prompt: tuple[int, ...], **fields: object) -> Request:
    """Return a greedy request."""
    chosen = {"max_tokens": 24, "sampling": GREEDY, "ignore_eos": True} | fields
    return Request(request_id=request_id, prompt=prompt, **chosen)


def answer_alone(model: Model, prompt: tuple[int, ...], **fields: object) -> tuple[int, ...]:
    """Return the answer of an engine that has never seen anything else."""
    rig = Rig(model)
    (tokens,) = rig.run(ask("alone", prompt, **fields))
    rig.context.close()
    return tokens


def test_batched_answers_equal_single_ones(rig: Rig, model: Model) -> None:
    """Twelve conversations over eight places answer token by token as each does alone."""
    asked = prompts(12)

    answers = rig.run(*(ask(str(number), prompt) for number, prompt in enumerate(asked)))

    assert answers == [answer_alone(model, prompt) for prompt in asked]


def test_a_cached_turn_answers_like_a_cold_one(rig: Rig, model: Model) -> None:
    """The second and third turn of a thread reuse the first and answer as if they had not."""
    prompt = prompts(1)[0]
    for turn in range(3):
        (answer,) = rig.run(ask(f"turn {turn}", prompt, scope="thread"))

        assert answer == answer_alone(model, prompt)
        assert rig.last_of(f"turn {turn}").cached_tokens == (0 if turn == 0 else len(prompt) - 6)
        prompt = (*prompt, *answer, *range(5))


def test_a_shared_prefix_answers_like_a_cold_one(rig: Rig, model: Model) -> None:
    """Conversations that begin with the same system prompt share it and answer as if they had not."""
    system = tuple(range(40))
    asked = [(*system, *prompt) for prompt in prompts(6)]
    requests = [ask(str(n), prompt, scope=f"thread {n}", shared_length=40) for n, prompt in enumerate(asked)]
    rig.run(requests[0])

    answers = rig.run(*requests[1:])

    assert answers == [answer_alone(model, prompt) for prompt in asked[1:]]
    assert [rig.last_of(str(n)).cached_tokens for n in range(6)] == [0, 40, 40, 40, 40, 40]


def test_preempted_answers_are_complete_and_equal(model: Model) -> None:
    """When the cells run out, somebody waits; everybody's answer is the one it would have been."""
    rig = Rig(model, n_cells=256, n_slots=8)
    asked = [prompt[:10] for prompt in prompts(8)]

    answers = rig.run(*(ask(str(n), prompt, max_tokens=90) for n, prompt in enumerate(asked)))

    assert answers == [answer_alone(model, prompt, max_tokens=90) for prompt in asked]
    assert rig.loop.scheduler.preemptions > 0
    rig.context.close()


def test_cancelled_while_preempted_leaves_nothing(model: Model) -> None:
    """What was saved for a sequence that nobody wants any more is forgotten."""
    rig = Rig(model, n_cells=256, n_slots=8)
    for number, prompt in enumerate(prompts(8)):
        rig.loop.submit(ask(str(number), prompt[:10], max_tokens=90))
    while not rig.loop.scheduler.host.used:
        rig.loop.step()

    for number in range(8):
        rig.loop.cancel(str(number))
    rig.loop.step()

    assert rig.loop.scheduler.host.used == 0
    assert rig.loop.scheduler.pool.used() == 0
    rig.context.close()


def test_cancel_frees_within_one_step(rig: Rig) -> None:
    """After a cancel the next step decodes nothing for that request, and its slot serves somebody else."""
    rig.loop.submit(ask("gone", prompts(1)[0], max_tokens=1000))
    for _ in range(5):
        rig.loop.step()
    rig.loop.cancel("gone")
    before = len(rig.tokens_of("gone"))

    is_busy = rig.loop.step()

    assert not is_busy
    assert not rig.loop.scheduler.running
    assert len(rig.tokens_of("gone")) == before
    assert rig.loop.scheduler.pool.used() == 0


def test_the_cache_of_llama_cpp_agrees_with_the_count(rig: Rig) -> None:
    """After much coming and going every slot holds as many positions as the scheduler believes."""
    asked = prompts(10)
    for turn in range(3):
        rig.run(*(ask(f"{turn}.{n}", prompt, scope=f"thread {n % 4}") for n, prompt in enumerate(asked)))

    held = [rig.context.length(slot) for slot in range(rig.context.n_slots)]
    assert held == [rig.loop.scheduler.pool.length(slot) for slot in range(rig.context.n_slots)]
    assert sum(held) > 0


def test_an_end_token_ends_the_answer(rig: Rig, model: Model) -> None:
    """Without `ignore_eos` the answer stops at the model's own end token, which is counted but not shown."""
    rig.run(*(ask(str(n), prompt, max_tokens=400, ignore_eos=False) for n, prompt in enumerate(prompts(8))))
    ends = [rig.last_of(str(number)) for number in range(8)]

    stopped = [delta for delta in ends if delta.finish_reason == "stop"]
    assert stopped
    assert all(delta.token_ids[-1] in model.eog for delta in stopped)


def test_a_stop_string_ends_the_answer_and_is_not_shown(rig: Rig) -> None:
    """The text ends before the stop string, however the tokens cut it."""
    prompt = prompts(1)[0]
    rig.run(ask("free", prompt, max_tokens=60))
    text = "".join(delta.text for delta in rig.deltas)
    stop = text[10:13]

    rig.run(ask("stopped", prompt, max_tokens=60, stop=(stop,)))
    shown = "".join(delta.text for delta in rig.deltas if delta.request_id == "stopped")

    assert shown == text[: text.index(stop)]
    assert rig.last_of("stopped").finish_reason == "stop"


def test_a_resumed_answer_continues_exactly(rig: Rig) -> None:
    """Cut after any token, the rest of the answer completes text and tokens, even inside a character."""
    prompt = prompts(1)[0]
    (whole,) = rig.run(ask("whole", prompt))
    deltas = [delta for delta in rig.deltas if delta.request_id == "whole"]

    for cut in range(1, len(whole)):
        (rest,) = rig.run(ask(f"cut {cut}", (*prompt, *whole[:cut]), max_tokens=len(whole) - cut, resumed_tokens=cut))
        shown = [*deltas[:cut], *(delta for delta in rig.deltas if delta.request_id == f"cut {cut}")]

        assert whole[:cut] + rest == whole
        assert "".join(d.text for d in shown) == "".join(d.text for d in deltas)


def test_log_probabilities_are_the_models_own(rig: Rig, model: Model) -> None:
    """The greedy token is the first of the list, and the whole vocabulary's probabilities sum to one."""
    rig.run(ask("asked", prompts(1)[0], max_tokens=3, top_logprobs=model.n_vocab))

    for item in (item for delta in rig.deltas for item in delta.logprobs):
        assert item.top[0] == (item.token_id, item.logprob)
        assert sum(np.exp(value) for _, value in item.top) == pytest.approx(1.0, abs=1e-5)


def test_a_seed_decides_a_sampled_answer(rig: Rig) -> None:
    """The same seed draws the same answer, another seed another."""
    dice = [SamplingParams(temperature=1.5, top_k=0, seed=seed) for seed in (1, 1, 2)]

    first, second, third = (rig.run(ask(str(n), prompts(1)[0], sampling=d))[0] for n, d in enumerate(dice))

    assert first == second
    assert first != third


def test_shutting_down_tells_everybody(rig: Rig) -> None:
    """Nobody is left waiting when the engine stops."""
    for number, prompt in enumerate(prompts(12)):
        rig.loop.submit(ask(str(number), prompt, max_tokens=400))
    rig.loop.step()

    rig.loop.shut_down("The engine is stopping.")

    assert {delta.request_id for delta in rig.deltas if delta.error} == {str(number) for number in range(12)}


def disturb(rig: Rig, steps: int, *, seed: int) -> None:
    """Submit, step and cancel at random, with few scopes, long prompts and hardly any memory."""
    rng = np.random.default_rng(seed)
    system = tuple(range(20))
    for number in range(steps):
        if rng.random() < 0.4:
            prompt = (*system, *(int(token) for token in rng.integers(0, 3, size=int(rng.integers(1, 150)))))
            scope = ("", "a", "b", "c")[int(rng.integers(4))]
            sampling = SamplingParams(temperature=float(rng.integers(0, 2)), seed=number)
            fields = {"max_tokens": int(rng.integers(1, 60)), "sampling": sampling, "scope": scope}
            fields |= {"shared_length": int(rng.integers(0, 21)), "priority": int(rng.integers(0, 3))}
            rig.loop.submit(ask(str(number), prompt, **fields))
        if rng.random() < 0.1:
            rig.loop.cancel(str(int(rng.integers(max(1, number)))))
        rig.loop.step()
    while rig.loop.step():
        pass


@pytest.mark.parametrize("kv_unified", [True, False])
@pytest.mark.parametrize("steps", [400, pytest.param(100_000, marks=[pytest.mark.nightly, pytest.mark.timeout(3600)])])
def test_random_traffic_ends_well(model: Model, kv_unified: bool, steps: int) -> None:
    """Under pressure and cancels nobody fails, nothing is left behind, and llama.cpp holds what the count says."""
    cells, host = 512 if kv_unified else 256 * 6, HostTier(100_000)
    rig = Rig(model, n_cells=cells, n_slots=6, max_running=5, kv_unified=kv_unified, n_batch=64, host=host)

    disturb(rig, steps, seed=steps)

    assert not [delta for delta in rig.deltas if delta.error]
    assert rig.loop._answers == {}
    assert host.used == sum(len(saved.state) for saved in host._held) <= host.limit
    held = [rig.context.length(slot) for slot in range(6)]
    assert held == [rig.loop.scheduler.pool.length(slot) for slot in range(6)]
    assert rig.loop.scheduler.evictions > 0
    assert rig.loop.scheduler.slots.loads > 0
    rig.context.close()


def test_scores_survive_chunks_and_preemption(model: Model) -> None:
    """Prompts that are scored in small chunks, beside growing answers and with too few cells, are scored whole."""
    rig = Rig(model, n_cells=512, n_slots=8)
    rig.loop.scheduler._max_outputs = 13
    asked = prompts(8, seed=3)

    rig.run(
        *(ask(f"free {n}", prompt, max_tokens=60) for n, prompt in enumerate(asked)),
        *(ask(f"scored {n}", prompt, max_tokens=1, prompt_logprobs=1) for n, prompt in enumerate(asked)),
    )

    for number, prompt in enumerate(asked):
        scores = rig.last_of(f"scored {number}").prompt_logprobs
        assert [score.token_id for score in scores] == list(prompt[1:])
        assert all(score.logprob <= score.top[0][1] <= 0 for score in scores)
    rig.context.close()
