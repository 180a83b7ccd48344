"""What people write behind `remind` and `digest`: where, when and what. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime

from bot.conversation.when import LONGEST, When, parse_when
from bot.language import _
from bot.slack.commands.orders import UsageError

CHANNEL = re.compile(r"<#([CG][A-Z0-9]{2,30})(?:\|[^>]*)?>")
PLACE = re.compile(r"(me|us|here|我|这里|<#[^>]+>)(?:[\s,:，：]+|$)", re.IGNORECASE)
SEPARATOR = re.compile(r"\s+(?:to|that|about)\s+|\s*[:：](?!\d)\s*|\s+[-–—]\s+|[，,]\s*")
LEADING = re.compile(r"\A(?:(?:to|that|about)(?:\s+|$)|[:：]\s*)", re.IGNORECASE)
NOTHING = re.compile(r"(?:\s+(?:to|that|about)|\s*[:：])$", re.IGNORECASE)  # follows: the text is still to come
TRAILING = re.compile(
    r"\s+(?=(?:at|in|on|every|each|tomorrow|today|tonight|next|daily|the day after)\b)", re.IGNORECASE
)
SUMMARISE = re.compile(
    r"\s*(?:summari[sz](?:e|ing)|a? ?summary of|sum up|digest of|of|总结|摘要)\s*(?=<#|here\b|this\b|这里|本频道)",
    re.IGNORECASE,
)
SOURCE = re.compile(r"\s*(<#[^>]+>|here|this channel|这里|本频道)\s*(.*)", re.IGNORECASE | re.DOTALL)
TO_ME = re.compile(r"(?:to|for) me|to my dm|发?给我", re.IGNORECASE)
HERE = "here"
MOST_WORDS = 12  # a time is made of


@dataclass(frozen=True, slots=True)
class ReminderWish:
    """A reminder as somebody wants it; *place* is a channel's id, `here`, or empty for the person alone."""

    place: str
    when: When
    text: str


@dataclass(frozen=True, slots=True)
class DigestWish:
    """A digest as somebody wants it: of *source*, said in *place*; each a channel's id or `here`."""

    source: str
    place: str
    when: When


def read_reminder(words: str, *, now: datetime) -> ReminderWish:
    """Read “me at 15:00 to call Tom”, “here every Monday 9:00: stand-up”, “me to call Tom in 20 minutes”."""
    found = PLACE.match(words.strip())
    place = "" if found is None else _read_place(found[1])
    rest = words.strip()[found.end() :].strip() if found else words.strip()
    if len(rest) <= LONGEST and parse_when(NOTHING.sub("", rest), now=now, is_strict=True) is not None:
        raise UsageError(_("I need a time and what to remind of, such as: remind me tomorrow at 9:00 to call Tom."))
    wish = _time_first(rest, now) or _time_last(rest, now) or _time_first(rest, now, is_strict=False)
    if wish is None:
        raise UsageError(_("I need a time and what to remind of, such as: remind me tomorrow at 9:00 to call Tom."))
    return ReminderWish(place, *wish)


def read_digest(words: str, *, now: datetime) -> DigestWish:
    """Read “every Monday 9:00 summarise #support here”; without a place it is said where it was ordered."""
    found = SUMMARISE.search(words) or re.search(r"\s+(?=<#)", words)
    source = None if found is None else SOURCE.fullmatch(words, found.end())
    if found is None or source is None:
        raise UsageError(_("I need a time and a channel, such as: digest every Monday 9:00 summarise #support here."))
    when = parse_when(words[: found.start()], now=now)
    if when is None:
        raise UsageError(_("I do not understand that time."))
    return DigestWish(_read_place(source[1]), _read_target(source[2].strip()), when)


def _read_target(words: str) -> str:
    plain = re.sub(r"^(?:in|to|into)\s+(?=<#|here)", "", words, flags=re.IGNORECASE)
    if not plain or plain.lower() in {HERE, "in here", "这里"}:
        return HERE
    if TO_ME.fullmatch(words):
        return ""
    if CHANNEL.fullmatch(plain):
        return _read_place(plain)
    raise UsageError(_("I can say a digest here, to you alone (“to me”), or in another channel (“in #name”)."))


def _read_place(word: str) -> str:
    channel = CHANNEL.fullmatch(word)
    if channel:
        return channel[1]
    if word.startswith("<#"):
        raise UsageError(_("I need a channel, written as a mention: #name."))
    return "" if word.lower() in {"me", "我"} else HERE


def _time_first(text: str, now: datetime, *, is_strict: bool = True) -> tuple[When, str] | None:
    """Read the time in front of what separates it from the rest; without a separator, as much of it as is a time."""
    found = None
    for match in SEPARATOR.finditer(text):
        if match.start() > LONGEST:
            break
        when = parse_when(text[: match.start()], now=now, is_strict=is_strict)
        if when is not None and text[match.end() :].strip():
            found = when, text[match.end() :].strip()  # the longest: “every Monday” begins “every Monday, Wednesday”
    if found is not None:
        return found
    for match in reversed(list(re.finditer(r"\s+", text))[:MOST_WORDS]) if is_strict else ():
        when = parse_when(text[: match.start()], now=now, is_strict=True)
        rest = LEADING.sub("", text[match.end() :], count=1).strip()
        if when is not None and rest:
            return when, rest
    return None


def _time_last(text: str, now: datetime) -> tuple[When, str] | None:
    """Read a time at the end, in our own words only: nearly everything is a time to somebody who wants one."""
    body = text[match.end() :] if (match := LEADING.match(text)) else text
    for gap in TRAILING.finditer(body):
        when = parse_when(body[gap.end() :], now=now, is_strict=True)
        if when is not None and body[: gap.start()].strip():
            return when, body[: gap.start()].strip()
    return None
