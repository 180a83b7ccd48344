"""Which rows each example comes from, with its checksum as it was written down: the way back from a model to people."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from bot.learning.atomic import reading, replacing
from bot.learning.data.report import MANIFEST
from bot.learning.examples import Example, Source
from bot.learning.plan import EXAMPLES

BEHIND = "behind"  # in place of a split
PREFERRED = {Source.REGENERATED, Source.COMPARED}


@dataclass(slots=True)
class Tally:
    """What passes on its way to the disk, counted."""

    examples: int = 0
    tokens: int = 0
    uses: Counter[str] = field(default_factory=Counter)
    sources: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    pairs_by_person: Counter[str] = field(default_factory=Counter)  # of a model's own answers, each as its first's

    def count(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Pass examples on."""
        for example in examples:
            self.examples += 1
            self.tokens += len(example.prompt_ids) + len(example.completion_ids) + len(example.rejected_ids)
            self.uses[str(example.use)] += 1
            self.sources[str(example.source)][str(example.split)] += 1
            if example.source in PREFERRED:
                self.pairs_by_person.update(example.said_by[:1])
            yield example

    def splits(self) -> Counter[str]:
        """Return how many examples each split has."""
        return sum(self.sources.values(), Counter())


def write_manifest(folder: Path, owners: Mapping[str, str]) -> str:
    """Write a line for each example of the folder, with its rows and whose they are; return the data set's checksum."""
    whole = sha256()
    with (
        replacing(folder / MANIFEST) as draft,
        (folder / EXAMPLES).open("rb") as examples,
        draft.open("w", encoding="utf-8") as manifest,
    ):
        for line in examples:
            whole.update(line)
            entry = _describe(json.loads(line), owners) | {"sha256": sha256(line.rstrip(b"\n")).hexdigest()}
            manifest.write(json.dumps(entry, separators=(",", ":")) + "\n")
    return whole.hexdigest()


def read_lineage(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield each row of the database with each example that has it, as `run_examples` keeps them."""
    path = folder / MANIFEST
    with reading(path), path.open(encoding="utf-8") as manifest:
        for line in manifest:
            entry = json.loads(line)
            shared = {name: entry[name] for name in ("source", "split", "weight", "sha256")}
            for table, row_id, user_id in entry["rows"]:
                yield {"row_table": table, "row_id": row_id, "user_id": user_id, **shared}
            for table, row_id, user_id in entry.get("behind", []):  # nobody learned what it says for itself
                yield {"row_table": table, "row_id": row_id, "user_id": user_id, **shared, "split": BEHIND}


def _describe(example: Mapping[str, Any], owners: Mapping[str, str]) -> dict[str, Any]:
    kept = {name: example[name] for name in ("id", "use", "source", "split", "weight")}
    rows = {name: [[*row.split(":", 1), owners.get(row, "")] for row in example[name]] for name in ("rows", "behind")}
    return kept | {name: found for name, found in rows.items() if found or name == "rows"}
