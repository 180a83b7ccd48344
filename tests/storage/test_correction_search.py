"""Corrections are found by much the same question, on both databases, and never outside their audience."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update

from bot.conversation.recall import LEAST_LIKENESS
from bot.learning.data.eligibility import NOT_PUBLIC, find_bar
from bot.learning.data.policy import DataPolicy
from bot.storage import correction_search
from bot.storage.admin_tables import ReviewState
from bot.storage.channels import close_channel, has_public
from bot.storage.choices import CHANNEL, PERSON, OptedOut, save_choice
from bot.storage.correction_index import index_missing, save_vectors
from bot.storage.correction_search import Asked, Found, find_by_ids, find_by_terms, find_without_vector, load_vectors
from bot.storage.db import Database
from bot.storage.feedback import save_correction, save_vote
from bot.storage.forgetting import change_message, forget_message
from bot.storage.memory_tables import CorrectionTerm, SourceKind
from bot.storage.person_data import forget_person
from bot.storage.reviews import decide_review, find_candidate
from bot.storage.signals import stream_corrections
from bot.storage.tables import Answer, Audience, Correction, Vote, new_id
from bot.storage.terms import find_terms, measure_likeness
from bot.storage.threads import Place, join_thread, save_message
from bot.storage.traces import Source, save_sources
from tests.builders import answered

QUESTION = "What port does the staging database use?"
ALIKE = "on which port is the staging database?"
EVERYBODY = Asked(team_id="T1", channel_id="C9", user_id="U9", audience=Audience.PUBLIC, is_ours=True)


@dataclass(frozen=True)
class Taught:
    """A correction with what it belongs to."""

    correction_id: str
    answer_id: str
    channel_id: str
    ts: str


async def teach(
    database: Database,
    question: str = QUESTION,
    correction: str = "It listens on 6543.",
    *,
    channel: str = "C1",
    audience: Audience = Audience.PUBLIC,
    asker: str = "U1",
    teacher: str = "U1",
    everyone: bool = False,
    team: str = "T1",
) -> Taught:
    """Let somebody ask, be answered, and say what the answer should have been."""
    ts = new_id()
    async with database.begin() as session:
        thread = await join_thread(session, Place(team, channel, ts), audience=audience)
        message = await save_message(
            session, thread, ts=ts, user_id=asker, user_name="Maya", text=question, audience=audience
        )
        answer = await answered(session, message, "I do not know.", audience=audience)
        await save_vote(session, answer, user_id=teacher, vote=Vote.DOWN)
        await save_correction(session, answer, user_id=teacher, text=correction, is_for_everyone=everyone)
        correction_id = await session.scalar(select(Correction.id).filter_by(answer_id=answer.id, user_id=teacher))
    return Taught(correction_id or "", answer.id, channel, ts)


async def find(database: Database, question: str = ALIKE, asked: Asked = EVERYBODY) -> Sequence[Found]:
    """Return what the index has for a question."""
    async with database.read() as session:
        return await find_by_terms(session, asked, find_terms(question))


@pytest.mark.parametrize(
    ("question", "again", "other"),
    [
        (QUESTION, ALIKE, "Who approves holiday requests?"),
        ("谁负责账单服务？", "账单服务归谁管？", "发票用什么工具开？"),
        ("請求書はどのツールを使いますか", "請求書のツールはどれですか", "休暇の承認は誰ですか"),
        ("Wer ist für die Abrechnung zuständig?", "zuständig für Abrechnung ist wer?", "Wo ist die Kantine heute?"),
    ],
)
async def test_much_the_same_question_finds_it(database: Database, question: str, again: str, other: str) -> None:
    """In other words and in scripts without spaces, on SQLite as on PostgreSQL; another question finds nothing."""
    taught = await teach(database, question)

    found = await find(database, again)
    assert [one.correction_id for one in found] == [taught.correction_id]
    assert (found[0].question, found[0].text) == (question, "It listens on 6543.")
    assert measure_likeness(find_terms(again), find_terms(question)) >= LEAST_LIKENESS
    known = [find_terms(one.question) for one in await find(database, other)]
    assert all(measure_likeness(find_terms(other), terms) < LEAST_LIKENESS for terms in known)


async def test_what_is_taken_back_is_gone_at_once(database: Database) -> None:
    """Withdrawn, replaced by the same person, deleted with its question: the next search knows nothing of it."""
    withdrawn, replaced, deleted = [await teach(database, teacher=f"U{number}") for number in range(3)]
    async with database.begin() as session:
        answer = await session.get_one(Answer, withdrawn.answer_id)
        await save_correction(session, answer, user_id="U0", text="")
        answer = await session.get_one(Answer, replaced.answer_id)
        await save_correction(session, answer, user_id="U1", text="No, 7000.")
        await forget_message(session, "T1", "C1", ts=deleted.ts)

    assert [one.text for one in await find(database)] == ["No, 7000."]
    async with database.read() as session:
        terms = set(await session.scalars(select(CorrectionTerm.correction_id)))
    assert deleted.correction_id not in terms


async def test_what_people_contradict_is_gone_at_once(database: Database) -> None:
    """More people like the answer than corrected it; or several dislike the answers for which it was looked up."""
    liked, misled = await teach(database), await teach(database)
    async with database.begin() as session:
        answer = await session.get_one(Answer, liked.answer_id)
        for person in ("U2", "U3"):
            await save_vote(session, answer, user_id=person, vote=Vote.UP)
    assert [one.correction_id for one in await find(database)] == [misled.correction_id]

    later = await teach(database, "Something else entirely happened yesterday")
    async with database.begin() as session:
        await save_sources(session, later.answer_id, [Source(SourceKind.CORRECTION, misled.correction_id, 0.9)])
        answer = await session.get_one(Answer, later.answer_id)
        await save_vote(session, answer, user_id="U2", vote=Vote.DOWN)
    assert await find(database) == [], "the teacher of the later one and U2 disliked it"


async def test_an_edited_question_is_found_by_its_new_words(database: Database) -> None:
    """Other capitals change nothing; a question about something else is no longer what the correction is about."""
    mended, other = await teach(database), await teach(database)
    async with database.begin() as session:
        await change_message(session, "T1", "C1", ts=mended.ts, text="what PORT does the staging database use")
        await change_message(session, "T1", "C1", ts=other.ts, text="Who approves holiday requests?")

    assert await find(database, "who approves a holiday request?") == []
    assert [one.correction_id for one in await find(database)] == [mended.correction_id]
    async with database.read() as session:
        terms = set(await session.scalars(select(CorrectionTerm.term).filter_by(correction_id=other.correction_id)))
    assert terms == find_terms("Who approves holiday requests?")


async def test_who_does_not_want_to_be_learned_from_is_not(database: Database) -> None:
    """Neither the words of a person nor of a channel that said no; a yes brings them back."""
    await teach(database, asker="U7")
    for kind, subject in ((PERSON, "U7"), (CHANNEL, "C1")):
        for is_allowed in (False, True):
            async with database.begin() as session:
                await save_choice(session, kind=kind, subject_id=subject, is_allowed=is_allowed, by="test")
            assert bool(await find(database)) is is_allowed


async def test_corrections_from_before_the_index_are_indexed(database: Database) -> None:
    """What an older version stored is found after the first start."""
    await teach(database)
    async with database.begin() as session:
        await session.execute(text("DELETE FROM correction_terms"))
    assert await find(database) == []

    async with database.begin() as session:
        assert await index_missing(session) == ""
    assert len(await find(database)) == 1


async def test_words_that_many_questions_have_are_not_looked_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many corrections the rare words find the right one, and the common ones cost nothing."""
    monkeypatch.setattr(correction_search, "MOST_POSTINGS", 4)
    for number in range(5):
        await teach(database, f"staging database alpha{number}")
    rare = await teach(database, "kestrel port of the staging database")

    found = await find(database, "which port does the kestrel database have?")
    assert [one.correction_id for one in found] == [rare.correction_id]


