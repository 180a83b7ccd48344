"""The starter model and an adapter over it, side by side with one host tier, stepped by the test itself."""

import random
from pathlib import Path

from bot.engine.batching.host_tier import HostTier
from bot.engine.llama.adapter import Adapter
from bot.engine.llama.context import Context
from bot.engine.llama.model import Model, start_backend
from bot.engine.loop import EngineLoop
from bot.engine.metrics import EngineMetrics
from bot.engine.types import Delta, Request, SamplingParams
from tests.engine.tiny_adapter import write_tiny_adapter

STARTER = Path(__file__).parents[2] / "bot" / "models" / "starter.gguf"
GREEDY = SamplingParams(temperature=0)
SYLLABLES = [left + right for left in "bdfghklmnprstvwz" for right in "aeiou"]


class Lane:
    """One context with its loop, as `lanes.py` has them."""

    def __init__(
        self, model: Model, adapter: Adapter | None, *, deltas: list[Delta], host: HostTier, running: int, **fields
    ) -> None:
        chosen = {"n_cells": 512, "n_slots": 8, "n_batch": 64, "kv_unified": True, "threads": 1} | fields
        self.context = Context(model, **chosen)
        self.context.attach(adapter)
        self.loop = EngineLoop(
            model, self.context, max_running=running, deliver=deltas.extend, metrics=EngineMetrics(), host=host
        )

    def held(self) -> list[tuple[int, int]]:
        """Return how many positions each slot holds, by llama.cpp and by the scheduler's count."""
        pool = self.loop.scheduler.pool
        return [(self.context.length(slot), pool.length(slot)) for slot in range(self.context.n_slots)]


class LanesRig:
    """The base model's lane and the adapter's."""

    def __init__(self, folder: Path, *, host_bytes: int = 0, running: int = 4, **fields) -> None:
        start_backend()
        self.model = Model(STARTER, n_gpu_layers=0)
        targets = ("attn_q.weight", "attn_output.weight")
        path = write_tiny_adapter(folder / "adapter.gguf", width=256, layers=5, strength=0.05, targets=targets)
        self.adapter = Adapter(self.model, path)
        self.deltas: list[Delta] = []
        self.host = HostTier(host_bytes)
        shared = {"deltas": self.deltas, "host": self.host, "running": running, **fields}
        self.lanes = [Lane(self.model, None, **shared), Lane(self.model, self.adapter, **shared)]

    def step(self) -> bool:
        """Step both lanes once; return whether there is more to do."""
        is_busy = [lane.loop.step() for lane in self.lanes]  # both of them, always
        return any(is_busy)

    def run(self) -> None:
        """Step until nobody waits or answers."""
        while self.step():
            pass

    def take(self) -> dict[str, list[Delta]]:
        """Return what was delivered since the last call, by request."""
        found: dict[str, list[Delta]] = {}
        for delta in self.deltas:
            found.setdefault(delta.request_id, []).append(delta)
        self.deltas.clear()
        return found

    def answer(self, request: Request, *, lane: int = 0) -> list[Delta]:
        """Answer one request alone."""
        self.lanes[lane].loop.submit(request)
        self.run()
        return self.take()[request.request_id]

    def close(self) -> None:
        """Free everything in the order that llama.cpp needs."""
        for lane in self.lanes:
            lane.loop.shut_down("The test is over.")
            lane.context.close()
        self.adapter.close()
        self.model.close()


def tokens_of(deltas: list[Delta]) -> tuple[int, ...]:
    """Return the tokens of an answer."""
    return tuple(token for delta in deltas for token in delta.token_ids)


def make_word(rng: random.Random) -> str:
    """Return a word that nobody knows and the starter model can repeat."""
    return "".join(rng.choice(SYLLABLES) for _ in range(4)).capitalize()
