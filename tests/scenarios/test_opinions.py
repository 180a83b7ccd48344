"""What people think of answers beside the buttons, through real Bolt: reactions, signs, lessons, and nothing stored."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.app import RunningBot
from bot.learning.figures import BeforeAfter
from bot.playground.errors import PageError
from bot.playground.events import publish
from bot.playground.person import Person
from bot.playground.testing import Playground
from bot.slack.calls import Calls
from bot.slack.learning.report import tell_taught
from bot.slack.setup.manifest import TEACH, build_manifest
from bot.storage.db import Database
from bot.storage.feedback_tables import ImplicitSignal, Lesson, Verdict
from bot.storage.lessons import MOST_ASKED
from bot.storage.tables import Answer, AnswerState, Audience, Base, Correction, Feedback
from tests.scenarios.conftest import EngineProcess, StartBot, full_disk

BOT = "<@U0APPRENTICE>"


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a workspace that grants what the manifest asks for, and shows its shortcuts."""
    async with Playground(manifest=build_manifest(name="Apprentice", request_url=None)) as opened:
        yield opened


QUESTION = "Who owns the billing service?"


async def ask(playground: Playground, person: Person, text: str = QUESTION, channel: str = "general") -> dict[str, Any]:
    """Ask in a channel and return the finished answer."""
    ts = await person.say(channel, text if channel.startswith("D") else f"{BOT} {text}")
    return await playground.wait_for_reply(channel, ts)


async def settle(rows: Database, look: Callable[[AsyncSession], Awaitable[Any]], wanted: Any) -> None:
    """Wait until what *look* reads is what is *wanted*."""
    found = None
    for _ in range(400):
        async with rows.read() as session:
            found = await look(session)
        if found == wanted:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{found} instead of {wanted}")


async def read_votes(session: AsyncSession) -> dict[str, tuple[str, str]]:
    """Return what everybody thinks now, and how they said it."""
    current = await session.scalars(select(Feedback).where(Feedback.superseded_at.is_(None)))
    return {row.user_id: (row.vote, row.source) for row in current}