async def test_vectors_stay_within_the_audience(database: Database) -> None:
    """What the embedding model made is read, and looked for, only where the correction may be shown."""
    public = await teach(database)
    private = await teach(database, channel="G1", audience=Audience.PRIVATE)
    async with database.read() as session:
        assert set(await find_without_vector(session, EVERYBODY, "m", most=9)) == {public.correction_id}
    async with database.begin() as session:
        await save_vectors(
            session, "m", {public.correction_id: [1.0, 0.0], private.correction_id: [0.0, 1.0], "?": [1]}
        )

    async with database.read() as session:
        ids, matrix = await load_vectors(session, EVERYBODY, "m")
        assert (ids, matrix.tolist()) == ([public.correction_id], [[1.0, 0.0]])
        assert await find_without_vector(session, EVERYBODY, "m", most=9) == {}
        found = await find_by_ids(session, EVERYBODY, [public.correction_id, private.correction_id])
    assert [one.correction_id for one in found] == [public.correction_id]


PLACES = {
    "C1": Audience.PUBLIC,
    "C2": Audience.PUBLIC,
    "G1": Audience.PRIVATE,
    "G2": Audience.PRIVATE,
    "D1": Audience.DIRECT,
    "D2": Audience.DIRECT,
    "S1": Audience.SHARED,
}
PEOPLE = st.sampled_from(["U1", "U2"])
LESSON = st.tuples(st.sampled_from(sorted(PLACES)), PEOPLE, PEOPLE, st.booleans(), st.booleans())


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lessons=st.lists(LESSON, min_size=1, max_size=6),
    here=st.sampled_from(sorted(PLACES)),
    person=PEOPLE,
    is_alone=st.booleans(),
    is_ours=st.booleans(),
)
async def test_nothing_leaks(
    database: Database,
    lessons: list[tuple[str, str, str, bool, bool]],
    here: str,
    person: str,
    *,
    is_alone: bool,
    is_ours: bool,
) -> None:
    """Whatever was said by whom and where: it is shown where everybody could read it, or its asker gave it away."""
    team = new_id()  # the examples share a database
    audience = Audience.DIRECT if is_alone and PLACES[here] is not Audience.SHARED else PLACES[here]
    allowed: set[str] = set()
    for channel, asker, teacher, everyone, was_alone in lessons:
        was = Audience.DIRECT if was_alone and PLACES[channel] is not Audience.SHARED else PLACES[channel]
        taught = await teach(
            database, channel=channel, audience=was, asker=asker, teacher=teacher, everyone=everyone, team=team
        )
        is_open = is_ours and (was is Audience.PUBLIC or (everyone and asker == teacher))
        is_between_us = audience is Audience.DIRECT and asker == person
        is_here = channel == here and (was is not Audience.DIRECT or is_between_us)
        if Audience.SHARED not in {was, audience} and (is_here or is_open):
            allowed.add(taught.correction_id)
    asked = Asked(team_id=team, channel_id=here, user_id=person, audience=audience, is_ours=is_ours)

    assert {one.correction_id for one in await find(database, asked=asked)} == allowed
    elsewhere = Asked(team_id="T-other", channel_id=here, user_id=person, audience=audience, is_ours=is_ours)
    assert await find(database, asked=elsewhere) == []


