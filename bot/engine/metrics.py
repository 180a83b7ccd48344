"""What the engine measures about itself, for `GET /metrics`.

Plain numbers that only the engine's thread adds to, turned into Prometheus' form when somebody asks: an observation
then costs a fraction of a microsecond, and there are several for every token.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

PARTS = ("build", "decode", "sample", "deliver")
STEP_BUCKETS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
WAIT_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TOKEN_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
FILL_BUCKETS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1)


class Tally:
    """A histogram."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value in the first bucket that reaches up to it."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def buckets(self) -> list[tuple[str, float]]:
        """Return how many values lie at or below each bound, as Prometheus wants them."""
        names = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        below = 0
        found = []
        for name, count in zip(names, self.counts, strict=True):
            below += count
            found.append((name, float(below)))
        return found


@dataclass(slots=True)
class LaneState:
    """How one served model or adapter stands; *oldest_wait* is the moment since when somebody waits for a place."""

    running: int = 0
    waiting: int = 0
    cells_used: int = 0
    host_bytes: int = 0
    oldest_wait: float | None = None
    preemptions: int = 0
    evictions: int = 0
    swapped_out: int = 0
    swapped_in: int = 0


GAUGES = (
    ("running", "running_sequences", "Sequences in the batch."),
    ("waiting", "waiting_sequences", "Sequences that wait for a slot."),
    ("cells_used", "kv_cells_used", "Cells of the KV cache in use, caches included."),
    ("host_bytes", "host_cache_bytes", "Bytes of keys and values that are kept in host memory."),
)
COUNTERS = (
    ("preemptions", "preemptions", "Sequences that gave their cells to others."),
    ("evictions", "evictions", "Cached slots that were cleared for others."),
)


class EngineMetrics(Collector):
    """The engine's numbers; each belongs to this object, so that two engines in one process stay apart."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.step_seconds = {part: Tally(STEP_BUCKETS) for part in PARTS}
        self.first_token_seconds = Tally(WAIT_BUCKETS)
        self.token_gap_seconds = Tally(STEP_BUCKETS)
        self.batch_tokens = Tally(TOKEN_BUCKETS)
        self.batch_fill = Tally(FILL_BUCKETS)
        self.tokens: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self._lanes: dict[str, LaneState] = {}

    def lane(self, model: str) -> LaneState:
        """Return where the loop of a served model or adapter writes how it stands."""
        return self._lanes.setdefault(model, LaneState())

    def forget(self, model: str) -> None:
        """Take the numbers of an unloaded adapter out."""
        self._lanes.pop(model, None)

    def collect(self) -> Iterator[Metric]:
        """Yield everything in Prometheus' form; the registry calls it from another thread than the engine's."""
        yield self._show_steps()
        for name, text, tally in (
            ("first_token_seconds", "From a request's arrival to its first token.", self.first_token_seconds),
            ("token_gap_seconds", "From one token of an answer to its next.", self.token_gap_seconds),
            ("batch_tokens", "Tokens decoded together.", self.batch_tokens),
            ("batch_fill_ratio", "Sequences in a step as a share of the places.", self.batch_fill),
        ):
            yield HistogramMetricFamily(f"engine_{name}", text, buckets=tally.buckets(), sum_value=tally.total)
        yield _count("tokens", "Prompt tokens computed or cached, and tokens generated.", "kind", self.tokens)
        yield _count("requests", "Finished requests by outcome.", "outcome", self.requests)
        yield from self._show_lanes(dict(self._lanes), now=time.monotonic())

    def _show_steps(self) -> Metric:
        family = HistogramMetricFamily("engine_step_seconds", "Time of one step by part.", labels=["part"])
        for part, tally in self.step_seconds.items():
            family.add_metric([part], tally.buckets(), tally.total)
        return family

    @staticmethod
    def _show_lanes(lanes: dict[str, LaneState], *, now: float) -> Iterator[Metric]:
        for field, name, text in GAUGES:
            gauge = GaugeMetricFamily(f"engine_{name}", text, labels=["model"])
            for model, state in lanes.items():
                gauge.add_metric([model], getattr(state, field))
            yield gauge
        for field, name, text in COUNTERS:
            counter = CounterMetricFamily(f"engine_{name}", text, labels=["model"])
            for model, state in lanes.items():
                counter.add_metric([model], getattr(state, field))
            yield counter
        age = GaugeMetricFamily(
            "engine_queue_age_seconds", "For how long the first in the queue has waited.", labels=["model"]
        )
        swaps = CounterMetricFamily(
            "engine_swaps", "Slots saved to host memory and loaded back.", labels=["model", "direction"]
        )
        for model, state in lanes.items():
            waited = 0.0 if state.oldest_wait is None else max(0.0, now - state.oldest_wait)
            age.add_metric([model], waited)
            swaps.add_metric([model, "out"], state.swapped_out)
            swaps.add_metric([model, "in"], state.swapped_in)
        yield age
        yield swaps


def _count(name: str, text: str, label: str, counts: Counter[str]) -> Metric:
    family = CounterMetricFamily(f"engine_{name}", text, labels=[label])
    for value, count in dict(counts).items():
        family.add_metric([value], count)
    return family
