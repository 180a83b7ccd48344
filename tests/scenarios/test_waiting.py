"""Several people ask at once and the engine has one place: whoever waits is told where they stand."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select

from bot.engine.client import EngineClient
from bot.engine.types import QueuePlace
from bot.playground.testing import Playground
from bot.settings import STARTER_MODEL
from bot.slack.turns import place as module
from bot.slack.turns import shares
from bot.slack.turns.place import render_place
from bot.storage.db import Database
from bot.storage.tables import Answer, AnswerState, Inbox, InboxState, Message
from tests.scenarios.conftest import EngineProcess, Finished, StartBot
from tests.scenarios.test_faults import LONG, answers_in, shown

BOT = "<@U0APPRENTICE>"
STATUS = "assistant.threads.setStatus"
QUESTIONS_EACH = 8
PATIENCE_S = 200  # a disk of a busy machine has taken a minute for what takes a second


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (None, ""),
        (QueuePlace(0, 0.0), ""),
        (QueuePlace(1), "next in line"),
        (QueuePlace(1, 0.2), "next in line, about 1 s"),
        (QueuePlace(3, 12.4), "number 3 in line, about 10 s"),
        (QueuePlace(12, 200), "number 12 in line, about 3 min"),
    ],
)
def test_a_place_is_said_in_words(place: QueuePlace | None, words: str) -> None:
    """No time where none is known, and none more precise than an estimate can be."""
    assert render_place(place) == words


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let places be shown at once and often, and all questions wait together, for the starter answers in a second."""
    monkeypatch.setattr(shares, "MOST", QUESTIONS_EACH)
    monkeypatch.setattr(shares, "MANY", QUESTIONS_EACH)
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    monkeypatch.setattr(module, "FASTEST_S", 0.1)


@asynccontextmanager
async def taken(engine: EngineClient) -> AsyncIterator[None]:
    """Let somebody else have the engine's only place for as long as the block runs, however fast the machine is."""

    async def write() -> None:
        while True:
            await engine.complete({"prompt": "On and on", "max_tokens": 1000, "ignore_eos": True})

    writing = asyncio.create_task(write())
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def ask(playground: Playground) -> list[tuple[str, str]]:
    """Let three people ask a few questions each; return where and when."""
    people = (playground.maya, playground.tom, playground.priya) * QUESTIONS_EACH
    return [(person.dm, await person.say(person.dm, LONG)) for person in people]


@pytest.mark.usefixtures("impatient")
async def test_whoever_waits_is_told_where(playground: Playground, start_bot: StartBot, finished: Finished) -> None:
    """The status line says the place, and when the answer is there nothing of it is left."""
    async with start_bot(engine_url="", model_path=STARTER_MODEL, engine_max_sequences=1) as bot:
        await playground.wait_for_connection()
        await bot.wait_for_engine()
        async with taken(bot.engine):
            asked = await ask(playground)
            await playground.wait_until(lambda: find_places(playground), timeout=PATIENCE_S, what="a place in line")
        answers = await finished(len(asked), timeout=PATIENCE_S)
        for channel, ts in asked:
            (message,) = answers_in(playground, channel, ts)
            assert shown(message) in {"".join(answer.text.split()) for answer in answers}
            await playground.wait_until(
                lambda channel=channel, ts=ts: is_over(playground.session(channel, ts)), what="the end of the status"
            )

    assert {answer.state for answer in answers} == {AnswerState.COMPLETE}


@pytest.mark.usefixtures("impatient")
async def test_without_a_status_line_the_message_itself_says_it(
    playground: Playground, start_bot: StartBot, finished: Finished
) -> None:
    """One message a question: first the place in line, then the answer in its stead."""
    playground.fault("missing_method", methods=f"{STATUS},agents.sessions.setStatus")
    async with start_bot(engine_url="", model_path=STARTER_MODEL, engine_max_sequences=1) as bot:
        await playground.wait_for_connection()
        await bot.wait_for_engine()
        async with taken(bot.engine):
            asked = await ask(playground)
            await playground.wait_until(
                lambda: [
                    message
                    for channel, ts in asked
                    for message in answers_in(playground, channel, ts)
                    if "in line" in message["text"]
                ],
                timeout=PATIENCE_S,
                what="a place in line",
            )
        answers = await finished(len(asked), timeout=PATIENCE_S)
        for channel, ts in asked:
            (message,) = answers_in(playground, channel, ts)
            assert shown(message) in {"".join(answer.text.split()) for answer in answers}