async def test_a_channel_that_became_shared_gives_nothing(database: Database) -> None:
    """The audience of the place is looked at as it is now, not only as it was."""
    await teach(database)
    async with database.begin() as session:
        await session.execute(update(Answer).values(audience=Audience.SHARED))
    assert await find(database) == []


async def test_a_reviewers_words_are_shown_for_as_long_as_the_reviewer_wants(database: Database) -> None:
    """They are that person's, in the place of another's; forgotten, the author's stand there again."""
    taught = await teach(database)
    async with database.begin() as session:
        await decide_review(session, taught.correction_id, ReviewState.EDITED, by="U8", text="On port 7000.")
    for is_allowed in (False, True):
        async with database.begin() as session:
            await save_choice(session, kind=PERSON, subject_id="U8", is_allowed=is_allowed, by="U8")
        assert [one.text for one in await find(database)] == ["On port 7000."] * is_allowed
    async with database.begin() as session:
        await forget_person(session, "U8")
    assert [(one.text, one.is_approved) for one in await find(database)] == [("It listens on 6543.", False)]


async def test_what_was_taught_in_public_stays_in_a_channel_that_is_private_now(database: Database) -> None:
    """In every thread of it: found in no other place, by no reviewer and by no training; what is elsewhere stays."""
    taught = await teach(database, audience=Audience.PUBLIC)
    await teach(database, channel="C2", correction="No, on 7000.")
    here = Asked(team_id="T1", channel_id="C1", user_id="U9", audience=Audience.PRIVATE, is_ours=True)
    for channel in ("C8", "C1"):
        async with database.begin() as session:
            assert await has_public(session, channel) is (channel == "C1")
            await close_channel(session, channel)
            assert not await has_public(session, channel)

    assert [one.channel_id for one in await find(database)] == ["C2"]
    assert {one.channel_id for one in await find(database, asked=here)} == {"C1", "C2"}
    policy = DataPolicy()
    async with database.read() as session:
        assert await find_candidate(session, taught.correction_id) is None
        signals = [one async for one in stream_corrections(session, since=None, most=9)]
    bars = {one.channel_id: find_bar(one, policy=policy, without=OptedOut()) for one in signals}
    assert bars == {"C1": NOT_PUBLIC, "C2": ""}


def test_likeness() -> None:
    """One word in common says nothing unless it is all; word order, endings and case do not matter."""
    assert measure_likeness(find_terms("Where is the retro?"), find_terms("the RETRO, where is it")) == 1
    assert measure_likeness(find_terms("deploy to production"), find_terms("deploying the docs")) == 0
    assert measure_likeness(find_terms("?!"), find_terms("?!")) == 0
    assert find_terms("Who are you?") == {"who", "are", "you"}
    assert find_terms("我们的ＧＰＵ服务器在哪里") == {"gpu", "服务", "务器"}


def test_a_long_text_has_few_terms() -> None:
    """The first ones, whatever stands behind them; of a word that is none, its beginning."""
    words = [f"term{number}" for number in range(200)]
    assert find_terms(" ".join(words)) == find_terms(" ".join(words[:64])) == frozenset(words[:64])
    assert find_terms("x" * 40_000) == {"x" * 32}


async def test_what_a_reviewer_approved_is_shown_whoever_likes_the_wrong_answer(database: Database) -> None:
    """Two who like what it corrects take a correction away that nobody has looked at; not one that was approved."""
    taught = await teach(database)
    async with database.begin() as session:
        for user in ("U6", "U7"):
            await save_vote(session, await session.get_one(Answer, taught.answer_id), user_id=user, vote=Vote.UP)
    assert await find(database) == []

    async with database.begin() as session:
        await decide_review(session, taught.correction_id, ReviewState.APPROVED, by="U9")
    assert [one.is_approved for one in await find(database)] == [True]
