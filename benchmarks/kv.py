"""Prints what a decode step costs under shared and split KV cells, with and without flash attention.

`python -m benchmarks.kv` measures the starter and a random model of a real shape. The processor's time of the
computing thread is counted, so that other work on the machine disturbs little; each figure is the median of several
rounds in turns.
"""

import argparse
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.random_model import Shape, write_random_model
from bot.engine.llama import Context, Model, start_backend

STARTER = Path(__file__).parent.parent / "bot" / "models" / "starter.gguf"
STEPS = 8
BATCH = 256
KINDS = tuple(product((True, False), ("on", "off")))


def measure(model: Model, *, sequences: int, live: int, idle: int, kind: tuple[bool, str]) -> float:
    """Return the milliseconds of a step for *sequences* that hold *live* tokens each beside one slot of *idle* ones."""
    unified, flash = kind
    slots = sequences + bool(idle)
    room = live + STEPS + 2
    cells = sequences * room + idle if unified else slots * max(room, idle)
    context = Context(
        model, n_cells=cells, n_slots=slots, n_batch=BATCH, kv_unified=unified, threads=1, flash_attention=flash
    )
    if idle:
        fill(context, sequences, idle)
    for slot in range(sequences):
        fill(context, slot, live)
    took = []
    for step in range(STEPS):
        token = np.array([200 + step], dtype=np.int32)
        context.build([(slot, token, live + step, 1) for slot in range(sequences)])
        begun = time.thread_time()
        if context.compute():
            raise RuntimeError("llama.cpp could not decode")
        took.append(time.thread_time() - begun)
    context.close()
    return statistics.median(took) * 1000


def fill(context: Context, slot: int, length: int) -> None:
    """Compute *length* tokens into a slot."""
    for start in range(0, length, BATCH):
        count = min(BATCH, length - start)
        tokens = np.arange(start, start + count, dtype=np.int32) % 190
        if context.decode([(slot, tokens, start, 0)]):
            raise RuntimeError("llama.cpp could not decode")


def report(path: Path, *, widths: list[int], live: int, idle: int, rounds: int) -> None:
    """Measure one model and print its table."""
    model = Model(path, n_gpu_layers=0)
    print(f"\n{path.name}, {live} tokens a sequence, one thread: ms of processor time a step")
    print("sequences  idle   " + "".join(f"{name_of(kind):>22}" for kind in KINDS))
    for sequences, beside in [(width, 0) for width in widths] + [(width, idle) for width in widths if width <= 4]:
        found: dict[tuple[bool, str], list[float]] = {kind: [] for kind in KINDS}
        for turn, kind in product(range(rounds), KINDS):
            found[KINDS[(KINDS.index(kind) + turn) % len(KINDS)]].append(
                measure(
                    model,
                    sequences=sequences,
                    live=live,
                    idle=beside,
                    kind=KINDS[(KINDS.index(kind) + turn) % len(KINDS)],
                )
            )
        print(f"{sequences:9d} {beside:5d}   " + "".join(f"{statistics.median(found[kind]):22.2f}" for kind in KINDS))
    model.close()


def name_of(kind: tuple[bool, str]) -> str:
    """Return a column's title."""
    return f"{'shared' if kind[0] else 'split'}, flash {kind[1]}"


def main() -> None:
    """Measure both models, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, nargs="*", default=[])
    parser.add_argument("--sequences", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--live", type=int, default=300)
    parser.add_argument("--idle", type=int, default=7000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    start_backend()
    with tempfile.TemporaryDirectory() as folder:
        paths = chosen.model or [STARTER, write_random_model(Path(folder) / "30x576.gguf", shape=Shape())]
        for path in paths:
            report(path, widths=chosen.sequences, live=chosen.live, idle=chosen.idle, rounds=chosen.rounds)


if __name__ == "__main__":
    main()
