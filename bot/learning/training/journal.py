"""What happened at each step, one JSON line each in `steps.jsonl`; a training that goes on drops what it repeats."""

import json
from pathlib import Path
from typing import Any

from bot.learning.atomic import replacing
from bot.learning.plan import STEPS

Entry = dict[str, Any]


class Journal:
    """The lines of one run's steps and evaluations."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / STEPS

    def add(self, entry: Entry) -> None:
        """Add one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def read(self) -> list[Entry]:
        """Return every whole line; a kill may have torn the last one."""
        if not self.path.exists():
            return []
        entries = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                entries.append(json.loads(line))
            except ValueError:
                continue
        return entries

    def keep(self, *, until: int) -> None:
        """Forget what lies after a step: the checkpoint that the training goes on from knows nothing of it."""
        kept = [entry for entry in self.read() if entry["step"] <= until]
        with replacing(self.path) as draft:
            draft.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")
