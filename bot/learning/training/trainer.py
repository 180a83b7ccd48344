"""The trainer process: `python -m bot.learning.training.trainer FOLDER` trains what the folder's plan.json says.

It needs neither network nor database. Exit code 0: outcome.json says how it ended. 143: a signal came, and the same
command goes on from the last checkpoint. With --exit-with-stdin the end of standard input is such a signal, so that
no trainer outlives its bot. Everything heavy is imported after the environment is set.
"""

import argparse
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path

from bot.confine import confine
from bot.errors import ApprenticeError, LearningError
from bot.learning.plan import OUTCOME, Outcome, Plan
from bot.learning.training_extra import check_training_extra

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "MPLBACKEND": "Agg",
}
TORN = ("inline_container", "PytorchStreamWriter", "I/O error", "No space left")  # torch's and safetensors' own words
GRACE_S = 40.0  # for the step under way; less than the bot's lease
STOPPED = 143  # as a shell says of SIGTERM


def main(arguments: list[str] | None = None) -> int:
    """Train in the folder that is named; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bot.learning.training.trainer", description=__doc__)
    parser.add_argument("folder", type=Path, help="the run folder, with plan.json and examples.jsonl")
    parser.add_argument("--exit-with-stdin", action="store_true", help="save and end when standard input ends")
    options = parser.parse_args(arguments)
    folder: Path = options.folder.resolve()
    _go_last()
    if options.exit_with_stdin and not os.environ.get("MLFLOW_TRACKING_URI"):
        print(f"trainer: closed to it: {_confine(folder)}", file=sys.stderr)
    if options.exit_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    os.umask(0o077)
    os.environ.update(OFFLINE if sys.stderr.isatty() else {**OFFLINE, "TQDM_DISABLE": "1"})
    found = Outcome.read(folder)
    if found and found.is_done:
        return 0
    (folder / OUTCOME).unlink(missing_ok=True)
    try:
        outcome = _train(folder)
    except ApprenticeError as error:
        outcome = Outcome(is_done=False, reason=str(error))
    except Exception as error:  # noqa: BLE001 - whatever it was, the report has to say that it was
        reason = explain(error, folder)
        if not reason:
            traceback.print_exc()
        outcome = Outcome(is_done=False, reason=reason or f"The trainer failed ({type(error).__name__}): see its log.")
    if outcome is None:
        return STOPPED
    try:
        outcome.write(folder)
    except LearningError as error:
        print(f"trainer: {outcome.reason or error}", file=sys.stderr)
        return 1
    return 0


def _go_last() -> None:
    """Give a session of its own the least weight: Linux' autogroups look at it before niceness (sched(7))."""
    with suppress(OSError):
        if os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text("19")


def _confine(folder: Path) -> str:
    """Leave the trainer the model and its own folder; without a plan that can be read, its folder alone."""
    with suppress(OSError, LearningError):
        plan = Plan.read(folder)
        return confine(read=[Path(path) for path in (plan.model_path, plan.training_base) if path], write=[folder])
    return confine(write=[folder])


def _end_with_stdin() -> None:
    """Wait for the end of standard input, which a parent holds open, and then end as on a signal."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(STOPPED)  # another bot may start a trainer in this folder soon


def _train(folder: Path) -> Outcome | None:
    check_training_extra()
    plan = read_plan(folder)
    if plan.is_fold:  # no run of its own to whoever tracks runs
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ.setdefault("OMP_NUM_THREADS", str(plan.threads))
    warnings.simplefilter("ignore")
    import torch

    from bot.learning.training.energy import Meter
    from bot.learning.training.fine_tuning import train
    from bot.learning.training.watching import Watch

    meter = Meter(watts=plan.watts, is_cuda=Path("/dev/nvidiactl").exists())
    watch = Watch(folder, plan.deadline, meter, is_shown=sys.stderr.isatty())
    watch.listen()
    torch.set_flush_denormal(True)  # numbers near zero cost a processor a hundred times as much as others
    try:
        return train(plan, watch)
    finally:
        torch.set_flush_denormal(False)  # whoever called this in its own process has other numbers


def read_plan(folder: Path) -> Plan:
    """Return the plan in a folder; *LearningError* says what is wrong with it."""
    try:
        return Plan.read(folder)
    except OSError as error:
        raise LearningError(f"{folder} holds no plan that can be read ({error}): start a new run.") from error


def explain(error: Exception, folder: Path) -> str:
    """Return what a foreign error means for whoever reads the report, empty when nobody foresaw it."""
    words = str(error)
    if isinstance(error, MemoryError) or "out of memory" in words or "can't allocate memory" in words:
        return (
            "There is too little memory for this training, even with an eighth of the batch: free some, or serve a "
            "smaller model."
        )
    if isinstance(error, OSError) or any(trace in words for trace in TORN):
        said = getattr(error, "strerror", None) or "the disk took only a part"
        return f"{folder} cannot be written or read ({said}): make room, or give the bot the right to write there."
    return ""


if __name__ == "__main__":
    sys.exit(main())
