"""A run's figures in words: who is better by how much and how sure that is, which proofs hold, what it cost. Pure."""

from collections.abc import Sequence

from bot.learning.figures import Figure, Role, RunReport, say_change, say_value
from bot.slack.render import escape

ORDER = (Role.BENEFIT, Role.BLOCK, Role.GUARD, Role.NOTE)
MARKS = {Role.BENEFIT: "*benefit* ", Role.BLOCK: "*must hold* ", Role.GUARD: "", Role.NOTE: ""}
MOST_FIGURES = 8


def render_figures(figures: Sequence[Figure]) -> str:
    """Say the figures that matter most, a line each: the benefit, what got worse, what must hold."""
    ordered = sorted(figures, key=_rank)
    lines = [render_figure(figure) for figure in ordered[:MOST_FIGURES]]
    more = len(figures) - MOST_FIGURES
    return "\n".join([*lines, *([f"… and {more} more, in the run's page"] if more > 0 else [])])


def render_figure(figure: Figure) -> str:
    """Say a figure, what is served now beside it, and how sure the difference is."""
    label = escape(figure.label or figure.metric)
    now, before = say_value(figure, figure.candidate), say_value(figure, figure.incumbent)
    shown = f"{now}{_unit(figure)}, before {before}"
    return f"• {MARKS[figure.role]}{label}: {shown} ({figure.n:,} asked): {tell_difference(figure)}"


def tell_difference(figure: Figure) -> str:
    """Say in words what the interval of the difference means."""
    if figure.low is None or figure.high is None:
        return "too few to tell"
    low, high = sorted((figure.low, figure.high))
    if low == high == 0:
        return "no difference"
    span = f"difference between {say_change(figure, low)} and {say_change(figure, high)}"
    if low <= 0 <= high:
        return f"no clear difference ({span})"
    return f"{'better' if (low > 0) is figure.is_higher_better else 'worse'} ({span})"


def render_proofs(proofs: Sequence[tuple[str, bool, str]]) -> str:
    """Say whether the trained and the served adapter are the same, and what fails."""
    if not proofs:
        return ""
    failed = [f"{escape(name)}: {escape(sentence)}" for name, holds, sentence in proofs if not holds]
    held = f"{len(proofs) - len(failed)} of {len(proofs)} proofs of the file hold"
    return f"{held}; ❌ {'; '.join(failed)}" if failed else f"✅ {held}."


def render_cost(report: RunReport) -> str:
    """Say what a run took of time, memory and energy."""
    energy = None if report.energy_kwh is None else f"{report.energy_kwh:.3g} kWh"
    source = f" ({escape(report.energy_source)})" if energy and report.energy_source else ""
    parts = (
        f"{_duration(report.seconds)} in all" if report.seconds else "",
        f"{_duration(report.train_seconds)} of training" if report.train_seconds else "",
        f"{report.tokens_per_second:,.0f} tokens/s" if report.tokens_per_second else "",
        f"{report.peak_memory_mb:,.0f} MB at most" if report.peak_memory_mb else "",
        f"{energy}{source}" if energy else "",
        escape(report.price),
    )
    said = " · ".join(part for part in parts if part)
    return f"Cost: {said}" if said else ""


def _rank(figure: Figure) -> int:
    """Put what was declared as the benefit first, then what is worse, what must hold, and the rest."""
    if figure.role is Role.BENEFIT:
        return 0
    return 1 if tell_difference(figure).startswith("worse") else 1 + ORDER.index(figure.role)


def _unit(figure: Figure) -> str:
    return f" {escape(figure.unit)}" if figure.unit not in {"", "share"} else ""


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
