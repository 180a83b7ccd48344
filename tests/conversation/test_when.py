"""When somebody wants something, read in their own words and their own time zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.conversation.when import When, WrongTimeError, check_when, next_times, parse_when, previous_time

BERLIN = ZoneInfo("Europe/Berlin")
FRIDAY = datetime(2026, 3, 27, 12, 0, tzinfo=BERLIN)  # two days before the clocks go forward


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in 20 minutes", "2026-03-27T12:20+01:00"),
        ("in an hour", "2026-03-27T13:00+01:00"),
        ("in half an hour", "2026-03-27T12:30+01:00"),
        ("in an hour and a half", "2026-03-27T13:30+01:00"),
        ("in 2 hours and 5 minutes", "2026-03-27T14:05+01:00"),
        ("in 90m", "2026-03-27T13:30+01:00"),
        ("in two weeks", "2026-04-10T12:00+02:00"),
        ("in 3 days", "2026-03-30T12:00+02:00"),
        ("at 15:00", "2026-03-27T15:00+01:00"),
        ("at 9", "2026-03-28T09:00+01:00"),
        ("3pm", "2026-03-27T15:00+01:00"),
        ("12am", "2026-03-28T00:00+01:00"),
        ("tomorrow", "2026-03-28T09:00+01:00"),
        ("Tomorrow at 9:30", "2026-03-28T09:30+01:00"),
        ("at 13:00 tomorrow", "2026-03-28T13:00+01:00"),
        ("3pm on Monday", "2026-03-30T15:00+02:00"),
        ("Monday, 9:30", "2026-03-30T09:30+02:00"),
        ("Dec 3, 2026 at 9:00", "2026-12-03T09:00+01:00"),
        ("tonight", "2026-03-27T18:00+01:00"),
        ("the day after tomorrow at 8am", "2026-03-29T08:00+02:00"),
        ("on Friday at 10:00", "2026-04-03T10:00+02:00"),
        ("next Monday", "2026-03-30T09:00+02:00"),
        ("on 2026-12-01 at 9:00", "2026-12-01T09:00+01:00"),
        ("20分钟后", "2026-03-27T12:20+01:00"),
        ("半小时后", "2026-03-27T12:30+01:00"),
        ("明天下午3点半", "2026-03-28T15:30+01:00"),
        ("下周一10:00", "2026-03-30T10:00+02:00"),
        ("Dec 3 at 5pm", "2026-12-03T17:00+01:00"),
        ("in zwei Stunden", "2026-03-27T14:00+01:00"),
    ],
)
def test_a_moment_is_read(text: str, expected: str) -> None:
    """In our own words, English or Chinese; what these do not cover is left to dateparser."""
    when = parse_when(text, now=FRIDAY)

    assert when is not None
    assert when.once is not None
    assert when.once.isoformat(timespec="minutes") == expected


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("every Monday 9:00", "0 9 * * 1"),
        ("at 15:00 every Monday", "0 15 * * 1"),
        ("every Monday, 15:00", "0 15 * * 1"),
        ("every mon, wed and fri at 14:00", "0 14 * * 1,3,5"),
        ("every weekday at 9:30", "30 9 * * 1-5"),
        ("every weekend", "0 9 * * 6,0"),
        ("every day at 8", "0 8 * * *"),
        ("daily 8:15", "15 8 * * *"),
        ("every morning", "0 9 * * *"),
        ("every evening", "0 18 * * *"),
        ("every hour", "0 * * * *"),
        ("every 2 hours", "0 */2 * * *"),
        ("every 15 minutes", "*/15 * * * *"),
        ("every last Friday at 16:00", "0 16 * * 5L"),
        ("every first Monday of the month at 10am", "0 10 * * 1#1"),
        ("every month on the 1st at 9:00", "0 9 1 * *"),
        ("cron 0 9 * * 1", "0 9 * * 1"),
        ("每天9:00", "0 9 * * *"),
        ("每周一 9:00", "0 9 * * 1"),
        ("每个工作日 9点半", "30 9 * * 1-5"),
        ("每月1号9点", "0 9 1 * *"),
    ],
)
def test_what_comes_again_is_read(text: str, cron: str) -> None:
    """As a cron line, from which the next dates follow."""
    assert parse_when(text, now=FRIDAY) == When(cron=cron)


@pytest.mark.parametrize(
    "text",
    ["", "the page", "call Tom", "every other Monday", "every 7 minutes", "every blue moon", "at 25:00", "at 13pm",
     "cron 0 0 31 2 *", "cron rm -rf", "on 2026-02-30", "morgen um 9", "every 0 minutes"],
)  # fmt: skip
def test_what_is_no_time_is_none(text: str) -> None:
    """Nothing is guessed: “morgen um 9”, of which only a part would be understood, is refused as well."""
    assert parse_when(text, now=FRIDAY) is None


def test_daylight_saving_is_right() -> None:
    """Nine o'clock stays nine o'clock; what the clock leaves out comes an hour later, what it repeats comes once."""
    weekly = next_times(When(cron="0 9 * * 1"), after=datetime(2026, 3, 23, 9, 0, tzinfo=BERLIN), count=2)
    skipped = next_times(When(cron="30 2 * * *"), after=datetime(2026, 3, 28, 12, tzinfo=BERLIN), count=2)
    repeated = next_times(When(cron="30 2 * * *"), after=datetime(2026, 10, 24, 12, tzinfo=BERLIN), count=2)
    once = parse_when("on Sunday at 2:30", now=FRIDAY)

    assert [moment.hour for moment in weekly] == [9, 9]
    assert weekly[0].astimezone(UTC).hour == 7
    assert [f"{moment:%d %H:%M}" for moment in skipped] == ["29 03:00", "30 02:30"]
    assert [f"{moment:%d %H:%M}" for moment in repeated] == ["25 02:30", "26 02:30"]
    assert once is not None
    assert once.once is not None
    assert f"{once.once:%H:%M}" == "03:30"


def test_an_hour_is_an_hour_and_a_day_a_day() -> None:
    """Across the night in which the clocks change."""
    before = datetime(2026, 3, 28, 20, 0, tzinfo=BERLIN)
    hours, day = parse_when("in 8 hours", now=before), parse_when("in 1 day", now=before)

    assert hours is not None
    assert day is not None
    assert (f"{hours.once:%H:%M}", f"{day.once:%H:%M}") == ("05:00", "20:00")


@pytest.mark.parametrize(
    ("text", "word"),
    [("today at 9:00", "over"), ("on 2031-01-01", "two years"), ("every 5 minutes", "too often")],
)
def test_what_nobody_could_want_is_refused(text: str, word: str) -> None:
    """Past, far away, or a nuisance to everybody."""
    when = parse_when(text, now=FRIDAY)

    assert when is not None
    with pytest.raises(WrongTimeError, match=word):
        check_when(when, now=FRIDAY, shortest=timedelta(minutes=15))


def test_the_time_before_is_known() -> None:
    """A digest begins where the last one ended, over the weekend too."""
    monday = datetime(2026, 3, 30, 9, 0, tzinfo=BERLIN)

    assert previous_time("0 9 * * 1-5", before=monday) == datetime(2026, 3, 27, 9, 0, tzinfo=BERLIN)


def test_what_is_longer_than_a_time_is_none() -> None:
    """However much stands before what looks like one: to look for a time in a long text must cost nothing."""
    assert parse_when("in 20 minutes" + " " * 100, now=FRIDAY) is not None
    assert parse_when("in 20 minutes" + " " * 110, now=FRIDAY) is None


def test_the_hour_that_comes_twice() -> None:
    """Where the clock goes back, what is said in the second of two equal hours is neither over nor too often."""
    night = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 in Berlin, for the second time
    for text, minutes in (("in 20 minutes", 20), ("in an hour", 60), ("at 2:30", 20), ("every day at 2:30", 1460)):
        moment = night.astimezone(BERLIN)
        when = parse_when(text, now=moment)
        assert when is not None
        check_when(when, now=moment, shortest=timedelta(minutes=15))
        assert next_times(when, after=moment, count=1)[0].astimezone(UTC) - night == timedelta(minutes=minutes), text
    evening = datetime(2026, 10, 24, 20, tzinfo=UTC).astimezone(BERLIN)
    check_when(When(cron="0 * * * *"), now=evening, shortest=timedelta(minutes=15))