@pytest.mark.usefixtures("impatient")
async def test_a_place_in_line_gives_way_to_the_answer_before_when_another_is_stopped(
    playground: Playground, start_bot: StartBot, finished: Finished
) -> None:
    """It stood in the answer's place, for want of a status line."""
    playground.fault("missing_method", methods=f"{STATUS},agents.sessions.setStatus")
    tom = playground.tom

    def find() -> tuple[str, list[Any]]:
        (message,) = answers_in(playground, "general", ts)
        return message["text"], without_ids(message)

    async with start_bot(engine_url="", model_path=STARTER_MODEL, engine_max_sequences=1) as bot:
        await playground.wait_for_connection()
        await bot.wait_for_engine()
        ts = await tom.say("general", f"{BOT} hello")
        (first,) = await finished(1)
        await playground.wait_until(lambda: "regenerate" in str(find()), what="the answer")
        before = find()
        async with taken(bot.engine):
            await tom.click(playground.messages("general", ts)[1], "regenerate")
            await playground.wait_until(lambda: "in line" in find()[0], timeout=PATIENCE_S, what="a place in line")
            assert bot.supervisor is not None
            os.kill(bot.supervisor.pid, signal.SIGSTOP)  # so that the place does not become free meanwhile
            try:
                await tom.say("general", "!stop", ts)
                await playground.wait_until(lambda: find() == before, what="the answer before")
            finally:
                os.kill(bot.supervisor.pid, signal.SIGCONT)
    assert [answer.id for answer in await finished(1)] == [first.id]


async def test_what_comes_late_is_answered_first_if_the_next_still_waits(
    playground: Playground,
    start_bot: StartBot,
    finished: Finished,
    rows: Database,
    engine_process: EngineProcess,
    *,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A message that was taken up before one said earlier in its thread came in gives way to it."""
    monkeypatch.setattr(shares, "MOST", 1)
    maya, tom = playground.maya, playground.tom

    async def wait_for(ts: str, state: InboxState) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with rows.read() as session:
                    if await session.scalar(select(Inbox.state).filter_by(ts=ts)) == state:
                        return
                await asyncio.sleep(0.02)

    async with start_bot():
        await playground.wait_for_connection()
        thread = await maya.say("general", f"{BOT} hello")
        await playground.wait_for_reply("general", thread)
        os.kill(engine_process.pid, signal.SIGSTOP)
        try:
            other = await maya.say(maya.dm, "What is a sprint?")  # her one place is taken
            await wait_for(other, InboxState.RUNNING)
            playground.hub.faults.seed(0)  # how long it holds the message back is chance
            playground.fault("reorder_events", seconds=5, times=2)  # also its twin, the mention
            late = await tom.say("general", f"{BOT} What is a code review?", thread_ts=thread)
            early = await maya.say("general", f"{BOT} thanks", thread_ts=thread)
            await wait_for(early, InboxState.RUNNING)
            await wait_for(late, InboxState.PENDING)
        finally:
            os.kill(engine_process.pid, signal.SIGCONT)
        await finished(4)

    async with rows.read() as session:
        said = select(Message.ts).join(Answer).order_by(Answer.id)
        assert list(await session.scalars(said)) == [thread, other, late, early]


def without_ids(message: Mapping[str, Any]) -> list[Any]:
    """Return a message's blocks without the names that Slack gives to them."""
    return [{name: value for name, value in block.items() if name != "block_id"} for block in message["blocks"]]


def find_places(playground: Playground) -> list[str]:
    """Return the status lines that said a place."""
    said = [str(entry["request"]) for entry in playground.log("api", STATUS)]
    return [status for status in said if re.search(r"(next|number \d+) in line", status)]


def is_over(session: Mapping[str, Any] | None) -> bool:
    """Return whether nothing of a status is left, or none was shown since Slack takes no more of them now."""
    return session is None or (session["status"], session["status_text"]) == ("active", None)
