"""What one run of the benchmark is asked for, what it has at hand for a model, and the rows that come out of it."""

import gc
import resource
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.arms import Arm, Serving, start_llama_server, start_ours, start_python_server, use_peer
from benchmarks.client import Reply
from benchmarks.figures import quantile
from benchmarks.words import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The choices of one run."""

    models: tuple[str, ...]
    workloads: tuple[str, ...]
    widths: tuple[int, ...]
    rounds: int
    prompt_tokens: int
    answer_tokens: int
    long_prompt: int
    seconds: float
    gate_prompts: int
    threads: int
    gpu_layers: int
    model_kind: str
    llama_server: Path | None
    python_server: bool
    packages: Path | None
    peer: str
    peer_key: str


@dataclass(frozen=True, slots=True)
class Row:
    """What one arm did in one turn."""

    workload: str
    model: str
    case: str
    arm: str
    round: int
    values: dict[str, float]


@dataclass(slots=True)
class Results:
    """All rows of a run, how each arm was started, and what was not measured and why."""

    rows: list[Row] = field(default_factory=list)
    configs: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Keep a row and show it, so that nobody watches an empty screen."""
        self.rows.append(row)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in row.values.items())
        print(f"  {row.workload} {row.model} {row.case} round {row.round + 1} {row.arm}: {shown}", flush=True)

    def note(self, text: str) -> None:
        """Keep a remark once."""
        if text not in self.notes:
            self.notes.append(text)
            print(f"  note: {text}", flush=True)

    def to_json(self) -> dict[str, Any]:
        """Return everything for the result file."""
        return {"configs": self.configs, "notes": self.notes, "rows": [asdict(row) for row in self.rows]}


@dataclass(frozen=True, slots=True)
class Bench:
    """One model under test, with words to ask it."""

    name: str
    plan: Plan
    serving: Serving
    words: Words
    n_ctx_train: int
    matrices: dict[str, tuple[int, int]]
    n_layers: int
    results: Results

    def sized(self, *, n_ctx: int, sequences: int) -> Serving:
        """Return how the model is served for a workload of this size."""
        return replace(self.serving, n_ctx=n_ctx, sequences=sequences)

    @asynccontextmanager
    async def arms(
        self, serving: Serving, *, workload: str, kv: Sequence[str] = ("split",)
    ) -> AsyncIterator[list[Arm]]:
        """Start every arm that was asked for, llama-server once for each kind of KV cache in *kv*."""
        plan = self.plan
        async with AsyncExitStack() as stack:
            arms = [await stack.enter_async_context(start_ours(serving))]
            if plan.llama_server:
                for kind in kv:
                    server = start_llama_server(plan.llama_server, serving, is_unified=kind == "unified")
                    arms.append(await stack.enter_async_context(server))
            if plan.peer:
                arms.append(await stack.enter_async_context(use_peer(plan.peer, plan.peer_key)))
            if plan.python_server:
                server = start_python_server(serving, target=plan.packages)
                arms.append(await stack.enter_async_context(server))
            for arm in arms:
                self.results.configs[f"{workload} {self.name} {arm.name}"] = arm.config
            yield arms

    def add(self, workload: str, case: str, arm: str, turn: int, values: dict[str, float]) -> None:
        """Keep a row of this model."""
        self.results.add(Row(workload, self.name, case, arm, turn, values))


def in_turns(items: Sequence[Any], rounds: int) -> Iterator[tuple[int, Any]]:
    """Yield each round's items, every second round in reverse: A B B A A B."""
    for turn in range(rounds):
        for item in items if turn % 2 == 0 else items[::-1]:
            yield turn, item


def summarise(replies: Sequence[Reply]) -> dict[str, float]:
    """Return a turn's figures in milliseconds and tokens a second."""
    done = [reply for reply in replies if reply.times]
    firsts = [reply.first * 1000 for reply in done]
    gaps = [gap * 1000 for reply in done for gap in reply.gaps]
    wall = max((reply.ended for reply in replies), default=0) - min((reply.began for reply in replies), default=0)
    return {
        "tokens_per_second": sum(reply.completion_tokens for reply in done) / wall if wall else 0.0,
        "decode_per_second": measure_decode(done),
        "ttft_p50": quantile(firsts, 0.5),
        "ttft_p95": quantile(firsts, 0.95),
        "ttft_max": max(firsts, default=float("nan")),
        "itl_p50": quantile(gaps, 0.5),
        "itl_p95": quantile(gaps, 0.95),
        "itl_max": max(gaps, default=float("nan")),
        "prompt_tokens": sum(reply.prompt_tokens for reply in done),
        "cached_tokens": sum(reply.cached_tokens for reply in done),
        "errors": sum(bool(reply.error) for reply in replies),
    }


def measure_decode(replies: Sequence[Reply]) -> float:
    """Return tokens a second while all streams were writing at the same time, NaN if they never were."""
    if not replies:
        return float("nan")
    start, end = max(reply.times[0] for reply in replies), min(reply.times[-1] for reply in replies)
    if end <= start:
        return float("nan")
    return sum(count_tokens(reply, after=start, until=end) for reply in replies) / (end - start)


def count_tokens(reply: Reply, *, until: float, after: float = 0.0) -> int:
    """Return how many tokens arrived in a stretch of time."""
    pairs = zip(reply.times, reply.counts, strict=True)
    return sum(count for moment, count in pairs if after < moment <= until)


@contextmanager
def quiet_client(values: dict[str, float]) -> Iterator[None]:
    """Keep the collector out of a turn, and note which share of a core the client took."""
    gc.collect()
    gc.disable()
    wall, used = time.perf_counter(), _own_seconds()
    try:
        yield
    finally:
        gc.enable()
        values["client_core"] = (_own_seconds() - used) / (time.perf_counter() - wall)


def _own_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
