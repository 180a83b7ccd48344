"""The words of which times are made, in English and Chinese."""

import re
from datetime import time, timedelta

DAYS = {
    name: number
    for number, names in enumerate(
        (
            ("sunday", "sun"),
            ("monday", "mon"),
            ("tuesday", "tues", "tue"),
            ("wednesday", "wed"),
            ("thursday", "thurs", "thur", "thu"),
            ("friday", "fri"),
            ("saturday", "sat"),
        )
    )
    for name in names
}
CHINESE_DAYS = {"一": 1, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "日": 0, "天": 0}
ORDINALS = {"first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4, "last": -1}
UNITS = {
    **dict.fromkeys(("minutes", "minute", "mins", "min", "分钟"), timedelta(minutes=1)),
    **dict.fromkeys(("hours", "hour", "hrs", "hr", "h", "小时"), timedelta(hours=1)),
    **dict.fromkeys(("days", "day", "天"), timedelta(days=1)),
    **dict.fromkeys(("weeks", "week", "周", "星期"), timedelta(weeks=1)),
    "m": timedelta(minutes=1),
}
PARTS_OF_DAY = {
    "morning": time(9),
    "in the morning": time(9),
    "noon": time(12),
    "at noon": time(12),
    "afternoon": time(15),
    "in the afternoon": time(15),
    "evening": time(18),
    "in the evening": time(18),
    "night": time(20),
    "midnight": time(0),
    "at midnight": time(0),
    "早上": time(9),
    "上午": time(9),
    "中午": time(12),
    "下午": time(15),
    "晚上": time(20),
}
NUMBERS = {
    word: number
    for number, words in enumerate(
        (
            "",
            "a an one 一",
            "two 二 两",
            "three 三",
            "four 四",
            "five 五",
            "six 六",
            "seven 七",
            "eight 八",
            "nine 九",
            "ten 十",
        )
    )
    for word in words.split()
}
MORNING = time(9)
SPAN = re.compile(
    r"(\d+|\w+?) ?(minutes?|mins?|hours?|hrs?|h|days?|weeks?|m)\b"
    r"|(\d+|[一二两三四五六七八九十])(分钟|个?小时|天|个?星期|周)"
)
CLOCK = re.compile(r"(?:at |@ ?)?(\d{1,2})(?:[:.h](\d{2}))?(?: ?o'?clock)?(?: ?(am|pm|a\.m\.|p\.m\.))?")
CHINESE_CLOCK = re.compile(r"(早上|上午|中午|下午|晚上)?(\d{1,2})(?:[点时](?:(\d{1,2})分?|(半))?|:(\d{2}))")


def read_number(word: str) -> int | None:
    """Return a small number written in figures or in words."""
    return int(word) if word.isdigit() and len(word) < 5 else NUMBERS.get(word)


def read_clock(text: str) -> time | None:
    """Read a time of day: 9, 9:30, 9am, 21.15, noon, 下午3点."""
    text = text.strip()
    if text in PARTS_OF_DAY:
        return PARTS_OF_DAY[text]
    found = CLOCK.fullmatch(text)
    if found:
        return _time(int(found[1]), int(found[2] or 0), half=(found[3] or "")[:1])
    chinese = CHINESE_CLOCK.fullmatch(text)
    if chinese is None:
        return None
    minute = 30 if chinese[4] else int(chinese[3] or chinese[5] or 0)
    is_late = chinese[1] in {"下午", "晚上"} and int(chinese[2]) < 12
    return _time(int(chinese[2]), minute, half="p" if is_late else "")


def _time(hour: int, minute: int, *, half: str) -> time | None:
    if half and not 1 <= hour <= 12:
        return None
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return time(hour, minute) if hour < 24 and minute < 60 else None


def read_day_names(text: str) -> tuple[list[int], str]:
    """Read “mon, wed and fri” or 周一、周三; return the days as cron numbers them, and the words behind them."""
    found: list[int] = []
    rest = text
    name = re.compile(rf"(?:(?:,|and|、|和) ?)*(?:({'|'.join(DAYS)})s?\b|每?(?:周|星期)([{''.join(CHINESE_DAYS)}])) ?")
    while match := name.match(rest):
        found.append(DAYS[match[1]] if match[1] else CHINESE_DAYS[match[2]])
        rest = rest[match.end() :]
    return sorted(set(found)), rest.strip()
