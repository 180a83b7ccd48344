"""Prints how long a decode step of the engine is busy outside llama.cpp: `python -m benchmarks.host_time`.

The loop runs as it does in the engine, with nobody to deliver to; what `llama_decode`, `llama_synchronize` and
`llama_sampler_sample` take is measured inside them and taken off.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import llama_cpp

from bot.engine.llama.context import Context
from bot.engine.llama.model import Model, start_backend
from bot.engine.loop import EngineLoop
from bot.engine.metrics import EngineMetrics
from bot.engine.types import Request, SamplingParams

COMPUTING = ("llama_decode", "llama_synchronize", "llama_sampler_sample")
STARTER = Path(__file__).parent.parent / "bot" / "models" / "starter.gguf"
PROMPT = 16
WARM_UP = 20


class Clock:
    """Adds up what is spent inside llama.cpp."""

    def __init__(self) -> None:
        self.seconds = 0.0
        for name in COMPUTING:
            setattr(llama_cpp, name, self._timed(getattr(llama_cpp, name)))

    def _timed(self, function: Callable[..., int]) -> Callable[..., int]:
        def call(*arguments: object) -> int:
            begun = time.perf_counter()
            value = function(*arguments)
            self.seconds += time.perf_counter() - begun
            return value

        return call


def measure(model: Model, clock: Clock, *, sequences: int, steps: int) -> tuple[float, float]:
    """Return the medians of a step's whole time and of its time outside llama.cpp, in milliseconds."""
    cells = sequences * (PROMPT + steps + WARM_UP + 8)
    context = Context(model, n_cells=cells, n_slots=4 * sequences, n_batch=512, kv_unified=True, threads=1)
    loop = EngineLoop(
        model, context, max_running=sequences, deliver=lambda _: None, metrics=EngineMetrics(), name=model.path.stem
    )
    for number in range(sequences):
        prompt = tuple(range(number, number + PROMPT))
        sampling = SamplingParams(temperature=0.7, top_p=0.95, seed=number)
        length = steps + WARM_UP
        loop.submit(
            Request(request_id=str(number), prompt=prompt, max_tokens=length, sampling=sampling, ignore_eos=True)
        )
    totals, hosts = [], []
    for step in range(steps + WARM_UP - 1):
        inside, begun = clock.seconds, time.perf_counter()
        loop.step()
        total = time.perf_counter() - begun
        if step >= WARM_UP:
            totals.append(total)
            hosts.append(total - (clock.seconds - inside))
    context.close()
    return statistics.median(totals) * 1e3, statistics.median(hosts) * 1e3


def main() -> None:
    """Measure every width and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=STARTER)
    parser.add_argument("--sequences", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--steps", type=int, default=200)
    chosen = parser.parse_args()
    start_backend()
    model = Model(chosen.model, n_gpu_layers=0)
    clock = Clock()
    print(f"{chosen.model.name}, one thread, medians of {chosen.steps} steps, ms")
    print("sequences   step  outside C")
    for sequences in chosen.sequences:
        total, host = measure(model, clock, sequences=sequences, steps=chosen.steps)
        print(f"{sequences:9d} {total:6.2f}  {host:9.3f}")
    model.close()


if __name__ == "__main__":
    main()
