"""What one person, one channel and all together may ask for in a minute, by a clock that the test moves."""

from contextlib import suppress

from bot.slack.throttle import Full, Limits, Refusal, Throttle


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def build(**limits: int) -> tuple[Throttle, Clock]:
    """Return a throttle with a clock of its own."""
    clock = Clock()
    return Throttle(Limits(**limits), clock=clock), clock


def test_one_person_too_many_messages() -> None:
    """The next one is refused with the time that is left, told once; others are not concerned."""
    throttle, clock = build(person=3)
    for _ in range(3):
        assert throttle.take("maya", "C1") is None
        clock.now += 10
    assert throttle.take("maya", "C1") == Refusal(Full.PERSON, 30, is_news=True)
    assert throttle.take("maya", "C2") == Refusal(Full.PERSON, 30, is_news=False)
    assert throttle.take("tom", "C1") is None

    clock.now += 30
    assert throttle.take("maya", "C1") is None
    assert throttle.take("maya", "C1") == Refusal(Full.PERSON, 10, is_news=False)


def test_what_is_refused_counts_for_nothing() -> None:
    """Whoever goes on is let in as soon as whoever waits, and is told again after a minute."""
    throttle, clock = build(person=1)
    assert throttle.take("maya") is None
    for _ in range(59):
        clock.now += 1
        assert throttle.take("maya") is not None
    clock.now += 1
    assert throttle.take("maya") is None
    clock.now += 1
    assert throttle.take("maya") == Refusal(Full.PERSON, 59, is_news=True)


def test_a_channel_is_shared_by_its_people() -> None:
    """Direct messages count for no channel."""
    throttle, _ = build(channel=2)
    assert throttle.take("maya", "C1") is None
    assert throttle.take("tom", "C1") is None
    assert throttle.take("ann", "C1") == Refusal(Full.CHANNEL, 60, is_news=True)
    assert throttle.take("ann", "C2") is None
    assert throttle.take("ann") is None


def test_a_full_line_takes_nobody() -> None:
    """Everybody hears of it once."""
    throttle, _ = build(queue=5)
    four = {"ann": 1, "ben": 1, "cem": 1, "dea": 1}
    full = {**four, "eve": 1}
    assert throttle.take("maya", line=four) is None
    assert throttle.take("maya", line=full) == Refusal(Full.QUEUE, 60, is_news=True)
    assert throttle.take("maya", line=full) == Refusal(Full.QUEUE, 60, is_news=False)
    assert throttle.take("tom", line=full) == Refusal(Full.QUEUE, 60, is_news=True)


def test_nobody_fills_the_line_alone() -> None:
    """A fourth of it is one person's; what came in beside the counting, as clicks do, takes no more of it either."""
    throttle, _ = build(queue=8)
    assert throttle.take("maya", line={"maya": 1}) is None
    assert throttle.take("maya", line={"maya": 2}) == Refusal(Full.PERSON, 60, is_news=True)
    assert throttle.take("tom", line={"maya": 500}) is None
    assert throttle.take("tom", line={"maya": 500, "ann": 2, "ben": 2, "cem": 2}) == Refusal(Full.QUEUE, 60, True)


def test_nothing_is_kept_of_the_silent() -> None:
    """However many people pass by, memory is bounded by those of one minute."""
    throttle, clock = build(person=1)
    for number in range(30_000):
        throttle.take(f"U{number}")
        throttle.take(f"U{number}")
        clock.now += 0.1

    assert len(throttle._asked) + len(throttle._told) <= 11_000


def test_what_is_heard_late_counts_for_the_minute_in_which_it_was_said() -> None:
    """Ten minutes of questions that come at once are no flood; as many in one of these minutes are."""
    throttle, _clock = build(person=2, channel=3)
    assert [throttle.take("maya", "C1", minute=f"@{number}") for number in range(10)] == [None] * 10
    assert throttle.take("maya", "C1", minute="@1") is None
    assert throttle.take("maya", "C1", minute="@1") == Refusal(Full.PERSON, 60, is_news=True)
    assert throttle.take("tom", "C1", minute="@1") is None
    assert throttle.take("tom", "C1", minute="@1") == Refusal(Full.CHANNEL, 60, is_news=True)
    assert throttle.take("maya", "C1", line={"maya": 1}) is None
    assert not throttle.is_shut("maya")


def take_in_vain(throttle: Throttle, *people: str) -> list[tuple[Refusal | None, bool]]:
    """Count a message of each in a block that fails; return what came of it, and whether they were shut out then."""
    found: list[tuple[Refusal | None, bool]] = []
    with suppress(OSError), throttle.unless_it_fails():
        found += [(throttle.take(person, "C1"), throttle.is_shut(person)) for person in people]
        raise OSError
    return found


def test_what_could_not_be_stored_counts_for_nothing() -> None:
    """Nor did anybody hear a word that went with it; until that is known nobody is shut out by it."""
    throttle, clock = build(person=2, channel=9)
    throttle.take("maya", "C1")
    refusal = Refusal(Full.PERSON, 60, is_news=True)
    assert take_in_vain(throttle, "maya", "maya", "tom") == [(None, False), (refusal, False), (None, False)]
    with throttle.unless_it_fails():
        assert throttle.take("maya", "C1") is None
        assert throttle.take("maya", "C1") == refusal
    assert throttle.is_shut("maya")
    clock.now += 60
    assert take_in_vain(throttle, *["maya"] * 3) == [(None, False), (None, False), (refusal, False)]
    assert not throttle.is_shut("maya")
    assert throttle.take("maya", "C1") is None


def test_whoever_was_told_is_shut_out_for_the_rest_of_the_minute() -> None:
    """Without a limit, before the word and after the minute nobody is."""
    throttle, clock = build(person=1)
    throttle.take("maya")
    assert not throttle.is_shut("maya")
    throttle.take("maya")
    assert throttle.is_shut("maya")
    assert not throttle.is_shut("tom")
    clock.now += 60
    assert not throttle.is_shut("maya")
    assert not build()[0].is_shut("maya")
