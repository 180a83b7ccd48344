"""Work on a model in a process of its own, because some files end the process that reads them.

Run as `python -m bot.engine.files.workbench quantize|score …`. Every line it writes is a JSON object: how far it is,
and at last the result or the reason why there is none. Reads and writes the files it is given and nothing else.
"""

import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.engine.files.gguf_types import FILE_TYPES
from bot.engine.machine.hardware import count_usable_cores
from bot.engine.supervisor import build_environment
from bot.errors import EngineError, ModelFileError

NUMBERS = {name: number for number, name in FILE_TYPES.items()}
STEP = re.compile(r"\[ *(\d+)/ *(\d+)\]")
FALLBACKS = re.compile(r"(\d+) of \d+ tensor\(s\) required fallback")
Report = Callable[[float], None]


class WorkFailed(EngineError):  # noqa: N818 - reads as a state, not as a mistake
    """The work on a model ended without a result."""


def run(arguments: Sequence[str], *, report: Report) -> Mapping[str, Any]:
    """Do one piece of work in a child process and return its result; *WorkFailed* says what ended it."""
    command = [sys.executable, "-m", "bot.engine.files.workbench", *arguments]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=build_environment(os.environ, {}),
        text=True,
    )
    last: Mapping[str, Any] = {}
    try:
        for line in process.stdout or ():
            last = read_line(line) or last
            if "done" in last:
                report(float(last["done"]))
        code = process.wait()
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
    if code < 0:
        raise WorkFailed(f"{arguments[1]} ends the process that works with it ({signal.Signals(-code).name}).")
    if code or "result" not in last:
        raise WorkFailed(str(last.get("reason") or f"The work on {arguments[1]} ended with {code}."))
    result: Mapping[str, Any] = last["result"]
    return result


def read_line(line: str) -> Mapping[str, Any] | None:
    """Return the object of a line, None for anything else that a library may write."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; the exit code is 0 when there is a result."""
    from bot.engine.llama.model import start_backend

    start_backend()
    try:
        if arguments[0] == "quantize":
            result = _quantize(
                Path(arguments[1]), Path(arguments[2]), kind=arguments[3], is_forced=arguments[4] == "yes"
            )
        else:
            result = _score(Path(arguments[1]), Path(arguments[2]))
    except (ModelFileError, ValueError, OSError) as error:
        _write({"reason": str(error)})
        return 1
    _write({"result": result})
    return 0


def _quantize(source: Path, target: Path, *, kind: str, is_forced: bool) -> dict[str, object]:
    """Write a smaller model; llama.cpp's log says how far it is, and what it could not make so small."""
    from bot.engine.llama.model import quantize

    watcher = _Watcher()
    log = logging.getLogger("bot.engine.llama")
    log.setLevel(logging.DEBUG)
    log.addHandler(watcher)
    quantize(source, target, kind=NUMBERS[kind], threads=count_usable_cores(), is_forced=is_forced)
    return {"fallbacks": watcher.fallbacks}


def _score(model: Path, text: Path) -> dict[str, object]:
    """Return the negative log-likelihood of each token of a text that is scored."""
    from bot.engine.files.perplexity import score_text

    scores = score_text(model, text.read_text(encoding="utf-8"), report=lambda share: _write({"done": share}))
    return {"scores": [round(score, 5) for score in scores]}


class _Watcher(logging.Handler):
    """Reads llama.cpp's log for what it says about its progress."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.fallbacks = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on how far it is."""
        text = record.getMessage()
        if found := FALLBACKS.search(text):
            self.fallbacks = int(found[1])
        if found := STEP.search(text):
            _write({"done": int(found[1]) / max(1, int(found[2]))})


def _write(content: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
