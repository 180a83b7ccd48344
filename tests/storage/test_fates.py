"""What became of what somebody said, what they asked lately, and what they may choose: in its own place alone."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from bot.slack.home.opinions import render_fate
from bot.storage.admin_tables import ReviewState
from bot.storage.choices import save_choice
from bot.storage.db import Database, Session
from bot.storage.fates import Fate, Opinions, count_opinions, list_fates
from bot.storage.feedback import save_correction, save_vote
from bot.storage.forgetting import change_message
from bot.storage.learning_tables import Adapter, AdapterState, Run, RunExample, RunState
from bot.storage.preferences import (
    choosable_adapters,
    chosen_adapters,
    is_choosable,
    let_choose,
    load_preferences,
    save_preferences,
)
from bot.storage.reviews import decide_review
from bot.storage.tables import Audience, Correction, Vote, now
from bot.storage.threads import Place, join_thread, save_message
from bot.storage.topics import recent_questions
from tests.builders import answered

DM, LEADS, GENERAL = ("D0TOM", Audience.DIRECT), ("G0LEADS", Audience.PRIVATE), ("C0GENERAL", Audience.PUBLIC)


async def asked(
    session: Session, where: tuple[str, Audience], text: str, *, user: str = "U0TOM", thread: str = "", number: int
) -> Any:
    """Store a question and its answer; return the answer."""
    (channel_id, audience), ts = where, f"{number}.000000"
    place = Place("T1", channel_id, thread or ts)
    found = await join_thread(session, place, audience=audience)
    message = await save_message(session, found, ts=ts, user_id=user, user_name="x", text=text, audience=audience)
    return await answered(session, message, "I do not know.")


async def corrected(session: Session, answer: Any, text: str) -> str:
    """Let Tom correct an answer; return the correction's id."""
    await save_vote(session, answer, user_id="U0TOM", vote=Vote.DOWN)
    await save_correction(session, answer, user_id="U0TOM", text=text)
    found = select(Correction.id).where(Correction.answer_id == answer.id, Correction.superseded_at.is_(None))
    return str(await session.scalar(found))


async def learned(session: Session, number: int, state: AdapterState, rows: dict[str, str], **report: Any) -> None:
    """Store a run with its adapter, and which corrections went into what part of it."""
    session.add(Run(id=number, state=RunState.DONE, trigger="cli", report=report))
    await session.flush()
    values = {"path": "", "sha256": "", "base_sha256": "b1", "watch": {}}
    session.add(Adapter(run_id=number, name=f"a{number}", state=state, **values))
    for row_id, split in rows.items():
        whose = {"user_id": "U0TOM", "source": "correction", "weight": 1.0, "sha256": ""}
        session.add(RunExample(run_id=number, row_table="corrections", row_id=row_id, split=split, **whose))
    await session.flush()


async def test_what_was_only_looked_at_went_into_no_training(database: Database) -> None:
    """A dry run names the corrections that it would have learned from."""
    async with database.begin() as session:
        one = await corrected(session, await asked(session, GENERAL, "Who is on call?", number=1), "Sam.")
        await learned(session, 4, AdapterState.REJECTED, {one: "train"})
        await learned(session, 5, AdapterState.REJECTED, {one: "train"})
        await session.execute(update(Run).where(Run.id == 5).values(is_dry=True))
        (fate,) = await list_fates(session, "U0TOM", most=5)
    assert fate.run_id == 4


async def test_the_fate_of_corrections(database: Database) -> None:
    """Learned only where what answers was trained on it, fixed only where it was seen to answer right."""
    async with database.begin() as session:
        own = await corrected(session, await asked(session, LEADS, "Where is the plan?", number=1), "In the safe.")
        other = await asked(session, LEADS, "Whom do we hire?", user="U0PRIYA", number=2)
        hidden = await corrected(session, other, "Nobody.")
        public = await asked(session, GENERAL, "Who is on call?", user="U0PRIYA", number=3)
        rejected = await corrected(session, public, "Tom.")
        liked = await asked(session, DM, "hello", number=4)
        await save_vote(session, liked, user_id="U0TOM", vote=Vote.UP)
        await decide_review(session, rejected, ReviewState.REJECTED, by="U0MAYA")
        await learned(session, 1, AdapterState.RETIRED, {own: "train", hidden: "train"})
        right = [{"row": f"corrections:{own}", "is_right": True}, {"row": f"corrections:{hidden}", "is_right": False}]
        await learned(session, 2, AdapterState.ACTIVE, {own: "train", hidden: "validation"}, before_after=right)

        assert await count_opinions(session, "U0TOM") == Opinions(1, 3, 3, 1, 1)
        assert await count_opinions(session, "U0PRIYA") == Opinions()
        fates = await list_fates(session, "U0TOM", most=5)
    seen = [(fate.question, fate.text, fate.is_rejected, fate.adapter, fate.is_fixed, fate.run_id) for fate in fates]
    assert seen == [
        ("Who is on call?", "Tom.", True, "", False, None),
        ("", "Nobody.", False, "", False, 1),
        ("Where is the plan?", "In the safe.", False, "a2", True, 2),
    ]
    assert all(isinstance(fate, Fate) and now() - fate.at < timedelta(minutes=1) for fate in fates)


