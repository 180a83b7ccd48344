"""What people say and show about answers, on both kinds of database: found, counted apart, shown as they want it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bot.storage import lessons, opinions, reviews
from bot.storage.admin_tables import ReviewRow, ReviewState
from bot.storage.choices import OptedOut
from bot.storage.db import Database
from bot.storage.feedback import find_carried, has_given, save_correction, save_vote
from bot.storage.feedback_tables import ImplicitSignal, Lesson, LessonState, Sign
from bot.storage.forgetting import change_message, forget_message
from bot.storage.hints import is_hint_due
from bot.storage.implicit import note_rephrasing, note_sign, note_taking_over
from bot.storage.lessons import Taught
from bot.storage.person_data import forget_person
from bot.storage.preferences import load_preferences, save_preferences
from bot.storage.privacy import Privacy, choose_privacy, find_privacy
from bot.storage.signal_counts import count_signals
from bot.storage.signals import SIGNS, stream_signs, stream_votes
from bot.storage.tables import Answer, Audience, Correction, Feedback, Message, Vote, now
from bot.storage.threads import Place, join_thread, load_history, save_message
from tests.builders import PLACE, answered, said

LESSON = Taught(
    place=Place("T1", "C1", "100.000"),
    ts="100.007",
    author_id="U2",
    asked_by="U1",
    audience=Audience.PUBLIC,
    question="Who owns billing?",
    text="Priya does, since May.",
)


async def test_a_message_leads_to_the_answer_that_it_carries(database: Database) -> None:
    """The newest answer in that message of that channel: not one elsewhere, and none by a part of a time."""
    async with database.begin() as session:
        message = await said(session)
        await answered(session, message, "hi", reply_ts=["100.1"])
        again = await answered(session, message, "hello", reply_ts=["100.1", "100.2"])
        elsewhere = await said(session, place=Place("T1", "C2", "100.000"))
        other = await answered(session, elsewhere, "hi", reply_ts=["100.1"])

    async with database.read() as session:
        assert await find_carried(session, "T1", "C1", ts="100.1") == again.id
        assert await find_carried(session, "T1", "C2", ts="100.1") == other.id
        assert await find_carried(session, "T2", "C1", ts="100.1") is None
        assert await find_carried(session, "T1", "C1", ts="00.1") is None
        assert await find_carried(session, "T1", "C1", ts="%") is None


async def test_what_people_show_is_kept_beside_their_votes(database: Database) -> None:
    """Once for each person and sign, with its weight and source; no vote is made of it, and no count knows it."""
    async with database.begin() as session:
        first = await answered(session, await said(session, "Who owns the billing service?", ts="1"), "Tom.")
        await session.execute(update(Answer).values(finished_at=now()))
        for person in ("U1", "U2"):
            await note_taking_over(session, PLACE, user_id=person)
        for ts, text in (("2", "who owns billing service"), ("3", "What is a sprint?")):
            await note_rephrasing(session, (await answered(session, await said(session, text, ts=ts), "")).id)
        for _twice in range(2):
            await note_sign(session, first.id, user_id="U1", sign=Sign.STOPPED)
        await note_sign(session, "of a question that was deleted", user_id="U1", sign=Sign.STOPPED)

    async with database.read() as session:
        found = {(row.user_id, row.source): row.weight for row in await session.scalars(select(ImplicitSignal))}
        assert set(found) == {("U1", "rephrased"), ("U1", "stopped"), ("U2", "taken_over")}
        assert all(0 < weight < 0.5 for weight in found.values())
        signs = [sign async for sign in stream_signs(session, since=None, most=9)]
        assert {(sign.table, sign.is_liked, sign.source) for sign in signs} == {
            (SIGNS, False, source) for _, source in found
        }
        assert [vote async for vote in stream_votes(session, since=None, most=9)] == []
        assert await opinions.votes_since(session, now() - timedelta(days=1)) == []
        assert not await has_given(session, "U1")
        counts = await count_signals(session, since=None, audiences={Audience.PUBLIC}, without=OptedOut())
        assert (counts.votes, counts.people) == (0, 0)


async def test_nobody_took_over_from_an_answer_that_is_old(database: Database) -> None:
    """Whoever speaks in the thread much later, or asks nearly the same then, says nothing about the answer."""
    async with database.begin() as session:
        await answered(session, await said(session, "Who owns the billing service?", ts="1"), "Tom.")
        await session.execute(update(Answer).values(finished_at=now() - timedelta(hours=1)))
        await note_taking_over(session, PLACE, user_id="U2")
        again = await said(session, "Who owns the billing service?", ts="2")
        await note_rephrasing(session, (await answered(session, again, "Tom.")).id)

    async with database.read() as session:
        assert list(await session.scalars(select(ImplicitSignal))) == []


async def test_words_beside_a_thumb_are_shown_as_their_author_wants(database: Database) -> None:
    """With the name, without it, or not at all: in the worst answers and in the queue of the reviewers."""
    async with database.begin() as session:
        answer = await answered(session, await said(session), "hi", reply_ts=["100.1"])
        for person, shown in (("U1", ""), ("U2", "anonymous"), ("U3", "private")):
            await save_preferences(session, person, shown=shown)
            known = {"user_id": person, "vote": Vote.DOWN, "reason": "wrong", "comment": f"said by {person}"}
            await save_vote(session, answer, **known)
            await save_correction(session, answer, user_id=person, text=f"taught by {person}")

    async with database.read() as session:
        (worst,) = await opinions.worst_answers(session, since=now() - timedelta(days=1), most=5)
        assert (worst.downs, worst.reasons) == (3, ("wrong",))
        assert {(one.user_id, one.text) for one in worst.remarks} == {("U1", "said by U1"), ("", "said by U2")}
        queue = await reviews.find_candidates(session, most=5)
        assert {(one.text, one.comment, one.reason, one.is_named) for one in queue} == {
            ("taught by U1", "said by U1", "wrong", True),
            ("taught by U2", "said by U2", "wrong", False),
        }


async def test_a_reviewer_reads_what_was_given_and_no_more(database: Database) -> None:
    """Of a private conversation the question and the correction; not the answer, and not what the question became."""
    place = Place("T1", "D1", "100.000")
    async with database.begin() as session:
        thread = await join_thread(session, place, audience=Audience.DIRECT)
        known = {"user_id": "U1", "user_name": "Maya", "audience": Audience.DIRECT}
        message = await save_message(session, thread, ts="100.000", text="Who owns billing?", **known)
        answer = await answered(session, message, "Sam, who leaves in May.")
        said_of_it = {"vote": Vote.DOWN, "reason": "wrong", "comment": "not any more"}
        await save_vote(session, answer, user_id="U1", **said_of_it)
        await save_correction(session, answer, user_id="U1", text="Priya.", is_for_everyone=True)
        (waiting,) = await reviews.find_candidates(session, most=5)
        assert (waiting.question, waiting.answer, waiting.text) == ("Who owns billing?", "", "Priya.")
        assert (waiting.reason, waiting.comment) == ("wrong", "not any more")

        await change_message(session, "T1", "D1", ts="100.000", text="What does Sam earn?")
        assert await reviews.find_candidates(session, most=5) == []
        assert await reviews.find_candidate(session, waiting.correction_id) is None


async def test_a_verdict_is_its_authors_and_given_once(database: Database) -> None:
    """Whoever corrected it says once whether it is better now."""
    async with database.begin() as session:
        await save_correction(session, await answered(session, await said(session), "hi"), user_id="U1", text="ho")
        correction_id = (await session.scalars(select(Correction.id))).one()
        known = {"vote": Vote.UP, "adapter": "apprentice-1"}
        assert not await opinions.save_verdict(session, correction_id, user_id="U2", **known)
        assert not await opinions.save_verdict(session, "nonsense", user_id="U1", **known)
        assert await opinions.save_verdict(session, correction_id, user_id="U1", **known)
        assert not await opinions.save_verdict(session, correction_id, user_id="U1", **known | {"vote": Vote.DOWN})
        assert await opinions.count_verdicts(session, now() - timedelta(days=1)) == (1, 0)
        assert not list(await session.scalars(select(Feedback))), "it is no vote on the answer that was wrong"


@pytest.mark.parametrize("is_edited", [False, True])
async def test_a_lesson_is_a_correction_once_its_author_says_yes(database: Database, is_edited: bool) -> None:
    """It is the author's, stands in a conversation of its own, and goes when the message is deleted or says another."""
    async with database.begin() as session:
        lesson = await lessons.save_lesson(session, LESSON)
        assert await lessons.find_waiting(session, lesson.id, author_id="U1") is None
        waiting = await lessons.find_waiting(session, lesson.id, author_id="U2")
        assert waiting is not None
        await lessons.teach(session, waiting)
    async with database.begin() as session:
        assert await lessons.find_waiting(session, lesson.id, author_id="U2") is None
        assert await lessons.is_known(session, LESSON.place, ts=LESSON.ts)
        (correction,) = await session.scalars(select(Correction))
        assert (correction.user_id, correction.text, correction.audience) == ("U2", LESSON.text, Audience.PUBLIC)
        (message,) = await session.scalars(select(Message))
        assert (message.user_id, message.text) == ("U1", LESSON.question)
        assert await change_message(session, "T1", "C1", ts=LESSON.ts, text="Priya does since May!") is None
        (kept,) = await session.scalars(select(Lesson))
        assert (kept.state, kept.text, kept.question) == (LessonState.TAUGHT, "", "")
    async with database.begin() as session:
        if is_edited:
            assert await change_message(session, "T1", "C1", ts=LESSON.ts, text="Something else") is None
        else:
            await forget_message(session, "T1", "C1", ts=LESSON.ts)
    async with database.read() as session:
        for table in (Correction, Message, Lesson):
            assert list(await session.scalars(select(table))) == []


