"""What people write behind `remind` and `digest`, and what they are told."""

from datetime import UTC, datetime

import pytest

from bot.language import speaking
from bot.slack.commands.orders import UsageError
from bot.slack.schedule.reading import DigestWish, read_digest, read_reminder
from bot.slack.schedule.words import make_safe, tell_late, tell_list, tell_planned, tell_reminder, tell_rule
from bot.storage.schedule_tables import Kind, Schedule

NOW = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "place", "when", "text"),
    [
        ("me at 15:00 to call Tom", "", "27 15:00", "call Tom"),
        ("here every Monday 9:00 to post the plan", "here", "0 9 * * 1", "post the plan"),
        ("here every weekday at 9:30: stand-up", "here", "30 9 * * 1-5", "stand-up"),
        ("me to look at the page in 20 minutes", "", "27 12:20", "look at the page"),
        ("me tomorrow at 9 call Tom", "", "28 09:00", "call Tom"),
        ("me tomorrow at 9 walk to work at 9:30", "", "28 09:00", "walk to work at 9:30"),
        ("at 15:00 to call", "", "27 15:00", "call"),
        ("me every Monday, Wednesday and Friday to drink", "", "0 9 * * 1,3,5", "drink"),
        ("me every Mon, Wed, Fri at 10:00: drink, and eat", "", "0 10 * * 1,3,5", "drink, and eat"),
        ("me at 13:00 tomorrow to go to the shop", "", "28 13:00", "go to the shop"),
        ("me to plan at 15:00 every Monday", "", "0 15 * * 1", "plan"),
        ("me Dec 3, 2026 at 9:00 to pay", "", "03 09:00", "pay"),
        ("<#C0SUPPORT|support> in 2 hours that it is at 5", "C0SUPPORT", "27 14:00", "it is at 5"),
        ("me on monday to talk about the plan to move", "", "30 09:00", "talk about the plan to move"),
        ("我 明天9点：开会", "", "28 09:00", "开会"),
    ],
)
def test_a_reminder_is_read(words: str, place: str, when: str, text: str) -> None:
    """Who, when and what, the time in front or at the end."""
    wish = read_reminder(words, now=NOW)

    assert (wish.place, wish.text) == (place, text)
    assert (wish.when.cron or f"{wish.when.once:%d %H:%M}") == when


@pytest.mark.parametrize(
    "words",
    [
        *("", "me", "me to be nice", "me at 15:00", "me at 15:00 to", "me every blue moon to x"),
        *("me tomorrow at 9:00", "me tomorrow at 9:00 to", "here every Monday 9:00:", "我 明天9点："),
    ],
)
def test_half_a_reminder_is_explained(words: str) -> None:
    """Without a time or a text there is nothing to plan."""
    with pytest.raises(UsageError, match="time"):
        read_reminder(words, now=NOW)


@pytest.mark.parametrize(
    ("words", "source", "place", "cron"),
    [
        ("every Monday 9:00 summarise <#C0SUPPORT|support> here", "C0SUPPORT", "here", "0 9 * * 1"),
        ("every weekday at 9 summarize here to me", "here", "", "0 9 * * 1-5"),
        ("every monday 9:00 <#C0SUPPORT>", "C0SUPPORT", "here", "0 9 * * 1"),
        ("every monday 9:00 a summary of <#C0SUPPORT> in <#C0LEADS|leads>", "C0SUPPORT", "C0LEADS", "0 9 * * 1"),
        ("每周一 9:00 总结 <#C0SUPPORT> 给我", "C0SUPPORT", "", "0 9 * * 1"),
    ],
)
def test_a_digest_is_read(words: str, source: str, place: str, cron: str) -> None:
    """Of which channel, said where."""
    wish = read_digest(words, now=NOW)

    assert wish == DigestWish(source, place, wish.when)
    assert wish.when.cron == cron


@pytest.mark.parametrize(
    "words", ["", "every Monday 9:00", "every blue moon summarise here", "every monday 9 summarise here on the moon"]
)
def test_half_a_digest_is_explained(words: str) -> None:
    """Each with what is missing."""
    with pytest.raises(UsageError):
        read_digest(words, now=NOW)


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 9 * * 1", "every Monday at 09:00"),
        ("30 9 * * 1-5", "every weekday at 09:30"),
        ("0 14 * * 1,3,5", "every Monday, Wednesday, Friday at 14:00"),
        ("0 16 * * 5L", "every last Friday of the month at 16:00"),
        ("0 10 * * 1#1", "every first Monday of the month at 10:00"),
        ("0 9 1 * *", "on day 1 of every month at 09:00"),
        ("0 * * * *", "every hour"),
        ("0 */2 * * *", "every 2 hours"),
        ("5 4 1-7 * 1", "`cron 5 4 1-7 * 1`"),
    ],
)
def test_a_rule_is_said_in_words(cron: str, words: str) -> None:
    """So that a misunderstanding shows before Monday."""
    with speaking("en"):
        assert tell_rule(cron) == words


def test_nobody_is_called_by_a_reminder_who_was_not_named() -> None:
    """People, channels and links stay; @channel, labels that lie and markup do not."""
    text = "ask <@U0TOM|admin> in <#C0X|general> & <!channel> <!here|hi> <https://x.example|bank> a<b"

    assert make_safe(text) == (
        "ask <@U0TOM> in <#C0X> &amp; &lt;!channel&gt; &lt;!here|hi&gt; <https://x.example> a&lt;b"
    )


def plan(**changes: object) -> Schedule:
    """Build a schedule."""
    values = {"id": 3, "team_id": "T1", "user_id": "U1", "kind": Kind.REMINDER, "channel_id": "", "source_id": ""}
    return Schedule(**{**values, "text": "call Tom", "cron": "", "tz": "Europe/Berlin", "next_at": NOW, **changes})


def test_what_is_planned_is_shown_back_with_its_next_dates() -> None:
    """The rule in words, the zone, two dates as Slack shows them to each reader, and how to take it back."""
    with speaking("en"):
        said = tell_planned(plan(cron="0 9 * * 1", channel_id="C1"), [NOW, NOW.replace(day=30)], write="`!{}`".format)
        once = tell_planned(plan(), [NOW], write="`!{}`".format)

    assert "every Monday at 09:00 (Europe/Berlin)" in said
    assert said.count("<!date^") == 2
    assert "To take it back: `!schedule remove 3`." in said
    assert once.startswith("Reminder for you “call Tom”: <!date^")


def test_the_list_says_who_wanted_what() -> None:
    """One's own without a name; nothing planned has a hint."""
    with speaking("en"):
        said = tell_list([plan(), plan(id=4, user_id="U2", channel_id="C1", cron="0 9 * * 1")], reader="U1")
        empty = tell_list([], reader="U1")

    assert [line[:3] for line in said.splitlines()] == ["*3*", "*4*"]
    assert "by <@U2>" in said.splitlines()[1]
    assert "by" not in said.splitlines()[0]
    assert "remind me" in empty


def test_a_late_reminder_says_so() -> None:
    """With the moment at which it was due."""
    with speaking("en"):
        assert "I was not running" in tell_reminder(plan(), late=tell_late(NOW, was_there=False))
        assert "I was not running" not in tell_reminder(plan(), late=tell_late(NOW, was_there=True))
        assert "I was not running" not in tell_reminder(plan(), late="")
