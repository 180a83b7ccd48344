"""When somebody wants something: words in, a moment or a cron line out, in the person's own time zone. Pure.

“in 20 minutes”, “at 15:00”, “tomorrow at 9am”, “on Friday 10:00”, “every Monday 9:00”, “every weekday at 9:30”,
“every last Friday 16:00”, “cron 0 9 * * 1”, and the same in Chinese; other moments are left to dateparser.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from bot.conversation.when_grammar import (
    CHINESE_DAYS,
    DAYS,
    MORNING,
    PARTS_OF_DAY,
    SPAN,
    UNITS,
    read_clock,
    read_number,
)
from bot.conversation.when_rules import read_rule
from bot.errors import ApprenticeError
from bot.language import _

FARTHEST = timedelta(days=2 * 366)
BEFORE_DAY = re.compile(rf" (?=(?:on|every|each|next|the day after|tomorrow|today|{'|'.join(DAYS)})\b)")
BEFORE_CLOCK = re.compile(r", ?(?=(?:at )?\d{1,2}(?:[:.]\d\d\b| ?[ap]m\b))")
LONGEST = 120  # characters of what can be a time; dateparser takes long over more


class WrongTimeError(ApprenticeError):
    """That is no time that can be understood; the sentence says why."""


@dataclass(frozen=True, slots=True)
class When:
    """A moment, or, where *cron* is not empty, moments again and again."""

    once: datetime | None = None
    cron: str = ""


def parse_when(text: str, *, now: datetime, is_strict: bool = False) -> When | None:
    """Read *text*, with *now* in the person's time zone; None when it is no time. Only our own words if *is_strict*."""
    if len(text) > LONGEST:
        return None
    said = _put_day_first(" ".join(text.lower().replace("：", ":").split()).strip(" ,."))
    cron = read_rule(said)
    if cron:
        return When(cron=cron)
    moment = _read_span(said, now) or _read_moment(said, now)
    if moment is None and not is_strict:
        moment = _ask_dateparser(said, now)
    return None if moment is None else When(once=_settle(moment))


def _put_day_first(said: str) -> str:
    """Return “at 9:00 tomorrow” and “tomorrow, 9:00” as “tomorrow at 9:00”; other words as they are."""
    gap = BEFORE_DAY.search(said)
    if gap is not None and read_clock(said[: gap.start()]) is not None:
        return f"{said[gap.end() :]} {said[: gap.start()]}"
    return BEFORE_CLOCK.sub(" ", said)


