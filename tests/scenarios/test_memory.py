"""It remembers: corrections from the next message on, long threads in few words, and nothing of what was deleted."""

import asyncio
import os
import signal
from typing import Any

from sqlalchemy import select

from bot.app import RunningBot
from bot.playground.testing import Person, Playground
from bot.storage.db import Database
from bot.storage.memory_tables import AnswerSource, AnswerTrace, SourceKind, ThreadSummary
from bot.storage.tables import Answer, AnswerState, Audience, Correction, Message, Thread
from tests.scenarios.conftest import EngineProcess, Finished, StartBot
from tests.scenarios.test_feedback import wait_for_rows
from tests.scenarios.test_learning import BOT, ask, teach, words

QUESTION, TAUGHT = "What port does the staging database use?", "The staging database listens on port 6543."
ALIKE = "staging database port please"


async def sources(rows: Database, kind: SourceKind) -> list[AnswerSource]:
    """Return what of a kind stood in prompts, oldest answer first."""
    async with rows.read() as session:
        query = select(AnswerSource).filter_by(kind=kind).order_by(AnswerSource.answer_id)
        return list(await session.scalars(query))


async def window(playground: Playground, person: Person, reply: dict[str, Any]) -> str:
    """Press Why? and return what the window says."""
    await person.click(reply, "why")
    return await playground.wait_until(
        lambda: next((text for text in map(str, playground.views(person.id)) if "Tokens and time" in text), None),
        what="the explanation",
    )


