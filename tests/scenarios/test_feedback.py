"""Thumbs, corrections, Regenerate and Stop, as somebody presses them."""

import asyncio
import os
import signal
import time
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import delete, select, update

from bot.app import RunningBot
from bot.playground.errors import PageError
from bot.playground.testing import Person, Playground
from bot.storage.asking_tables import PRIVATE
from bot.storage.correction_search import Asked, find_by_ids
from bot.storage.db import Database
from bot.storage.erasure_tables import Erasure
from bot.storage.forgetting import forget_message
from bot.storage.material import load_material
from bot.storage.tables import Answer, AnswerState, Audience, Correction, Feedback, Message, PreferencePair, Thread
from bot.storage.threads import Place
from tests.builders import answered, said
from tests.scenarios.conftest import EngineProcess, Finished, full_disk

BOT = "<@U0APPRENTICE>"


async def ask(playground: Playground, person: Person, text: str = "What is a code review?") -> dict[str, Any]:
    """Ask in a direct message and return the finished answer."""
    ts = await person.say(person.dm, text)
    return await playground.wait_for_reply(person.dm, ts)


async def wait_for_rows(database: Database, table: type, count: int) -> list[Any]:
    """Return the rows of *table* once there are *count*."""
    for _ in range(200):
        async with database.begin() as session:
            found = list(await session.scalars(select(table).order_by(table.id)))
        if len(found) >= count:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"only {len(found)} of {count} rows of {table.__tablename__}")


async def wait_for_none(database: Database, table: type) -> None:
    """Return once there are no rows of *table*."""
    for _ in range(200):
        async with database.read() as session:
            if await session.scalar(select(table.id).limit(1)) is None:
                return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{table.__tablename__} still has rows")


