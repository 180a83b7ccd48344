"""Examples as TRL takes them: token ids in, ids out; no template and no tokenizer comes near them. Knows no torch."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from bot.learning.examples import Example, Source, Split, Use

UNTRAINED = -100  # a label that torch passes over
REHEARSED = "is_rehearsal"
Row = dict[str, list[int] | bool]


@dataclass(frozen=True, slots=True)
class Rows:
    """One use's rows: the examples to train on, and those whose loss says when to stop."""

    train: list[Example] = field(default_factory=list)
    validation: list[Example] = field(default_factory=list)


def sort_examples(examples: Iterable[Example], *, longest: int) -> tuple[dict[Use, Rows], list[str]]:
    """Return the rows of each use that the trainer may see, and what was left out in words.

    Neither the test split nor a weight of 0 is seen; a row that is longer than the model's context would be cut in its
    answer, so it is left out whole.
    """
    found = {use: Rows() for use in Use}
    too_long = 0
    for example in examples:
        if example.weight <= 0 or example.split is Split.TEST:
            continue
        if measure(example) > longest:
            too_long += 1
            continue
        rows = found[example.use]
        (rows.train if example.split is Split.TRAIN else rows.validation).append(example)
    what = "row is" if too_long == 1 else "rows are"
    left = "was" if too_long == 1 else "were"
    note = f"{too_long} {what} longer than the model's context of {longest} tokens and {left} left out."
    notes = [note] if too_long else []
    return found, notes


def measure(example: Example) -> int:
    """Return how many tokens the longest text of an example has."""
    return len(example.prompt_ids) + max(len(example.completion_ids), len(example.rejected_ids))


def build_answer(example: Example, unlearned: Collection[int] = ()) -> Row:
    """Return a row of supervised training: of the answer all is learned, its end of turn included, but *unlearned*."""
    silent = [UNTRAINED] * len(example.prompt_ids)
    said = [UNTRAINED if place in unlearned else token for place, token in enumerate(example.completion_ids)]
    return {"input_ids": [*example.prompt_ids, *example.completion_ids], "labels": [*silent, *said]}


def build_marked(example: Example, unlearned: Collection[int] = ()) -> Row:
    """Return a row of supervised training that says whether it is rehearsal."""
    return {**build_answer(example, unlearned), REHEARSED: example.source is Source.REHEARSAL}


def build_pair(example: Example) -> Row:
    """Return a row of which the first answer is to become likelier than the second."""
    return {
        "prompt_ids": list(example.prompt_ids),
        "chosen_ids": list(example.completion_ids),
        "rejected_ids": list(example.rejected_ids),
    }


def build_thumbs(examples: Sequence[Example], *, batch: int) -> list[Row]:
    """Return rows of liked and disliked answers, each with another's answer of its batch, by which KTO knows drift."""
    rows: list[Row] = []
    for start in range(0, len(examples), batch):
        together = examples[start : start + batch]
        others = [together[-1], *together[:-1]]
        rows += [
            {
                "prompt_ids": list(example.prompt_ids),
                "completion_ids": list(example.completion_ids),
                "KL_completion_ids": list(other.completion_ids),
                "label": bool(example.is_liked),
            }
            for example, other in zip(together, others, strict=True)
        ]
    return rows
