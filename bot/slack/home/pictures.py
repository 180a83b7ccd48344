"""Pictures made of characters, which every screen shows and a screen reader can skip. Pure."""

from collections.abc import Sequence

STEPS = "▁▂▃▄▅▆▇█"
NOTHING = "·"
BAR = 10


def draw_line(values: Sequence[float | None], *, most: float | None = None) -> str:
    """Draw values beside each other, each as high as its part of *most*; None where there is none."""
    known = [value for value in values if value is not None]
    top = most if most is not None else max(known, default=0.0)
    return "".join(NOTHING if value is None else _step(value, top) for value in values)


def draw_bar(share: float, *, width: int = BAR) -> str:
    """Draw a share of one; what is there at all is seen, and so is what is missing at all."""
    share = min(max(share, 0.0), 1.0)
    full = round(width * share)
    if 0 < share < 1:
        full = min(max(full, 1), width - 1)
    return "▓" * full + "░" * (width - full)


def _step(value: float, top: float) -> str:
    if top <= 0 or value <= 0:
        return STEPS[0]
    return STEPS[min(round(value / top * (len(STEPS) - 1)), len(STEPS) - 1)]