async def test_whoever_is_outvoted_is_told(database: Database) -> None:
    """By a newer answer, by more people, by a reviewer, or by those who like the answer; by nothing said in private."""

    async def say(session: Session, user: str, number: int, text: str, *, where: Any = GENERAL) -> str:
        answer = await asked(session, where, "Who owns  billing?" if number % 2 else "who owns billing", number=number)
        await save_correction(session, answer, user_id=user, text=text)
        found = select(Correction.id).where(Correction.answer_id == answer.id, Correction.superseded_at.is_(None))
        return str(await session.scalar(found))

    async def outvoted(*people: str) -> list[bool]:
        async with database.read() as session:
            return [(await list_fates(session, user, most=1))[0].is_outvoted for user in people]

    async with database.begin() as session:
        await say(session, "U0TOM", 1, "Tom.")
        await say(session, "U0LENA", 2, "Lena.", where=LEADS)
        await save_correction(
            session, await asked(session, GENERAL, "Who owns payroll?", number=3), user_id="U0SAM", text="Sam."
        )
    assert await outvoted("U0TOM", "U0LENA", "U0SAM") == [False, False, False]
    async with database.begin() as session:
        priyas = await say(session, "U0PRIYA", 4, "Priya")
    assert await outvoted("U0TOM", "U0PRIYA") == [True, False]
    async with database.begin() as session:
        await say(session, "U0SAM", 5, "tom")
    assert await outvoted("U0TOM", "U0PRIYA", "U0SAM") == [False, True, False]
    async with database.begin() as session:
        await decide_review(session, priyas, ReviewState.APPROVED, by="U0MAYA")
    assert await outvoted("U0TOM", "U0PRIYA", "U0SAM") == [True, False, True]
    async with database.begin() as session:
        await decide_review(session, priyas, ReviewState.REJECTED, by="U0MAYA")
    assert await outvoted("U0TOM", "U0SAM") == [False, False]

    async with database.begin() as session:
        answer = await asked(session, GENERAL, "Who is on call?", number=6)
        await corrected(session, answer, "Nobody.")
        for user in ("U0SAM", "U0PRIYA"):
            (fate,) = await list_fates(session, "U0TOM", most=1)
            assert not fate.is_liked_anyway
            await save_vote(session, answer, user_id=user, vote=Vote.UP)
        (fate,) = await list_fates(session, "U0TOM", most=1)
        assert fate.is_liked_anyway


async def test_what_a_question_became_in_private_is_nobody_elses(database: Database) -> None:
    """Its channel is private by now, and whoever corrected its answer there need not be in it any more."""
    async with database.begin() as session:
        public = await asked(session, GENERAL, "Who is on call?", user="U0PRIYA", number=3)
        await corrected(session, public, "Tom.")
        said = {"ts": "3.000000", "text": "Whom do we dismiss?", "current": Audience.PRIVATE}
        await change_message(session, "T1", "C0GENERAL", **said)
        (fate,) = await list_fates(session, "U0TOM", most=5)
        assert (fate.question, fate.text) == ("", "Tom.")


