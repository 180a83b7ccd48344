"""Tries an mmproj in a process of its own before it is loaded: libmtmd ends its process over many a damaged file.

Run as `python -m bot.engine.sight.trial MODEL MMPROJ`; the last line it writes is a JSON object, with the reason for
which the file cannot be used if there is one. Reads two files and nothing else.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from bot.engine.llama.model import start_backend
from bot.engine.llama.mtmd import Eyes, Points, Shell
from bot.engine.supervisor import build_environment
from bot.engine.types import Sight
from bot.errors import ModelFileError

SECONDS = 600.0  # a large file on a slow disk
SIDE, LARGE_SIDE = 64, 2048


def try_mmproj(model_path: Path, path: Path) -> None:
    """Raise *ModelFileError* if an mmproj cannot be used with a model, whatever it does to who tries it."""
    command = [sys.executable, "-m", "bot.engine.sight.trial", str(model_path), str(path)]
    environment = build_environment(os.environ, {})
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ModelFileError(f"MODEL_MMPROJ: {path} was tried for {SECONDS:g} s without an end.") from None
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ModelFileError(f"MODEL_MMPROJ: {path} is damaged, it ends the process that uses it ({name}).")
    lines = done.stdout.splitlines()
    reason = json.loads(lines[-1]).get("reason") if lines else f"its trial ended with {done.returncode}"
    if reason:
        raise ModelFileError(str(reason))


def show_grey(eyes: Eyes) -> None:
    """See a picture, so that whatever goes wrong goes wrong now."""
    for part in eyes.look(_paint(SIDE)):
        if isinstance(part, Sight):
            eyes.see(part)


def measure(eyes: Eyes) -> tuple[int, int]:
    """Return how many tokens a large picture takes, and how many of them are one sight."""
    sizes = [len(part.ids if isinstance(part, Sight) else part) for part in eyes.look(_paint(LARGE_SIDE))]
    return sum(sizes), max(sizes)


def _paint(side: int) -> Points:
    return Points(side, side, bytes([128]) * (3 * side * side))


def main(model_path: str, path: str) -> int:
    """Try and report; the exit code is 0 whenever there is a report."""
    start_backend()
    report = {}
    try:
        show_grey(Eyes(Shell(Path(model_path)), Path(path), threads=1, use_gpu=False))
    except (ModelFileError, ValueError) as error:
        report["reason"] = str(error)
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
