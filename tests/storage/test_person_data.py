"""Forgetting a person: nothing of theirs stays in any table, and nothing of others goes that is not about them."""

import asyncio
import gc
import time
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update

from bot.admin import budgets, data, feedback, reviews
from bot.admin.budgets import CHANNEL, PERSON, Budgets
from bot.errors import AdminError
from bot.learning.data.gathering import look
from bot.learning.data.policy import DataPolicy
from bot.learning.data.reviewed import REJECTED, WAITING
from bot.storage.admin_tables import ReviewRow, ReviewState
from bot.storage.audit import latest_rows
from bot.storage.choices import OptedOut
from bot.storage.db import Database
from bot.storage.erasure_tables import Erasure
from bot.storage.exported import EXPORTED
from bot.storage.feedback import current_correction, save_correction, save_vote
from bot.storage.feedback_tables import Lesson
from bot.storage.forgetting import erase_again, forget_answers, forget_message
from bot.storage.inbox import accept
from bot.storage.learning_tables import AuditRow
from bot.storage.lessons import Taught, is_known, refuse, save_lesson
from bot.storage.limits import pass_on, spend
from bot.storage.memory_tables import SourceKind
from bot.storage.person_data import collect_person, forget_person
from bot.storage.personas import choose_persona, find_persona
from bot.storage.preference_tables import PRIVATE
from bot.storage.preferences import load_preferences, save_preferences
from bot.storage.reviews import find_candidate
from bot.storage.signal_counts import count_signals
from bot.storage.spending_tables import Spending
from bot.storage.tables import Answer, Audience, Base, Inbox, Message, Vote, now
from bot.storage.threads import Place
from bot.storage.traces import Source, save_sources
from tests.builders import PLACE, answered, arrival, said

MARK = "platypus"


async def fill(database: Database) -> None:
    """Let U1 ask and correct, and U2 answer in the same thread, and both be waiting."""
    async with database.begin() as session:
        mine = await said(session, f"my {MARK} question", ts="100.001", user="U1")
        answer = await answered(session, mine, f"an answer with {MARK}", prompt_token_ids=[1, 2], prompt_tokens=90)
        await save_vote(session, answer, user_id="U1", vote=Vote.DOWN, reason="wrong")
        await save_vote(session, answer, user_id="U2", vote=Vote.UP)
        await save_correction(session, answer, user_id="U1", text=f"{MARK} is right")
        theirs = await said(session, "another question", ts="100.002", user="U2")
        other = await answered(session, theirs, "fine", prompt_token_ids=[1, 2, 3], prompt_tokens=50, cached_tokens=20)
        await save_vote(session, other, user_id="U1", vote=Vote.UP)
        await accept(session, arrival(event_id="E9", ts="100.9", payload={"event": {"user": "U1", "text": MARK}}))
        await accept(session, arrival(event_id="E8", ts="100.8", payload={"event": {"user": "U2", "text": "stay"}}))


async def dump(database: Database) -> str:
    """Return every value of every table but the audit log as one text."""
    async with database.read() as session:
        tables = [table for table in Base.metadata.sorted_tables if table.name != "audit"]
        return "\n".join([str((await session.execute(select(table))).all()) for table in tables])


async def test_nothing_of_a_person_stays(database: Database) -> None:
    """No text, no id, and not the prompt of somebody else's answer that had their words in it."""
    await fill(database)
    before = await dump(database)
    assert MARK in before
    assert "'U1'" in before
    async with database.begin() as session:
        counts = await forget_person(session, "U1")

    after = await dump(database)
    assert MARK not in after
    assert "'U1'" not in after
    assert "another question" in after
    assert "stay" in after
    assert counts["messages"] == counts["answers"] == counts["corrections"] == counts["inbox"] == 1
    assert (counts["feedback"], counts["feedback by others"]) == (2, 1)
    async with database.read() as session:
        assert list(await session.scalars(select(Answer.prompt_token_ids))) == [None]
        assert await session.scalar(select(func.count()).select_from(Inbox).where(Inbox.state != "done")) == 1