async def test_a_lesson_that_is_refused_or_waits_in_vain_keeps_no_word(database: Database) -> None:
    """Nobody is asked for it again; silence for a week is a no, and whoever is forgotten leaves nothing."""
    async with database.begin() as session:
        refused = await lessons.save_lesson(session, LESSON)
        lessons.refuse(refused)
        old = await lessons.save_lesson(session, _other("100.008"))
        old.asked_at = now() - timedelta(days=8)
        await session.flush()
        assert await lessons.find_waiting(session, old.id, author_id="U2") is None, "it is too late to say yes"
        assert await lessons.forget_waited(session, before=now() - lessons.PATIENCE) == 1
        assert await lessons.is_known(session, LESSON.place, ts=LESSON.ts)
        assert [(row.state, row.text + row.question) for row in await session.scalars(select(Lesson))] == [
            (LessonState.REFUSED, "")
        ] * 2
        await lessons.save_lesson(session, _other("100.009"))
        await forget_person(session, "U1")
        left = list(await session.scalars(select(Lesson)))
    assert {(row.asked_by, row.question, row.text, row.state) for row in left} <= {("", "", "", "refused")}


async def test_who_wants_no_learning_or_was_asked_enough_is_not_asked(database: Database) -> None:
    """Three questions at a time are the most."""
    async with database.begin() as session:
        for number in range(3):
            assert await lessons.may_be_asked(session, "U2")
            await lessons.save_lesson(session, _other(f"100.00{number}"))
        assert not await lessons.may_be_asked(session, "U2")
        for wish in (Privacy.UNLEARNED, Privacy.UNSTORED):
            await choose_privacy(session, "U3", wish)
            assert not await lessons.may_be_asked(session, "U3")


