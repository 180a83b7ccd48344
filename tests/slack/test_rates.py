"""Slack's limits: lanes that share them fairly, answers that take what there is, streams that go on in another message.

The playground's clock is driven, for the bot as well: minutes pass in a second.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.clock import Clock
from bot.playground.person import Person
from bot.playground.testing import Playground
from bot.slack.blocks import build_answer_buttons
from bot.slack.calls import Calls
from bot.slack.delivery.delivery import Delivery
from bot.slack.delivery.pace import Pace
from bot.slack.delivery.posts import Target
from bot.slack.delivery.rotation import find_cut
from bot.slack.rates import POST, Budget, Rates

STEP_S = 0.5
APPEND, UPDATE, START, STOP = "chat.appendStream", "chat.update", "chat.startStream", "chat.stopStream"
TIGHT = Rates(per_minute={"a": 10, "b": 10, START: 20}, share=1.0, window_s=60.0)


async def drive(clock: Clock, work: Coroutine[Any, Any, Any], *, step: float = STEP_S) -> Any:
    """Let the clock run until *work* has ended; what is on its way over real sockets gets the time that it needs."""
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.sleep(0.002)
        await clock.advance(step)
    return task.result()


# --- lanes ------------------------------------------------------------------------------------------------------


async def test_a_lane_never_lets_more_through_in_a_minute() -> None:
    """However many come at once, any sixty seconds hold ten of them, and they go in the order in which they came."""
    clock = Clock()
    budget = Budget(TIGHT, clock)
    began, gone = clock.now(), []

    async def one(number: int) -> None:
        await budget.take("a")
        gone.append((number, clock.now() - began))

    await drive(clock, asyncio.wait_for(asyncio.gather(*(one(number) for number in range(35))), 60))
    clock.stop()

    times = [at for _, at in sorted(gone)]  # by who came first; several may go at the same moment, in any order
    assert all(earlier < later + 0.1 for earlier, later in pairwise(times))
    assert all(later - earlier >= 59.9 for earlier, later in zip(times, times[10:], strict=False))
    assert times[9] < 5  # what there is room for goes at once


async def test_a_lane_that_rests_holds_up_no_other() -> None:
    """Retry-After counts for one method; afterwards that lane is narrower, and then as wide as before."""
    clock = Clock()
    budget = Budget(TIGHT, clock)
    budget.rest("a", "", 30)
    began = clock.now()
    await asyncio.wait_for(budget.take("b"), 1)
    await drive(clock, budget.take("a"))
    waited = clock.now() - began

    assert waited >= 30
    assert budget.room("a") == 4
    await clock.advance(61 * 4)
    assert budget.room("a") == 10
    clock.stop()


async def test_a_storm_narrows_a_lane_once() -> None:
    """Three answers are refused four times within some seconds: then they end, and not one of them a minute later."""
    clock = Clock()
    budget = Budget(TIGHT, clock)
    for _ in range(4):
        await drive(clock, asyncio.gather(*(budget.take("a") for _ in range(3))))
        for _ in range(3):
            budget.rest("a", "", 1)
    await clock.advance(1)
    assert budget.room("a") == 5

    await clock.advance(61)
    budget.rest("a", "", 1)
    await clock.advance(1)
    assert budget.room("a") < 4, "it is still too much after a minute"
    clock.stop()


async def test_who_waits_when_the_lane_is_told_to_rest_waits_on() -> None:
    """A 429 that comes meanwhile counts for those in line too, and whoever gives up leaves no gap."""
    clock = Clock()
    budget = Budget(Rates(per_minute={"a": 1}, share=1.0, window_s=60.0), clock)
    await budget.take("a")
    began = clock.now()
    given_up = asyncio.create_task(budget.take("a"))
    waiting = asyncio.create_task(budget.take("a"))
    await asyncio.sleep(0)
    given_up.cancel()
    await clock.advance(1)
    budget.rest("a", "", 200)
    await drive(clock, asyncio.wait_for(waiting, 60))
    clock.stop()

    assert 200 <= clock.now() - began < 270


class StoppedClock:
    """A clock that is put forward by hand; whoever sleeps is woken later than that, as on a busy machine."""

    def __init__(self) -> None:
        self.moment, self.woken = 0.0, asyncio.Event()

    def now(self) -> float:
        """Return the time."""
        return self.moment

    async def sleep(self, delay: float) -> None:
        """Wait until somebody is woken."""
        await self.woken.wait()
        self.woken.clear()


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_lane_is_told_to_rest_in_the_moment_in_which_somebodys_turn_comes(is_cancelled: bool) -> None:
    """Who waits waits on, and who is told to end does so: its place may be taken for what was refused."""
    clock = StoppedClock()
    budget = Budget(Rates(per_minute={"a": 1}, share=1.0, window_s=10.0), clock)
    await budget.take("a")
    waiting = asyncio.create_task(budget.take("a"))
    await asyncio.sleep(0)
    clock.moment = 10.0
    budget.rest("a", "", 5.0)
    if is_cancelled:
        waiting.cancel()
    else:
        clock.woken.set()
        await asyncio.sleep(0.01)
        clock.moment = 30.0
        clock.woken.set()
    await asyncio.wait([waiting], timeout=5)

    assert waiting.cancelled() if is_cancelled else waiting.exception() is None


async def test_what_is_promised_is_kept() -> None:
    """A stream that begins has a place for its end, whatever others do."""
    clock = Clock()
    budget = Budget(TIGHT, clock)
    for _ in range(4):
        budget.promise("a")

    assert budget.room("a") == 6
    budget.redeem("a")
    assert budget.room("a") == 7
    assert budget.room("unknown.method") == 1
    clock.stop()


async def test_each_channel_has_its_own_lane_for_messages() -> None:
    """One a second and channel: a busy channel holds up no other."""
    clock = Clock()
    budget = Budget(Rates(), clock)
    await budget.take(POST, "C1")
    await budget.take(POST, "C1")

    assert budget.room(POST, "C1") == 0
    assert budget.room(POST, "C2") == 2
    clock.stop()


# --- answers ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a workspace that takes as much as Slack does."""
    async with Playground(faults={"rate_tiers": {}}) as opened:
        yield opened


