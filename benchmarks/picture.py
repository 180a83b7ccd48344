"""One picture of a run: how fast answers are written, how long people stand still, how soon a thread goes on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.arms import LLAMA_SERVER, LLAMA_SERVER_UNIFIED, OURS, PEER, PYTHON_SERVER
from benchmarks.bench import Row
from benchmarks.ceiling import DECODE_AND_SAMPLE, DECODE_ONLY
from benchmarks.figures import median_of

COLOURS = {
    OURS: "#c2410c",
    LLAMA_SERVER: "#1d4ed8",
    LLAMA_SERVER_UNIFIED: "#60a5fa",
    PEER: "#0f766e",
    PYTHON_SERVER: "#7c3aed",
    DECODE_ONLY: "#737373",
    DECODE_AND_SAMPLE: "#a3a3a3",
}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the picture: a line of panels for each model."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    models = list(dict.fromkeys(row.model for row in rows))
    figure, axes = plt.subplots(len(models), 3, figsize=(14, 4.2 * len(models)), squeeze=False)
    for line, model in zip(axes, models, strict=True):
        chosen = [row for row in rows if row.model == model]
        draw_decode(line[0], [row for row in chosen if row.workload == "W1" and row.case.isdigit()], model)
        draw_bars(line[1], [row for row in chosen if row.workload == "W4"], "longest_gap", "W4: longest gap, ms")
        draw_threads(line[2], [row for row in chosen if row.workload == "W3"])
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_decode(axis: Any, rows: Sequence[Row], model: str) -> None:
    """Draw tokens a second over the number of answers at the same time."""
    axis.set_title(f"{model}, W1: tokens/s")
    axis.set_xlabel("answers at the same time")
    for arm in (arm for arm in COLOURS if any(row.arm == arm for row in rows)):
        widths = sorted({int(row.case) for row in rows if row.arm == arm})
        values = [median(rows, "decode_per_second", arm=arm, case=str(width)) for width in widths]
        style = ":" if arm in {DECODE_ONLY, DECODE_AND_SAMPLE} else "-"
        axis.plot(widths, values, style, marker="o", markersize=4, color=COLOURS[arm], label=arm)
    if rows:
        axis.set_xscale("log", base=2)
        axis.set_xticks(
            sorted({int(row.case) for row in rows}), [str(n) for n in sorted({int(row.case) for row in rows})]
        )
        axis.legend(fontsize=8)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)


def draw_bars(axis: Any, rows: Sequence[Row], name: str, title: str) -> None:
    """Draw one bar for each arm, less is better."""
    axis.set_title(title)
    arms = [arm for arm in COLOURS if any(row.arm == arm for row in rows)]
    bars = axis.bar(arms, [median(rows, name, arm=arm) for arm in arms], color=[COLOURS[arm] for arm in arms])
    axis.bar_label(bars, fmt="{:,.0f}")
    axis.tick_params(axis="x", labelsize=8)


def draw_threads(axis: Any, rows: Sequence[Row]) -> None:
    """Draw the time to the first token, in the thread and cold."""
    axis.set_title("W3: first token, ms: in the thread, and cold (pale)")
    arms = [arm for arm in COLOURS if any(row.arm == arm for row in rows)]
    for place, arm in enumerate(arms):
        for shift, name, alpha in ((-0.2, "warm_ttft_p50", 1.0), (0.2, "cold_ttft_p50", 0.35)):
            bar = axis.bar([place + shift], [median(rows, name, arm=arm)], 0.38, color=COLOURS[arm], alpha=alpha)
            axis.bar_label(bar, fmt="{:,.0f}")
    axis.set_xticks(range(len(arms)), arms, fontsize=8)


def median(rows: Sequence[Row], name: str, *, arm: str, case: str | None = None) -> float:
    """Return the median of a figure over the rounds, NaN if there is none."""
    chosen = [row for row in rows if row.arm == arm and case in {None, row.case}]
    return median_of([row.values[name] for row in chosen if name in row.values])
