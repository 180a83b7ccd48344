"""The hours of training."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.learning.config import LearningConfig
from bot.learning.window import Window


@pytest.mark.parametrize(
    ("text", "clock", "is_open", "end"),
    [
        ("01:00-06:00", "02:30", True, "06:00"),
        ("01:00-06:00", "07:00", False, "06:00"),
        ("22:00-05:00", "23:00", True, "05:00"),
        ("22:00-05:00", "04:59", True, "05:00"),
        ("22:00-05:00", "12:00", False, "05:00"),
        ("00:00-00:00", "12:00", True, "12:00"),
        ("05:00-05:00", "04:00", True, "04:00"),
    ],
)
def test_windows(text: str, clock: str, is_open: bool, end: str) -> None:
    """A window may reach over midnight, and its end always lies ahead."""
    moment = datetime.fromisoformat(f"2026-11-27T{clock}:00+00:00")
    window = Window.parse(text)

    assert window.is_open(moment) is is_open
    assert window.end_after(moment).strftime("%H:%M") == end
    assert window.end_after(moment) > moment


@pytest.mark.parametrize("text", ["", "1-2-3", "night", "25:00-26:00", "01:00Z-06:00Z"])
def test_bad_windows_name_the_variable(text: str) -> None:
    """What cannot be read says which variable and how to write it."""
    with pytest.raises(ConfigError, match="TRAINING_WINDOW"):
        Window.parse(text)


@pytest.mark.parametrize("began", ["2026-03-29T00:10", "2026-10-25T00:10", "2026-10-25T01:10", "2026-07-01T00:10"])
def test_a_night_in_which_the_clock_changes_ends_when_the_window_does(
    monkeypatch: pytest.MonkeyPatch, began: str
) -> None:
    """Six o'clock is six o'clock where the machine stands, and not by what the clock said when the run began."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        window = Window.parse("01:00-06:00")
        config = LearningConfig(folder=Path("x"), model_path=None, window=window, longest=timedelta(days=1))
        ends = config.deadline(datetime.fromisoformat(began).replace(tzinfo=UTC), trigger="schedule")
        assert time.strftime("%H:%M", time.localtime(ends)) == "06:00"
    finally:
        monkeypatch.undo()
        time.tzset()
