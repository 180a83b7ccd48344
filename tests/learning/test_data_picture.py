"""The data set as a picture, whose height tells its parts."""

from pathlib import Path
from typing import Any

from PIL import Image

from bot.learning.data.picture import draw
from bot.learning.data.report import DataReport

REPORT: dict[str, Any] = {
    "examples": 3,
    "uses": {"sft": 3},
    "sources": {"rehearsal": 3},
    "splits": {"train": 3},
    "splits_by_source": {"rehearsal": {"train": 3}},
    "redacted": {},
    "signals": {},
    "points": 0.0,
    "points_needed": 0.0,
    "people": 1,
    "channels": 1,
    "tokens": 9,
    "rendered": 3,
    "since": "",
    "seed": 0,
    "base_model": "starter",
    "base_sha256": "",
    "template_sha256": "",
    "dataset_sha256": "",
}


def test_nothing_left_out_draws_nothing(tmp_path: Path) -> None:
    """An empty chart of what was left out would only ask what it means."""
    heights = {}
    for name, left_out in (("whole", {}), ("part", {"somebody does not want it": 2})):
        assert draw(DataReport(**REPORT, left_out=left_out), tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            heights[name] = picture.height
    assert heights["whole"] < heights["part"]