async def test_complaint_19_a_correction_is_known_from_the_next_message_on(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Another person asks in other words and gets what was taught; Why? says from where; taken back, it is gone."""
    maya, tom = playground.maya, playground.tom
    assert "6543" not in words(await ask(playground, tom, ALIKE))
    await teach(playground, maya, QUESTION, TAUGHT)
    (correction,) = await wait_for_rows(rows, Correction, 1)

    reply = await ask(playground, tom, ALIKE)
    assert "6543" in words(reply)
    await finished(3)
    (source,) = await sources(rows, SourceKind.CORRECTION)
    assert (source.ref_id, source.score) == (correction.id, 0.866)
    seen = await window(playground, tom, reply)
    assert f"<@{maya.id}>" in seen
    assert TAUGHT in seen
    assert "/archives/" in seen
    assert "How sure it was" in seen
    assert "`taught`, version" in seen
    (*_, trace) = await rows_of(rows, AnswerTrace)
    answers = await finished(3)
    assert 0 < trace.certainty <= 1
    assert answers[-1].created_at <= trace.generating_at <= answers[-1].first_token_at

    asked = next(said for said in playground.messages("general") if QUESTION in said["text"])
    await maya.delete("general", asked["ts"])
    await no_more(rows, Correction)
    assert "6543" not in words(await ask(playground, tom, ALIKE))


async def rows_of(rows: Database, table: type) -> list[Any]:
    """Return every row of a table."""
    async with rows.read() as session:
        return list(await session.scalars(select(table)))


async def no_more(rows: Database, table: type) -> None:
    """Return when a table is empty."""
    for _ in range(500):
        if not await rows_of(rows, table):
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"{table.__tablename__} has rows still")


async def test_complaint_13_what_is_taught_in_private_stays_there(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Known in the same direct messages, and neither to others nor in public."""
    maya, tom = playground.maya, playground.tom
    ts = await maya.say(maya.dm, QUESTION)
    await maya.click(await playground.wait_for_reply(maya.dm, ts), "feedback", "negative_button")
    await playground.wait_for_view(maya.id)
    await maya.submit_view({"reason": "wrong", "correction": TAUGHT})
    await wait_for_rows(rows, Correction, 1)

    for asked, (person, place) in enumerate(((tom, tom.dm), (maya, "general"), (maya, maya.dm)), start=1):
        await finished(asked)
        assert await sources(rows, SourceKind.CORRECTION) == []
        mention = f"{BOT} " if place == "general" else ""
        await playground.wait_for_reply(place, await person.say(place, f"{mention}{ALIKE}"))
    await finished(4)
    assert len(await sources(rows, SourceKind.CORRECTION)) == 1


async def test_switched_off_nothing_is_looked_up(playground: Playground, start_bot: StartBot, rows: Database) -> None:
    """CORRECTIONS_AT_ONCE=false: what was taught waits for the night."""
    async with start_bot(corrections_at_once=False):
        await playground.wait_for_connection()
        await teach(playground, playground.maya, QUESTION, TAUGHT)
        await wait_for_rows(rows, Correction, 1)
        assert "6543" not in words(await ask(playground, playground.tom, ALIKE))
    assert await sources(rows, SourceKind.CORRECTION) == []


async def test_complaint_20_an_edited_question_is_answered_again_if_its_author_wants(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Its author alone is asked, in the thread; the answer that stands there is replaced by one to the new words."""
    maya = playground.maya
    ts = await maya.say("general", f"{BOT} What is a code review?")
    await playground.wait_for_reply("general", ts)
    await maya.edit("general", ts, f"{BOT} What is a retro?")
    offer = await playground.wait_until(lambda: maya.ephemerals("general"), what="the offer")
    assert playground.tom.ephemerals("general") == []
    assert offer[0]["thread_ts"] == ts
    await maya.click(offer[0], "answer_edited")

    first, second = await finished(2)
    assert (second.replaces_id, second.reply_ts, second.message_id) == (None, first.reply_ts, first.message_id)
    assert second.sampling["temperature"] == 0
    (message,) = await rows_of(rows, Message)
    assert message.text == "What is a retro?"
    assert message.edited_at is not None
    assert first.prompt_token_ids is None or first.prompt_token_ids != second.prompt_token_ids
    await playground.wait_until(lambda: not maya.ephemerals("general"), what="the offer to go")


async def test_a_mention_that_an_edit_puts_in_is_a_question(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Once; later edits are those of a question. In a message that is older than an hour it is none."""
    maya = playground.maya
    ts = await maya.say("general", "What is a code review?")
    late = await maya.say("general", "What is a sprint?")
    await maya.edit("general", ts, f"{BOT} What is a code review?")
    await playground.wait_for_reply("general", ts)
    await finished(1)
    await maya.edit("general", ts, f"{BOT} What is a retro?")
    await playground.wait_until(lambda: maya.ephemerals("general"), what="the offer")
    await playground.advance(3700)
    await maya.edit("general", late, f"{BOT} What is a sprint?")
    asked = await maya.say("general", f"{BOT} hello")
    await playground.wait_for_reply("general", asked)
    await finished(2)
    assert [message.text for message in await rows_of(rows, Message)] == ["What is a retro?", "hello"]


async def test_complaint_20_an_edit_while_it_is_answered_begins_anew(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished, engine_process: EngineProcess
) -> None:
    """The running answer stops, and the same message becomes the answer to the new words."""
    maya = playground.maya
    os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        ts = await maya.say(maya.dm, "Tell me a very long story about a fox")
        await wait_for_rows(rows, Answer, 1)
        await playground.wait_until(lambda: playground.session(maya.dm, ts), what="the session")
        await maya.edit(maya.dm, ts, "What is a retro?")
        await finished(1)
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)
    stopped, anew = await finished(2)

    assert (stopped.state, anew.state) == (AnswerState.STOPPED, AnswerState.COMPLETE)
    (message,) = await rows_of(rows, Message)
    assert (message.text, anew.message_id) == ("What is a retro?", message.id)
    assert stopped.prompt_token_ids is None
    assert len([said for said in playground.messages(maya.dm, ts) if said["bot_id"]]) == 1
    assert maya.ephemerals(maya.dm) == []


async def test_complaint_8_a_long_thread_is_summarised_and_says_so(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """What no longer fits is told in few words from the next turn on; deleting a message of it takes them back."""
    maya = playground.maya
    ts = await maya.say(maya.dm, "Remember these notes. " + "The quick brown fox jumps over the lazy dog. " * 30)
    await playground.wait_for_reply(maya.dm, ts)
    async with rows.begin() as session:
        thread = (await session.scalars(select(Thread))).one()
        for number in range(1, 6):
            said = f"Note {number}: " + "Pack my box with five dozen liquor jugs. " * 15
            moment = f"{float(ts) + number * 1e-4:.6f}"
            values = {"user_id": maya.id, "user_name": "Maya", "text": said, "audience": Audience.DIRECT}
            session.add(Message(thread_id=thread.id, ts=moment, **values))
    second = await maya.say(maya.dm, "And now?", thread_ts=ts)
    await playground.wait_for_reply(maya.dm, ts, after=second)
    (summary,) = await wait_for_rows(rows, ThreadSummary, 1)
    assert summary.text
    assert summary.messages >= 2

    third = await maya.say(maya.dm, "What is a retro?", thread_ts=ts)
    reply = await playground.wait_for_reply(maya.dm, ts, after=third)
    await finished(3)
    (source,) = await sources(rows, SourceKind.SUMMARY)
    assert source.ref_id == summary.id
    assert "is summarised" in str(reply["blocks"])
    assert f"first {summary.messages} messages" in await window(playground, maya, reply)

    await maya.delete(maya.dm, ts)
    await no_more(rows, ThreadSummary)


async def test_why_tells_what_was_given_and_not_what_it_became(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """What somebody taught to everyone in a direct message shows; what they made of their question later does not."""
    maya, tom = playground.maya, playground.tom
    ts = await maya.say(maya.dm, QUESTION)
    await maya.click(await playground.wait_for_reply(maya.dm, ts), "feedback", "negative_button")
    await playground.wait_for_view(maya.id)
    await maya.submit_view({"reason": "wrong", "correction": TAUGHT, "everyone": ["everyone"]})
    await wait_for_rows(rows, Correction, 1)
    reply = await ask(playground, tom, ALIKE)
    await finished(2)
    assert QUESTION in await window(playground, tom, reply)
    await tom.close_view()

    await maya.edit(maya.dm, ts, "Do we dismiss Sam in May?")
    await playground.wait_until(lambda: "You edited" in str(maya.ephemerals(maya.dm)), what="the offer to answer anew")
    seen = await window(playground, tom, reply)
    assert TAUGHT in seen
    assert "Sam" not in seen


async def test_what_was_corrected_in_private_is_not_shared_with_an_answer(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """The answer to a later private question rests on it; its asker shares that answer, and nothing else."""
    maya, tom = playground.maya, playground.tom

    async def ask_alone(text: str, count: int) -> dict[str, Any]:
        await maya.command("/apprentice", f"ask {text}", channel="general")
        await finished(count)
        found = await playground.wait_until(
            lambda: [one for one in maya.ephemerals("general") if "Share with everyone" in str(one)][count - 1 :],
            what="the private answer",
        )
        return dict(found[-1])

    await maya.click(await ask_alone(QUESTION, 1), "feedback", "negative_button")
    await playground.wait_for_view(maya.id)
    await maya.submit_view({"reason": "wrong", "correction": TAUGHT})
    await wait_for_rows(rows, Correction, 1)
    await maya.click(await ask_alone(ALIKE, 2), "share_answer")
    shared = await playground.wait_until(
        lambda: [one for one in playground.messages("general") if "asked me" in str(one)], what="what is shared"
    )
    await playground.wait_until(
        lambda: str(maya.ephemerals("general")).count("'Share with everyone'") == 1, what="the private one to go"
    )
    assert len(await sources(rows, SourceKind.CORRECTION)) == 1
    seen = await window(playground, tom, shared[-1])
    assert "shows it to nobody" in seen
    assert QUESTION not in seen
    assert TAUGHT not in seen
