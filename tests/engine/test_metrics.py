"""What `GET /metrics` says after work that the test knows."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bot.engine.llama.model import Model, start_backend
from bot.engine.metrics import PARTS, EngineMetrics, Tally
from bot.engine.types import Request
from tests.engine.test_loop import Rig, ask, prompts


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Iterator[Model]:
    """Return the loaded tiny model."""
    start_backend()
    loaded = Model(tiny_model, n_gpu_layers=0)
    yield loaded
    loaded.close()


def read(metrics: EngineMetrics) -> dict[tuple[str, ...], float]:
    """Return every sample by its name and label values, as a scraper parses it."""
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_histogram_counts_like_prometheus() -> None:
    """A value belongs to the first bucket that reaches up to it, buckets add up, and several values count at once."""
    tally = Tally((1, 2, 4))
    for value in (0.5, 1, 1.5, 9):
        tally.observe(value)
    tally.observe(3, 5)

    assert tally.buckets() == [("1.0", 2), ("2.0", 3), ("4.0", 8), ("+Inf", 9)]
    assert tally.total == 27


def test_a_run_is_counted_exactly(model: Model) -> None:
    """Steps, tokens by kind, waits, batch fill and outcomes are what the loop did."""
    rig = Rig(model, max_running=4)
    asked = prompts(3)

    rig.run(*(ask(str(n), prompt, max_tokens=10, scope="a") for n, prompt in enumerate(asked)))
    rig.run(ask("again", asked[0], max_tokens=10, scope="a"))

    seen = read(rig.metrics)
    computed = sum(len(prompt) for prompt in asked) + 1
    assert seen["engine_tokens_total", "generated"] == 40
    assert seen["engine_tokens_total", "prompt"] == computed
    assert seen["engine_tokens_total", "cached"] == len(asked[0]) - 1
    assert seen["engine_requests_total", "length"] == 4
    assert seen[("engine_first_token_seconds_count",)] == 4
    assert seen[("engine_token_gap_seconds_count",)] == 36
    assert seen[("engine_batch_tokens_sum",)] == computed + 36
    steps = seen[("engine_batch_tokens_count",)]
    assert {seen["engine_step_seconds_count", part] for part in PARTS} == {steps}
    assert seen["engine_step_seconds_sum", "decode"] > 0
    assert 20 * 0.25 < seen[("engine_batch_fill_ratio_sum",)] <= steps
    rig.context.close()


def test_gaps_are_measured_from_token_to_token(model: Model) -> None:
    """The gaps of an answer sum to the time between its first and its last token, whoever joins or leaves meanwhile."""
    rig = Rig(model)
    rig.loop.submit(ask("long", prompts(1)[0], max_tokens=60))
    moments: list[float] = []
    rig.loop._deliver = lambda deltas: moments.extend(time.monotonic() for d in deltas if d.request_id == "long")
    for step in range(80):
        if step in {10, 30}:
            rig.loop.submit(ask(f"short {step}", (1, 2, 3), max_tokens=1))  # one token has no gap
        rig.loop.step()

    assert len(moments) == 60
    assert rig.metrics.token_gap_seconds.total == pytest.approx(moments[-1] - moments[0], abs=0.005)
    rig.context.close()


def test_the_state_follows_what_happens(model: Model) -> None:
    """Who runs and who waits, and for how long, is shown while it is so and gone when all is done."""
    rig = Rig(model, max_running=2, n_cells=256, n_slots=4)
    requests: list[Request] = [ask(str(n), prompt[:20], max_tokens=150) for n, prompt in enumerate(prompts(3))]
    rig.loop.submit(*requests)
    rig.loop.step()

    seen = read(rig.metrics)
    assert (seen["engine_running_sequences", ""], seen["engine_waiting_sequences", ""]) == (2, 1)
    assert seen["engine_kv_cells_used", ""] > 20
    assert 0 < seen["engine_queue_age_seconds", ""] < 10
    while rig.loop.step():
        pass
    rig.loop.step()

    seen = read(rig.metrics)
    assert (seen["engine_running_sequences", ""], seen["engine_waiting_sequences", ""]) == (0, 0)
    assert (seen["engine_kv_cells_used", ""], seen["engine_queue_age_seconds", ""]) == (0, 0)
    assert seen["engine_preemptions_total", ""] > 0
    assert seen["engine_swaps_total", "out", ""] == seen["engine_swaps_total", "in", ""] > 0
    assert seen["engine_host_cache_bytes", ""] == 0
    rig.context.close()
