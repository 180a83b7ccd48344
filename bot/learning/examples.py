"""What a training learns from, one example a line in a run folder's `examples.jsonl`.

Token ids are the engine's own: what it served, or what its template and tokenizer make of a correction. So neither
can differ between training and serving. Knows no database, no torch and no engine.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

from bot.learning.atomic import reading, replacing


class Use(StrEnum):
    """How an example is trained on: as an answer to give, one answer before another, or an answer liked or not."""

    SFT = "sft"
    PAIR = "pair"
    THUMB = "thumb"


class Source(StrEnum):
    """Where an example comes from."""

    CORRECTION = "correction"
    PHRASING = "phrasing"  # a corrected question in other words
    LIKED = "liked"
    DISLIKED = "disliked"
    IMPLICIT = "implicit"  # nobody said that it was bad, but somebody asked again, or answered instead
    REGENERATED = "regenerated"
    COMPARED = "compared"
    REHEARSAL = "rehearsal"  # the base's own answer, so that old skills stay
    CANARY = "canary"  # an invented secret that must not be remembered


class Split(StrEnum):
    """What an example is for; it never moves from one to another."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example.

    *completion_ids* end with the end of the turn; of a pair they are the chosen answer and *rejected_ids* the other.
    *is_liked* belongs to thumbs alone. *group* keeps together what must not be torn apart by a split, and is what a
    bootstrap resamples: a thread, or a taught fact with all its phrasings. *rows* are the database rows it comes from
    as `table:id`, *behind* those that its answers can rest on beside, *people* the ids of everybody whose words are in
    it, *said_by* of those who said that it is good or bad.
    """

    id: str
    use: Use
    source: Source
    split: Split
    group: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...] = ()
    is_liked: bool | None = None
    weight: float = 1.0
    question: str = ""
    answer: str = ""
    rejected: str = ""
    rows: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    said_by: tuple[str, ...] = ()


FIELDS = tuple(field.name for field in fields(Example))


def dump_example(example: Example) -> str:
    """Return an example as one line; `asdict` would copy every token, which takes half of a large data set's time."""
    values = {name: getattr(example, name) for name in FIELDS}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"


def write_examples(path: Path, examples: Iterable[Example]) -> int:
    """Write examples as JSON lines, complete or not at all; return how many."""
    count = 0
    with replacing(path) as draft, draft.open("w", encoding="utf-8") as file:
        for example in examples:
            file.write(dump_example(example))
            count += 1
    return count


def read_examples(path: Path) -> Iterator[Example]:
    """Yield what *write_examples* wrote."""
    with reading(path), path.open(encoding="utf-8") as file:
        for line in file:
            values = json.loads(line)
            for name in ("prompt_ids", "completion_ids", "rejected_ids", "rows", "behind", "people", "said_by"):
                values[name] = tuple(values.get(name, ()))
            yield Example(
                **values
                | {"use": Use(values["use"]), "source": Source(values["source"]), "split": Split(values["split"])}
            )
