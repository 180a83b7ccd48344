"""How often a run was begun: one that stops its whole process each time must not be begun for ever."""

import json
from pathlib import Path

from bot.errors import LearningError
from bot.learning.plan import write_json

STARTS = "starts.json"
MOST = 12


def count_start(folder: Path) -> None:
    """Make the folder of a run, which is nobody else's to read, and count a start; *LearningError* at one too many."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    starts = 1 + _read(folder / STARTS)
    if starts > MOST:
        raise LearningError(
            f"This run was begun {MOST} times and stopped each time before its end, maybe because the bot itself was "
            "ended for want of memory: see the log of the machine, then start a new run."
        )
    write_json(folder / STARTS, starts)


def _read(path: Path) -> int:
    try:
        return int(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return 0
