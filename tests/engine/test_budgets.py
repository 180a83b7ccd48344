"""What each caller may ask for in a minute, by a clock that the test moves."""

from hypothesis import given
from hypothesis import strategies as st

from bot.engine.api import budgets as module
from bot.engine.api.budgets import Budgets


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def build(requests: int = 0, tokens: int = 0) -> tuple[Budgets, Clock]:
    """Return budgets with a clock of their own."""
    clock = Clock()
    return Budgets(requests_per_minute=requests, tokens_per_minute=tokens, clock=clock), clock


def test_requests_come_back_evenly() -> None:
    """Six a minute: six at once, then one every ten seconds; somebody else is not concerned."""
    budgets, clock = build(requests=6)

    assert [budgets.accept("maya", requests=1, tokens=5) for _ in range(6)] == [None] * 6
    assert budgets.accept("maya", requests=1, tokens=5) == ("requests", 10.0)
    assert budgets.accept("tom", requests=1, tokens=5) is None
    clock.now += 10
    assert budgets.accept("maya", requests=1, tokens=5) is None
    assert budgets.accept("maya", requests=1, tokens=5) == ("requests", 10.0)


def test_answers_are_charged_as_they_come() -> None:
    """A long answer leaves a debt; the next question waits until it is paid, and is told how long."""
    budgets, clock = build(tokens=600)
    assert budgets.accept("maya", requests=1, tokens=500) is None
    budgets.charge("maya", tokens=300)

    assert budgets.accept("maya", requests=1, tokens=100) == ("tokens", 30.0)
    clock.now += 30
    assert budgets.accept("maya", requests=1, tokens=100) is None


def test_a_prompt_larger_than_a_minutes_worth_needs_a_full_bucket() -> None:
    """It is not refused for ever: it is let in when nothing was used, and its debt is then waited off."""
    budgets, clock = build(tokens=100)
    assert budgets.accept("maya", requests=1, tokens=400) is None

    assert budgets.accept("maya", requests=1, tokens=400) == ("tokens", 240.0)
    clock.now += 240
    assert budgets.accept("maya", requests=1, tokens=400) is None


def test_a_refused_call_costs_nothing() -> None:
    """Whoever asks again and again while there is too little does not fall further behind."""
    budgets, clock = build(requests=1, tokens=100)
    assert budgets.accept("maya", requests=1, tokens=50) is None
    for _ in range(100):
        assert budgets.accept("maya", requests=1, tokens=50) == ("requests", 60.0)

    clock.now += 60
    assert budgets.accept("maya", requests=1, tokens=50) is None


def test_allowances_say_what_is_left() -> None:
    """Only what is limited is told, and never less than nothing."""
    budgets, _ = build(tokens=60)
    budgets.accept("maya", requests=1, tokens=20)
    (left,) = budgets.allowances("maya")
    assert (left.kind, left.limit, left.remaining, left.reset_seconds) == ("tokens", 60, 40, 20.0)

    budgets.charge("maya", tokens=100)
    (left,) = budgets.allowances("maya")
    assert (left.remaining, left.reset_seconds) == (0, 120.0)
    assert build()[0].allowances("maya") == []


def test_callers_who_owe_nothing_are_forgotten() -> None:
    """Any number of names does not fill the memory, and nobody gets rid of a debt that way."""
    budgets, clock = build(requests=10)
    budgets.charge("debtor", requests=100)
    for number in range(module.REMEMBERED - 1):
        budgets.accept(str(number), requests=1, tokens=0)
    clock.now += 60

    budgets.accept("one more", requests=1, tokens=0)

    assert len(budgets._callers) == 2
    assert budgets.accept("debtor", requests=1, tokens=0) is not None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 200), st.integers(0, 100)), max_size=60))
def test_nobody_gets_more_than_the_rate(calls: list[tuple[int, int, int]]) -> None:
    """Over any time, accepted prompts are at most the rate times the time, a full bucket and the last call."""
    budgets, clock = build(tokens=120)
    started, used, largest = clock.now, 0, 0
    for pause, prompt, answer in calls:
        clock.now += pause
        if budgets.accept("maya", requests=1, tokens=prompt) is None:
            budgets.charge("maya", tokens=answer)
            used += prompt + answer
            largest = max(largest, prompt + answer)
            assert used <= 120 + (clock.now - started) * 2 + largest
