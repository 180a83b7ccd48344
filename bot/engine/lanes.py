"""The base model and its adapters side by side: one context and one loop each, stepped in turn by one thread.

A context computes with one adapter for its whole life, so that no key or value of one is ever read by another, and
nothing is rebuilt when requests for different adapters take turns. Adapters are loaded and freed by another thread,
one at a time, while this one goes on; llama.cpp allows that for contexts that are not in use.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bot.engine.batching.host_tier import HostTier, choose_limit
from bot.engine.embedder import Embedder
from bot.engine.llama.adapter import Adapter
from bot.engine.llama.context import Context
from bot.engine.loaded import LoadedModel
from bot.engine.loop import Deliver, EngineLoop
from bot.engine.machine.hardware import read_free_memory
from bot.engine.metrics import EngineMetrics
from bot.engine.types import EngineOptions
from bot.errors import EngineError

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
MIN_STALL_SECONDS, MAX_STALL_SECONDS, SLACK = 15.0, 120.0, 20.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One served name: a loop over a context, and the adapter that it computes with, if any."""

    name: str
    loop: EngineLoop
    context: Context
    adapter: Adapter | None = None


class Lanes:
    """The engine thread's work; `call` is the way in from other threads."""

    def __init__(
        self, options: EngineOptions, loaded: LoadedModel, *, deliver: Deliver, metrics: EngineMetrics
    ) -> None:
        self.beat = time.monotonic()
        self._options = options
        self._loaded = loaded
        self._deliver = deliver
        self._metrics = metrics
        self._bell = threading.Event()
        free = max(0, read_free_memory() - loaded.model.size)  # a mapped file counts as free although it is in use
        self._host = HostTier(choose_limit(options.host_cache_bytes, free=free))
        log.info("Idle conversations may keep %d MiB of host memory beside the KV cache.", self._host.limit >> 20)
        self._embedder = Embedder(loaded)
        self._tasks: deque[Callable[[], None]] = deque()
        self._is_closed = False
        self._has_ended = False
        self.base = self._build(loaded.facts.name, loaded.context, None)
        self._open = [self.base]

    def open(self, name: str, path: Path) -> Lane:
        """Load an adapter that was tried before, with a context; for the one thread that loads, or before `run`."""
        adapter = Adapter(self._loaded.model, path)
        try:
            context = self._loaded.build_context(adapter)
        except Exception:
            adapter.close()
            raise
        return self._build(name, context, adapter)

    def begin(self, lane: Lane) -> "Future[None]":
        """Step *lane* from now on; callable from any thread."""
        return self._call(lambda: self._open.append(lane))

    def close(self, lane: Lane) -> None:
        """Free an adapter whose last request has ended; for the one thread that loads."""
        self._call(lambda: self._end(lane)).result()
        _free(lane)

    def forget(self, scope: str) -> None:
        """Keep nothing of a scope in any lane's memory; callable from any thread."""
        for lane in tuple(self._open):
            lane.loop.forget(scope)

    def embed(self, tokens: Sequence[int]) -> "Future[list[float]]":
        """Return the vector of a text; callable from any thread."""
        return self._call(lambda: self._embed(tokens))

    def _embed(self, tokens: Sequence[int]) -> list[float]:
        self.beat = time.monotonic()  # many texts at once are many signs of life
        return self._embedder.embed(tokens)

    @property
    def is_stalled(self) -> bool:
        """Whether a step takes so long that it will never end: longer by far than the model's speed explains."""
        steps = [lane.loop.longest_step for lane in tuple(self._open)]
        longest = sum(SLACK * step if step else MAX_STALL_SECONDS for step in steps)
        return time.monotonic() - self.beat > min(MAX_STALL_SECONDS, max(MIN_STALL_SECONDS, longest))

    def end(self) -> None:
        """Let `run` return after the current steps; callable from any thread."""
        self._is_closed = True
        self._bell.set()

    def run(self) -> None:
        """Step every lane in turn until ended; sleep while there is nothing to do."""
        while not self._is_closed:
            self.beat = time.monotonic()
            self._bell.clear()
            self._work_off()
            is_busy = [lane.loop.step() for lane in self._open]
            if not any(is_busy) and not self._tasks:
                self._bell.wait(IDLE_SECONDS)

    def shut_down(self, reason: str) -> None:
        """Tell every open request why it ends, and whoever calls that it is too late; the thread does this last."""
        for lane in self._open:
            lane.loop.shut_down(reason)
        self._has_ended = True
        self._work_off()

    def free(self) -> None:
        """Free every adapter; the model itself is the caller's."""
        self._embedder.close()
        for lane in self._open[1:]:
            _free(lane)

    def _call(self, function: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            if self._has_ended:
                future.set_exception(EngineError("The engine is stopping."))
                return
            try:
                future.set_result(function())
            except Exception as error:  # noqa: BLE001 - it is the caller's, who waits in another thread
                future.set_exception(error)

        self._tasks.append(task)
        self._bell.set()
        if self._has_ended:
            self._work_off()
        return future

    def _work_off(self) -> None:
        with suppress(IndexError):  # another thread may take the last one
            while True:
                self._tasks.popleft()()

    def _build(self, name: str, context: Context, adapter: Adapter | None) -> Lane:
        loop = EngineLoop(
            self._loaded.model,
            context,
            max_running=self._options.max_sequences,
            deliver=self._deliver,
            metrics=self._metrics,
            name=name,
            host=self._host,
            bell=self._bell,
        )
        return Lane(name, loop, context, adapter)

    def _end(self, lane: Lane) -> None:
        lane.loop.shut_down("The adapter was unloaded.")
        if lane in self._open:
            self._open.remove(lane)
        if lane.name not in {other.name for other in self._open}:
            self._metrics.forget(lane.name)


def _free(lane: Lane) -> None:
    lane.context.close()
    if lane.adapter:
        lane.adapter.close()
