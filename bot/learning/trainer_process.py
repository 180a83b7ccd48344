"""The trainer as the bot sees it: a process of low priority that is held still while people wait for answers.

It gets a run folder and nothing else: no secrets, no database, no tokens, almost no environment.
"""

import asyncio
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path

from bot.errors import LearningError
from bot.learning.plan import PAUSE, Outcome, Plan, Progress

STARTS = 3
LOOK_S = 0.2
GRACE_S = 20.0  # for its last step and a checkpoint, within what a bot has to end in
LATE_S = 1800.0  # what it may take to evaluate and to write after its time, or after a start that came later
LOG = "trainer.log"
PASSED_ON = {"CUDA_VISIBLE_DEVICES", "MLFLOW_TRACKING_URI", "PYTHONPATH", "TZ"}
CALM_LOOKS = 10  # the trainer goes on when nobody has waited for this many looks

log = logging.getLogger(__name__)


async def train(
    folder: Path, *, is_busy: Callable[[], bool], on_progress: Callable[[Progress], Awaitable[None]]
) -> Outcome:
    """Let a trainer bring *folder* to its outcome; one that is killed goes on from its checkpoint, a few times.

    Raise *LearningError* when it ends again and again without a word. Cancelling stops it; its checkpoint stays.
    """
    ended = ""
    for _ in range(STARTS):
        found = Outcome.read(folder)
        if found is not None:
            return found
        code = await _run_once(folder, is_busy=is_busy, on_progress=on_progress)
        ended = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        log.info("learning: the trainer ended %s", ended)
    found = Outcome.read(folder)
    if found is None:
        raise LearningError(
            f"The trainer ended {STARTS} times without a result, the last time {ended}; its last lines are in "
            f"{folder / LOG}. If the machine ran out of memory, use a smaller model, or free memory."
        )
    return found


async def _run_once(
    folder: Path, *, is_busy: Callable[[], bool], on_progress: Callable[[Progress], Awaitable[None]]
) -> int:
    pause, deadline = folder / PAUSE, Plan.read(folder).deadline
    # One that is started when its time is over, after a pause or an absence, still writes down what there is.
    latest = max(deadline, time.time()) + LATE_S if deadline else inf
    async with _process(folder) as process:
        calm, seen = CALM_LOOKS, 0.0
        while process.returncode is None:
            calm = 0 if is_busy() else calm + 1
            if calm == 0:
                pause.touch()
            elif calm >= CALM_LOOKS:
                pause.unlink(missing_ok=True)
            progress = Progress.read(folder)
            if progress is not None and progress.at != seen:
                seen = progress.at
                await on_progress(progress)
            if time.time() > latest:
                raise LearningError(
                    f"The trainer did not end within {LATE_S / 60:.0f} minutes after its time, and was ended: its last "
                    f"lines are in {folder / LOG}. Start a run again."
                )
            await asyncio.sleep(LOOK_S)
        return process.returncode


@asynccontextmanager
async def _process(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a trainer; when the block is left, it is asked to save a checkpoint and to end, and then ended."""
    (folder / PAUSE).unlink(missing_ok=True)
    threads = str(Plan.read(folder).threads)
    command = [sys.executable, "-m", "bot.learning.training.trainer", str(folder), "--exit-with-stdin"]
    nice = shutil.which("nice")
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": threads,
        **{name: value for name, value in os.environ.items() if name in PASSED_ON},
    }
    with (folder / LOG).open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *([nice, "-n", "19"] if nice else []),
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(GRACE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        (folder / PAUSE).unlink(missing_ok=True)
