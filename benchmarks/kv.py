"""Prints what a decode step costs under shared and split KV cells, with and without flash attention.

`python -m benchmarks.kv` measures the starter and a random model of a real shape. What counts is the time that the
processor worked for the computing thread, so that other work on the machine disturbs less.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.random_model import Shape, write_random_model
from bot.engine.llama.context import Context
from bot.engine.llama.model import Model, start_backend

STARTER = Path(__file__).parent.parent / "bot" / "models" / "starter.gguf"
KINDS = tuple(product((True, False), ("on", "off")))
STEPS, BATCH, LIVE = 8, 256, 300
TALK = LIVE + 8 * STEPS
Figures = dict[str, list[float]]


class Cache:
    """One KV cache with sequences that grow."""

    def __init__(self, model: Model, *, kind: tuple[bool, str], slots: int, idle: int) -> None:
        is_unified, flash = kind
        cells = slots * TALK + idle if is_unified else (slots + bool(idle)) * max(TALK, idle)
        self.context = Context(
            model,
            n_cells=cells,
            n_slots=slots + bool(idle),
            n_batch=BATCH,
            kv_unified=is_unified,
            threads=1,
            flash_attention=flash,
        )
        self._lengths = dict.fromkeys(range(slots + bool(idle)), 0)
        if idle:
            self.fill(slots, idle)

    def fill(self, slot: int, length: int) -> None:
        """Bring a slot to *length* tokens."""
        while (start := self._lengths[slot]) < length:
            tokens = np.arange(start, min(start + BATCH, length), dtype=np.int32) % 190
            self._decode([(slot, tokens, start, 0)])
            self._lengths[slot] += len(tokens)

    def measure(self, slots: Sequence[int]) -> float:
        """Return the milliseconds of a step in which each of *slots* grows by a token."""
        token = np.array([200], dtype=np.int32)
        took = []
        for _ in range(STEPS):
            took.append(self._decode([(slot, token, self._lengths[slot], 1) for slot in slots]))
            for slot in slots:
                self._lengths[slot] += 1
        return statistics.median(took) * 1000

    def _decode(self, pieces: list[tuple[int, np.ndarray, int, int]]) -> float:
        self.context.build(pieces)
        begun = time.thread_time()
        if self.context.compute():
            raise RuntimeError("llama.cpp could not decode")
        return time.thread_time() - begun


def measure_kind(model: Model, kind: tuple[bool, str], *, idle: int) -> Figures:
    """Return the figures of one kind: more and more sequences, then neighbours that are not, then idle ones beside."""
    found: Figures = {}
    cache = Cache(model, kind=kind, slots=16, idle=0)
    for width in (1, 4, 8, 16):
        for slot in range(width):
            cache.fill(slot, LIVE)
        found[f"{width} sequences"] = [cache.measure(range(width))]
    found["8 of them, every other slot"] = [cache.measure(range(0, 16, 2))]
    cache.context.close()
    cache = Cache(model, kind=kind, slots=4, idle=idle)
    for width in (1, 4):
        for slot in range(width):
            cache.fill(slot, LIVE)
        found[f"{width} beside {idle} idle tokens"] = [cache.measure(range(width))]
    cache.context.close()
    return found


def report(path: Path, *, idle: int, rounds: int) -> None:
    """Measure one model in turns and print its table."""
    model = Model(path, n_gpu_layers=0)
    idle = min(idle, model.n_ctx_train)
    tables: list[Figures] = [{} for _ in KINDS]
    for _ in range(rounds):
        for kind, table in zip(KINDS, tables, strict=True):
            for name, values in measure_kind(model, kind, idle=idle).items():
                table.setdefault(name, []).extend(values)
    model.close()
    print(f"\n{path.name}, {LIVE} tokens a sequence, one thread: ms of the processor for a step, median of {rounds}")
    titles = [f"{'shared' if is_unified else 'split'}, flash {flash}" for is_unified, flash in KINDS]
    print(" " * 30 + "".join(f"{title:>18}" for title in titles))
    for name in tables[0]:
        print(f"{name:30}" + "".join(f"{statistics.median(table[name]):18.2f}" for table in tables), flush=True)


def main() -> None:
    """Measure both models, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, nargs="*", default=[])
    parser.add_argument("--idle", type=int, default=7000)
    parser.add_argument("--rounds", type=int, default=2)
    chosen = parser.parse_args()
    start_backend()
    with tempfile.TemporaryDirectory() as folder:
        paths = chosen.model or [STARTER, write_random_model(Path(folder) / "30x576.gguf", shape=Shape())]
        for path in paths:
            report(path, idle=chosen.idle, rounds=chosen.rounds)


if __name__ == "__main__":
    main()
