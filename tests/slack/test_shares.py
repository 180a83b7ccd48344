"""How many answers one person gets at a time."""

import asyncio

import pytest

from bot.slack.turns import shares as module
from bot.slack.turns.shares import MANY, MOST, Shares


class Answers:
    """Answers that end when they are told to."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self.begun: list[int] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self._ends: dict[int, asyncio.Event] = {}

    async def ask(self, *numbers: int, person: str = "U0MAYA") -> None:
        """Want an answer for each number."""
        for number in numbers:
            self._ends[number] = asyncio.Event()
            self.tasks[number] = asyncio.create_task(self._answer(person, number))
            await asyncio.sleep(0)
        await settle()

    async def end(self, number: int) -> None:
        """Let an answer end."""
        self._ends[number].set()
        await self.tasks[number]
        await settle()

    async def _answer(self, person: str, number: int) -> None:
        async with self._shares.of(person):
            self.begun.append(number)
            await self._ends[number].wait()


async def settle() -> None:
    """Let everything happen that can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_few_run_side_by_side_in_order() -> None:
    """Three of one person, and as many of another; the next begins when one ends."""
    answers = Answers(Shares())
    await answers.ask(*range(MOST + 2))
    assert answers.begun == [0, 1, 2]
    await answers.ask(100, person="U0TOM")
    assert answers.begun == [0, 1, 2, 100]
    await answers.end(1)
    assert answers.begun == [0, 1, 2, 100, 3]
    await answers.end(0)
    assert answers.begun == [0, 1, 2, 100, 3, 4]


async def test_of_many_only_one_runs() -> None:
    """Whoever has more waiting than anybody reads gets one answer after the other, to the last one."""
    answers = Answers(Shares())
    last = MOST + MANY + 2
    await answers.ask(*range(last + 1))
    assert answers.begun == [0, 1, 2]
    for number in (0, 1):
        await answers.end(number)
        assert answers.begun == [0, 1, 2], "one still runs, and that is enough"
    await answers.end(2)
    for number in range(3, last + 1):
        assert answers.begun == list(range(number + 1))
        await answers.end(number)
    await answers.ask(*range(50, 50 + MOST))
    assert answers.begun[-MOST:] == [50, 51, 52], "all were answered, so it begins anew"


async def test_many_leave_others_room_to_breathe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two answers of a person with many is a pause if anybody else asked lately, and none if nobody did."""
    monkeypatch.setattr(module, "BREATH_S", 0.1)
    time = 0.0
    answers = Answers(Shares(clock=lambda: time))
    await answers.ask(*range(MOST + MANY + 1))
    for number in range(MOST):
        await answers.end(number)
    assert answers.begun[-1] == MOST, "alone it goes on at once"
    await answers.ask(100, person="U0TOM")
    await answers.end(100)
    await answers.end(MOST)
    assert answers.begun[-1] == 100
    await asyncio.sleep(0.2)
    assert answers.begun[-1] == MOST + 1
    time = module.RECENT_S + 1
    await answers.end(MOST + 1)
    assert answers.begun[-1] == MOST + 2, "nobody else is about any more"


async def test_who_gives_up_waiting_takes_no_place() -> None:
    """A cancelled one neither begins nor holds anybody up, and nothing is kept of people without answers."""
    shares = Shares()
    answers = Answers(shares)
    await answers.ask(*range(5))
    answers.tasks[3].cancel()
    await settle()
    await answers.end(0)
    assert answers.begun == [0, 1, 2, 4]
    for number in (1, 2, 4):
        await answers.end(number)
    assert shares._people == {}