async def test_what_was_asked_lately_stays_in_its_place(database: Database) -> None:
    """Own first questions of direct messages, and of the one channel that is looked at; the newest first."""
    async with database.begin() as session:
        await asked(session, DM, "How do I deploy?", number=1)
        await asked(session, DM, "and then?", thread="1.000000", number=2)
        await asked(session, LEADS, "Where is the plan?", number=3)
        await asked(session, GENERAL, "Who is on call?", number=4)
        await asked(session, LEADS, "Whom do we hire?", user="U0PRIYA", number=5)
        since = now() - timedelta(days=1)

        async def find(channel_id: str = "", **changes: Any) -> list[str]:
            values = {"team_id": "T1", "since": since, **changes}
            return list(await recent_questions(session, "U0TOM", channel_id=channel_id, **values))

        assert await find() == ["How do I deploy?"]
        assert await find("G0LEADS") == ["Where is the plan?", "How do I deploy?"]
        assert await find("C0GENERAL") == ["Who is on call?", "How do I deploy?"]
        assert await find(team_id="T2") == []
        assert await find(since=now() + timedelta(seconds=1)) == []


async def test_what_people_may_choose(database: Database) -> None:
    """Nothing before admins allow it; what answers and answered before; no earlier one that an opt-out came after."""
    async with database.begin() as session:
        states = (AdapterState.RETIRED, AdapterState.ROLLED_BACK, AdapterState.TAINTED, AdapterState.CANARY)
        for number, state in enumerate((*states, AdapterState.ACTIVE), 1):
            await learned(session, number, state, {})
        session.add(Run(id=9, state=RunState.DONE, trigger="cli", channel_id="G1"))
        await session.flush()
        whose = {"path": "", "sha256": "", "base_sha256": "b1", "watch": {}, "channel_id": "G1"}
        session.add(Adapter(run_id=9, name="a9", state=AdapterState.ACTIVE, **whose))
        await save_preferences(session, "U0TOM", adapter="a1")
        assert (await load_preferences(session, "U0TOM")).adapter == ""
        assert list(await chosen_adapters(session)) == []
        await let_choose(session, is_allowed=True, by="U0MAYA")
        await session.flush()

        assert (await load_preferences(session, "U0TOM")).adapter == "a1"
        assert [one.name for one in await choosable_adapters(session, base_sha256="b1")] == ["a5", "a1"]
        assert [one.name for one in await choosable_adapters(session, base_sha256="other")] == []
        assert [one.name for one in await chosen_adapters(session)] == ["a1"]
        assert [number for number in (1, 2, 3, 4, 5, 9) if await is_choosable(session, f"a{number}")] == [1, 5]

        await save_choice(session, kind="person", subject_id="U0PRIYA", is_allowed=False, by="U0PRIYA")
        await session.flush()
        assert [one.name for one in await choosable_adapters(session)] == ["a5"]
        assert list(await chosen_adapters(session)) == []


async def test_a_question_that_was_made_another_one_is_not_shown_beside_the_correction(database: Database) -> None:
    """Its author hears that it counts no more; what they say of the new words counts, with the question."""
    async with database.begin() as session:
        answer = await asked(session, GENERAL, "What is the number of the TAHR house?", number=1)
        await corrected(session, answer, "The TAHR number is 44.")
        await change_message(session, "T1", "C0GENERAL", ts="1.000000", text="What is the number of the LEMMING house?")
        (fate,) = await list_fates(session, "U0TOM", most=5)
        assert (fate.question, fate.is_outdated) == ("", True)
        await corrected(session, answer, "The LEMMING number is 45.")
        (fate,) = await list_fates(session, "U0TOM", most=5)
    assert (fate.question, fate.is_outdated) == ("What is the number of the LEMMING house?", False)


async def test_what_was_said_in_private_is_kept_for_its_author_alone(database: Database) -> None:
    """Unless they taught it to everyone, nobody learns from it, and their Home does not promise it."""
    async with database.begin() as session:
        alone = await asked(session, DM, "Who is on call?", number=1)
        await corrected(session, alone, "Sam.")
        taught = await asked(session, DM, "Who is on leave?", number=2)
        await save_correction(session, taught, user_id="U0TOM", text="Jo.", is_for_everyone=True)
        await corrected(session, await asked(session, GENERAL, "Who is in?", number=3), "Kim.")
        fates = await list_fates(session, "U0TOM", most=5)
    assert [(fate.text, fate.is_alone) for fate in fates] == [("Kim.", False), ("Jo.", False), ("Sam.", True)]
    told = [render_fate(fate, is_learned_from=True) for fate in fates]
    assert ["for you alone" in one for one in told] == [False, False, True]
    assert ["not trained on yet" in one for one in told] == [True, True, False]
