"""The hours of training."""

from datetime import datetime

import pytest

from bot.errors import ConfigError
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