async def test_every_table_that_names_a_person_is_covered(database: Database) -> None:
    """A table with a column for a person that forgetting does not know would be found here."""
    named = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.name.endswith("user_id") or column.name in {"person_id", "asker_id", "author_id"}
    }
    assert {name for name in named if not name.endswith(".user_id")} == {"installations.bot_user_id"}


async def test_a_person_can_take_everything_along(database: Database) -> None:
    """Texts, votes, corrections, and the answers they got; nothing that others wrote."""
    await fill(database)
    document = await data.export_person(database, "U1", by="U1")
    assert MARK in document
    assert "another question" not in document
    async with database.read() as session:
        found = await collect_person(session, "U1")
        (row,) = await latest_rows(session, most=9)
    assert set(found) == {"messages", "answers", "feedback", "corrections"}
    assert (row.action, row.target, row.details["rows"]["messages"]) == ("data.export", "U1", 1)
    assert MARK not in str(row.details)


async def test_whoever_is_taken_out_at_the_terminal_is_owed_a_word(database: Database) -> None:
    """In the workspace in which they were heard last; also where nothing is stored of them."""
    await fill(database)
    for user_id in ("U1", "U0NOBODY"):
        await data.export_person(database, user_id, by="cli:root", owes_word=True)
    async with database.read() as session:
        owed = list(await session.scalars(select(Inbox).where(Inbox.kind == EXPORTED).order_by(Inbox.id)))
    assert [(row.team_id, row.payload) for row in owed] == [
        ("T1", {"user_id": "U1", "by": "cli:root"}),
        ("", {"user_id": "U0NOBODY", "by": "cli:root"}),
    ]


async def test_old_words_go_by_their_channel(database: Database) -> None:
    """A channel's own days go before those of the settings; what has no days stays."""
    async with database.begin() as session:
        for channel in ("C1", "C2", "C3"):
            place = Place("T1", channel, "100.000")
            message = await said(session, f"old of {channel}", ts="100.000", place=place)
            await answered(session, message, "answer")
            fresh = await said(session, f"new of {channel}", ts="100.001", place=place)
            old = now() - timedelta(days=20)
            await session.execute(update(Message).where(Message.id == message.id).values(created_at=old))
            assert fresh.created_at > old
    await data.set_retention(database, "C1", 10, by="U0")
    await data.set_retention(database, "C2", 0, by="U0")
    await data.set_retention(database, "C4", 2_000_000_000, by="U0")  # must not keep the others' words

    assert await data.forget_expired(database, 0) == 1
    assert await data.forget_expired(database, 15) == 1
    assert await data.forget_expired(database, 15) == 0
    async with database.read() as session:
        left = sorted(await session.scalars(select(Message.text)))
    assert left == ["new of C1", "new of C2", "new of C3", "old of C2"]


async def test_budgets_count_what_had_to_be_computed(database: Database) -> None:
    """What was remembered is free; a limit of somebody's own goes before the settings; 0 is no limit."""
    await fill(database)
    defaults = Budgets(person=60, channel=0)
    mine, here = await budgets.read_use(database, defaults, user_id="U1", channel_id=PLACE.channel_id)
    assert (mine.used, mine.limit, mine.is_over, mine.answers) == (90, 60, True, 1)
    assert (here.used, here.is_over) == (120, False)
    assert mine.free_at > now()
    assert (await budgets.read_use(database, defaults, user_id="U2"))[0].used == 30

    assert await budgets.set_budget(database, PERSON, "U1", 0, by="U0") is None
    assert await budgets.find_empty(database, defaults, user_id="U1", channel_id=PLACE.channel_id) is None
    assert await budgets.set_budget(database, CHANNEL, PLACE.channel_id, 100, by="U0") is None
    empty = await budgets.find_empty(database, defaults, user_id="U1", channel_id=PLACE.channel_id)
    assert empty is not None
    assert (empty.kind, empty.limit) == (CHANNEL, 100)
    assert await budgets.set_budget(database, CHANNEL, PLACE.channel_id, None, by="U0") == 100


async def used_by(database: Database, *people: str) -> list[int]:
    """Return the tokens that people have used today, and the channel after them."""
    uses = [(await budgets.read_use(database, Budgets(), user_id=user))[0].used for user in people]
    return [*uses, (await budgets.read_use(database, Budgets(), channel_id=PLACE.channel_id))[0].used]


