"""The picture of a training: loss and validation loss at each step, the rate below; for the report in Slack."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bot.learning.atomic import replacing

CURVES = "curves.png"
INK, SOFT, LINE, HELD, RATE = "#1d1c1d", "#868686", "#3b6ea8", "#d1742f", "#5a9367"
SMOOTH = 0.85  # of the running mean that is drawn over the noisy steps
NAMES = {"sft": "answers", "kto": "thumbs", "dpo": "preferences"}


def draw_curves(entries: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the journal's *entries* to *path*; one column for each phase, because their losses differ in kind."""
    phases = list(dict.fromkeys(entry["phase"] for entry in entries))
    if not phases:
        return
    style = {"font.size": 9, "axes.edgecolor": "#d0d0d0", "axes.labelcolor": SOFT, "xtick.color": SOFT}
    with mpl.rc_context({**style, "ytick.color": SOFT, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(3.2 + 3.6 * len(phases), 4.2), dpi=150, layout="constrained")
        axes = figure.subplots(2, len(phases), squeeze=False, sharex="col", gridspec_kw={"height_ratios": [3, 1]})
        for column, phase in enumerate(phases):
            own = [entry for entry in entries if entry["phase"] == phase]
            _draw_loss(axes[0, column], own, NAMES.get(phase, phase))
            _draw_rate(axes[1, column], own)
        with replacing(path) as draft, draft.open("wb") as file:
            figure.savefig(file, format="png")


def _draw_loss(axis: Any, entries: Sequence[dict[str, Any]], name: str) -> None:
    steps = [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]
    held = [(entry["step"], entry["validation_loss"]) for entry in entries if "validation_loss" in entry]
    if steps:
        places, losses = zip(*steps, strict=True)
        axis.plot(places, losses, color=LINE, alpha=0.25, linewidth=0.8)
        axis.plot(places, smooth(losses), color=LINE, linewidth=1.8, label="training")
    if held:
        places, losses = zip(*held, strict=True)
        axis.plot(places, losses, color=HELD, linewidth=1.4, marker="o", markersize=3.5, label="held out")
        best = min(held, key=lambda point: point[1])
        axis.annotate(
            f"{best[1]:.3f}", best, xytext=(0, 7), textcoords="offset points", ha="center", color=HELD, fontsize=8
        )
    axis.set_title(f"Loss on {name}", loc="left", color=INK, fontsize=11)
    axis.grid(axis="y", color="#ececec", linewidth=0.8)
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, labelcolor=SOFT)


def _draw_rate(axis: Any, entries: Sequence[dict[str, Any]]) -> None:
    steps = [(entry["step"], entry["lr"]) for entry in entries if "lr" in entry]
    if steps:
        places, rates = zip(*steps, strict=True)
        axis.fill_between(places, rates, color=RATE, alpha=0.25, linewidth=0)
        axis.plot(places, rates, color=RATE, linewidth=1.2)
    axis.set_title("Rate", loc="left", color=SOFT, fontsize=9)
    axis.set_xlabel("step")
    axis.set_ylim(bottom=0)
    axis.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))


def smooth(values: Sequence[float]) -> list[float]:
    """Return the running mean, unbiased at its beginning."""
    mean, weight, smoothed = 0.0, 0.0, []
    for value in values:
        mean = SMOOTH * mean + (1 - SMOOTH) * value
        weight = SMOOTH * weight + 1 - SMOOTH
        smoothed.append(mean / weight)
    return smoothed
