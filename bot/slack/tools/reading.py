"""What people write behind `summarise`, `actions` and `translate`: which channel, since when, which language. Pure."""

import re
from datetime import datetime, timedelta

from bot.language import _
from bot.slack.commands.orders import UsageError
from bot.slack.schedule.reading import CHANNEL

SPAN = re.compile(r"(\d{1,3})\s*(m|min|minutes?|h|hours?|d|days?|w|weeks?)", re.IGNORECASE)
UNITS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SHORTEST_DAY = 3  # letters of its name
SOURCE = re.compile(r"(<#[^>]+>|here)?\s*(?:since\s+(.+))?", re.IGNORECASE)
TO = re.compile(
    r"to\s+(?:[\"“”]([^\"“”]{2,40})[\"“”]|([^\W\d_][\w-]{1,30}))(?:\s*[:：]\s*|\s+|$)(.*)", re.IGNORECASE | re.DOTALL
)
FARTHEST = timedelta(days=366)
LANGUAGES = {
    "de": "German",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "pt": "Portuguese",
    "ru": "Russian",
    "zh": "Chinese",
}


def read_source(words: str, *, now: datetime) -> tuple[str, datetime | None]:
    """Read “#channel since monday”: the channel's id (empty: here) and the moment, if one is named."""
    if words.strip().lower() == "unread":
        raise UsageError(_("Slack does not tell me what you have not read yet. Name a moment instead."))
    found = SOURCE.fullmatch(words.strip())
    if found is None:
        raise UsageError(_("I need a channel, and since when, such as: #support since monday."))
    channel = CHANNEL.fullmatch(found[1] or "")
    return (channel[1] if channel else ""), (read_since(found[2], now=now) if found[2] else None)


def read_since(words: str, *, now: datetime) -> datetime:
    """Read “2h”, “monday”, “yesterday”, “2026-11-20”; raise *UsageError* for what is no moment of the last year."""
    moment = _read_moment(words.strip().lower(), now)
    if moment is None or not now - FARTHEST <= moment < now:
        raise UsageError(_("Since when? Such as 2h, 3d, monday, yesterday or 2026-11-20; a year ago at most."))
    return moment


def _read_moment(said: str, now: datetime) -> datetime | None:
    span = SPAN.fullmatch(said)
    if span:
        return now - int(span[1]) * UNITS[span[2][0].lower()]
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if said in {"today", "yesterday"}:
        return today - timedelta(days=said == "yesterday")
    day = next(
        (number for number, name in enumerate(DAYS) if len(said) >= SHORTEST_DAY and name.startswith(said)), None
    )
    if day is not None:
        return today - timedelta(days=(now.weekday() - day) % 7)
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)


def read_translation(words: str) -> tuple[str, str]:
    """Read “to German Good morning”: the language (empty: the person's own) and the text."""
    found = TO.fullmatch(words.strip())
    return ((found[1] or found[2]), found[3].strip()) if found else ("", words.strip())