async def test_deleting_a_question_gives_nothing_back(database: Database) -> None:
    """Whoever asks and deletes, again and again, would have no budget; neither does an answer that an admin deletes."""
    await fill(database)
    assert await used_by(database, "U1", "U2") == [90, 30, 120]
    async with database.begin() as session:
        await forget_message(session, PLACE.team_id, PLACE.channel_id, ts="100.001")
        await forget_answers(session, list(await session.scalars(select(Answer.id))))
    assert await used_by(database, "U1", "U2") == [90, 30, 120]


async def test_being_forgotten_gives_nothing_back(database: Database) -> None:
    """What somebody used today goes on counting, by how much alone: without their words, and without their name."""
    await fill(database)
    async with database.begin() as session:
        await spend(session, user_id="U1", channel_id="", tokens=7)
        await forget_person(session, "U1")
        await forget_person(session, "U1")
    assert await used_by(database, "U1", "U2") == [97, 30, 120]
    assert "'U1'" not in await dump(database)
    assert MARK not in await dump(database)
    async with database.begin() as session:
        await session.execute(update(Spending).values(at=now() - timedelta(days=3)))
    await data.forget_expired(database, 0)
    assert await used_by(database, "U1", "U2") == [0, 30, 30]
    async with database.read() as session:
        assert not list(await session.scalars(select(Spending)))


async def test_a_direct_message_names_nobody_who_is_forgotten(database: Database) -> None:
    """Its id is as good as their name: it is in no budget any more, and how I spoke there is theirs as well."""
    own = Place("T1", "D0TOM", "1.000")
    async with database.begin() as session:
        for ts in ("1.001", "1.002"):
            await answered(session, await said(session, ts=ts, place=own), "fine", prompt_tokens=40)
        await choose_persona(session, "T1", "D0TOM", persona="brief", by="U1")
        await choose_persona(session, "T1", "C1", persona="brief", by="U1")
        await forget_message(session, "T1", "D0TOM", ts="1.001")
        assert [row["channel_id"] for row in (await collect_person(session, "U1"))["channel_personas"]] == ["D0TOM"]
        await forget_person(session, "U1")
        assert not await find_persona(session, "T1", "D0TOM")
        assert await find_persona(session, "T1", "C1"), "that is everybody's"
        assert set(await session.scalars(select(Spending.channel_id))) == {""}
    assert await used_by(database, "U1") == [80, 0]


async def test_what_somebody_asked_to_have_taught_is_theirs(database: Database) -> None:
    """Their question, while the author of the answer has not agreed; not what that one wrote."""
    place, question = Place("T1", "C1", "1.000"), "Where is the otter?"
    taught = {"place": place, "ts": "1.000", "audience": Audience.PUBLIC, "question": question, "text": MARK}
    async with database.begin() as session:
        await save_lesson(session, Taught(**taught, author_id="U2", asked_by="U1"))
        (row,) = (await collect_person(session, "U1"))["lessons"]
        assert (row["question"], "text" in row) == (question, False)
        assert (await collect_person(session, "U2"))["lessons"][0]["text"] == MARK


async def test_what_nobody_is_to_see_stays_hidden(database: Database) -> None:
    """Whoever forgets is not shown by name afterwards, because that was forgotten too; all else they chose goes."""
    async with database.begin() as session:
        await save_preferences(session, "U1", language="zh", length="short", shown=PRIVATE, has_hints=False)
        await forget_person(session, "U1")
    async with database.read() as session:
        wish = await load_preferences(session, "U1")
    assert (wish.shown, wish.has_hints, wish.language, wish.length) == (PRIVATE, False, "", "")


async def test_an_authors_no_outlives_whoever_asked(database: Database) -> None:
    """Whoever asked for a message is forgotten; its author refused, and nobody can ask for it again."""
    places = {ts: Place("T1", "C1", ts) for ts in ("1.000", "2.000")}
    async with database.begin() as session:
        for ts, place in places.items():
            taught = {"place": place, "ts": ts, "audience": Audience.PUBLIC, "question": "Where?", "text": MARK}
            lesson = await save_lesson(session, Taught(**taught, author_id="U2", asked_by="U1"))
            if ts == "1.000":
                refuse(lesson)
    async with database.begin() as session:
        await forget_person(session, "U1")
        assert [await is_known(session, place, ts=ts) for ts, place in places.items()] == [True, False]
        assert "U1" not in str([vars(row) for row in await session.scalars(select(Lesson))])


