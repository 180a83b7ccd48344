"""A data set as a picture: what it was made of, what each part is for, and what was left out. Needs matplotlib."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

from bot.learning.atomic import replacing
from bot.learning.data.report import SOURCE_WORDS, DataReport
from bot.learning.examples import Split

COLOURS = {Split.TRAIN: "#4a6fa5", Split.VALIDATION: "#e0a458", Split.TEST: "#7a9e7e"}
WIDTH = 44  # signs of a label


def draw(report: DataReport, path: Path) -> bool:
    """Write the picture; return whether it could be drawn."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    left_out = dict(sorted(report.left_out.items(), key=lambda item: -item[1])[:8])
    heights = [max(1, len(report.sources)), *([len(left_out)] if left_out else [])]
    figure = Figure(figsize=(9, 2.2 + 0.42 * sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    above, *below = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    names = [SOURCE_WORDS[source] for source in report.splits_by_source]
    begins = [0] * len(names)
    for split, colour in COLOURS.items():
        counts = [found.get(split, 0) for found in report.splits_by_source.values()]
        above.barh(_labels(names), counts, left=begins, color=colour, label=str(split))
        begins = [begin + count for begin, count in zip(begins, counts, strict=True)]
    above.set_title(f"{report.examples:,} examples, by source and by what they are for", loc="left", fontsize=11)
    above.legend(frameon=False, fontsize=8)
    for axes in below:
        _bars(axes, left_out)
        axes.set_xlim(0, 1.1 * max(1, *left_out.values()))
        axes.set_title("Signals that were left out, and why", loc="left", fontsize=11)
    for axes in (above, *below):
        axes.invert_yaxis()
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as draft:
        figure.savefig(draft, format="png", dpi=120, metadata={"Software": None})
    return True


def _bars(axes: Any, counts: Mapping[str, int]) -> None:
    bars = axes.barh(_labels(counts), list(counts.values()), color="#a85751")
    axes.bar_label(bars, labels=[f"{count:,}" for count in counts.values()], padding=3, fontsize=8)


def _labels(names: Iterable[str]) -> list[str]:
    return [fill(name, WIDTH) for name in names]
