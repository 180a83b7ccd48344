"""The words of what comes again, as cron lines: “every Monday 9:00”, “every last Friday”, 每个工作日. Pure."""

import re
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from bot.conversation.when_grammar import (
    DAYS,
    MORNING,
    ORDINALS,
    PARTS_OF_DAY,
    read_clock,
    read_day_names,
    read_number,
)


def read_rule(said: str) -> str:
    """Return the cron line of words such as “every Monday 9:00”; empty when they are none."""
    found = re.fullmatch(r"cron[ :]+(.+)", said)
    if found:
        return found[1] if _is_cron(found[1]) else ""
    found = re.fullmatch(r"(?:every|each) (.+)|(daily|hourly|weekdays)(.*)|每(?:个)?(.+)", said)
    if not found:
        return ""
    what = found[1] or (f"{found[2]}{found[3]}" if found[2] else "") or f"每{found[4]}"
    return _read_interval(what) or _read_calendar(what)


def _is_cron(line: str) -> bool:
    try:
        next(CronSim(line, datetime.now(UTC)))
    except (CronSimError, StopIteration):
        return False
    return len(line.split()) == 5


def _read_interval(what: str) -> str:
    if what in {"hour", "hourly", "每小时"}:
        return "0 * * * *"
    found = re.fullmatch(r"(?:每)?(\d+|\w+?) ?(minutes?|mins?|hours?|分钟|个?小时)", what)
    number = read_number(found[1]) if found else None
    if not found or number is None:
        return ""
    is_hours = "h" in found[2] or "小时" in found[2]
    whole = 24 if is_hours else 60
    if not 0 < number < whole or whole % number:  # every 7 minutes would begin anew each hour
        return ""
    return f"0 */{number} * * *" if is_hours else f"*/{number} * * * *"


def _read_calendar(what: str) -> str:
    """Read which days, then at what time; without one it is nine in the morning, or as the part of the day says."""
    days, rest = _read_days(what)
    if not days:
        return ""
    at = MORNING
    for word, moment in PARTS_OF_DAY.items():
        if rest == word:
            at, rest = moment, ""
    if rest:
        clock = read_clock(rest)
        if clock is None:
            return ""
        at = clock
    return f"{at.minute} {at.hour} {days}"


def _read_days(what: str) -> tuple[str, str]:
    """Return the days as the last three fields of a cron line, and the words behind them."""
    found = re.match(r"(?:day|daily)\b ?|每?[天日]", what)
    if found or what in PARTS_OF_DAY:
        return "* * *", what[found.end() :].strip() if found else what
    found = re.match(r"(?:weekdays?|workdays?|working days?)\b|每?(?:个)?工作日", what)
    if found:
        return "* * 1-5", what[found.end() :].strip()
    found = re.match(r"weekends?\b|每?(?:个)?周末", what)
    if found:
        return "* * 6,0", what[found.end() :].strip()
    found = re.match(rf"({'|'.join(ORDINALS)}) ({'|'.join(DAYS)})s?(?: of (?:the|each|every) month)?\b", what)
    if found:
        nth, day = ORDINALS[found[1]], DAYS[found[2]]
        return f"* * {day}L" if nth < 0 else f"* * {day}#{nth}", what[found.end() :].strip()
    found = re.match(r"(?:month(?: on)?(?: the)? )?(\d{1,2})(?:st|nd|rd|th)(?: of (?:the|each|every) month)?\b", what)
    found = found or re.match(r"每?月(\d{1,2})[号日]", what)
    if found and 1 <= int(found[1]) <= 31:
        return f"{int(found[1])} * *", what[found.end() :].strip()
    names, rest = read_day_names(what)
    return (f"* * {','.join(str(day) for day in names)}" if names else ""), rest