async def test_whoever_wants_an_answer_anew_pays_for_it(database: Database) -> None:
    """Otherwise one person's *Regenerate* below another's answers would use up what that one may ask."""
    await fill(database)
    async with database.begin() as session:
        mine = await session.scalar(select(Answer.id).join(Message).where(Message.user_id == "U1"))
        await pass_on(session, str(mine), by="U2")
        await pass_on(session, str(mine), by="U1")  # nobody else: it stays theirs
        await pass_on(session, "gone", by="U2")
    assert await used_by(database, "U1", "U2") == [0, 120, 120]
    async with database.begin() as session:  # gone with its question, it is nobody's gift
        await forget_message(session, PLACE.team_id, PLACE.channel_id, ts="100.001")
    assert await used_by(database, "U1", "U2") == [0, 120, 120]


async def test_the_worst_answers_are_public_ones(database: Database) -> None:
    """What was said in private is nobody's business, however bad it was."""
    async with database.begin() as session:
        for number, audience in enumerate([Audience.PUBLIC, Audience.PRIVATE, Audience.DIRECT, Audience.SHARED]):
            place = Place("T1", f"C{number}", "1.0")
            message = await said(session, f"asked in {audience}", ts="1.0", place=place)
            message.audience = audience
            answer = await answered(session, message, "bad", audience=audience)
            await save_vote(session, answer, user_id="U2", vote=Vote.DOWN, reason="wrong")
    found = await feedback.read_worst(database, most=9)
    assert [(item.question, item.downs, item.ups, item.reasons) for item in found] == [
        ("asked in public", 1, 0, ("wrong",))
    ]
    weeks = await feedback.read_trend(database, weeks=2)
    assert (weeks[-1].answers, weeks[-1].ups, weeks[-1].downs, weeks[-1].liked) == (4, 0, 4, 0.0)
    assert weeks[0].liked is None


async def corrected(database: Database, text: str, *, user: str, ts: str, audience: Audience = Audience.PUBLIC) -> str:
    """Store a correction and return its id."""
    async with database.begin() as session:
        message = await said(session, f"question {ts}", ts=ts, user=user, place=Place("T1", "C1", ts))
        message.audience = audience
        answer = await answered(session, message, "wrong", audience=audience, finish_reason="stop")
        await save_correction(session, answer, user_id=user, text=text)
        found = await current_correction(session, answer.id, user_id=user)
        assert found is not None
        return found.id


def _system(_day: object) -> str:
    return ""


async def test_what_is_learned_honours_the_reviewers(database: Database) -> None:
    """Rejected never, waiting only where no review is needed, edited with the reviewer's words; in the counts too."""
    kept, edited, rejected, waiting = [
        await corrected(database, f"right {number}", user=f"U{number}", ts=f"20{number}.0") for number in range(4)
    ]
    hidden = await corrected(database, "private", user="U9", ts="209.0", audience=Audience.PRIVATE)
    listed = [one.correction_id for one in await reviews.list_waiting(database, most=9)]
    assert listed == [waiting, rejected, edited, kept]
    assert hidden not in listed
    await reviews.decide(database, kept, ReviewState.APPROVED, by="UR", text="right 0")
    await reviews.decide(database, edited, ReviewState.APPROVED, by="UR", text="better", is_alone=True)
    assert (await reviews.decide(database, rejected, ReviewState.REJECTED, by="UR")).before is ReviewState.WAITING
    assert [one.correction_id for one in await reviews.list_waiting(database, most=9)] == [waiting]

    async with database.read() as session:
        states = {row.correction_id: (row.state, row.text) for row in await session.scalars(select(ReviewRow))}
    assert states == {kept: ("approved", ""), edited: ("edited", "better"), rejected: ("rejected", "")}
    for needs_review, rows in ((False, {kept, edited, waiting}), (True, {kept, edited})):
        policy = DataPolicy(needs_review=needs_review)
        harvest = await look(database, policy=policy, system=_system, since=None)
        assert {chosen.newest.row_id for chosen in harvest.choice.chosen} == rows
        assert harvest.left_out[REJECTED] == 1
        assert harvest.left_out[WAITING] == (1 if needs_review else 0)
        assert {row_id: one.text for row_id, one in harvest.edits.items()} == {edited: "better"}
        async with database.read() as session:
            counted = await count_signals(
                session, since=None, audiences=policy.audiences, without=OptedOut(), needs_review=needs_review
            )
        assert counted.corrections == len(rows)


