"""What a data set is, in counts and words: for the run's report, and as its card. No text of the team stands in it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bot.language import N_
from bot.learning.atomic import reading, replacing
from bot.learning.data.points import show
from bot.learning.plan import DATA_REPORT, write_json

CARD, MANIFEST, PICTURE = "card.md", "manifest.jsonl", "data.png"
SOURCE_WORDS = {
    "correction": N_("corrected answers"),
    "phrasing": N_("corrected questions in other words"),
    "liked": N_("answers that were liked"),
    "disliked": N_("answers that were disliked"),
    "implicit": N_("answers after which somebody stopped, asked again or answered instead"),
    "regenerated": N_("answers preferred to the one before"),
    "compared": N_("answers preferred side by side"),
    "rehearsal": N_("the model's own answers, so that old skills stay"),
    "canary": N_("invented secrets, to measure what is remembered"),
}
PROMISE = (
    "Only messages to the assistant, its own answers, and votes and corrections are in it (with IMPLICIT_FEEDBACK also "
    "that somebody stopped an answer, asked again or answered instead); only what everybody could read, or what its "
    "author taught to everyone; nothing of anybody who does not want it."
)
PROMISE_TO_A_CHANNEL = (
    "Only messages to the assistant in this one channel, its own answers there, and votes and corrections are in it; "
    "nothing of anybody who does not want it. What is learned from it answers nobody but that channel's people."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """The counts of a data set. *sources* and *splits* are in examples, *left_out* in signals, *redacted* in places."""

    examples: int
    uses: Mapping[str, int]
    sources: Mapping[str, int]
    splits: Mapping[str, int]
    splits_by_source: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, int]
    redacted: Mapping[str, int]
    signals: Mapping[str, int]
    points: float
    points_needed: float
    people: int
    channels: int
    tokens: int
    rendered: int
    since: str
    seed: int
    base_model: str
    base_sha256: str
    template_sha256: str
    dataset_sha256: str
    others_pairs: int | None = None  # without those of whoever gave most, where enough people said something
    warnings: tuple[str, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)

    @property
    def learned_from(self) -> dict[str, int]:
        """What people gave, and what was made beside it, in words; a correction is one, however many examples it is."""
        return {SOURCE_WORDS[source]: self.signals.get(source, count) for source, count in self.sources.items()}

    def write(self, folder: Path) -> None:
        """Write the card and the report into a run folder; where the report is, the data set is whole."""
        with replacing(folder / CARD) as draft:
            draft.write_text(render_card(self), encoding="utf-8")
        write_json(folder / DATA_REPORT, asdict(self))


def read_report(folder: Path) -> DataReport | None:
    """Return the report in a run folder; None where no data set was made to its end."""
    path = folder / DATA_REPORT
    with reading(path):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return DataReport(**values | {"warnings": tuple(values["warnings"])})


def render_card(report: DataReport) -> str:
    """Return the data set's card as Markdown."""
    made_of = (
        f"{report.examples:,} examples with {report.tokens:,} tokens, made of what {report.people} people said in "
        f"{report.channels} channels since {report.since[:10]}: {show(report.points)} points of the "
        f"{show(report.points_needed)} that a training needs."
    )
    origin = (
        f"- Base: {report.base_model} `{report.base_sha256}`\n- Template: `{report.template_sha256}`\n"
        f"- Data set: `{report.dataset_sha256}`\n- Seed: {report.seed}\n- {report.rendered:,} of the conversations "
        "were rendered anew: a message in them was edited, deleted or redacted since, or the prompt or the model has "
        f"changed.\n- `{MANIFEST}` names the rows and the checksum of each example."
    )
    parts = [
        "# Data set",
        made_of,
        PROMISE_TO_A_CHANNEL if report.policy.get("only_channel") else PROMISE,
        *(f"> {warning}" for warning in report.warnings),
        _table(
            "What it was made of", {SOURCE_WORDS[name]: count for name, count in report.sources.items()}, "examples"
        ),
        _table("What each is for", report.splits, "examples"),
        _table("How it is trained on", report.uses, "examples"),
        _table("What was left out, and why", report.left_out, "signals"),
        _table("What was replaced by placeholders", report.redacted, "places"),
        "## Where it comes from",
        origin,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(title: str, counts: Mapping[str, int], unit: str) -> str:
    rows = [f"| {name} | {count:,} |" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    return "\n".join([f"## {title}\n", f"| | {unit} |", "|---|---|", *rows]) if rows else ""
