"""The base model and its adapters side by side: one context and one loop each, stepped in turn by one thread.

A context computes with one adapter for its whole life, so that no key or value of one is ever read by another, and
nothing is rebuilt when requests for different adapters take turns.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bot.engine.hardware import read_free_memory
from bot.engine.host_tier import HostTier, choose_limit
from bot.engine.llama import Adapter, Context
from bot.engine.loaded import LoadedModel
from bot.engine.loop import Deliver, EngineLoop
from bot.engine.metrics import EngineMetrics
from bot.engine.types import EngineOptions

IDLE_SECONDS = 1.0
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
        self._host = HostTier(choose_limit(options.host_cache_bytes, free=read_free_memory()))
        self._tasks: deque[Callable[[], None]] = deque()
        self._is_closed = False
        self.base = self._build(loaded.facts.name, loaded.context, None)
        self._open = [self.base]

    def open(self, name: str, path: Path) -> "Future[Lane]":
        """Load an adapter that was tried before and give it a context; callable from any thread."""
        return self._call(lambda: self._add(name, path))

    def close(self, lane: Lane) -> "Future[None]":
        """Free an adapter whose last request has ended; callable from any thread."""
        return self._call(lambda: self._remove(lane))

    def end(self) -> None:
        """Let `run` return after the current steps; callable from any thread."""
        self._is_closed = True
        self._bell.set()

    def run(self) -> None:
        """Step every lane in turn until ended; sleep while there is nothing to do."""
        while not self._is_closed:
            self.beat = time.monotonic()
            self._bell.clear()
            while self._tasks:
                self._tasks.popleft()()
            is_busy = [lane.loop.step() for lane in self._open]
            if not any(is_busy) and not self._tasks:
                self._bell.wait(IDLE_SECONDS)

    def shut_down(self, reason: str) -> None:
        """Tell every open request why it ends; the thread calls this last."""
        for lane in self._open:
            lane.loop.shut_down(reason)

    def free(self) -> None:
        """Free every adapter; the model itself is the caller's."""
        for lane in self._open[1:]:
            lane.context.close()
            if lane.adapter:
                lane.adapter.close()

    def _call(self, function: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except Exception as error:  # noqa: BLE001 - it is the caller's, who waits in another thread
                future.set_exception(error)

        self._tasks.append(task)
        self._bell.set()
        return future

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

    def _add(self, name: str, path: Path) -> Lane:
        adapter = Adapter(self._loaded.model, path)
        try:
            lane = self._build(name, self._loaded.build_context(adapter), adapter)
        except Exception:
            adapter.close()
            raise
        self._open.append(lane)
        return lane

    def _remove(self, lane: Lane) -> None:
        lane.loop.shut_down("The adapter was unloaded.")
        self._open.remove(lane)
        lane.context.close()
        if lane.adapter:
            lane.adapter.close()
        if lane.name not in {other.name for other in self._open}:
            self._metrics.forget(lane.name)