async def test_two_reviewers_who_decide_at_once_decide_once(database: Database, database_url: str) -> None:
    """Through two bots: the later one waits, and hears that it was decided."""
    one = await corrected(database, "right", user="U1", ts="300.0")
    async with database.read() as session:
        candidate = await find_candidate(session, one)
    assert candidate is not None
    other, seen = Database(database_url), reviews.digest(candidate.text)
    outcomes = await asyncio.gather(
        reviews.decide(database, one, ReviewState.APPROVED, by="UR", seen=seen),
        reviews.decide(other, one, ReviewState.REJECTED, by="US", seen=seen),
        return_exceptions=True,
    )
    await other.close()
    (refused,) = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert isinstance(refused, AdminError)
    assert "Another reviewer decided about it meanwhile" in str(refused)


async def test_a_reviewers_own_words_need_another(database: Database) -> None:
    """They wait, and teach nothing; somebody else approves them as they stand, the author too, and nobody their own."""

    async def decide(by: str, text: str = "", state: ReviewState = ReviewState.APPROVED) -> tuple[ReviewState, str]:
        await reviews.decide(database, one, state, by=by, text=text)
        harvest = await look(database, policy=DataPolicy(), system=_system, since=None)
        async with database.read() as session:
            row = (await session.scalars(select(ReviewRow))).one()
        learned = {row_id: review.text for row_id, review in harvest.edits.items()}
        assert learned == ({one: row.text} if row.state == ReviewState.EDITED else {})
        return ReviewState(row.state), row.text

    one = await corrected(database, "the author's", user="U1", ts="300.0")
    assert await decide("UR", "the reviewer's") == (ReviewState.WAITING, "the reviewer's")
    assert await decide("UR") == (ReviewState.WAITING, "the reviewer's")
    assert await decide("UR", "the reviewer's") == (ReviewState.WAITING, "the reviewer's")
    assert [found.text for found in await reviews.list_waiting(database, most=9)] == ["the reviewer's"]
    for own in ("the author's", "the author's newest"):
        with pytest.raises(AdminError, match="another reviewer"):
            await decide("U1", own)
    assert await decide("US", "the second's") == (ReviewState.WAITING, "the second's")
    assert await decide("U1", "the second's") == (ReviewState.EDITED, "the second's")
    assert await decide("UR", state=ReviewState.WAITING) == (ReviewState.WAITING, "")
    assert await decide("UR", "the reviewer's") == (ReviewState.WAITING, "the reviewer's")
    assert await decide("US") == (ReviewState.EDITED, "the reviewer's")
    assert await decide("UR", "the author's") == (ReviewState.APPROVED, "")