Answered = list[dict[str, Any]]


def answering(playground: Playground, rates: Rates | None = None) -> Callable[..., Coroutine[Any, Any, Answered]]:
    """Return a function that answers somebody's question and returns the messages that then stand below it."""
    client = AsyncWebClient("xoxb-playground", base_url=playground.api_url, retry_handlers=[])
    calls = Calls(client, bot_user_id="U0APPRENTICE", rates=rates, clock=playground.hub.clock)
    pace = Pace()

    async def answer(person: Person, channel: str, pieces: list[str], *, delay: float = 0.5) -> Answered:
        where = channel or person.dm
        ts = await person.say(where, "a question")
        carriers: list[str] = []

        async def on_reply(reply_ts: list[str]) -> None:
            carriers[:] = reply_ts

        target = Target(channel_id=where, thread_ts=ts, user_id=person.id, team_id="T0PLAYGRND", is_direct=not channel)
        delivery = Delivery(calls, target, answer_id="A1", reply_ts=[], pace=pace, on_reply=on_reply)

        async def stream() -> AsyncIterator[str]:
            for piece in pieces:
                await playground.hub.clock.sleep(delay)
                yield piece

        await delivery.drain(stream(), known_urls=())
        await delivery.close(build_answer_buttons("A1"))
        messages = [message for message in playground.messages(where, ts) if message["bot_id"]]
        assert [message["ts"] for message in messages] == carriers
        assert not any(message["streaming"] for message in messages)
        return messages

    return answer


def shown(message: dict[str, Any]) -> str:
    """Return the Markdown that a message shows."""
    markdown = "".join(block["text"] for block in message["blocks"] if block["type"] == "markdown")
    return str(markdown or message["markdown_text"] or message["text"])


def statuses(playground: Playground, name: str | None = None) -> list[str]:
    """Return how the calls of a method ended."""
    return [str(entry["status"]) for entry in playground.log("api", name)]


def write(number: int, *, lines: int = 12) -> str:
    """Write an answer that no other is like."""
    return "\n\n".join(f"Answer {number}, paragraph {line}: " + f"word{line} " * 9 for line in range(lines)).strip()


def in_pieces(text: str, size: int = 40) -> list[str]:
    """Cut a text as a model writes it."""
    return [text[start : start + size] for start in range(0, len(text), size)]


async def test_many_answers_at_once_stay_below_every_tier(playground: Playground) -> None:
    """Thirty at once, direct and in one channel: nothing is refused, and each ends with exactly its own words."""
    answer = answering(playground)
    people = [playground.maya, playground.tom, playground.priya]
    jobs = [
        answer(people[number % 3], "" if number < 20 else "C0GENERAL", in_pieces(write(number)), delay=4)
        for number in range(30)
    ]
    found = await drive(playground.hub.clock, asyncio.gather(*jobs))

    assert "ratelimited" not in statuses(playground)
    assert [len(messages) for messages in found] == [1] * 30
    assert [shown(messages[0]) for messages in found] == [write(number) for number in range(30)]
    assert statuses(playground, START).count("ok") >= 10  # most direct answers still grow as streams
    assert all(any(block["type"] == "context_actions" for block in found[n][0]["blocks"]) for n in range(30))


async def test_a_slack_that_takes_less_than_it_promises_costs_no_words(playground: Playground) -> None:
    """Half of every tier: some calls are refused, and wait as long as they are told; people see whole answers."""
    playground.fault("rate_tiers", percent=50)
    answer = answering(playground)
    jobs = [answer(playground.maya, "", in_pieces(write(number)), delay=3) for number in range(16)]
    found = await drive(playground.hub.clock, asyncio.gather(*jobs))

    assert "ratelimited" in statuses(playground)
    assert [shown(messages[0]) for messages in found] == [write(number) for number in range(16)]


