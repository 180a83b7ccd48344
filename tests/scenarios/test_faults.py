"""What goes wrong in a workspace and in a process: every message still ends in exactly one visible outcome."""

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack

import aiohttp
import pytest
from sqlalchemy import select, text

from bot.app import RunningBot
from bot.playground.testing import Playground
from bot.settings import STARTER_MODEL
from bot.storage.db import Database
from bot.storage.tables import Answer, AnswerState
from tests.scenarios.conftest import EngineProcess, Finished, StartBot, full_disk

LONG = "Make an onboarding plan for a new colleague."


def answers_in(playground: Playground, channel: str, ts: str) -> list[dict]:
    """Return the assistant's messages in a thread."""
    return [message for message in playground.messages(channel, ts) if message["bot_id"]]


async def stored(database: Database) -> list[Answer]:
    """Return every stored answer."""
    async with database.begin() as session:
        return list(await session.scalars(select(Answer).order_by(Answer.id)))


def shown(message: dict) -> str:
    """Return the words that a message shows, without white space, which Slack's forms treat differently."""
    markdown = next((block["text"] for block in message["blocks"] if block["type"] == "markdown"), None)
    return "".join((markdown or message["markdown_text"] or message["text"]).split())


async def test_a_workspace_without_streams_gets_edits(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """Unknown methods are no reason not to answer: one message, edited, with the whole text."""
    playground.fault("missing_method", methods="chat.startStream,agents.sessions.setStatus,assistant.threads.setStatus")
    maya = playground.maya
    ts = await maya.say(maya.dm, LONG)
    await playground.wait_until(lambda: answers_in(playground, maya.dm, ts), what="the answer")
    (answer,) = await finished()

    (message,) = answers_in(playground, maya.dm, ts)
    assert shown(message) == "".join(answer.text.split())
    assert not message["streaming"]


async def test_a_stream_that_expires_is_repaired(playground: Playground, bot: RunningBot, finished: Finished) -> None:
    """Slack ends streams after minutes; the whole text stands there all the same, in one message."""
    playground.fault("stream_expiry", seconds=0.01)
    maya = playground.maya
    ts = await maya.say(maya.dm, LONG)
    (answer,) = await finished()

    (message,) = answers_in(playground, maya.dm, ts)
    assert shown(message) == "".join(answer.text.split())
    assert [block["type"] for block in message["blocks"]][-2:] == ["context_actions", "actions"]


async def test_redelivery_makes_no_second_answer(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Every event is delivered again, at once and minutes late."""
    playground.fault("duplicate_events")
    playground.fault("late_redelivery")
    maya = playground.maya
    ts = await maya.say("general", "<@U0APPRENTICE> hello")
    await playground.wait_for_reply("general", ts)
    await playground.advance(400)
    other = await maya.say("general", "<@U0APPRENTICE> thanks")
    await playground.wait_for_reply("general", other)

    assert len(answers_in(playground, "general", ts)) == 1
    assert len(await stored(rows)) == 2


async def test_a_refreshed_socket_loses_nothing(playground: Playground, bot: RunningBot) -> None:
    """Slack asks for a new connection now and then; messages go on being answered."""
    maya = playground.maya
    for words in ("hello", "thanks", "bye"):
        await playground.refresh_sockets()
        ts = await maya.say(maya.dm, words)
        await playground.wait_for_reply(maya.dm, ts, timeout=20)
        assert len(answers_in(playground, maya.dm, ts)) == 1


async def test_a_cut_socket_shows_and_is_mended(playground: Playground, bot: RunningBot) -> None:
    """`/healthz` says so while it lasts; afterwards what was said meanwhile is answered, and so is what follows."""
    maya = playground.maya
    playground.fault("disconnected")
    await _health(bot, 503)
    missed = await maya.say(maya.dm, "hello")
    playground.fault("disconnected", enabled=False)
    await _health(bot, 200)
    await playground.advance(61)  # Slack tries again after a minute
    await playground.wait_for_reply(maya.dm, missed)
    ts = await maya.say(maya.dm, "thanks")
    await playground.wait_for_reply(maya.dm, ts)

    assert len(answers_in(playground, maya.dm, missed)) == 1


async def _health(bot: RunningBot, status: int) -> None:
    """Wait until the bot's health has this status."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{bot.http_port}") as session:
        for _ in range(600):
            async with session.get("/healthz") as response:
                if response.status == status:
                    return
            await asyncio.sleep(0.05)
    raise TimeoutError(f"/healthz never was {status}")


async def test_a_throttled_workspace_gets_the_whole_text(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """Slack says 429 now and then; no error reaches a person."""
    playground.fault("rate_limit", retry_after=1, times=3)
    maya = playground.maya
    ts = await maya.say(maya.dm, "What is a code review?")
    (answer,) = await finished(timeout=40)

    (message,) = answers_in(playground, maya.dm, ts)
    assert shown(message) == "".join(answer.text.split())


async def test_a_message_that_can_never_fit_is_refused(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """The refusal says how long it is and how long it may be; there is no Retry, which could not help."""
    maya = playground.maya
    ts = await maya.say(maya.dm, "word " * 5000)
    (answer,) = await finished()
    reply = await playground.wait_for_reply(maya.dm, ts)

    assert answer.state == AnswerState.FAILED
    assert answer.error_id in (reply["markdown_text"] or reply["text"])
    assert "too long" in (reply["markdown_text"] or reply["text"])
    assert "retry" not in str(reply["blocks"])


async def test_older_messages_that_do_not_fit_are_confessed(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """The answer says how much of the thread it knew."""
    maya = playground.maya
    ts = await maya.say(maya.dm, "Remember these notes. " + "The quick brown fox jumps over the lazy dog. " * 60)
    await playground.wait_for_reply(maya.dm, ts)
    second = await maya.say(maya.dm, "And these. " + "Pack my box with five dozen liquor jugs. " * 60, thread_ts=ts)
    answers = await finished(2)
    reply = await playground.wait_for_reply(maya.dm, ts, after=second)

    assert "I could only keep the last 0 of 1" in str(reply["blocks"])
    assert answers[-1].messages_used == 0


async def test_a_killed_engine_comes_back_and_the_answer_goes_on(
    playground: Playground, start_bot: StartBot, finished: Finished
) -> None:
    """The engine is shot in the middle of an answer; the person sees one complete answer."""
    async with start_bot(engine_url="", model_path=STARTER_MODEL) as bot:
        await playground.wait_for_connection()
        maya = playground.maya
        warm = await maya.say(maya.dm, "hello")
        await playground.wait_for_reply(maya.dm, warm, timeout=30)
        ts = await maya.say(maya.dm, LONG)
        await playground.wait_until(lambda: answers_in(playground, maya.dm, ts), timeout=20, what="first words")
        os.kill(bot.supervisor.pid, signal.SIGKILL)
        answer = (await finished(2, timeout=60))[-1]

        (message,) = answers_in(playground, maya.dm, ts)
        assert answer.state == AnswerState.COMPLETE
        assert shown(message) == "".join(answer.text.split())
        assert len(answer.completion_token_ids) == answer.completion_tokens


async def test_a_bot_that_dies_in_the_middle_answers_after_its_restart(
    playground: Playground, start_bot: StartBot, rows: Database, finished: Finished, engine_process: EngineProcess
) -> None:
    """The inbox has the question; the next start answers it, in the same message if one had begun."""
    maya = playground.maya
    os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        async with start_bot() as bot:
            await playground.wait_for_connection()
            ts = await maya.say(maya.dm, "hello")
            for _ in range(200):
                if await stored(rows):
                    break
                await asyncio.sleep(0.02)
            bot.worker.cancel()
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)
    assert answers_in(playground, maya.dm, ts) == []

    async with start_bot():
        (answer,) = await finished()

    assert len(answers_in(playground, maya.dm, ts)) == 1
    assert answer.state == AnswerState.COMPLETE


async def test_a_stream_that_a_crash_left_behind_becomes_the_answer(
    playground: Playground, start_bot: StartBot, finished: Finished, engine_process: EngineProcess
) -> None:
    """The bot dies while its words stream; after the restart the same message has the whole answer."""
    maya = playground.maya
    async with start_bot() as bot:
        await playground.wait_for_connection()
        ts = await maya.say(maya.dm, LONG)
        await playground.wait_until(lambda: answers_in(playground, maya.dm, ts), what="first words")
        os.kill(engine_process.pid, signal.SIGSTOP)
        bot.worker.cancel()
    os.kill(engine_process.pid, signal.SIGCONT)
    async with start_bot():
        (answer,) = await finished()

    (message,) = answers_in(playground, maya.dm, ts)
    assert not message["streaming"]
    assert shown(message) == "".join(answer.text.split())


FAILING = "CREATE TRIGGER failing BEFORE INSERT ON answers BEGIN SELECT RAISE(FAIL, 'out of order'); END"


async def test_a_status_that_a_crash_left_behind_ends(
    playground: Playground, start_bot: StartBot, finished: Finished, engine_process: EngineProcess
) -> None:
    """The bot dies and cannot say that it works no more; after the restart nothing is left of “is thinking”."""
    maya = playground.maya
    async with start_bot() as bot:
        await playground.wait_for_connection()
        os.kill(engine_process.pid, signal.SIGSTOP)
        ts = await maya.say(maya.dm, "hello")
        await playground.wait_until(
            lambda: (playground.session(maya.dm, ts) or {}).get("status") == "processing", what="the status"
        )
        playground.fault("missing_method", methods="agents.sessions.setStatus", error="not_authorized")
        bot.worker.cancel()
    os.kill(engine_process.pid, signal.SIGCONT)
    assert playground.session(maya.dm, ts)["status"] == "processing"
    playground.fault("missing_method", enabled=False)

    async with start_bot():
        await finished()
        await playground.wait_until(
            lambda: playground.session(maya.dm, ts)["status"] == "active", what="the end of the status"
        )


async def test_a_database_that_recovers_costs_only_time(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """A turn that could not even begin is tried again by itself."""
    async with rows.begin() as session:
        await session.execute(text(FAILING))
    maya = playground.maya
    ts = await maya.say(maya.dm, "hello")
    await asyncio.sleep(0.5)
    async with rows.begin() as session:
        await session.execute(text("DROP TRIGGER failing"))
    await finished()

    (message,) = answers_in(playground, maya.dm, ts)
    assert message["markdown_text"]


async def test_what_cannot_be_begun_ends_in_an_apology(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """After three attempts the person is told, with an id that stands in the log, and the next message works."""
    async with rows.begin() as session:
        await session.execute(text(FAILING))
    maya = playground.maya
    ts = await maya.say(maya.dm, "hello")
    reply = await playground.wait_for_reply(maya.dm, ts, timeout=20)
    assert "Something went wrong" in reply["text"]
    assert len(answers_in(playground, maya.dm, ts)) == 1

    async with rows.begin() as session:
        await session.execute(text("DROP TRIGGER failing"))
    again = await maya.say(maya.dm, "hello", thread_ts=ts)
    assert (await playground.wait_for_reply(maya.dm, ts, after=again))["markdown_text"]


async def test_a_slack_that_is_away_for_a_while_gets_the_answer_later(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """Every call fails for some seconds, more often than one call is tried; then the answer stands there, once."""
    playground.fault("server_error", status=503, methods="chat.*")
    maya = playground.maya
    ts = await maya.say(maya.dm, "hello")
    await asyncio.sleep(4)
    assert answers_in(playground, maya.dm, ts) == []
    playground.fault("server_error", enabled=False)
    (answer,) = await finished()

    (message,) = answers_in(playground, maya.dm, ts)
    assert answer.state == AnswerState.COMPLETE
    assert shown(message) == "".join(answer.text.split())


async def test_names_that_cannot_be_looked_up_cost_only_time(
    playground: Playground, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's name server is away while all sockets are cut: what is said meanwhile is answered once."""
    look_up, is_away = socket.getaddrinfo, False

    def look_up_or_not(host: str | bytes | None, *place: object, **options: object) -> object:
        if is_away and host == "localhost":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up(host, *place, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_or_not)
    maya = playground.maya
    async with start_bot(slack_api_url=playground.api_url.replace("127.0.0.1", "localhost")) as bot:
        await playground.wait_for_connection()
        before = await maya.say(maya.dm, LONG)
        is_away = True
        for fault in ("disconnected", "drop_connection"):
            playground.fault(fault)
        await asyncio.sleep(11)  # addresses are remembered for ten seconds
        for fault in ("disconnected", "drop_connection"):
            playground.fault(fault, enabled=False)
        meanwhile = await maya.say(maya.dm, "hello")
        await asyncio.sleep(2)
        await _health(bot, 503)
        assert not answers_in(playground, maya.dm, meanwhile)
        is_away = False
        await _health(bot, 200)
        await playground.advance(61)  # Slack tries again after a minute
        for ts in (before, meanwhile):
            await playground.wait_for_reply(maya.dm, ts)
            assert len(answers_in(playground, maya.dm, ts)) == 1


@pytest.mark.parametrize("where", ["dm", "general"])
async def test_a_token_that_is_refused_for_a_while_costs_only_time(
    playground: Playground, bot: RunningBot, finished: Finished, where: str
) -> None:
    """In the middle of an answer Slack refuses whatever the bot asks; once it takes it again the answer is whole."""
    maya = playground.maya
    channel = maya.dm if where == "dm" else where
    ts = await maya.say(channel, f"<@U0APPRENTICE> {LONG}")
    await playground.wait_until(lambda: answers_in(playground, channel, ts), what="first words")
    playground.fault("missing_method", methods="chat.*,conversations.*,agents.*,users.*", error="invalid_auth")
    await asyncio.sleep(2.5)
    playground.fault("missing_method", enabled=False)
    (answer,) = await finished()
    await playground.wait_for_reply(channel, ts)

    (message,) = answers_in(playground, channel, ts)
    assert answer.state == AnswerState.COMPLETE
    assert shown(message) == "".join(answer.text.split())


async def test_messages_after_a_reset_of_the_workspace_are_answered(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """Ids never repeat, so nothing new is mistaken for something old."""
    maya = playground.maya
    for round_ in range(2):
        for _ in range(3):
            await maya.say(maya.dm, "hello")
        await finished(3 * (round_ + 1))
        playground.hub.reset()
        await playground.wait_for_connection()


async def test_a_deletion_that_cannot_be_followed_comes_again(
    playground: Playground, bot: RunningBot, finished: Finished, rows: Database
) -> None:
    """The disk is full just then: Slack is not told that we know, and its next word of it counts."""
    maya = playground.maya
    ts = await maya.say(maya.dm, "The password of the safe is 1234.")
    await finished()
    async with rows.begin() as session:
        full = "CREATE TRIGGER full BEFORE DELETE ON messages BEGIN SELECT RAISE(ABORT, 'full'); END"
        await session.execute(text(full))
    await maya.delete(maya.dm, ts)
    await asyncio.sleep(0.5)
    async with rows.begin() as session:
        assert await session.scalar(text("SELECT count(*) FROM messages")) == 1
        await session.execute(text("DROP TRIGGER full"))
    await playground.advance(70)

    for _ in range(100):
        async with rows.read() as session:
            if not await session.scalar(text("SELECT count(*) FROM messages")):
                return
        await asyncio.sleep(0.05)
    raise AssertionError("the deleted message is still there")


async def test_a_disk_that_is_full_at_the_start_is_waited_for(
    playground: Playground, rows: Database, start_bot: StartBot
) -> None:
    """Whoever starts it need not start it again."""
    async with start_bot():
        await playground.wait_for_connection()
    async with full_disk(rows, "workers"), AsyncExitStack() as stack:
        running = await stack.enter_async_context(start_bot())
        ts = await playground.maya.say(playground.maya.dm, "hello")
        await asyncio.sleep(1)
        assert not running.worker.done()
        waits = stack.pop_all()
    async with waits:
        await playground.wait_for_reply(playground.maya.dm, ts)


async def test_no_status_is_left_where_slack_ended_the_stream(playground: Playground, bot: RunningBot) -> None:
    """The stream began the session, for there was no room to say so in another way."""
    tom, maya = playground.tom, playground.maya
    playground.fault("rate_limit", retry_after=4, methods="agents.sessions.setStatus", times=1)
    await playground.wait_for_reply(tom.dm, await tom.say(tom.dm, "hello"))
    playground.fault("stream_expiry", seconds=0.01)
    playground.fault("rate_limit", retry_after=1, methods="chat.stopStream", times=1)
    ts = await maya.say(maya.dm, LONG)
    await playground.wait_for_reply(maya.dm, ts)

    def status() -> list[str]:
        return [one["status"] for one in playground.sessions if one["thread_ts"] == ts]

    await playground.wait_until(lambda: status() == ["active"], what="the end of the status")


async def test_the_offer_below_an_edited_question_outlasts_an_outage(playground: Playground, bot: RunningBot) -> None:
    """Slack takes no word just then; once it does, its author is asked, once."""
    maya = playground.maya
    ts = await maya.say("general", "<@U0APPRENTICE> What is a sprint?")
    await playground.wait_for_reply("general", ts)
    playground.fault("server_error", methods="chat.postEphemeral", times=6)
    await maya.edit("general", ts, "<@U0APPRENTICE> What is a deadline?")
    await playground.wait_until(lambda: maya.ephemerals("general"), what="the offer", timeout=60)
    await asyncio.sleep(1)
    (offer,) = maya.ephemerals("general")
    assert "Shall I answer it again?" in offer["text"]