async def test_a_reviewers_words_go_with_the_reviewer(database: Database) -> None:
    """Approved by another, or waiting for that: what the author said stands again, and waits for a reviewer."""
    learned, waits, others = [await corrected(database, f"said {ts}", user="U1", ts=ts) for ts in ("3.0", "4.0", "5.0")]
    await reviews.decide(database, learned, ReviewState.APPROVED, by="UR", text=f"a {MARK} is better")
    await reviews.decide(database, learned, ReviewState.APPROVED, by="US")
    await reviews.decide(database, waits, ReviewState.APPROVED, by="UR", text=f"another {MARK}")
    await reviews.decide(database, others, ReviewState.APPROVED, by="US", text="a wombat", is_alone=True)
    async with database.begin() as session:
        answer = await answered(session, await said(session, "which one?"), "that one", prompt_token_ids=[1, 2])
        await save_sources(session, answer.id, [Source(SourceKind.CORRECTION, learned)])
        written = {row.correction_id: row for row in await session.scalars(select(ReviewRow))}
    assert [written[one].user_id for one in (learned, waits, others)] == ["UR", "UR", "US"]
    assert MARK in (own := await data.export_person(database, "UR", by="UR"))
    assert "said 3.0" not in own
    assert MARK not in await data.export_person(database, "U1", by="U1")

    async with database.begin() as session:
        assert (await forget_person(session, "UR"))["reviews"] == 2
    assert MARK not in await dump(database)
    assert {one.text for one in await reviews.list_waiting(database, most=9)} == {"said 3.0", "said 4.0"}
    harvest = await look(database, policy=DataPolicy(), system=_system, since=None)
    assert {row_id: one.text for row_id, one in harvest.edits.items()} == {others: "a wombat"}
    async with database.read() as session:
        assert (await session.get_one(Answer, answer.id)).prompt_token_ids is None
        gone = set(await session.scalars(select(Erasure.row_id).where(Erasure.row_table == "reviews")))
    assert gone == {written[learned].id, written[waits].id}


async def test_what_replaces_a_reviewers_words_is_somebody_elses(database: Database) -> None:
    """Nothing is left of them then, not in a prompt either; a backup that brings back what went has it go again."""
    one = await corrected(database, "the author's", user="U1", ts="300.0")
    await reviews.decide(database, one, ReviewState.APPROVED, by="UR", text=MARK, is_alone=True)
    async with database.begin() as session:
        answer = await answered(session, await said(session, "which one?"), "that one", prompt_token_ids=[1, 2])
        await save_sources(session, answer.id, [Source(SourceKind.CORRECTION, one)])
        earlier = (await session.scalars(select(ReviewRow.id))).one()
    await reviews.decide(database, one, ReviewState.APPROVED, by="US", text="a wombat", is_alone=True)
    assert MARK not in await dump(database)
    async with database.begin() as session:
        row = (await session.scalars(select(ReviewRow))).one()
        assert (row.user_id, row.text) == ("US", "a wombat")
        assert row.id not in {None, earlier}
        assert (await session.get_one(Answer, answer.id)).prompt_token_ids is None
        assert await erase_again(session, [{"row_table": "reviews", "row_id": row.id}]) == 1
    assert [found.text for found in await reviews.list_waiting(database, most=9)] == ["the author's"]
    await reviews.decide(database, one, ReviewState.APPROVED, by="UR")
    async with database.read() as session:
        row = (await session.scalars(select(ReviewRow))).one()
    assert (row.state, row.user_id, row.id) == (ReviewState.APPROVED, None, None)


async def test_deciding_leaves_its_trace(database: Database) -> None:
    """Who decided, what, and what was before; no text."""
    one = await corrected(database, "a secret text", user="U1", ts="300.0")
    await reviews.decide(database, one, ReviewState.APPROVED, by="UR", text="another secret", is_alone=True)
    async with database.read() as session:
        row = (await session.scalars(select(AuditRow))).one()
    assert (row.actor, row.action, row.target) == ("UR", "dataset.review", one)
    assert row.details == {"state": "edited", "before": "waiting"}


async def test_others_are_heard_while_much_is_taken_out(database: Database) -> None:
    """Who asks a lot has much stored; reading and writing it down holds nobody up for most of its time."""
    async with database.begin() as session:
        message = await said(session, "one of many", user="U1")
        common = {name: getattr(message, name) for name in ("thread_id", "user_id", "user_name", "text", "audience")}
        rows = [{**common, "ts": f"{number}.000200", "created_at": now()} for number in range(1, 8001)]
        await session.execute(insert(Message), rows)
    longest, began = 0.0, time.process_time()
    gc.disable()  # a collection of all that the tests hold takes longer than anything that is measured here
    try:
        exporting = asyncio.create_task(data.export_person(database, "U1", by="U1"))
        while not exporting.done():
            turn = time.thread_time()  # of the processor: how busy the machine is does not count
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - turn)
    finally:
        gc.enable()
    assert (await exporting).count("one of many") == 8001
    assert longest < (time.process_time() - began) / 6
