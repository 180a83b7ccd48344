"""What the engine measures about itself, for `GET /metrics`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

STEP_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
WAIT_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
GAUGES = (
    ("preemptions", "preemptions", "Sequences that gave their cells to older ones."),
    ("evictions", "evictions", "Cached slots that were cleared for others."),
    ("running", "running_sequences", "Sequences in the batch."),
    ("waiting", "waiting_sequences", "Sequences that wait for a slot."),
    ("cells_used", "kv_cells_used", "Cells of the KV cache in use, caches included."),
)


class EngineMetrics:
    """The engine's counters; each belongs to this object, so that two engines in one process stay apart."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.step_seconds = Histogram(
            "engine_step_seconds", "Time of one step by part.", ["part"], buckets=STEP_BUCKETS, registry=self.registry
        )
        self.first_token_seconds = Histogram(
            "engine_first_token_seconds",
            "From a request's arrival to its first token.",
            buckets=WAIT_BUCKETS,
            registry=self.registry,
        )
        self.token_gap_seconds = Histogram(
            "engine_token_gap_seconds",
            "From one token of an answer to its next.",
            buckets=STEP_BUCKETS,
            registry=self.registry,
        )
        self.batch_tokens = Histogram(
            "engine_batch_tokens",
            "Tokens decoded together.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048),
            registry=self.registry,
        )
        self.tokens = Counter(
            "engine_tokens", "Prompt tokens computed or cached, and tokens generated.", ["kind"], registry=self.registry
        )
        self.requests = Counter("engine_requests", "Finished requests by outcome.", ["outcome"], registry=self.registry)
        self._gauges = {name: self._gauge(f"engine_{wire_name}", text) for name, wire_name, text in GAUGES}

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(name, documentation, ["model"], registry=self.registry)

    def show_state(self, model: str, **values: int) -> None:
        """Set the gauges of one served model or adapter."""
        for name, value in values.items():
            self._gauges[name].labels(model).set(value)

    def forget(self, model: str) -> None:
        """Take the gauges of an unloaded adapter out."""
        for gauge in self._gauges.values():
            gauge.remove_by_labels({"model": model})
