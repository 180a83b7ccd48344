"""A run's figures in words: who is better by how much and how sure that is, which proofs hold, what it cost. Pure."""

from collections.abc import Sequence

from bot.language import _
from bot.learning.figures import Figure, Role, RunReport, say_change, say_value
from bot.learning.sentences import say_again
from bot.slack.delivery.render import escape

ORDER = (Role.BENEFIT, Role.BLOCK, Role.GUARD, Role.NOTE, Role.FOLDS)
MOST_FIGURES = 8


def render_figures(figures: Sequence[Figure]) -> str:
    """Say the figures that matter most, a line each: the benefit, what got worse, what must hold."""
    ordered = sorted(figures, key=_rank)
    lines = [render_figure(figure) for figure in ordered[:MOST_FIGURES]]
    more = len(figures) - MOST_FIGURES
    return "\n".join([*lines, *([_("… and {count} more, in the run's page").format(count=more)] if more > 0 else [])])


def render_figure(figure: Figure) -> str:
    """Say a figure, what is served now beside it, and how sure the difference is."""
    label = escape(say_again(figure.label) or figure.metric)
    now, before = say_value(figure, figure.candidate), say_value(figure, figure.incumbent)
    sentence = _("{label}: {now}, before {before} ({count:,} asked): {difference}")
    said = sentence.format(
        label=label, now=f"{now}{_unit(figure)}", before=before, count=figure.n, difference=tell_difference(figure)
    )
    return f"• {_mark(figure.role)}{said}"


def tell_difference(figure: Figure) -> str:
    """Say in words what the interval of the difference means."""
    if figure.low is None or figure.high is None:
        return _("too few to tell")
    low, high = sorted((figure.low, figure.high))
    if low == high == 0:
        return _("no difference")
    if low <= 0 <= high:
        sentence = _("no clear difference (difference between {low} and {high})")
    elif is_better(figure):
        sentence = _("better (difference between {low} and {high})")
    else:
        sentence = _("worse (difference between {low} and {high})")
    return sentence.format(low=say_change(figure, low), high=say_change(figure, high))


def is_better(figure: Figure) -> bool | None:
    """Return whether a figure is surely better than before, or surely worse; None when neither is sure."""
    if figure.low is None or figure.high is None or min(figure.low, figure.high) <= 0 <= max(figure.low, figure.high):
        return None
    return (min(figure.low, figure.high) > 0) is figure.is_higher_better


def _mark(role: Role) -> str:
    if role is Role.BENEFIT:
        return "*" + _("benefit") + "* "
    return "*" + _("must hold") + "* " if role is Role.BLOCK else ""


def render_proofs(proofs: Sequence[tuple[str, bool, str]]) -> str:
    """Say whether the trained and the served adapter are the same, and what fails."""
    if not proofs:
        return ""
    failed = [f"{escape(name)}: {escape(say_again(sentence))}" for name, holds, sentence in proofs if not holds]
    held = _("{held} of {all} proofs of the file hold").format(held=len(proofs) - len(failed), all=len(proofs))
    return f"{held}; ❌ {'; '.join(failed)}" if failed else f"✅ {held}"


def render_cost(report: RunReport) -> str:
    """Say what a run took of time, memory and energy."""
    energy = None if report.energy_kwh is None else f"{report.energy_kwh:.3g} kWh"
    source = f" ({escape(say_again(report.energy_source))})" if energy and report.energy_source else ""
    parts = (
        _("{time} in all").format(time=_duration(report.seconds)) if report.seconds else "",
        _("{time} of training").format(time=_duration(report.train_seconds)) if report.train_seconds else "",
        f"{report.tokens_per_second:,.0f} {say_again('tokens/s')}" if report.tokens_per_second else "",
        _("{size:,.0f} MB at most").format(size=report.peak_memory_mb) if report.peak_memory_mb else "",
        f"{energy}{source}" if energy else "",
        escape(say_again(report.price)),
    )
    said = " · ".join(part for part in parts if part)
    return _("Cost: {cost}").format(cost=said) if said else ""


def _rank(figure: Figure) -> int:
    """Put what was declared as the benefit first, then what is worse, what must hold, and the rest."""
    if figure.role is Role.BENEFIT:
        return 0
    return 1 if is_better(figure) is False else 1 + ORDER.index(figure.role)


def _unit(figure: Figure) -> str:
    return f" {escape(say_again(figure.unit))}" if figure.unit not in {"", "share"} else ""


def _duration(seconds: float) -> str:
    if seconds < 90:
        return _("{seconds:.0f} s").format(seconds=seconds)
    if seconds < 5400:
        return _("{minutes} min").format(minutes=round(seconds / 60))
    return _("{hours:.1f} h").format(hours=seconds / 3600)