async def test_nobody_asks_everybody(database: Database) -> None:
    """Each lesson is a message to its author: whoever waits for so many may ask for no more until some are decided."""
    async with database.begin() as session:
        for number in range(lessons.MOST_ASKED):
            assert await lessons.may_ask(session, LESSON.asked_by)
            taught = replace(_other(f"100.1{number:02}"), author_id=f"U1{number:02}")
            last = await lessons.save_lesson(session, taught)
        assert not await lessons.may_ask(session, LESSON.asked_by)
        assert await lessons.may_ask(session, "U9")
        lessons.refuse(last)
        assert await lessons.may_ask(session, LESSON.asked_by)


async def test_what_is_not_stored_is_in_nobodys_way(database: Database) -> None:
    """The choice outlives being forgotten; a message without words is in no history and stays so when it is edited."""
    async with database.begin() as session:
        await choose_privacy(session, "U1", Privacy.UNSTORED)
        await forget_person(session, "U1")
        assert await find_privacy(session, "U1") is Privacy.UNSTORED
        assert not (await load_preferences(session, "U1")).stores
        empty = await said(session, "", ts="1")
        kept = await said(session, "hello", ts="2", user="U2")
        assert await change_message(session, "T1", "C1", ts="1", text="my secret") is None
        history = await load_history(session, kept.thread_id, before_ts="9")
        assert [one.text for one in history] == ["hello"]
        await session.refresh(empty)
        assert empty.text == ""
        await choose_privacy(session, "U1", Privacy.NORMAL)
        assert (await load_preferences(session, "U1")).stores


