"""How long the queue is and how long it takes, by a clock that the test moves."""

from bot.engine.backlog import Backlog
from tests.engine.test_budgets import Clock


def fill(backlog: Backlog, *names: str) -> None:
    """Let requests come in."""
    for name in names:
        backlog.enter(name)


def test_nothing_is_promised_before_anything_was_measured() -> None:
    """While the first answers are written, the queue has a length and no time."""
    backlog = Backlog(2, Clock())
    fill(backlog, "a", "b", "c")

    assert (backlog.answering, backlog.waiting) == (2, 1)
    assert (backlog.estimate(), backlog.estimate(1), backlog.retry_after(5)) == (None, None, 5)


def test_an_estimate_counts_down_while_the_others_write() -> None:
    """Answers took ten seconds; the one under way has taken four of them, so the next place is free in six."""
    clock = Clock()
    backlog = Backlog(1, clock)
    fill(backlog, "first")
    clock.now += 10
    backlog.leave("first", is_complete=True)
    assert backlog.estimate() == 0.0
    fill(backlog, "a", "b", "c")
    clock.now += 4

    assert [backlog.estimate(position) for position in (1, 2)] == [6.0, 16.0]
    assert (backlog.estimate(), backlog.retry_after(5)) == (26.0, 26)
    clock.now += 20
    assert backlog.estimate(1) == 2.5  # later than expected: a share of an answer still
    backlog.leave("b", is_complete=False)
    assert backlog.waiting == 1


def test_places_become_free_one_after_the_other() -> None:
    """With two places the third in the queue waits for the second round."""
    clock = Clock()
    backlog = Backlog(2, clock)
    fill(backlog, "x")
    clock.now += 8
    backlog.leave("x", is_complete=True)
    fill(backlog, "a")
    clock.now += 2
    fill(backlog, "b", "c", "d", "e")

    assert [backlog.estimate(position) for position in (1, 2, 3)] == [6.0, 8.0, 14.0]


def test_waiting_is_no_part_of_how_long_an_answer_takes() -> None:
    """Prompts are computed in the place as well, so the time counts from there, whoever is heard first."""
    clock = Clock()
    backlog = Backlog(1, clock)
    fill(backlog, "a", "b", "c")
    clock.now += 5
    backlog.leave("a", is_complete=True)
    clock.now += 3
    backlog.hear("c")  # the queue is fair between users: c was before b
    clock.now += 2
    backlog.leave("c", is_complete=True)
    clock.now += 5
    backlog.hear("b")
    backlog.leave("b", is_complete=True)

    fill(backlog, "d")
    assert backlog.estimate() == 5.0


def test_answers_that_are_given_up_teach_nothing() -> None:
    """A minute that ends in a cancellation is no answer's time."""
    clock = Clock()
    backlog = Backlog(1, clock)
    fill(backlog, "a")
    clock.now += 2
    backlog.leave("a", is_complete=True)
    fill(backlog, "b")
    clock.now += 60
    backlog.leave("b", is_complete=False)
    fill(backlog, "c")

    assert backlog.estimate() == 2.0
    fill(backlog, *map(str, range(100)))
    assert backlog.retry_after(5) == 60