async def test_a_thumb_is_stored_and_can_be_changed_and_undone(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Up, then down, then down taken back: up counts again, until that is taken back; only whoever clicked is told."""
    maya = playground.maya
    reply = await ask(playground, maya)
    await maya.click(reply, "feedback", "positive_button")
    await wait_for_rows(rows, Feedback, 1)
    await maya.click(reply, "feedback", "negative_button")
    await wait_for_rows(rows, Feedback, 2)
    up, down = await playground.wait_until(
        lambda: maya.ephemerals(maya.dm) if maya.ephemerals(maya.dm)[1:] else None, what="both confirmations"
    )
    await maya.click(down, "undo_vote")
    again = await playground.wait_until(lambda: maya.ephemerals(maya.dm)[2:], what="what counts again")
    await maya.click(up, "undo_vote")

    votes = await wait_for_rows(rows, Feedback, 3)
    assert again[0]["text"] == "Taken back; your 👍 of before counts again."
    assert [(vote.vote, vote.superseded_at is None) for vote in votes] == [
        ("up", False),
        ("down", False),
        ("none", True),
    ]
    assert len(playground.messages(maya.dm)) == 1


async def current_words(database: Database) -> tuple[list[str], list[str]]:
    """Return the votes and the corrections that count now."""
    async with database.read() as session:
        votes = await session.scalars(select(Feedback.vote).where(Feedback.superseded_at.is_(None)))
        texts = await session.scalars(select(Correction.text).where(Correction.superseded_at.is_(None)))
        return list(votes), list(texts)


async def correct(playground: Playground, person: Person, reply: dict[str, Any], **said: Any) -> dict[str, Any]:
    """Send the form of a thumb down; return it as it was opened."""
    await person.click(reply, "feedback", "negative_button")
    view = await playground.wait_for_view(person.id)
    await person.submit_view(said)
    return view


async def test_a_form_that_is_sent_again_loses_nothing(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """It shows what was said before: only whoever empties a field takes its words back."""
    maya = playground.maya
    reply = await ask(playground, maya)
    said = {"reason": "wrong", "comment": "Dave left.", "correction": "Ask Priya.", "everyone": ["everyone"]}
    first = await correct(playground, maya, reply, **said)
    (correction,) = await wait_for_rows(rows, Correction, 1)
    second = await correct(playground, maya, reply, reason="outdated")
    await wait_for_rows(rows, Feedback, 3)

    assert "Ask Priya." not in str(first)
    assert all(words in str(second) for words in ("Ask Priya.", "Dave left."))
    async with rows.read() as session:
        (kept,) = await session.scalars(select(Correction))
        vote = (await session.scalars(select(Feedback).where(Feedback.superseded_at.is_(None)))).one()
    assert (kept.id, kept.is_for_everyone) == (correction.id, True)
    assert (vote.reason, vote.comment) == ("outdated", "Dave left.")
    await correct(playground, maya, reply, correction="")
    await wait_for_rows(rows, Feedback, 4)
    assert await current_words(rows) == (["down"], [])


async def test_undo_takes_back_what_it_stands_below(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """A wrong thumb up, undone, leaves the thumb down and its correction; undone, that one takes it along."""
    maya = playground.maya
    reply = await ask(playground, maya)
    await correct(playground, maya, reply, correction="Ask Priya.")
    await wait_for_rows(rows, Correction, 1)
    down = next(note for note in maya.ephemerals(maya.dm) if note["text"].startswith("👎"))
    await maya.click(reply, "feedback", "positive_button")
    up = await playground.wait_until(
        lambda: next((note for note in maya.ephemerals(maya.dm) if note["text"].startswith("👍")), None), what="thanks"
    )
    await maya.click(up, "undo_vote")
    assert await current_words(rows) == (["down"], ["Ask Priya."])
    await maya.click(down, "undo_vote")
    assert await current_words(rows) == (["none"], [])


async def test_undo_of_an_answer_that_is_gone_says_so(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """What retention took is not called a change of mind."""
    maya = playground.maya
    reply = await ask(playground, maya)
    await maya.click(reply, "feedback", "positive_button")
    up = (await playground.wait_until(lambda: maya.ephemerals(maya.dm), what="thanks"))[0]
    async with rows.begin() as session:
        await session.execute(delete(Message))
    await maya.click(up, "undo_vote")
    said = await playground.wait_until(lambda: maya.ephemerals(maya.dm)[1:], what="what came of it")
    assert said[0]["text"].startswith("I do not know this answer any more")


async def test_a_thumb_down_asks_what_should_have_been_said(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """The form opens at once; its reason, comment and correction are stored with the answer and its audience."""
    maya = playground.maya
    reply = await ask(playground, maya)
    await maya.click(reply, "feedback", "negative_button")
    view = await playground.wait_for_view(maya.id)
    assert view["callback_id"] == "correction"
    said = {"reason": "outdated", "comment": "Tom has left.\x1b[2J", "correction": "Ask Priya:\u202e she owns it now."}
    await maya.submit_view(said)

    (correction,) = await wait_for_rows(rows, Correction, 1)
    assert (correction.text, correction.user_id, correction.audience) == (
        "Ask Priya: she owns it now.",
        "U0MAYA",
        "direct",
    )
    async with rows.begin() as session:
        current = (await session.scalars(select(Feedback).where(Feedback.superseded_at.is_(None)))).one()
    assert (current.vote, current.reason, current.comment) == ("down", "outdated", "Tom has left.[2J")


async def wait_for_words(playground: Playground, person: Person, words: str, count: int) -> None:
    """Wait until a person was told something so many times."""
    await playground.wait_until(lambda: str(playground.messages(person.dm)).count(words) >= count, what=words)


async def test_a_form_of_an_answer_that_is_gone_or_anothers_keeps_nothing(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Deleted meanwhile, of another workspace, or shown to another person only: whoever wrote hears of it."""
    maya = playground.maya
    async with rows.begin() as session:
        places = (Place("T0OTHER", "C1", "1.0"), Place("T0PLAYGRND", "C0GENERAL", f"{PRIVATE}1"))
        asked = [await said(session, "hello", place=place, user="U0TOM") for place in places]
        foreign, private = [await answered(session, message, "hello") for message in asked]
    reply = await ask(playground, maya)
    for told, other in enumerate((foreign.id, private.id, ""), start=1):
        await maya.click(reply, "feedback", "negative_button")
        await playground.wait_for_view(maya.id)
        await wait_for_rows(rows, Feedback, 1)
        if other:
            playground.hub.modals.stacks[maya.id][-1].view["private_metadata"] = other
        else:
            async with rows.begin() as session:
                await forget_message(session, "T0PLAYGRND", maya.dm, ts=reply["thread_ts"])
        await maya.submit_view({"reason": "wrong", "correction": "Nobody."})
        await wait_for_words(playground, maya, "kept nothing", told)

    async with rows.read() as session:
        assert list(await session.scalars(select(Correction.id))) == []


async def test_skipping_the_form_keeps_the_vote(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """A thumb down counts without any explanation."""
    maya = playground.maya
    reply = await ask(playground, maya)
    await maya.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(maya.id)
    await maya.close_view()

    (vote,) = await wait_for_rows(rows, Feedback, 1)
    assert vote.vote == "down"


async def test_regenerate_replaces_the_answer_in_place(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """The same message shows another answer, both stay in SQL, and liking the new one makes a preference pair."""
    maya = playground.maya
    reply = await ask(playground, maya)
    await maya.click(reply, "regenerate")
    await maya.click(reply, "regenerate")
    answers = await finished(2)

    assert len(answers) == 2
    assert answers[1].replaces_id == answers[0].id
    assert answers[1].reply_ts == [reply["ts"]]
    thread = playground.messages(maya.dm, reply["thread_ts"])
    assert len(thread) == 2
    await maya.click(thread[1], "feedback", "positive_button")
    (pair,) = await wait_for_rows(rows, PreferencePair, 1)
    assert (pair.chosen_id, pair.rejected_id) == (answers[1].id, answers[0].id)


async def test_an_answer_to_another_question_is_preferred_to_none(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Regenerate after an edit answers the new words: liking that says nothing about the answer to the old ones."""
    maya = playground.maya
    ts = await maya.say(maya.dm, "What is a code review?")
    reply = await playground.wait_for_reply(maya.dm, ts)
    await maya.edit(maya.dm, ts, "What is a stand-up?")
    await playground.wait_until(lambda: maya.ephemerals(maya.dm), what="the offer to answer it again")
    await maya.click(reply, "regenerate")
    answers = await finished(2)
    await maya.click(playground.messages(maya.dm, ts)[1], "feedback", "positive_button")
    (vote,) = await wait_for_rows(rows, Feedback, 1)

    assert (vote.answer_id, answers[1].replaces_id) == (answers[1].id, None)
    assert len(playground.messages(maya.dm, ts)) == 2
    async with rows.read() as session:
        assert (await session.scalars(select(PreferencePair))).all() == []


async def find_too_long(playground: Playground, person: Person, reply: dict[str, Any]) -> dict[str, Any]:
    """Say of an answer that it is too long, and return the note that offers a shorter one."""
    await person.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(person.id)
    await person.submit_view({"reason": "long"})
    return await playground.wait_until(
        lambda: next((note for note in person.ephemerals(person.dm) if "shorter answer" in note["text"]), None),
        what="the offer",
    )


async def test_what_was_too_long_is_said_shorter(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """The reason offers it, the answer is replaced in place by a shorter one, and liking that makes a pair."""
    maya = playground.maya
    reply = await ask(playground, maya)
    await maya.click(await find_too_long(playground, maya, reply), "shorter")
    long, short = await finished(2)

    assert (short.replaces_id, short.reply_ts) == (long.id, [reply["ts"]])
    assert 0 < len(short.text) < len(long.text)
    assert short.text in long.text, "the same, and nothing else"
    thread = playground.messages(maya.dm, reply["thread_ts"])
    assert len(thread) == 2
    await maya.click(thread[1], "feedback", "positive_button")
    (pair,) = await wait_for_rows(rows, PreferencePair, 1)
    assert (pair.chosen_id, pair.rejected_id) == (short.id, long.id)
    async with rows.read() as session:
        material = (await load_material(session, [short.id]))[short.id]
    assert not material.is_alone, "it is learned as an answer to the question alone, which is not what was served"


async def test_an_answer_that_was_replaced_is_not_said_shorter(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """Whoever presses the old offer hears why, and nothing is written a third time."""
    maya = playground.maya
    reply = await ask(playground, maya)
    offer = await find_too_long(playground, maya, reply)
    await maya.click(reply, "regenerate")
    await finished(2)
    await maya.click(offer, "shorter")
    await playground.wait_until(lambda: "another one already" in str(maya.ephemerals(maya.dm)), what="the reason")
    assert len(await finished(2)) == 2


async def test_an_answer_that_its_asker_likes_is_replaced_by_nobody_else(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """By no button and no order, and whoever tries hears why; its asker may, and others once it is liked no more."""
    tom, priya = playground.tom, playground.priya
    ts = await tom.say("general", f"{BOT} What is a code review?")
    reply = await playground.wait_for_reply("general", ts)
    channel = reply["channel"]
    await tom.click(reply, "feedback", "positive_button")
    thanks = await playground.wait_until(lambda: tom.ephemerals(channel), what="the thanks")

    async def refused(count: int) -> None:
        def told() -> bool:
            return str([note["text"] for note in priya.ephemerals(channel)]).count("so it stays") == count

        await playground.wait_until(told, what="the reason")

    await priya.click(reply, "regenerate")
    await refused(1)
    await priya.say("general", "!retry", ts)
    await refused(2)
    await priya.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(priya.id)
    await priya.submit_view({"reason": "long"})
    offer = await playground.wait_until(
        lambda: next((note for note in priya.ephemerals(channel) if "shorter answer" in note["text"]), None),
        what="the offer",
    )
    await priya.click(offer, "shorter")
    await refused(3)
    assert len(await finished(1)) == 1

    await tom.click(thanks[0], "undo_vote")
    await wait_for_rows(rows, Feedback, 3)
    await priya.click(reply, "regenerate")
    newest = (await finished(2))[-1]
    await tom.click(playground.messages("general", ts)[1], "feedback", "positive_button")
    await wait_for_rows(rows, PreferencePair, 1)
    await tom.click(playground.messages("general", ts)[1], "regenerate")
    assert (await finished(3))[-1].replaces_id == newest.id


async def test_a_correction_below_an_edited_question_is_about_the_new_words(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Whoever writes it sees the question as it is now; what was written before the edit counts for nobody."""
    maya = playground.maya
    ts = await maya.say("general", f"{BOT} Which door has the Berlin office?")
    reply = await playground.wait_for_reply("general", ts)
    await correct(playground, maya, reply, correction="The red one.")
    await maya.edit("general", ts, f"{BOT} Which door has the Lisbon office?")
    await playground.wait_until(lambda: maya.ephemerals("general")[1:], what="the offer to answer it again")
    await correct(playground, playground.tom, reply, correction="The green one.")
    await wait_for_rows(rows, Correction, 2)

    async with rows.read() as session:
        team_id = await session.scalar(select(Thread.team_id))
        place = {"team_id": team_id, "channel_id": "C0GENERAL", "user_id": "U0PRIYA"}
        asked = Asked(**place, audience=Audience.PUBLIC, is_ours=True)
        ids = list(await session.scalars(select(Correction.id)))
        assert [found.text for found in await find_by_ids(session, asked, ids)] == ["The green one."]


async def test_a_form_from_before_an_edit_teaches_nothing(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Whoever wrote in it had read another question: they hear that nothing is kept; a new form counts."""
    maya, tom = playground.maya, playground.tom
    ts = await maya.say("general", f"{BOT} Which door has the Berlin office?")
    reply = await playground.wait_for_reply("general", ts)
    await tom.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(tom.id)
    await maya.edit("general", ts, f"{BOT} Which door has the Lisbon office?")
    await playground.wait_until(lambda: maya.ephemerals("general"), what="the offer to answer it again")
    await tom.submit_view({"correction": "The red one.", "comment": "It is in Mitte."})
    await playground.wait_until(lambda: "edited" in str(playground.messages(tom.dm)), what="that nothing is kept")
    assert await current_words(rows) == (["down"], [])
    await correct(playground, tom, reply, correction="The green one.")
    await wait_for_rows(rows, Correction, 1)
    assert await current_words(rows) == (["down"], ["The green one."])


@pytest.mark.parametrize("is_answered", [True, False], ids=["answered anew", "edited alone"])
async def test_the_answer_to_an_earlier_question_is_not_said_shorter(
    playground: Playground, bot: RunningBot, finished: Finished, *, is_answered: bool
) -> None:
    """It would stand below the edited question, in the place of that one's answer, and be learned as one to it."""
    maya = playground.maya
    reply = await ask(playground, maya)
    offer = await find_too_long(playground, maya, reply)
    await maya.edit(maya.dm, reply["thread_ts"], "What is a sprint?")

    def edited() -> dict[str, Any] | None:
        return next((note for note in maya.ephemerals(maya.dm) if "You edited" in note["text"]), None)

    again = await playground.wait_until(edited, what="the offer to answer the edited question")
    if is_answered:
        await maya.click(again, "answer_edited")
        await finished(2)
    await maya.click(offer, "shorter")
    await playground.wait_until(lambda: "was edited" in str(maya.ephemerals(maya.dm)), what="the reason")
    assert len(await finished(1 + is_answered)) == 1 + is_answered


async def test_stop_ends_the_answer_within_a_second(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished, engine_process: EngineProcess
) -> None:
    """Even while the engine says nothing; what was written stays, the session is free, the next question works."""
    maya = playground.maya
    os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        ts = await maya.say(maya.dm, "hello")
        await playground.wait_until(
            lambda: (playground.session(maya.dm, ts) or {}).get("status") == "processing", what="the session"
        )
        await wait_for_rows(rows, Answer, 1)
        began = time.monotonic()
        await maya.stop(maya.dm, ts)
        reply = await playground.wait_for_reply(maya.dm, ts)
        assert time.monotonic() - began < 5
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)

    assert "Stopped" in (reply["markdown_text"] or reply["text"])
    (answer,) = await finished()
    assert answer.state == AnswerState.STOPPED
    again = await maya.say(maya.dm, "hello again", thread_ts=ts)
    assert (await playground.wait_for_reply(maya.dm, ts, after=again))["markdown_text"]


async def test_an_answer_that_its_asker_comes_to_like_is_not_replaced(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished, engine_process: EngineProcess
) -> None:
    """Somebody else wants it anew, and waits for an answer in the thread; whoever asked likes it before that begins."""
    tom, priya = playground.tom, playground.priya
    ts = await tom.say("general", f"{BOT} What is a code review?")
    await finished()
    reply = await playground.wait_for_reply("general", ts)
    os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        await tom.say("general", f"{BOT} hello", thread_ts=ts)
        await wait_for_rows(rows, Answer, 2)
        await priya.click(reply, "regenerate")
        await tom.click(reply, "feedback", "positive_button")
        await wait_for_rows(rows, Feedback, 1)
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)
    notes = lambda: str([note["text"] for note in priya.ephemerals(reply["channel"])])  # noqa: E731
    await playground.wait_until(lambda: "so it stays" in notes(), what="the reason")

    assert len(await finished(2)) == 2
    assert playground.message("general", reply["ts"])["text"] == reply["text"]


async def test_nobody_else_can_stop_an_answer(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished, engine_process: EngineProcess
) -> None:
    """Only the person who asked, or an admin."""
    tom, priya = playground.tom, playground.priya
    os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        ts = await tom.say("general", f"{BOT} hello")
        await playground.wait_until(lambda: playground.session("general", ts), what="the session")
        await wait_for_rows(rows, Answer, 1)
        await priya.stop("general", ts)
        await asyncio.sleep(0.2)
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)

    (answer,) = await finished()
    assert answer.state == AnswerState.COMPLETE


async def test_a_button_of_another_message_does_nothing(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """A button's value alone proves nothing: the answer must stand in the message that was clicked."""
    maya, tom = playground.maya, playground.tom
    mine = await ask(playground, maya)
    theirs = await ask(playground, tom)
    forged = {**mine, "blocks": theirs["blocks"]}
    playground.hub.workspace.find(maya.dm, mine["ts"]).blocks = theirs["blocks"]
    await maya.click(forged, "feedback", "positive_button")
    await maya.click(await ask(playground, maya, "hello"), "feedback", "positive_button")

    (vote,) = await wait_for_rows(rows, Feedback, 1)
    assert vote.answer_id not in str(theirs["blocks"])


@pytest.mark.usefixtures("hasty_slack")
async def test_a_press_that_cannot_be_stored_is_not_acknowledged(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Slack says so to whoever pressed; nobody is thanked, and pressed again twice it counts once."""
    maya = playground.maya
    reply = await ask(playground, maya)
    async with full_disk(rows, "feedback"):
        for thumb in ("positive_button", "negative_button"):
            with pytest.raises(PageError, match="did not"):
                await maya.click(reply, "feedback", thumb)
    assert not maya.ephemerals(maya.dm)
    assert not playground.views(maya.id)
    for _ in range(2):
        await maya.click(reply, "feedback", "positive_button")
    await playground.wait_until(lambda: len(maya.ephemerals(maya.dm)) == 2, what="both confirmations")

    (vote,) = await wait_for_rows(rows, Feedback, 1)
    assert vote.vote == "up"
    noted = maya.ephemerals(maya.dm)[-1]
    async with full_disk(rows, "feedback"):
        with pytest.raises(PageError, match="did not"):
            await maya.click(noted, "undo_vote")
    await maya.click(noted, "undo_vote")
    assert [vote.vote for vote in await wait_for_rows(rows, Feedback, 2)] == ["up", "none"]


@pytest.mark.usefixtures("hasty_slack")
async def test_a_form_that_cannot_be_stored_stays_open(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """No word that somebody wrote is lost: they send it again when there is room."""
    maya = playground.maya
    reply = await ask(playground, maya)
    await maya.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(maya.id)
    async with full_disk(rows, "corrections"):
        with pytest.raises(PageError):
            await maya.submit_view({"reason": "wrong", "correction": "Priya owns it."})
    assert playground.views(maya.id)
    await maya.submit_view({"reason": "wrong", "correction": "Priya owns it."})

    assert not playground.views(maya.id)
    (correction,) = await wait_for_rows(rows, Correction, 1)
    assert correction.text == "Priya owns it."


async def test_a_vote_is_stored_when_it_is_acknowledged(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Whoever looks at the very moment in which a press or a form is acknowledged finds it."""
    maya = playground.maya
    reply = await ask(playground, maya)
    await maya.click(reply, "feedback", "negative_button")
    async with rows.read() as session:
        assert list(await session.scalars(select(Feedback.vote))) == ["down"]
    await playground.wait_for_view(maya.id)
    await maya.submit_view({"correction": "Priya owns it."})
    async with rows.read() as session:
        assert list(await session.scalars(select(Correction.text))) == ["Priya owns it."]


async def test_an_answer_that_an_admin_deletes_is_forgotten(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Its words, and what was thought of them, go with it; the question stays, and is not answered again."""
    tom, maya = playground.tom, playground.maya
    ts = await tom.say("general", f"{BOT} What is a code review?")
    reply = await playground.wait_for_reply("general", ts)
    await tom.click(reply, "feedback", "positive_button")
    await wait_for_rows(rows, Feedback, 1)
    await maya.delete("general", reply["ts"])
    await wait_for_none(rows, Answer)

    async with rows.read() as session:
        assert list(await session.scalars(select(Feedback.id))) == []
        assert [message.ts for message in await session.scalars(select(Message))] == [ts]
        assert "answers" in set(await session.scalars(select(Erasure.row_table)))
    again = await tom.say("general", "and how long does one take?", thread_ts=ts)
    await playground.wait_for_reply("general", ts, after=again)
    (answer,) = await wait_for_rows(rows, Answer, 1)
    assert answer.messages_total == 1
    assert [bool(one["bot_id"]) for one in playground.messages("general", ts)] == [False, False, True]


async def test_the_offer_below_an_answer_that_is_gone_says_so(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Whoever edited their question and pressed would wait for an answer that cannot come."""
    tom, maya = playground.tom, playground.maya
    ts = await tom.say("general", f"{BOT} What is a code review?")
    reply = await playground.wait_for_reply("general", ts)
    await tom.edit("general", ts, f"{BOT} What is a sprint?")
    (offer,) = await playground.wait_until(lambda: tom.ephemerals("general"), what="the offer")
    await maya.delete("general", reply["ts"])
    await wait_for_none(rows, Answer)
    await tom.click(offer, "answer_edited")
    await playground.wait_until(
        lambda: "do not know this answer any more" in str(tom.ephemerals("general")), what="why"
    )


@pytest.mark.usefixtures("hasty_slack")
async def test_an_answer_that_is_deleted_on_a_full_disk_is_forgotten_later(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Slack is not told that we know, and says so again."""
    tom = playground.tom
    ts = await tom.say("general", f"{BOT} hello")
    reply = await playground.wait_for_reply("general", ts)
    async with full_disk(rows, "erasures"):
        await playground.maya.delete("general", reply["ts"])
        await playground.wait_until(
            lambda: [entry for entry in playground.log("event") if "retry 2" in entry["status"]], what="two refusals"
        )
        await wait_for_rows(rows, Answer, 1)
    await playground.advance(70)
    await wait_for_none(rows, Answer)


async def test_what_we_delete_ourselves_is_not_forgotten(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished
) -> None:
    """Another answer needs fewer messages, so that one goes: both answers stay stored."""
    tom, general = playground.tom, playground.channel("general")
    ts = await tom.say("general", f"{BOT} What is a code review?")
    reply = await playground.wait_for_reply("general", ts)
    (answer,) = await finished()
    client = AsyncWebClient(token=playground.options.bot_token, base_url=playground.api_url)
    rest = (await client.chat_postMessage(channel=general, thread_ts=ts, text="the rest"))["ts"]
    async with rows.begin() as session:
        await session.execute(update(Answer).values(reply_ts=[reply["ts"], rest]))
    await tom.click(reply, "regenerate")
    answers = await finished(2)
    await playground.wait_until(
        lambda: [one for one in playground.log("event") if "message_deleted" in str(one) and one["status"] == "acked"],
        what="the deletion's acknowledgement",
    )

    assert [one.id for one in await wait_for_rows(rows, Answer, 2)] == [one.id for one in answers]
    assert answers[1].reply_ts == [reply["ts"]]
    assert answer.id == answers[0].id
