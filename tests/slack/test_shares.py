"""How many answers one person gets at a time."""

import asyncio

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
    """Whoever has more waiting than anybody reads gets one answer after the other, until few wait."""
    answers = Answers(Shares())
    last = MOST + MANY + 2
    await answers.ask(*range(last + 1))
    assert answers.begun == [0, 1, 2]
    for number in (0, 1):
        await answers.end(number)
        assert answers.begun == [0, 1, 2], "one still runs, and that is enough"
    await answers.end(2)
    assert answers.begun[3:] == [3]
    for number in (3, 4):
        await answers.end(number)
    assert len(answers.begun) > 6, "few wait now"
    for number in range(5, last + 1):
        await answers.end(number)
    assert answers.begun == list(range(last + 1))


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
