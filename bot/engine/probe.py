"""Tries an adapter in a process of its own, because some adapters end the process that computes with them.

Run as `python -m bot.engine.probe MODEL ADAPTER MANNER`; the last line it writes is a JSON object: the adapter's
metadata, or the reason for which it must not be served. Reads two files and nothing else.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bot.engine.llama.adapter import Adapter
from bot.engine.llama.context import Context
from bot.engine.llama.model import Model, start_backend
from bot.errors import ModelFileError

KNOWN_KEYS = ("apprentice.base_sha256",)
PROMPT_TOKENS, GROWN_TOKENS = 48, 16
PRIORITY = 10


def main(model_path: str, adapter_path: str, manner: str) -> int:
    """Try and report; the exit code is 0 whenever there is a report."""
    step_back(is_idle=manner == "idle")
    start_backend()
    try:
        report = try_adapter(Path(model_path), Path(adapter_path))
    except (ModelFileError, ValueError) as error:
        report = {"reason": str(error)}
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


def step_back(*, is_idle: bool) -> None:
    """Let the serving process go first: for the processor, by all means if *is_idle*, and when memory runs out."""
    os.nice(PRIORITY)
    with suppress(OSError):
        if is_idle and sys.platform == "linux":
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            # Where Linux shares time out by session, one of its own would count as much as any other.
            Path("/proc/self/autogroup").write_text("19")
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def try_adapter(model_path: Path, adapter_path: Path) -> dict[str, object]:
    """Compute without, with and again without the adapter; return its metadata or what is wrong with it."""
    model = Model(model_path, n_gpu_layers=0, is_repacked=False)
    adapter = Adapter(model, adapter_path)
    context = Context(model, n_cells=256, n_slots=1, n_batch=64, kv_unified=True, threads=1)
    before = compute(model, context)
    context.attach(adapter)
    tried = compute(model, context)
    context.attach(None)
    after = compute(model, context)
    if not np.isfinite(tried).all():
        return {"reason": "with it the model computes no numbers (NaN or infinity)"}
    if not np.array_equal(before, after):
        return {"reason": "the model computes something else after it was taken away"}
    return {
        "metadata": {key: adapter.metadata(key) for key in KNOWN_KEYS},
        "changes": not np.array_equal(before, tried),
    }


def compute(model: Model, context: Context) -> NDArray[np.float32]:
    """Return the logits of a prompt that spans the vocabulary and of the likeliest tokens after it."""
    context.trim(0, 0)
    tokens = np.linspace(0, model.n_vocab - 1, PROMPT_TOKENS).astype(np.int32)
    rows, position = [], 0
    for _ in range(GROWN_TOKENS + 1):
        if context.decode([(0, tokens, position, 1)]):
            raise ValueError("llama.cpp cannot decode with it")
        rows.append(context.logits(len(tokens) - 1).copy())
        position += len(tokens)
        tokens = np.array([int(np.argmax(rows[-1]))], dtype=np.int32)
    return np.stack(rows)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
