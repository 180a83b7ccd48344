"""The page of a run: what happened, why, and what it is good for; a model card and an experiment page in one file.

Pure. It loads nothing from anywhere, so it can be mailed, archived and opened in ten years. Every text is escaped.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from bot.learning.figures import Decision, Figure, Role, RunReport, say_change, say_value

TEMPLATE = Path(__file__).parent / "report_page.html"
HALF, MIDDLE = 90.0, 100.0  # of a bar that is 200 wide
DECISIONS = {
    Decision.PROMOTE: ("Served to everybody", "good"),
    Decision.CANARY: ("Tried with some people", "good"),
    Decision.REJECT: ("Not served", "bad"),
}
PARTS = (
    (Role.BENEFIT, "What got better", "Only what was declared before the training can earn a place."),
    (Role.BLOCK, "What must never happen", "Each of these blocks the adapter by itself."),
    (Role.GUARD, "What must not get worse", "The same questions, asked of what is served and of the candidate."),
    (Role.NOTE, "Good to know", "Decides nothing."),
    (
        Role.FOLDS,
        "Cross-validation",
        "Of the recipe, by adapters thrown away: each was trained without a part of the votes, and asked of those.",
    ),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval as it is drawn: zero in the middle, better to the right; *words* say it to who cannot see it."""

    low: float
    middle: float
    high: float
    tone: str
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    """A figure as it is shown."""

    label: str
    note: str
    now: str
    before: str
    bar: Bar | None


@dataclass(frozen=True, slots=True)
class Part:
    """A table of the page."""

    title: str
    note: str
    beside: str  # what each figure stands beside
    rows: Sequence[Row]


def build_page(report: RunReport, *, picture: bytes | None, data_picture: bytes | None) -> str:
    """Return the whole page as HTML; pictures are PNG files' bytes."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    words, tone = _decide(report.decision)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=f"Apprentice · run {report.run_id}",
        report=report,
        decision=words,
        tone=tone,
        finished=_moment(report.finished_at),
        right=sum(row.is_right for row in report.before_after),
        parts=[*_parts(report.figures)],
        cost=[*_cost(report)],
        facts=[*_facts(report)],
        picture=_embed(picture),
        data_picture=_embed(data_picture),
    )


def draw_bar(figure: Figure) -> Bar | None:
    """Return a figure's interval to be drawn; None where there is none."""
    if figure.low is None or figure.high is None:
        return None
    sign = 1.0 if figure.is_higher_better else -1.0
    low, high = sorted((sign * figure.low, sign * figure.high))
    difference = sign * (figure.candidate - figure.incumbent)
    reach = max(abs(low), abs(high), abs(difference)) or 1.0
    place = [round(MIDDLE + HALF * value / reach, 1) for value in (low, difference, high)]
    tone, word = ("good", "better") if low > 0 else ("bad", "worse") if high < 0 else ("calm", "within luck")
    span = f"{word}: {say_change(figure, figure.low)} to {say_change(figure, figure.high)}"
    return Bar(place[0], place[1], place[2], tone, span if low or high else "no difference")


def _parts(figures: Sequence[Figure]) -> Iterator[Part]:
    for role, title, note in PARTS:
        rows = [_row(figure) for figure in figures if figure.role is role]
        if rows:
            yield Part(title, note, "Guessing" if role is Role.FOLDS else "Before", rows)


def _row(figure: Figure) -> Row:
    bar = draw_bar(figure)
    unit = f", in {figure.unit}" if figure.unit not in {"", "share"} else ""
    note = f"{figure.n} asked{unit}" + (f"; {bar.words}" if bar else "")
    return Row(figure.label, note, say_value(figure, figure.candidate), say_value(figure, figure.incumbent), bar)


def _decide(decision: str) -> tuple[str, str]:
    known = {str(name): shown for name, shown in DECISIONS.items()}
    return known.get(decision, (decision.capitalize(), "calm"))


def _cost(report: RunReport) -> Iterator[tuple[str, str]]:
    """Yield what the run took, as far as it was measured."""
    if report.seconds:
        yield "From start to end", _time(report.seconds)
    if report.train_seconds:
        yield "Training", _time(report.train_seconds)
    if report.tokens_per_second:
        yield "Speed", f"{report.tokens_per_second:,.0f} tokens/s"
    if report.peak_memory_mb:
        yield "Memory, at most", f"{report.peak_memory_mb:,.0f} MB"
    if report.energy_kwh is not None:
        source = f" ({report.energy_source})" if report.energy_source else ""
        yield "Energy", f"{report.energy_kwh:.2g} kWh{source}"
    if report.price:
        yield "Price", report.price


def _facts(report: RunReport) -> Iterator[tuple[str, str, bool]]:
    rows = (
        ("Adapter", report.adapter, False),
        ("For the channel", report.channel_id, False),
        ("Kind", "LoRA over the base, served with it by llama.cpp", False),
        ("Base", report.base, False),
        ("Cross-validation", report.cross_validation, False),
        ("Base SHA-256", report.base_sha256, True),
        ("Data SHA-256", report.dataset_sha256, True),
        ("Started", _moment(report.started_at), False),
        ("Finished", _moment(report.finished_at), False),
    )
    return (row for row in rows if row[1])


def _moment(written: str) -> str:
    """Return a stored moment as people write it; what is no moment stays as it is."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return written
    return f"{moment.day} {moment:%B %Y, %H:%M} {moment.tzname() or ''}".rstrip()


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _embed(picture: bytes | None) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}" if picture else ""
