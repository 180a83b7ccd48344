"""Several bots on one PostgreSQL: together they are one, whoever of them comes, goes, hangs or dies."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.app import RunningBot
from bot.playground.testing import Playground
from bot.storage import workers
from bot.storage.db import Database
from bot.storage.schedule_tables import Occurrence, Schedule
from bot.storage.schedules import LEASE
from bot.storage.tables import Answer, AnswerState, Inbox, InboxState, now
from tests.scenarios.conftest import KEY, EngineProcess, StartBot
from tests.scenarios.test_faults import LONG, answers_in, shown

BOT = "<@U0APPRENTICE>"
START = Callable[[str], AbstractAsyncContextManager[RunningBot]]

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


@pytest.fixture
async def shared(database_url: str) -> AsyncIterator[Database]:
    """Open the database that the bots share."""
    opened = Database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def start(start_bot: StartBot, database_url: str, tmp_path: Path) -> START:
    """Return a function that runs one of several bots, each with a folder of its own."""
    limits = {"messages_per_person": 0, "messages_per_channel": 0, "messages_waiting": 0}
    return lambda name: start_bot(database_url=database_url, data_dir=tmp_path / name, **limits)


async def stored(database: Database) -> list[Answer]:
    """Return every answer."""
    async with database.read() as session:
        return list(await session.scalars(select(Answer).order_by(Answer.id)))


async def until_answered(database: Database, count: int, *, timeout: float = 60) -> list[Answer]:
    """Wait until so many answers have ended and nothing waits any more."""
    for _ in range(int(timeout / 0.05)):
        async with database.read() as session:
            waits = await session.scalar(select(Inbox.id).where(Inbox.state != InboxState.DONE).limit(1))
        answers = await stored(database)
        if waits is None and sum(answer.state != AnswerState.WRITING for answer in answers) >= count:
            return answers
        await asyncio.sleep(0.05)
    raise TimeoutError(f"{[answer.state for answer in await stored(database)]} instead of {count}")


@pytest.mark.parametrize("rounds", [2, pytest.param(25, marks=[pytest.mark.nightly, pytest.mark.timeout(3600)])])
async def test_bots_are_replaced_under_load_and_nobody_notices(
    playground: Playground, start: START, shared: Database, rounds: int
) -> None:
    """One after the other stops and comes again while people go on asking, in threads of several messages each."""
    maya, tom = playground.maya, playground.tom
    threads: list[str] = []

    async def talk() -> None:
        for _ in range(2):
            threads.append(await maya.say("general", f"{BOT} hello"))
            await maya.say(maya.dm, "thanks")
            await tom.say("general", f"{BOT} What is a code review?", thread_ts=threads[-1])
            await asyncio.sleep(0.2)

    async def replace(name: str) -> None:
        await contexts[name].__aexit__(None, None, None)
        contexts[name] = start(name)
        await contexts[name].__aenter__()

    contexts = {name: start(name) for name in ("one", "two")}
    for context in contexts.values():
        await context.__aenter__()
    await playground.wait_for_connection()
    for name in ("one", "two") * rounds:
        await asyncio.gather(talk(), replace(name))
    said = 3 * len(threads)
    answers = await until_answered(shared, said, timeout=200)
    for context in contexts.values():
        await context.__aexit__(None, None, None)

    assert [answer.state for answer in answers] == [AnswerState.COMPLETE] * said
    for ts in threads:
        replies = answers_in(playground, "general", ts)
        shown_there = {reply["ts"] for reply in replies}
        theirs = [answer for answer in answers if shown_there & set(answer.reply_ts)]
        assert len(replies) == 2
        # Answers are numbered as they are begun, messages as they come: the second question waited for the first.
        assert [shown(reply) for reply in replies] == ["".join(answer.text.split()) for answer in theirs]


async def test_a_bot_that_was_taken_for_dead_says_no_more(
    playground: Playground, start: START, shared: Database, engine_process: EngineProcess
) -> None:
    """In the middle of an answer the other one takes over: one message, whole, and one stored answer."""
    maya = playground.maya
    async with start("one"):
        await playground.wait_for_connection()
        ts = await maya.say(maya.dm, LONG)
        await playground.wait_until(lambda: answers_in(playground, maya.dm, ts), timeout=20, what="first words")
        os.kill(engine_process.pid, signal.SIGSTOP)
        try:
            async with shared.begin() as session:  # as the other one does after half a minute without a sign of life
                beats = await workers.list_beats(session)
                for worker_id, count in beats.items():
                    assert await workers.dismiss(session, worker_id, beats=count)
                await workers.recover(session)
            second = start("two")
            await second.__aenter__()
        finally:
            os.kill(engine_process.pid, signal.SIGCONT)
        (answer,) = await until_answered(shared, 1)
        await second.__aexit__(None, None, None)

    (message,) = answers_in(playground, maya.dm, ts)
    assert answer.state == AnswerState.COMPLETE
    assert shown(message) == "".join(answer.text.split())


async def test_a_wish_to_stop_reaches_whoever_writes(
    playground: Playground, start: START, shared: Database, engine_process: EngineProcess
) -> None:
    """Slack tells any of the bots of a click; the one that is not writing passes it on."""
    maya = playground.maya
    async with start("one"):
        await playground.wait_for_connection()
        os.kill(engine_process.pid, signal.SIGSTOP)
        try:
            ts = await maya.say(maya.dm, LONG)
            await playground.wait_until(
                lambda: (playground.session(maya.dm, ts) or {}).get("status") == "processing", what="the session"
            )
            while not await stored(shared):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
            connections = playground.hub.sockets._connections
            old = list(connections)
            async with start("two"):
                await playground.wait_until(lambda: len(connections) == 4, what="both bots")
                for connection in old:
                    connection.is_leaving = True  # so that only the second bot hears of it
                await maya.stop(maya.dm, ts)
                (answer,) = await until_answered(shared, 1)
        finally:
            os.kill(engine_process.pid, signal.SIGCONT)

    assert answer.state == AnswerState.STOPPED


@pytest.mark.nightly
async def test_what_was_due_of_a_bot_that_died_is_said_by_the_other(
    playground: Playground, start: START, shared: Database
) -> None:
    """Half a minute later, once, and nobody says that it was not running: the other one was."""
    maya = playground.maya
    async with start("one"), start("two"):
        await playground.wait_for_connection()
        await maya.command("/apprentice", "remind me tomorrow at 9:00 to call Tom", channel=maya.dm)
        await playground.wait_until(lambda: maya.ephemerals(maya.dm), what="the plan")
        async with shared.begin() as session:
            dead = await workers.enlist(session, "dead")
            (schedule,) = await session.scalars(select(Schedule))
            due_at, schedule.next_at = now(), None
            session.add(Occurrence(schedule_id=schedule.id, due_at=due_at, until=due_at + LEASE, worker_id=dead))
        await playground.wait_until(lambda: "call Tom" in str(playground.messages(maya.dm)), timeout=60, what="it")
        assert timedelta(seconds=25) < now() - due_at < timedelta(seconds=60)
        await asyncio.sleep(5)

    (message,) = playground.messages(maya.dm)
    assert message["text"] == "⏰ You asked me to remind you: call Tom"


@pytest.mark.nightly
async def test_a_process_that_hangs_for_a_minute_costs_nobody_an_answer(
    playground: Playground, shared: Database, database_url: str, engine_process: EngineProcess, tmp_path: Path
) -> None:
    """Real processes and times: one hangs, the other goes on after half a minute; the first wakes up and is silent."""
    bots = []
    for name in ("one", "two"):
        settings = {
            **playground.environment,
            "ENGINE_URL": engine_process.url,
            "ENGINE_API_KEY": KEY,
            "DATABASE_URL": database_url,
            "DATA_DIR": str(tmp_path / name),
            "HTTP_PORT": "0",
        }
        command = (sys.executable, "-m", "bot", "run")
        bots.append(await asyncio.create_subprocess_exec(*command, env={**os.environ, **settings}))
    try:
        await playground.wait_until(lambda: len(playground.hub.sockets._connections) == 4, timeout=60, what="both bots")
        maya = playground.maya
        asked = [await maya.say(maya.dm, LONG) for _ in range(12)]
        await playground.wait_until(
            lambda: sum(bool(answers_in(playground, maya.dm, ts)) for ts in asked) >= 3, timeout=60, what="first words"
        )
        bots[0].send_signal(signal.SIGSTOP)
        answers = await until_answered(shared, 12, timeout=180)
        bots[0].send_signal(signal.SIGCONT)
        await asyncio.sleep(15)
    finally:
        for bot in bots:
            bot.terminate()
        ended = [await bot.wait() for bot in bots]

    assert ended == [0, 0]
    texts = {"".join(answer.text.split()) for answer in answers}
    messages = [message for ts in asked for message in answers_in(playground, maya.dm, ts)]
    assert len(messages) == len(answers) == 12
    assert {shown(message) for message in messages} == texts
