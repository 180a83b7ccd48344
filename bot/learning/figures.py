"""What is known about a candidate when it is judged, and what is said of a run: plain data for gate, SQL, report."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from bot.language import _

LEAST_CHANGE = 1e-4  # what is smaller is said to be nothing


class Role(StrEnum):
    """What a figure can do: show the benefit that was declared, guard against harm, block outright, or only inform.

    Those of folds are about the recipe: adapters that were trained on a part of the votes, and thrown away.
    """

    BENEFIT = "benefit"
    GUARD = "guard"
    BLOCK = "block"
    NOTE = "note"
    FOLDS = "folds"


class Decision(StrEnum):
    """What the gate says."""

    PROMOTE = "promote"
    CANARY = "canary"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured comparison of the candidate with what is served now.

    *low* and *high* are the 95 % interval of the difference candidate - incumbent, None where too few things were
    asked. *n* counts what was asked, *label* says it in words for a report.
    """

    metric: str
    label: str
    role: Role
    candidate: float
    incumbent: float
    n: int
    low: float | None = None
    high: float | None = None
    is_higher_better: bool = True
    unit: str = ""
    details: Mapping[str, float] = field(default_factory=dict)


def say_value(figure: Figure, value: float) -> str:
    """Return a figure's value as people read it: a share as per cent, everything else short, without its unit."""
    if figure.unit == "share":
        return f"{value:.0%}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def say_change(figure: Figure, change: float) -> str:
    """Return a difference as people read it: points of a share, or a signed number without its unit."""
    if figure.unit == "share":
        return _("{points:+.0f} points").format(points=100 * change)
    if abs(change) < LEAST_CHANGE:
        return "+0"
    return f"{change:+,.0f}" if abs(change) >= 100 else f"{change:+.3g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's decision with its reasons, each a sentence a person can read."""

    decision: Decision
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """A question that somebody corrected, with what the assistant says to it without and with the candidate."""

    question: str
    taught: str
    before: str
    after: str
    is_right: bool
    row: str = ""  # `corrections:<id>`
    person: str = ""  # who corrected it


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """All that may be said about a run: counts and figures, and questions that everybody could read.

    A channel's own run has its questions, so where *is_private* they may only be shown in that channel.
    """

    run_id: int
    channel_id: str = ""  # whose own adapter it made; empty: everybody's
    is_private: bool = False
    adapter: str = ""
    outcome: str = ""  # one sentence
    decision: str = ""
    reasons: tuple[str, ...] = ()
    learned_from: Mapping[str, int] = field(default_factory=dict)  # in words -> how many
    left_out: Mapping[str, int] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()
    cross_validation: str = ""  # a sentence: what it came to, or why it was left out; empty: not asked for
    proofs: tuple[tuple[str, bool, str], ...] = ()  # name, holds, sentence
    before_after: tuple[BeforeAfter, ...] = ()
    seconds: float = 0.0
    train_seconds: float = 0.0
    tokens_per_second: float = 0.0
    peak_memory_mb: float = 0.0
    energy_kwh: float | None = None
    energy_source: str = ""
    price: str = ""
    picture: str = ""  # path of the curves' PNG
    page: str = ""  # path of the HTML page
    base: str = ""
    base_sha256: str = ""
    dataset_sha256: str = ""
    started_at: str = ""
    finished_at: str = ""
    mend: str = ""

    def for_reader_in(self, channel_id: str) -> Self:
        """Return what may be shown in a channel, or to one person (empty): none of a private channel's words."""
        if not self.is_private or channel_id == self.channel_id:
            return self
        return self.without_words()

    def without_words_of(self, people: Collection[str]) -> Self:
        """Return it without what some people taught."""
        return replace(self, before_after=tuple(item for item in self.before_after if item.person not in people))

    def without_words(self) -> Self:
        """Return what may be shown to anybody: counts and figures."""
        return replace(self, before_after=())