def check_when(when: When, *, now: datetime, shortest: timedelta) -> None:
    """Raise *WrongTimeError* for what is over, too far away, or too often."""
    times = next_times(when, after=now, count=6)
    if when.once is not None and not _is_later(when.once, now):
        raise WrongTimeError(_("That moment is over already."))
    if not times or times[0] - now > FARTHEST:
        raise WrongTimeError(_("That is more than two years away."))
    if any(later.astimezone(UTC) - earlier.astimezone(UTC) < shortest for earlier, later in pairwise(times)):
        minutes = int(shortest.total_seconds() // 60)
        raise WrongTimeError(_("That is too often: at most every {minutes} minutes.").format(minutes=minutes))


def next_times(when: When, *, after: datetime, count: int) -> list[datetime]:
    """Return the next moments in the time zone of *after*, as many as there are up to *count*."""
    if when.once is not None:
        return [when.once.astimezone(after.tzinfo)] if _is_later(when.once, after) else []
    try:  # in the hour that the clock shows twice, a line may begin with the first of the two, which is over
        walk = (time for time in CronSim(when.cron, after) if _is_later(time, after))
        return list(islice(walk, count))
    except CronSimError:
        return []


def previous_time(cron: str, *, before: datetime) -> datetime | None:
    """Return when a cron line last came before a moment."""
    try:
        return next(CronSim(cron, before, reverse=True))
    except (CronSimError, StopIteration):
        return None


def _is_later(one: datetime, other: datetime) -> bool:
    """Compare moments; Python compares those of one time zone by what the clock shows, which goes back once a year."""
    return one.astimezone(UTC) > other.astimezone(UTC)


def _settle(moment: datetime) -> datetime:
    """Return a moment as the clock really shows it: what daylight saving leaves out comes an hour later."""
    return moment.astimezone(UTC).astimezone(moment.tzinfo)


def _read_span(said: str, now: datetime) -> datetime | None:
    """Read “in 20 minutes”, “in an hour and a half”, “20分钟后”."""
    found = re.fullmatch(r"in (.+)", said) or re.fullmatch(r"(.+?)(?:之?后|以后)", said)
    if not found:
        return None
    rest = re.sub(r"half an hour|半个?小时", "30 minutes", found[1])
    rest = re.sub(r"\b(?:an?|one) hour and a half", "90 minutes", rest)
    pieces = [piece for piece in re.split(r",| and | ", SPAN.sub("", rest)) if piece]
    span = timedelta()
    for match in SPAN.finditer(rest):
        number, unit = read_number(match[1] or match[3]), match[2] or match[4].removeprefix("个")
        if number is None:
            return None
        span += number * UNITS[unit]
    if not span or pieces:
        return None
    # A day is a day by the clock, an hour is sixty minutes, also where daylight saving begins or ends.
    by_clock = timedelta(days=span.days)
    day = now + by_clock if by_clock else now  # adding nothing would forget which of two equal hours it is
    return (day.astimezone(UTC) + (span - by_clock)).astimezone(now.tzinfo)


def _read_moment(said: str, now: datetime) -> datetime | None:
    """Read “at 15:00”, “tomorrow at 9am”, “on Friday”, “on 2026-12-01 at 9:00”."""
    day, rest = _read_date(said, now)
    at = read_clock(rest) if rest else None
    if rest and at is None:
        at = PARTS_OF_DAY.get(rest)
    if rest and at is None:
        return None
    if day is None and at is None:
        return None
    moment = datetime.combine((day or now).date(), at or MORNING, tzinfo=now.tzinfo)
    if not _is_later(moment, now) and _is_later(moment.replace(fold=1), now):
        return moment.replace(fold=1)  # the clock shows it twice, and the first time is over
    return moment + timedelta(days=1) if day is None and not _is_later(moment, now) else moment


def _read_date(said: str, now: datetime) -> tuple[datetime | None, str]:
    """Return the day that is named, and the words behind it; None when no day is."""
    for words, days in (("day after tomorrow|后天", 2), ("tomorrow|明天", 1), ("today|今天|tonight|今晚", 0)):
        found = re.match(rf"(?:the )?({words})\b ?|({words})", said)
        if found:
            rest = said[found.end() :].strip()
            return now + timedelta(days=days), rest or ("evening" if found[0].strip() in {"tonight", "今晚"} else "")
    found = re.match(r"(?:on )?(\d{4})-(\d{1,2})-(\d{1,2})\b", said)
    if found:
        try:
            day = datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=now.tzinfo)
        except ValueError:
            return None, said
        return day, said[found.end() :].strip()
    found = re.match(rf"(?:on )?(next )?({'|'.join(DAYS)})\b|(下?)(?:周|星期)([{''.join(CHINESE_DAYS)}])", said)
    if found:
        number = DAYS[found[2]] if found[2] else CHINESE_DAYS[found[4]]
        ahead = (number - 1 - now.weekday()) % 7 or 7
        if found[3]:  # 下周一 is the one of the week after this, whatever day it is
            ahead = 7 - now.weekday() + (number - 1) % 7
        return now + timedelta(days=ahead), said[found.end() :].strip()
    return None, said


def _ask_dateparser(said: str, now: datetime) -> datetime | None:
    """Let dateparser read what our own words do not say; what it leaves out of the text it has not understood."""
    import dateparser  # large, and seldom needed

    zone = now.tzinfo.key if isinstance(now.tzinfo, ZoneInfo) else "UTC"
    settings = {
        "TIMEZONE": zone,
        "TO_TIMEZONE": zone,
        "RETURN_AS_TIMEZONE_AWARE": True,
        "PREFER_DATES_FROM": "future",
        "RELATIVE_BASE": now.replace(tzinfo=None),
    }
    found = dateparser.parse(said.removeprefix("at ").removeprefix("on "), settings=settings)
    if found is None:
        return None
    moment = datetime.combine(found.date(), found.time(), tzinfo=now.tzinfo)
    return moment if _says_all(said, moment, now) else None


def _says_all(said: str, moment: datetime, now: datetime) -> bool:
    seconds = round((moment - now).total_seconds())
    spans = {seconds // size for size in (60, 3600, 86_400, 604_800)}
    shown = {moment.year, moment.month, moment.day, moment.hour, moment.hour % 12, moment.minute}
    return all(int(number) in shown | spans for number in re.findall(r"\d+", said))
