"""A wish to stop counts for all that is wanted in a thread by then: also for what an edit or a press let wait."""

import pytest
from sqlalchemy import select

from bot.playground.testing import Playground
from bot.slack.turns.elsewhere import Elsewhere, Ended
from bot.storage import inbox, stopping
from bot.storage.db import Database
from bot.storage.tables import Answer, AnswerState
from tests.builders import arrival
from tests.scenarios.conftest import Finished, StartBot
from tests.scenarios.test_asking_authors import empty_inbox
from tests.scenarios.test_commands import whispered
from tests.scenarios.test_consumption import Pausing
from tests.scenarios.test_faults import LONG, answers_in
from tests.scenarios.test_foreign_engine import serving
from tests.scenarios.test_waiting import without_ids

BOT = "<@U0APPRENTICE>"


@pytest.mark.parametrize("how", ["session", "order"])
async def test_a_stop_right_after_an_edit_is_for_the_edited_question_too(
    playground: Playground, start_bot: StartBot, rows: Database, how: str
) -> None:
    """The old answer is just ending, and the new one waits for that."""
    server, tom = Pausing(), playground.tom
    async with serving(server), start_bot(engine_url=server.url, engine_api_key=""):
        await playground.wait_for_connection()
        ts = await tom.say("general", f"{BOT} {LONG}")
        await playground.wait_until(lambda: server.asked, what="the question at the engine")
        await tom.edit("general", ts, f"{BOT} Make a short plan.")
        await (tom.stop("general", ts) if how == "session" else tom.say("general", "!stop", ts))
        await playground.wait_until(lambda: "Stopped." in str(answers_in(playground, "general", ts)), what="the word")
        await empty_inbox(rows)  # although the engine answers nobody
        server.go.set()
    assert "short plan" not in str(server.asked)
    (message,) = answers_in(playground, "general", ts)
    assert "Stopped." in str(message)


async def test_a_stop_counts_while_messages_are_gathered(
    playground: Playground, start_bot: StartBot, finished: Finished, rows: Database
) -> None:
    """The question has not begun to be answered: its thread says that it was stopped; one that is said later is not."""
    tom = playground.tom
    async with start_bot(merge_seconds=1.0):
        await playground.wait_for_connection()
        ts = await tom.say("general", f"{BOT} hello")
        await finished(1)
        await tom.say("general", LONG, ts)
        await tom.say("general", "!stop", ts)
        await finished(2)
        assert "Stopped." in str(answers_in(playground, "general", ts)[-1])
        later = await tom.say("general", "thanks", ts)
        await playground.wait_for_reply("general", ts, after=later)
        await finished(3)
    assert "I am not writing anything here" not in str(tom.ephemerals("general"))
    async with rows.read() as session:
        found = list(await session.scalars(select(Answer).order_by(Answer.id)))
    assert [answer.state for answer in found] == [AnswerState.COMPLETE, AnswerState.STOPPED, AnswerState.COMPLETE]
    assert found[1].text == ""


async def test_an_answer_on_its_way_is_not_retried(
    playground: Playground, start_bot: StartBot, finished: Finished, rows: Database
) -> None:
    """`!retry` means the last question, not the one before it that has an answer by now."""
    server, tom = Pausing(), playground.tom
    async with serving(server), start_bot(engine_url=server.url, engine_api_key=""):
        await playground.wait_for_connection()
        ts = await tom.say("general", f"{BOT} hello")
        server.go.set()
        await finished(1)
        server.go.clear()
        await tom.say("general", LONG, ts)
        await playground.wait_until(lambda: len(server.asked) == 2, what="the question at the engine")
        await tom.say("general", "!retry", ts)
        await whispered(playground, tom, "general", "The answer to the last question here is still on its way.")
        server.go.set()
        await finished(2)
        await empty_inbox(rows)
    assert len(server.asked) == 2
    assert len(answers_in(playground, "general", ts)) == 2


@pytest.mark.parametrize("is_resumed", [False, True])
async def test_another_answer_without_a_word_leaves_the_one_before(
    playground: Playground,
    start_bot: StartBot,
    rows: Database,
    finished: Finished,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_resumed: bool,
) -> None:
    """Its message shows the same, and Regenerate can be pressed again; also where another process had begun it."""
    monkeypatch.setattr("bot.slack.turns.turns.GRACE_S", 0.1)
    server, tom = Pausing(), playground.tom
    server.go.set()

    async def stop() -> None:
        await tom.stop("general", ts)
        await empty_inbox(rows)

    async with serving(server):
        here = {"engine_url": server.url, "engine_api_key": ""}
        async with start_bot(**here):
            await playground.wait_for_connection()
            ts = await tom.say("general", f"{BOT} hello")
            (first,) = await finished(1)
            (before,) = answers_in(playground, "general", ts)
            server.go.clear()
            await tom.click(before, "regenerate")
            await playground.wait_until(lambda: len(server.asked) > 1, what="the question at the engine")
            if not is_resumed:
                await stop()
        async with start_bot(**here):
            await playground.wait_for_connection()
            if is_resumed:
                await playground.wait_until(lambda: len(server.asked) > 2, what="the question, asked again")
                await stop()
            (after,) = answers_in(playground, "general", ts)
            assert [answer.id for answer in await finished(1)] == [first.id]
            server.go.set()
            await tom.click(after, "regenerate")
            answers = await finished(2)
    assert (after["text"], without_ids(after)) == (before["text"], without_ids(before))
    assert answers[1].replaces_id == first.id


async def test_another_try_that_waits_is_dropped_by_a_stop(database: Database) -> None:
    """The answer that it was to replace stands; a question is gone on with, to say that it was stopped."""
    async with database.begin() as session:
        await inbox.accept(session, arrival(event_id="again:1", kind="again", payload={"user_id": "U1"}))
        await inbox.accept(session, arrival(event_id="Ev2", ts="2.0", thread_ts="2.0"))
        again, question = await stopping.find_wanted(session, "C1")
        assert not await stopping.ask_to_stop(session, [again.id])
        assert await stopping.ask_to_stop(session, [question.id])
    async with database.begin() as session:
        ((row,),) = await inbox.claim_ready(session, limit=10)
        assert row.event_id == "Ev2"
        assert row.is_stopping
        assert await inbox.still_there(session, [row]) == [row]


@pytest.mark.parametrize(("kind", "ended"), [("again", Ended.DROPPED), ("message", Ended.NOTHING)])
async def test_a_press_is_known_a_little_later_than_it_was(database: Database, kind: str, ended: Ended) -> None:
    """What is ordered in Slack has Slack's time, a press that of when it was heard; what was said later goes on."""
    async with database.begin() as session:
        await inbox.accept(session, arrival(kind=kind, payload={"user_id": "U1"}))

    async def is_admin() -> bool:
        return False

    stop = Elsewhere(database).stop("C1", thread_ts="100.000", user_id="U1", is_admin=is_admin, until_ts="99.000")
    assert await stop is ended
