"""What people write behind the commands that read and write for them."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from bot.slack.commands.orders import UsageError
from bot.slack.tools.reading import read_since, read_source, read_translation
from bot.slack.tools.tools import PIECE, split_text

NOW = datetime(2026, 11, 25, 15, 30, tzinfo=ZoneInfo("Europe/Berlin"))  # a Wednesday


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        ("2h", "2026-11-25T13:30+01:00"),
        ("45 minutes", "2026-11-25T14:45+01:00"),
        ("3d", "2026-11-22T15:30+01:00"),
        ("1 week", "2026-11-18T15:30+01:00"),
        ("today", "2026-11-25T00:00+01:00"),
        ("yesterday", "2026-11-24T00:00+01:00"),
        ("Monday", "2026-11-23T00:00+01:00"),
        ("wed", "2026-11-25T00:00+01:00"),
        ("thursday", "2026-11-19T00:00+01:00"),
        ("2026-11-20", "2026-11-20T00:00+01:00"),
        ("2026-10-20 09:00", "2026-10-20T09:00+02:00"),
    ],
)
def test_since_when(words: str, moment: str) -> None:
    """In the person's time zone, summer time included."""
    assert read_since(words, now=NOW) == datetime.fromisoformat(moment)


@pytest.mark.parametrize("words", ["2026-11-26", "2024-01-01", "soon", "th", "", "2026-13-01"])
def test_what_is_no_moment_of_the_last_year(words: str) -> None:
    """What is to come, long over, or no time at all."""
    with pytest.raises(UsageError):
        read_since(words, now=NOW)


def test_which_channel() -> None:
    """Slack sends a channel as its id; nothing is the place itself."""
    assert read_source("<#C0SUPPORT|support> since 2h", now=NOW) == ("C0SUPPORT", read_since("2h", now=NOW))
    assert read_source("", now=NOW) == read_source("here", now=NOW) == ("", None)
    with pytest.raises(UsageError, match="Slack does not tell me"):
        read_source("unread", now=NOW)
    with pytest.raises(UsageError, match="I need a channel"):
        read_source("the news", now=NOW)


@pytest.mark.parametrize(
    ("words", "language", "text"),
    [
        ("to German Good morning", "German", "Good morning"),
        ("to French", "French", ""),
        ('to "Brazilian Portuguese": Good\nmorning', "Brazilian Portuguese", "Good\nmorning"),
        ("tomorrow we ship", "", "tomorrow we ship"),
        ("", "", ""),
    ],
)
def test_which_language(words: str, language: str, text: str) -> None:
    """A language of several words stands in quotes."""
    assert read_translation(words) == (language, text)


def test_a_long_text_is_translated_in_pieces() -> None:
    """Nothing of it is lost, and no piece is so long that its translation would be cut off."""
    words = [f"word{number}" for number in range(2000)]
    pieces = split_text(f"Title\n\n{' '.join(words)}\nEnd")

    assert " ".join(pieces).split() == ["Title", *words, "End"]
    assert max(map(len, pieces)) <= PIECE
    assert split_text("one\ntwo") == ["one\ntwo"]