async def test_a_reaction_is_a_vote_until_it_is_taken_away(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """The asker's and others' as with the buttons, whatever the skin; no guest's, and none on what a person wrote."""
    tom, maya, sam = playground.tom, playground.maya, playground.sam
    reply = await ask(playground, tom)
    await maya.invite("general", sam.id)
    await sam.react("general", reply["ts"], "+1")
    await maya.react("general", reply["thread_ts"], "+1")
    await tom.react("general", reply["ts"], "tada")
    await tom.react("general", reply["ts"], "+1::skin-tone-4")
    await settle(rows, read_votes, {"U0TOM": ("up", "reaction")})
    await maya.react("general", reply["ts"], "x")
    await settle(rows, read_votes, {"U0TOM": ("up", "reaction"), "U0MAYA": ("down", "reaction")})
    await tom.react("general", reply["ts"], "+1::skin-tone-4", remove=True)
    await settle(rows, read_votes, {"U0TOM": ("none", "reaction"), "U0MAYA": ("down", "reaction")})

    asked = await playground.wait_until(lambda: maya.ephemerals("general"), what="the question what was wrong")
    assert not tom.ephemerals("general"), "a thumb up is not answered with words"
    await maya.click(asked[-1], "feedback")
    await playground.wait_for_view(maya.id)
    await maya.submit_view({"reason": "wrong", "correction": "Priya owns it."})
    await settle(rows, lambda session: session.scalar(select(Correction.text)), "Priya owns it.")
    await maya.react("general", reply["ts"], "x", remove=True)
    await maya.react("general", reply["ts"], "x")
    await settle(rows, read_votes, {"U0TOM": ("none", "reaction"), "U0MAYA": ("down", "button")})


async def test_a_reaction_by_mistake_leaves_what_was_pressed(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Put and taken away again it changes nothing; what was taken away never counts again when a thumb is undone."""
    tom = playground.tom
    reply = await ask(playground, tom)
    await tom.click(reply, "feedback", "positive_button")
    await settle(rows, read_votes, {"U0TOM": ("up", "button")})
    await tom.react("general", reply["ts"], "x")
    await settle(rows, read_votes, {"U0TOM": ("down", "reaction")})
    await tom.react("general", reply["ts"], "x", remove=True)
    await settle(rows, read_votes, {"U0TOM": ("up", "button")})

    await tom.react("general", reply["ts"], "x")
    await settle(rows, read_votes, {"U0TOM": ("down", "reaction")})
    await tom.click(reply, "feedback", "positive_button")
    await settle(rows, read_votes, {"U0TOM": ("up", "button")})
    await tom.react("general", reply["ts"], "x", remove=True)
    standing = select(func.count()).select_from(Feedback).filter_by(source="reaction", vote="down")
    await settle(rows, lambda session: session.scalar(standing), 0)
    noted = [note for note in tom.ephemerals("general") if note["text"].startswith("👍")]
    await tom.click(noted[-1], "undo_vote")
    await settle(rows, read_votes, {"U0TOM": ("none", "button")})


async def test_a_reaction_from_before_a_regenerate_can_be_taken_away(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """It stands below both answers in Slack; of several that say the same the last one taken away counts."""
    tom, maya = playground.tom, playground.maya
    reply = await ask(playground, tom)
    for emoji in ("heart", "+1"):
        await maya.react("general", reply["ts"], emoji)
    await settle(rows, read_votes, {"U0MAYA": ("up", "reaction")})
    await tom.click(reply, "regenerate")
    complete = select(func.count()).select_from(Answer).where(Answer.state == AnswerState.COMPLETE)
    await settle(rows, lambda session: session.scalar(complete), 2)
    await maya.react("general", reply["ts"], "heart", remove=True)
    await tom.react("general", reply["ts"], "+1")
    await settle(rows, read_votes, {"U0MAYA": ("up", "reaction"), "U0TOM": ("up", "reaction")})
    await maya.react("general", reply["ts"], "+1", remove=True)
    await settle(rows, read_votes, {"U0MAYA": ("none", "reaction"), "U0TOM": ("up", "reaction")})


async def test_a_reaction_that_is_told_late_counts_as_slack_shows_it(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """Slack tells again what was not acknowledged, perhaps another process than the one that knows what was newer."""
    tom, maya = playground.tom, playground.maya
    async with start_bot():
        reply = await ask(playground, tom)
        for person, emoji in ((tom, "+1"), (maya, "x")):
            await person.react("general", reply["ts"], emoji)
        await tom.react("general", reply["ts"], "+1", remove=True)
        await settle(rows, read_votes, {"U0TOM": ("none", "reaction"), "U0MAYA": ("down", "reaction")})
    item = {"type": "message", "channel": reply["channel"], "ts": reply["ts"]}
    told = {"item": item, "item_user": "U0APPRENTICE", "event_ts": f"{time.time() - 60:.6f}"}
    async with start_bot():
        await playground.wait_for_connection()
        for kind, person, emoji in (("removed", maya, "x"), ("added", tom, "+1")):
            publish(playground.hub, {"type": f"reaction_{kind}", "user": person.id, "reaction": emoji, **told})
        await tom.react("general", reply["ts"], "tada")
        await maya.react("general", reply["ts"], "x", remove=True)
        await settle(rows, read_votes, {"U0TOM": ("none", "reaction"), "U0MAYA": ("none", "reaction")})
        async with rows.read() as session:
            assert await count_votes(session) == 4, "each vote and its end, and nothing else"


async def test_who_takes_one_of_several_reactions_away_still_thinks_what_the_others_say(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Two emoji of one kind are one vote until both are gone; of two kinds the newest that stands counts."""
    tom = playground.tom
    reply = await ask(playground, tom)
    for emoji, is_removed, vote in (
        ("+1", False, "up"),
        ("heart", False, "up"),
        ("+1", True, "up"),
        ("x", False, "down"),
        ("x", True, "up"),
        ("heart", True, "none"),
    ):
        await tom.react("general", reply["ts"], emoji, remove=is_removed)
        await asyncio.sleep(0.2)
        await settle(rows, read_votes, {"U0TOM": (vote, "reaction")})


async def test_a_thumb_pressed_beside_an_emoji_of_the_same_kind_stays_without_it(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Pressing is a word of its own: taking the emoji away takes nothing else back."""
    tom = playground.tom
    reply = await ask(playground, tom)
    await tom.react("general", reply["ts"], "+1")
    await settle(rows, read_votes, {"U0TOM": ("up", "reaction")})
    await tom.click(reply, "feedback", "positive_button")
    await settle(rows, read_votes, {"U0TOM": ("up", "button")})
    await tom.react("general", reply["ts"], "+1", remove=True)
    await asyncio.sleep(0.2)
    await settle(rows, read_votes, {"U0TOM": ("up", "button")})


async def test_what_other_emoji_say_counts_after_a_restart(
    playground: Playground, start_bot: StartBot, rows: Database
) -> None:
    """Nobody remembers them then but Slack, which is asked."""
    tom, maya = playground.tom, playground.maya
    async with start_bot():
        reply = await ask(playground, tom)
        for person, emoji in ((tom, "+1"), (maya, "+1"), (tom, "heart"), (maya, "x")):
            await person.react("general", reply["ts"], emoji)
        await settle(rows, read_votes, {"U0TOM": ("up", "reaction"), "U0MAYA": ("down", "reaction")})
    async with start_bot():
        await playground.wait_for_connection()
        await maya.react("general", reply["ts"], "x", remove=True)
        await tom.react("general", reply["ts"], "heart", remove=True)
        await settle(rows, read_votes, {"U0TOM": ("up", "reaction"), "U0MAYA": ("up", "reaction")})
        await tom.react("general", reply["ts"], "+1", remove=True)
        await settle(rows, read_votes, {"U0TOM": ("none", "reaction"), "U0MAYA": ("up", "reaction")})


async def count_votes(session: AsyncSession) -> int:
    """Return how many votes there are, those of the past included."""
    return await session.scalar(select(func.count()).select_from(Feedback)) or 0


async def test_a_reaction_to_an_answer_that_is_being_written_counts(
    playground: Playground, bot: RunningBot, rows: Database, engine_process: EngineProcess
) -> None:
    """It stands there for all to see, also once the answer is whole."""
    tom = playground.tom
    reply = await ask(playground, tom)
    os.kill(engine_process.pid, signal.SIGSTOP)
    try:
        await playground.maya.click(reply, "regenerate")
        async with asyncio.timeout(10):
            while await count_writing(rows) == 0:  # noqa: ASYNC110 - rows do not call
                await asyncio.sleep(0.02)
        await tom.react("general", reply["ts"], "+1")
        await settle(rows, read_votes, {"U0TOM": ("up", "reaction")})
    finally:
        os.kill(engine_process.pid, signal.SIGCONT)
    async with asyncio.timeout(20):
        while await count_writing(rows):  # noqa: ASYNC110 - rows do not call
            await asyncio.sleep(0.02)
    await settle(rows, read_votes, {"U0TOM": ("up", "reaction")})


async def count_writing(rows: Database) -> int:
    """Return how many answers are being written."""
    async with rows.read() as session:
        return await session.scalar(select(func.count()).where(Answer.state == AnswerState.WRITING)) or 0


@pytest.mark.usefixtures("hasty_slack")
async def test_a_reaction_that_cannot_be_stored_comes_again(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """The disk is full just then, or nobody can say who reacts; Slack's next word counts once, and an old one never."""
    tom, maya, priya = playground.tom, playground.maya, playground.priya
    reply = await ask(playground, tom)

    def waiting() -> list[dict[str, Any]]:
        return [entry for entry in playground.log("event") if "retry 2" in entry["status"]]

    playground.fault("server_error", methods="users.info")
    async with full_disk(rows, "feedback"):
        for person in (tom, maya, priya):
            await person.react("general", reply["ts"], "+1")
        await playground.wait_until(lambda: len(waiting()) == 3, what="three events that are not acknowledged")
        await settle(rows, read_votes, {})
    playground.fault("server_error", enabled=False)
    await maya.react("general", reply["ts"], "+1", remove=True)
    await maya.react("general", reply["ts"], "x")
    await settle(rows, read_votes, {"U0MAYA": ("down", "reaction")})
    playground.fault("duplicate_events")
    await playground.advance(70)

    everybody = dict.fromkeys(("U0TOM", "U0PRIYA"), ("up", "reaction")) | {"U0MAYA": ("down", "reaction")}
    await settle(rows, read_votes, everybody)
    await playground.wait_until(lambda: not waiting(), what="the last word of all of them")
    await settle(rows, read_votes, everybody)
    await settle(rows, count_votes, 3)


async def test_what_people_show_is_kept_only_where_an_admin_wants_it(
    start_bot: StartBot, playground: Playground, rows: Database
) -> None:
    """Off, nothing is; on, another try, the same question again and another person's answer are, and none is a vote."""

    async def read(session: AsyncSession) -> set[tuple[str, str]]:
        return {(row.user_id, row.source) for row in await session.scalars(select(ImplicitSignal))}

    async def live() -> None:
        reply = await ask(playground, tom)
        thread = reply["thread_ts"]
        await tom.click(reply, "regenerate")
        await playground.wait_until(lambda: len(playground.log("api", "chat.update")) > 0, what="the other answer")
        await playground.wait_for_reply("general", thread)
        again = await tom.say("general", f"{BOT} who owns billing service", thread_ts=thread)
        await playground.wait_for_reply("general", thread, after=again)
        await priya.say("general", "Tom, that is mine since May.", thread_ts=thread)

    tom, priya = playground.tom, playground.priya
    async with start_bot():
        await playground.wait_for_connection()
        await live()
        await ask(playground, tom, "hello")
    async with rows.read() as session:
        assert await read(session) == set()
    async with start_bot(implicit_feedback=True):
        await playground.wait_until(lambda: playground.hub.app_state()["connected"], what="the app")
        await live()
        await settle(rows, read, {("U0TOM", "regenerated"), ("U0TOM", "rephrased"), ("U0PRIYA", "taken_over")})
    async with rows.read() as session:
        assert await read_votes(session) == {}


async def test_nothing_is_stored_of_whoever_wants_that(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Not the question, not the answer, not a token of them: no table has a word; others' words in the thread stay."""
    tom, maya = playground.tom, playground.maya
    ordered = await tom.say(tom.dm, "!preferences privacy unstored")
    told = await playground.wait_for_reply(tom.dm, ordered)
    assert "not stored" in str(told["blocks"] or "") + str(told["text"])
    root = await maya.say("general", f"{BOT} What is a sprint?")
    await playground.wait_for_reply("general", root)
    secret = await tom.say("general", f"{BOT} What is a zanzibarometer?", thread_ts=root)
    reply = await playground.wait_for_reply("general", root, after=secret)
    answer = str(reply["markdown_text"] or reply["text"])
    assert "stored nothing" in str(reply["blocks"])
    assert "feedback" not in str(reply["blocks"])
    await tom.edit("general", secret, f"{BOT} What is a zanzibarometer for?")
    await tom.react("general", reply["ts"], "+1")
    await asyncio.sleep(0.3)

    words = await read_all(rows)
    assert "sprint" in words, "what is looked through holds what others said"
    assert "zanzibar" not in words
    assert len(answer) > 3
    async with rows.read() as session:
        answers = list(await session.scalars(select(Answer).order_by(Answer.id)))
        assert [bool(row.text) for row in answers] == [True, False]
        assert (answers[1].prompt_token_ids, answers[1].completion_token_ids) == (None, None)
        assert answers[1].completion_tokens, "what it cost counts for the budget"
        assert await read_votes(session) == {}


async def test_a_stored_question_answered_anew_without_storing_says_no_more_than_is_true(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """The question was stored before its author chose otherwise, and stays; an edit of it is not stored."""
    tom, maya = playground.tom, playground.maya
    reply = await ask(playground, tom)
    await playground.wait_for_reply(tom.dm, await tom.say(tom.dm, "!preferences privacy unstored"))
    await tom.click(reply, "regenerate")
    again = await playground.wait_until(
        lambda: one if "stored nothing" in str((one := playground.message("general", reply["ts"]))["blocks"]) else None,
        what="the other answer",
    )
    assert "stored nothing of this answer" in str(again["blocks"])
    of_maya = await ask(playground, maya)
    await playground.wait_for_reply(maya.dm, await maya.say(maya.dm, "!preferences privacy unstored"))
    for person, asked in ((tom, reply), (maya, of_maya)):
        await person.edit("general", asked["thread_ts"], f"{BOT} What is a zanzibarometer?")
    await asyncio.sleep(0.3)
    assert "zanzibar" not in await read_all(rows)
    assert not [one for one in tom.ephemerals("general") if "edited" in one["text"]]
    await maya.click(of_maya, "regenerate")
    await playground.wait_until(
        lambda: [one for one in maya.ephemerals("general") if "do not know this answer" in one["text"]],
        what="why there is no other answer",
    )


async def test_a_correction_of_whoever_wants_nothing_stored_is_a_thumb_alone(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Their 👎 on somebody else's answer counts; their words are not kept, and they hear so."""
    tom, maya = playground.tom, playground.maya
    await playground.wait_for_reply(tom.dm, await tom.say(tom.dm, "!preferences privacy unstored"))
    reply = await ask(playground, maya)
    await tom.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(tom.id)
    await tom.submit_view({"reason": "wrong", "correction": "zanzibar", "comment": "zanzibar too"})
    await settle(rows, read_votes, {"U0TOM": ("down", "button")})
    await playground.wait_until(
        lambda: [one for one in tom.ephemerals("general") if "none of your words" in one["text"]], what="the word"
    )
    assert "zanzibar" not in await read_all(rows)


async def read_all(rows: Database) -> str:
    """Return every value in every table as one text."""
    found: list[str] = []
    async with rows.read() as session:
        for table in Base.metadata.sorted_tables:
            assert isinstance(table, Table)
            found += [str(tuple(row)) for row in await session.execute(select(table))]
    return "\n".join(found).lower()


async def test_a_reminder_comes_once_and_can_be_ended(
    start_bot: StartBot, playground: Playground, rows: Database
) -> None:
    """After so many answers without a word; a press ends it for good."""
    tom = playground.tom
    async with start_bot(feedback_hint_answers=1):
        await playground.wait_for_connection()
        await ask(playground, tom)
        (hint,) = await playground.wait_until(lambda: tom.ephemerals("general"), what="the reminder")
        assert "👍" in str(hint["text"])
        await ask(playground, tom, "hello")
        await tom.click(hint, "no_hints")
        await playground.wait_until(
            lambda: "not remind you" in str(tom.ephemerals("general")[-1]["text"]), what="the word that it ends"
        )
        assert len(tom.ephemerals("general")) == 1


async def test_what_somebody_wrote_is_taught_only_when_they_agree(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """The author reads the exact words and who asks, says yes, and the next question is answered by them."""
    tom, maya, priya = playground.tom, playground.maya, playground.priya
    text = "The billing service is Priya's since May & nobody else's."
    written = await tom.say("general", text)
    await maya.shortcut("general", written, TEACH)
    view = await playground.wait_for_view(maya.id)
    assert view["callback_id"] == "lesson"
    await maya.submit_view({"question": QUESTION})
    (request,) = await playground.wait_until(lambda: playground.messages(tom.dm), what="the request")
    shown = str(request["blocks"])
    assert "<@U0MAYA>" in shown
    assert "<#C0GENERAL>" in shown
    plain = [
        block["text"]["text"] for block in request["blocks"] if (block.get("text") or {}).get("type") == "plain_text"
    ]
    assert plain == [QUESTION, text]
    async with rows.read() as session:
        assert (await session.scalars(select(Correction))).first() is None, "nothing is learned before they agree"
    async with full_disk(rows, "corrections"):
        with pytest.raises(PageError):
            await tom.click(request, "lesson_yes")
    await tom.click(request, "lesson_yes")
    await settle(rows, lambda session: session.scalar(select(Correction.user_id)), "U0TOM")
    await playground.wait_until(lambda: playground.messages(maya.dm), what="the word to whoever asked")

    await maya.close_view()
    await maya.shortcut("general", written, TEACH)
    await playground.wait_until(lambda: maya.ephemerals("general"), what="that it was asked before")
    reply = await ask(playground, priya, "who owns billing service?")
    await priya.click(reply, "why")
    await playground.wait_until(lambda: "Priya's since May" in str(playground.views(priya.id)), what="what it drew on")


async def test_nothing_is_taught_where_it_would_not_hear_of_a_deletion(playground: Playground, bot: RunningBot) -> None:
    """It is not in that private channel, so its author could never take the words back in Slack."""
    written = await playground.priya.say("leads", "The raise is ten percent.")
    await playground.maya.shortcut("leads", written, TEACH)
    said = await playground.wait_until(lambda: playground.maya.ephemerals("leads"), what="the refusal")
    assert "I am not in this conversation" in str(said)
    assert not playground.views(playground.maya.id)


async def ask_to_teach(playground: Playground, written: str, question: str) -> dict[str, Any]:
    """Let Maya want that a message of Tom be taught, and return what he is asked."""
    maya, tom = playground.maya, playground.tom
    await maya.shortcut("general", written, TEACH)
    await playground.wait_for_view(maya.id)
    await maya.submit_view({"question": question})
    (request,) = await playground.wait_until(lambda: playground.messages(tom.dm), what="the request")
    return request


async def test_what_an_author_refuses_leaves_no_word(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """No is no: neither the words nor the question stay."""
    tom = playground.tom
    written = await tom.say("general", "The zanzibar is in the cellar.")
    request = await ask_to_teach(playground, written, "Where is the zanzibar?")
    await tom.click(request, "lesson_no")
    await settle(rows, lambda session: session.scalar(select(Lesson.state)), "refused")
    assert "zanzibar" not in await read_all(rows)


async def test_what_was_deleted_while_the_form_was_open_is_kept_by_nobody(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Its author is not asked about words that they took back, in a channel or in a thread."""
    tom, maya = playground.tom, playground.maya
    root = await maya.say("general", "Where are the animals?")
    for thread in (None, root):
        written = await tom.say("general", "The zanzibar is in the cellar.", thread)
        await maya.shortcut("general", written, TEACH)
        await playground.wait_for_view(maya.id)
        await tom.delete("general", written)
        await maya.submit_view({"question": "Where is it?"})
        await playground.wait_until(
            lambda: "is gone" in str(playground.views(maya.id)), what="the word that it is gone"
        )
        await maya.close_view()
    assert not playground.messages(tom.dm)
    assert "zanzibar" not in await read_all(rows)
    taken_out = await tom.say("general", "The zanzibar is in the cellar.")
    await maya.shortcut("general", taken_out, TEACH)
    await playground.wait_for_view(maya.id)
    await tom.edit("general", taken_out, "It is in the cellar.")
    await maya.submit_view({"question": "Where is it?"})
    await playground.wait_until(lambda: "was edited" in str(playground.views(maya.id)), what="that it was edited")
    await maya.close_view()
    assert not playground.messages(tom.dm)
    assert "zanzibar" not in await read_all(rows)

    kept = await tom.say("general", "The okapi is in the attic.", root)
    await maya.shortcut("general", kept, TEACH)
    await playground.wait_for_view(maya.id)
    await maya.submit_view({"question": "Where is it?"})
    await playground.wait_until(lambda: playground.messages(tom.dm), what="the request")


async def test_nobody_elses_question_stands_in_the_form(playground: Playground, bot: RunningBot) -> None:
    """It would be stored as the words of whoever teaches, out of reach of whoever said them; one's own is there."""
    tom, maya, priya = playground.tom, playground.maya, playground.priya
    ts = await tom.say("general", f"{BOT} Where is the zanzibar?")
    await playground.wait_for_reply("general", ts)
    written = await maya.say("general", "It is in the cellar.", ts)
    for person in (priya, tom):
        await person.shortcut("general", written, TEACH)
        view = await playground.wait_for_view(person.id)
        assert ("Where is the zanzibar?" in str(view)) is (person is tom)


@pytest.mark.parametrize(
    ("who", "order"), [("author", "!learn-from-me off"), ("asker", "!preferences privacy unstored")]
)
async def test_a_choice_since_goes_before_a_yes(
    playground: Playground, bot: RunningBot, rows: Database, who: str, order: str
) -> None:
    """Nothing is kept of an author who wants no learning by then, nor in the words of an asker who is not stored."""
    tom, maya = playground.tom, playground.maya
    written = await tom.say("general", "The zanzibar is in the cellar.")
    request = await ask_to_teach(playground, written, "Where is the zanzibar?")
    chooser = tom if who == "author" else maya
    await playground.wait_for_reply(chooser.dm, await chooser.say(chooser.dm, order))
    await tom.click(request, "lesson_yes")
    await settle(rows, lambda session: session.scalar(select(Lesson.state)), "refused")
    assert "I have learned what they wrote" not in str(playground.messages(maya.dm))
    assert "zanzibar" not in await read_all(rows)


async def test_words_that_an_author_changed_since_are_taught_by_no_yes(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """What stands in the request is not what they say any more; the new words may be asked for."""
    tom, maya = playground.tom, playground.maya
    written = await tom.say("general", "The zanzibar is in the cellar.")
    request = await ask_to_teach(playground, written, "Where is it?")
    await tom.edit("general", written, "the zanzibar is in the cellar")
    await tom.edit("general", written, "It is in the attic.")
    await settle(rows, lambda session: session.scalar(select(func.count()).select_from(Lesson)), 0)
    await tom.click(request, "lesson_yes")
    await playground.wait_until(lambda: "changed since" in str(playground.messages(tom.dm)), what="why not")
    assert "zanzibar" not in await read_all(rows)
    await maya.close_view()
    await maya.shortcut("general", written, TEACH)
    assert "It is in the attic." in str(await playground.wait_for_view(maya.id))


async def test_nothing_is_taught_by_whoever_wants_nothing_stored(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Neither what they ask others for, nor what they wrote themselves, nor what they agree to after they chose it."""
    tom, maya = playground.tom, playground.maya
    written = await tom.say("general", "The zanzibar is in the cellar.")
    request = await ask_to_teach(playground, written, "Where is the zanzibar?")
    await playground.wait_for_reply(tom.dm, await tom.say(tom.dm, "!preferences privacy unstored"))
    await tom.click(request, "lesson_yes")
    await settle(rows, lambda session: session.scalar(select(Lesson.state)), "refused")
    for author in (tom, maya):
        another = await author.say("general", "The zanzibar has moved to the attic.")
        said_before = len(tom.ephemerals("general"))
        await tom.shortcut("general", another, TEACH)
        told = await playground.wait_until(lambda: tom.ephemerals("general")[said_before:], what="why not")  # noqa: B023
        assert "nothing of yours stored" in str(told)
    assert not playground.views(tom.id)
    assert "zanzibar" not in await read_all(rows)


async def test_nobody_has_everybody_asked(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Whoever waits for the word of many hears so, and nobody else is written to; their own words they may teach."""
    tom, maya = playground.tom, playground.maya
    async with rows.begin() as session:
        for number in range(MOST_ASKED):
            waiting = {"team_id": "T0PLAYGRND", "channel_id": "C0GENERAL", "ts": f"1.{number}", "user_id": f"U{number}"}
            texts = {"question": "why?", "text": "so", "audience": Audience.PUBLIC}
            session.add(Lesson(**waiting, **texts, asked_by=maya.id))
    await maya.shortcut("general", await tom.say("general", "The sprint ends on Friday."), TEACH)
    (told,) = await playground.wait_until(lambda: maya.ephemerals("general"), what="why not")
    assert "asked for many messages already" in str(told)
    assert not playground.views(maya.id)
    await maya.shortcut("general", await maya.say("general", "The sprint ends on Friday."), TEACH)
    assert (await playground.wait_for_view(maya.id))["callback_id"] == "lesson"


async def test_whether_what_was_fixed_is_better_is_said_once(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """The buttons below before and after give way to a word of thanks; a second press changes nothing."""
    tom = playground.tom
    reply = await ask(playground, tom)
    await tom.click(reply, "feedback", "negative_button")
    await playground.wait_for_view(tom.id)
    await tom.submit_view({"correction": "Priya owns it."})
    await settle(rows, lambda session: session.scalar(select(Correction.user_id)), "U0TOM")
    async with rows.read() as session:
        correction_id = (await session.scalars(select(Correction.id))).one()
    client = AsyncWebClient(token=playground.options.bot_token, base_url=playground.api_url)
    known = BeforeAfter(QUESTION, "Priya.", "Tom.", "Priya owns it.", is_right=True, row=f"corrections:{correction_id}")
    assert await tell_taught(Calls(client), person_id=tom.id, items=[known], adapter="apprentice-1", run_id=1)
    (told,) = playground.messages(tom.dm)
    async with full_disk(rows, "verdicts"):
        with pytest.raises(PageError):
            await tom.click(told, "verdict:down")
    await tom.click(told, "verdict:up")
    with contextlib.suppress(PageError):  # unless the buttons have gone before it
        await tom.click(told, "verdict:down")

    async def read(session: AsyncSession) -> list[tuple[str, str, str]]:
        return [(row.user_id, row.vote, row.adapter) for row in await session.scalars(select(Verdict))]

    await settle(rows, read, [("U0TOM", "up", "apprentice-1")])
    await playground.wait_until(
        lambda: "verdict:" not in str(playground.message(tom.dm, told["ts"])["blocks"]), what="the buttons to go"
    )
    assert "Don't tell me" in str(playground.message(tom.dm, told["ts"])["blocks"])


@pytest.mark.parametrize(("change", "expected"), [({"kind": "private"}, ["private"]), ({"is_ext_shared": True}, [])])
async def test_a_form_of_earlier_teaches_nobody_elsewhere(
    change: dict[str, Any],
    expected: list[str],
    *,
    playground: Playground,
    bot: RunningBot,
    rows: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message was everybody's when the form was opened; the question in it is written now."""
    monkeypatch.setattr("bot.slack.people.directory.SOON_S", 0.0)
    tom = playground.tom
    ts = await tom.say("general", "On Tuesdays, by the platform team.")
    await tom.shortcut("general", ts, TEACH)
    await playground.wait_for_view(tom.id)
    for name, value in change.items():
        setattr(playground.hub.workspace.channels[playground.channel("general")], name, value)
    await tom.submit_view({"question": "When is project Heron deployed?"})

    async with rows.read() as session:
        taught = [*await session.scalars(select(Correction.audience)), *await session.scalars(select(Answer.audience))]
    assert taught == expected * 2
