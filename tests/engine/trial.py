"""Loads files that may be anything and computes with them, each in a process of its own under limits.

Run as `python -m tests.engine.trial`; reads paths, one a line, and writes one JSON line for each: how the process
ended, what it said, and how long it took. The libraries are loaded once; every file gets a fork.
"""

import contextlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bot.engine.llama.model import Model, start_backend
from bot.engine.loaded import build_context, plan_model, warm_up
from bot.engine.types import EngineOptions
from bot.errors import EngineError

MEMORY_BYTES = 3 * 1024**3
SECONDS = 10


def main() -> None:
    """Try every file that is named on standard input."""
    start_backend()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(try_apart(Path(line.rstrip("\n")))) + "\n")
        sys.stdout.flush()


def try_apart(path: Path) -> dict[str, object]:
    """Try one file in a fork; return its exit code (negative for a signal) and its last words."""
    reading, writing = os.pipe()
    started = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        child = os.fork()
        if not child:
            os.close(reading)
            os.dup2(errors.fileno(), 2)
            os._exit(try_here(path, writing))
        os.close(writing)
        said = read_all(reading, started + SECONDS)
        with contextlib.suppress(ProcessLookupError):
            if said is None:
                os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(reading)
        errors.seek(0)
        last = errors.read().decode("utf-8", "replace").strip()[-500:]
    seconds = time.monotonic() - started
    return {"code": code, "said": said or last, "is_hung": said is None, "seconds": seconds}


def read_all(reading: int, deadline: float) -> str | None:
    """Return what comes until the end; None if the time is over before."""
    parts = []
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        part = os.read(reading, 65536)
        if not part:
            return b"".join(parts).decode("utf-8", "replace")
        parts.append(part)


def try_here(path: Path, writing: int) -> int:
    """Load and compute as the engine does; 0 when it can be served, 1 with a sentence when it is refused."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "ASAN_OPTIONS" not in os.environ:  # AddressSanitizer reserves terabytes
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    said, code = "served", 0
    try:
        compute(path)
    except EngineError as error:
        said, code = str(error), 1
    except BaseException as error:  # noqa: BLE001 - whatever it is, the test wants to read it
        said, code = f"{type(error).__name__}: {error}", 2
    os.write(writing, said.encode("utf-8", "replace")[:60_000])
    return code


def compute(path: Path) -> None:
    """Do with the model in *path* what the engine does before it is ready, and decode a few tokens more."""
    options = EngineOptions(model_path=path, threads=1, max_sequences=2, n_gpu_layers=0, n_ctx=64)
    plan = plan_model(options)
    model = Model(path, n_gpu_layers=0)
    context = build_context(options, model, fit=plan.fit)
    warm_up(model, context)
    control = model.control_tokens()
    tokens = model.tokenize("Hello " + "".join(control), add_special=True, parse_special=True)[: context.n_batch]
    if tokens and context.decode([(0, np.array(tokens, dtype=np.int32), 0, 1)]) == 0:
        context.logits(len(tokens) - 1).argmax()


if __name__ == "__main__":
    main()