async def test_without_room_an_answer_is_one_post(playground: Playground) -> None:
    """Neither streams nor edits are left: nothing is shown growing, and the whole answer comes at once."""
    busy = Rates(per_minute={START: 1, STOP: 1, UPDATE: 1}, share=1.0, window_s=10_000)
    answer = answering(playground, busy)
    first = await drive(playground.hub.clock, answer(playground.maya, "", in_pieces(write(1))))
    second = await drive(playground.hub.clock, answer(playground.maya, "", in_pieces(write(2))))
    third = await drive(playground.hub.clock, answer(playground.tom, "", in_pieces(write(3))))

    assert [shown(one[0]) for one in (first, second, third)] == [write(1), write(2), write(3)]
    assert len(statuses(playground, START)) == 1
    assert len(statuses(playground, POST)) == 2
    assert len(statuses(playground, UPDATE)) == 1  # the end of the second; the third is a post and nothing else


# --- streams that grow old --------------------------------------------------------------------------------------

CODE = "```python\n" + "\n".join(f"line_{number} = {number}" for number in range(120)) + "\n```"
LONG = "\n\n".join([write(1, lines=8), CODE, write(2, lines=8)])


async def test_a_stream_goes_on_in_another_before_it_expires(playground: Playground) -> None:
    """Ten minutes of writing, while Slack ends every stream after five: no word is lost, doubled or cut in two."""
    answer = answering(playground)
    messages = await drive(
        playground.hub.clock, answer(playground.maya, "", in_pieces(LONG, 25), delay=600 * 25 / len(LONG)), step=1.0
    )

    assert set(statuses(playground, APPEND)) == {"ok"}  # none met a stream that Slack had ended
    assert len(messages) >= 3
    for message in messages:
        assert shown(message).count("```") % 2 == 0
    said = "\n".join(shown(message) for message in messages)
    assert re.sub(r"```(python)?", "", said).split() == re.sub(r"```(python)?", "", LONG).split()
    assert [bool(message["blocks"]) for message in messages] == [False] * (len(messages) - 1) + [True]


async def test_a_stream_that_slack_ends_is_repaired(playground: Playground) -> None:
    """It is not expected, and the message that broke off still ends with the whole text."""
    answer = answering(playground, Rates(stream_s=10_000, longest_stream_s=10_000))
    text = write(7)
    messages = await drive(
        playground.hub.clock, answer(playground.maya, "", in_pieces(text), delay=400 * 40 / len(text)), step=1.0
    )

    assert "message_not_in_streaming_state" in statuses(playground, APPEND)
    assert "".join(shown(message) for message in messages) == text


async def test_a_very_long_answer_streams_through_several_messages(playground: Playground) -> None:
    """Slack takes 12,000 characters in one; the next message goes on where a paragraph ended."""
    text = write(3, lines=300)
    messages = await drive(playground.hub.clock, answering(playground)(playground.maya, "", in_pieces(text, 900)))

    assert len(messages) >= 3
    assert all(len(shown(message)) < 12_000 for message in messages)
    assert "".join(message["markdown_text"] for message in messages) == text
    assert all(message["markdown_text"].startswith("Answer 3, paragraph") for message in messages)


@pytest.mark.parametrize(
    ("text", "after", "most", "is_urgent", "expected"),
    [
        ("one\n\ntwo", 1, 100, False, ("one\n\n", "")),
        ("one\ntwo", 1, 100, False, None),
        ("one\ntwo", 1, 100, True, ("one\n", "")),
        ("one two", 1, 100, True, ("one ", "")),
        ("onetwo", 1, 100, True, None),
        ("onetwo", 1, 3, True, ("one", "")),
        ("```py\na\n\nb\nc", 6, 100, False, None),
        ("```py\na\n\nb\nc", 6, 100, True, ("```py\na\n\nb\n```", "```py\n")),
        ("~~~\na\n~~~\n\nend", 4, 100, False, ("~~~\na\n~~~\n\n", "")),
        ("one\n\ntwo\n\nthree", 6, 100, False, ("one\n\ntwo\n\n", "")),
        ("one\n\ntwo", 6, 100, False, None),
        ("a👨‍👩‍👧b" * 3, 1, 5, True, ("a", "")),
    ],
)
def test_where_one_message_ends(
    text: str, after: int, most: int, is_urgent: bool, expected: tuple[str, str] | None
) -> None:
    """At the last paragraph that was not shown yet; code is closed and opened again; nothing shown is taken back."""
    cut = find_cut(text, after=after, most=most, is_urgent=is_urgent)

    assert (cut and (text[: cut.position] + cut.closing, cut.opening)) == expected