def _other(ts: str) -> Taught:
    return Taught(**{name: getattr(LESSON, name) for name in Taught.__dataclass_fields__} | {"ts": ts})


async def test_a_reminder_is_rare_and_ends_with_the_first_word(database: Database) -> None:
    """After so many answers and weeks, not to whoever wants none, and never again once they voted."""
    weeks = {"answers": 2, "rest": timedelta(weeks=4)}
    async with database.begin() as session:
        answer = await answered(session, await said(session, ts="1"), "hi")
        assert not await is_hint_due(session, "U1", **weeks)
        await answered(session, await said(session, ts="2"), "hi")
        assert await is_hint_due(session, "U1", **weeks)
        await save_preferences(session, "U1", has_hints=False)
        assert not await is_hint_due(session, "U1", **weeks)
        await save_preferences(session, "U1", has_hints=True, hinted_at=now())
        assert not await is_hint_due(session, "U1", **weeks), "it was just given"
        await save_preferences(session, "U1", hinted_at=now() - timedelta(weeks=5))
        assert await is_hint_due(session, "U1", **weeks)
        await save_vote(session, answer, user_id="U1", vote=Vote.UP)
        assert not await is_hint_due(session, "U1", **weeks)


async def test_a_reviewers_no_holds_for_the_same_words(database: Database) -> None:
    """Sent again, by the same person or another, they wait for nobody and count for nothing; other words do."""
    async with database.begin() as session:
        answer = await answered(session, await said(session, "Where is the key?", ts="1"), "I do not know.")
        again = await answered(session, await said(session, "where is the key", ts="2"), "No.")
        await save_correction(session, answer, user_id="U1", text="At the desk.")
        (first,) = await reviews.find_candidates(session, most=5)
        await reviews.decide_review(session, first.correction_id, ReviewState.REJECTED, by="U9")

        await save_correction(session, answer, user_id="U1", text="at the desk")
        await save_correction(session, again, user_id="U2", text="At the desk.")
        assert await reviews.find_candidates(session, most=5) == []
        states = await session.scalars(select(ReviewRow.state))
        assert list(states) == [ReviewState.REJECTED] * 3

        await save_correction(session, again, user_id="U2", text="In the drawer.")
        (other,) = await reviews.find_candidates(session, most=5)
        assert other.text == "In the drawer."


async def test_one_persons_many_corrections_hide_nobodys(database: Database) -> None:
    """Thirty later ones of another leave somebody's the second that a reviewer sees; each is seen once."""
    async with database.begin() as session:
        for number, person in enumerate(["U1", *["U2"] * 30]):
            answer = await answered(session, await said(session, f"Question {number}?", ts=f"{number + 1}"), "No.")
            await save_correction(session, answer, user_id=person, text=f"It is {number}.")
        seen, last = [], ""
        while waiting := await reviews.find_candidates(session, most=1, before_id=last):
            seen.append((waiting[0].user_id, waiting[0].text))
            last = waiting[0].correction_id
            if len(seen) % 2:  # what is decided meanwhile moves nobody's place
                await reviews.decide_review(session, last, ReviewState.APPROVED, by="U9")

    assert seen[:3] == [("U2", "It is 30."), ("U1", "It is 0."), ("U2", "It is 29.")]
    assert len(set(seen)) == len(seen) == 31
