"""A deleted message leaves no word behind, in no column of any table; an edited one only its new words."""

import asyncio
import time
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, select, text

from bot.conversation.draft import Draft, Question
from bot.conversation.history import Example, Fitted
from bot.conversation.tracing import prompt_to_keep, save_end, save_making
from bot.errors import EngineUnavailable
from bot.jobs import look_for_erased
from bot.learning.erasing import Erasing
from bot.storage.admin_tables import ReviewState
from bot.storage.answers import begin_answer, load_answer, update_answer
from bot.storage.askings import save_round
from bot.storage.contexts import load_context
from bot.storage.correction_index import save_vectors
from bot.storage.db import Database, Session
from bot.storage.erasure_tables import Cause, Erasure
from bot.storage.feedback import current_correction, save_correction, save_vote
from bot.storage.file_tables import AnswerFile, MessageFile
from bot.storage.forgetting import (
    StillWritten,
    change_message,
    erase_again,
    forget_answer,
    forget_answers,
    forget_message,
)
from bot.storage.limits import count_tokens
from bot.storage.memory_tables import AnswerSource, AnswerTrace, CorrectionTerm, SourceKind, ThreadSummary
from bot.storage.privacy import Privacy, choose_privacy
from bot.storage.reviews import decide_review
from bot.storage.summaries import load_summary, save_summary
from bot.storage.tables import (
    Answer,
    AnswerState,
    Audience,
    Correction,
    Feedback,
    Message,
    PreferencePair,
    Vote,
    now,
)
from bot.storage.threads import Said, load_history
from bot.storage.traces import Source, save_sources, save_trace
from tests.builders import PLACE, answered, said

SECRET = "zanzibar"
IDS = (10, 20, 30)
LONG = " ".join(f"word{number}" for number in range(70))


async def fill(session: Session) -> tuple[Message, Answer, Answer]:
    """Store a question that holds a secret, all that can hang on it, and a later turn that read it."""
    message = await said(session, f"Where is the {SECRET} meeting held?", ts="100.000")
    file = MessageFile(
        message_id=message.id,
        slack_id="F1",
        name=f"{SECRET}.txt",
        mimetype="text/plain",
        size=1,
        url=f"https://files.slack.com/{SECRET}",
        permalink="",
        text=f"the {SECRET} file",
        audience=Audience.PUBLIC,
    )
    session.add(file)
    answer = await answered(session, message, f"The {SECRET} meeting is upstairs.", prompt_token_ids=IDS)
    await save_vote(session, answer, user_id="U1", vote=Vote.DOWN, reason=SECRET)
    await save_correction(session, answer, user_id="U1", text=f"{SECRET} is in the Lantern room.")
    correction = (await session.scalars(select(Correction))).one()
    await save_vectors(session, "m", {correction.id: [1.0]})
    await save_trace(
        session, answer.id, generating_at=None, certainty=0.5, unsure={"words": [[SECRET, 0.1]]}, prompts={}
    )
    summary = ThreadSummary(
        thread_id=message.thread_id,
        until_ts="100.000",
        messages=1,
        text=f"They spoke of {SECRET}.",
        model="m",
        prompt_version="1",
    )
    await save_summary(session, summary)
    later = await answered(session, await said(session, "and when?", ts="200.000"), "At noon.", prompt_token_ids=IDS)
    await save_sources(
        session, later.id, [Source(SourceKind.SUMMARY, summary.id), Source(SourceKind.MESSAGE, message.id)]
    )
    await session.flush()
    session.add(AnswerFile(answer_id=later.id, file_id=file.id, part=""))
    elsewhere = await said(session, "which room for the meeting?", ts="300.000")
    taught = await answered(session, elsewhere, "Lantern.", prompt_token_ids=IDS)
    await save_sources(session, taught.id, [Source(SourceKind.CORRECTION, correction.id, 0.7)])
    return message, later, taught


async def places_of(database: Database, word: str) -> set[str]:
    """Return every column of every table in which a word stands, whatever its type."""
    found = set()
    async with database.read() as session:
        connection = await session.connection()
        tables = await connection.run_sync(
            lambda sync: {
                table: [column["name"] for column in inspect(sync).get_columns(table)]
                for table in inspect(sync).get_table_names()
            }
        )
        assert len(tables) > 20
        for table, columns in tables.items():
            for column in columns:
                query = text(f'SELECT count(*) FROM "{table}" WHERE CAST("{column}" AS TEXT) LIKE :word')
                if await session.scalar(query, {"word": f"%{word}%"}):
                    found.add(f"{table}.{column}")
    return found


async def test_a_deleted_message_leaves_no_word_behind(database: Database) -> None:
    """Message, file, answer, feedback, correction, index, summary, and the prompts of later answers that held it."""
    async with database.begin() as session:
        await fill(session)
    before = await places_of(database, SECRET)
    assert {
        "messages.text",
        "answers.text",
        "corrections.text",
        "feedback.reason",
        "correction_terms.term",
        "message_files.text",
        "message_files.name",
        "thread_summaries.text",
        "answer_traces.unsure",
    } <= before

    async with database.begin() as session:
        await forget_message(session, PLACE.team_id, PLACE.channel_id, ts="100.000")

    assert await places_of(database, SECRET) == set()
    async with database.read() as session:
        prompts = list(await session.scalars(select(Answer.prompt_token_ids)))
        assert prompts == [None, None], "the tokens of a prompt are words as well"
        for table in (CorrectionTerm, AnswerTrace, AnswerFile, ThreadSummary):
            assert (await session.scalars(select(table))).all() == []
        assert len((await session.scalars(select(AnswerSource))).all()) == 3, "that there was something may be known"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_was_deleted_is_in_no_file_after_a_minute(database: Database, tmp_path: Path) -> None:
    """In the freed pages of the database as little as in what SQLite writes ahead, while the bot goes on."""
    async with database.begin() as session:
        await fill(session)
        await said(session, f"the whole story of the {SECRET}: " + f"{SECRET} and more, " * 2000, ts="150.000")
        await said(session, "who brings a cake?", ts="160.000")
    async with database.begin() as session:
        for ts in ("100.000", "150.000"):
            await forget_message(session, PLACE.team_id, PLACE.channel_id, ts=ts)

    def find(word: str) -> set[str]:
        return {path.suffix for path in tmp_path.glob("test.db*") if word.encode() in path.read_bytes()}

    assert find(SECRET), "the log of SQLite has it still"

    async def forget(_scopes: Collection[str]) -> None:
        raise EngineUnavailable

    await look_for_erased(database, Erasing(database, forget, tmp_path))
    assert find(SECRET) == set()
    assert find("brings a cake") == {".db"}
    assert (tmp_path / "test.db-wal").stat().st_size == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_whoever_reads_or_writes_waits_for_no_emptying(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log stays for as long as somebody reads what it says, or another process writes; the next look empties it."""
    monkeypatch.setattr("bot.storage.db.LOOK_S", 0.0)
    other = Database(database_url)
    async with database.begin() as session:
        await said(session, "one")
    began = time.monotonic()
    async with database.read() as session:
        assert len((await session.scalars(select(Message))).all()) == 1
        async with other.begin() as writing:
            await said(writing, "two", ts="200.000")
            assert not await database.empty_log()
        assert not await database.empty_log()
        async with database.begin() as writing:
            await said(writing, "three", ts="300.000")
        assert len((await session.scalars(select(Message))).all()) == 1
    assert time.monotonic() - began < 5
    assert await database.empty_log()
    assert (tmp_path / "test.db-wal").stat().st_size == 0
    assert await Database("sqlite+aiosqlite:///:memory:").empty_log()
    (tmp_path / "test.db").rename(tmp_path / "moved.db")
    assert not await database.empty_log()
    await other.close()


async def test_a_deleted_answer_leaves_its_question_alone(database: Database) -> None:
    """One of its two messages is gone: nothing of any try at it stays, nor what people thought of it."""
    async with database.begin() as session:
        message, _, _ = await fill(session)
        (first,) = await session.scalars(select(Answer).where(Answer.message_id == message.id))
        first.reply_ts = ["100.001", "100.002", "100.003"]
        again = await answered(session, message, SECRET, replaces_id=first.id, reply_ts=["100.001", "100.002"])
        await save_vote(session, again, user_id="U1", vote=Vote.UP)
    async with database.begin() as session:
        for where in (("T1", "C1", "100.003"), ("T1", "C2", "100.002"), ("T2", "C1", "100.002"), ("T1", "C1", "1.0")):
            assert not await forget_answer(session, *where[:2], ts=where[2]), "taken out before, or another place"
    async with database.begin() as session:
        assert await forget_answer(session, "T1", "C1", ts="100.002")
        assert not await forget_answer(session, "T1", "C1", ts="100.001")

    assert await places_of(database, SECRET) == {
        "messages.text",
        "message_files.text",
        "message_files.name",
        "message_files.url",
    }
    async with database.read() as session:
        assert list(await session.scalars(select(Answer.prompt_token_ids))) == [None, None]
        for table in (Correction, Feedback, PreferencePair, CorrectionTerm, AnswerTrace, ThreadSummary):
            assert (await session.scalars(select(table))).all() == []
        written = await session.execute(select(Erasure.row_table, Erasure.scope).where(Erasure.row_table != "feedback"))
        assert sorted(tuple(row) for row in written) == [
            ("answers", PLACE.scope),
            ("answers", PLACE.scope),
            ("corrections", ""),
            ("preference_pairs", ""),
        ]
        history = await load_history(session, message.thread_id, before_ts="150.000")
    assert [(said.text, said.answer) for said in history] == [(message.text, None)]


async def test_an_answer_is_not_gone_while_another_try_is_under_way(database: Database) -> None:
    """Its messages may be replaced just then; of several to choose from, the one that stands counts."""
    async with database.begin() as session:
        message = await said(session)
        one = await answered(session, message, "one", reply_ts=["100.001"])
        again, _ = await begin_answer(session, message, replaces_id=one.id)
        again.reply_ts = ["100.001"]
    async with database.begin() as session:
        with pytest.raises(StillWritten):
            await forget_answer(session, "T1", "C1", ts="100.001")
    async with database.begin() as session:
        await update_answer(session, again.id, state=AnswerState.COMPLETE, text="two")
        await save_round(session, [one.id, again.id])
        await update_answer(session, again.id, reply_ts=[])
        assert await forget_answer(session, "T1", "C1", ts="100.001")
        assert (await session.scalars(select(Answer))).all() == []
        assert (await session.scalars(select(Message.text))).all() == ["hello"]


async def test_an_answer_that_was_deleted_while_it_was_written_leaves_nothing(database: Database) -> None:
    """All tries at it go once it has ended, and what it took counts on; what was deleted may be of any of them."""
    async with database.begin() as session:
        message = await said(session)
        one = await answered(session, message, f"one {SECRET}", reply_ts=["100.001"])
        again, _ = await begin_answer(session, message, replaces_id=one.id)
        asked = Question(PLACE, "100.000", "U1", "Maya", "hello", Audience.PUBLIC)
        draft = Draft(asked, answer_id=again.id, thread_id=message.thread_id, reply_ts=["100.001"], is_again=True)
        draft.text, draft.completion_ids = f"two {SECRET}", [1, 2, 3]
        draft.remove("100.001")
        await save_end(session, draft, state=AnswerState.STOPPED, error_id=None)

    assert await places_of(database, SECRET) == set()
    async with database.read() as session:
        assert (await session.scalars(select(Answer))).all() == []
        assert list(await session.scalars(select(Message.text))) == ["hello"]
        assert await count_tokens(session, since=now() - timedelta(hours=1), user_id="U1") == (3, 0)


async def test_a_deleted_answer_that_a_backup_brings_back_goes_again(database: Database) -> None:
    """With every copy of its words, as the first time."""
    async with database.begin() as session:
        message, _, _ = await fill(session)
        (answer,) = await session.scalars(select(Answer.id).where(Answer.message_id == message.id))
        assert await erase_again(session, [{"row_table": "answers", "row_id": answer}]) == 1
        assert await load_summary(session, message.thread_id) is None
        assert list(await session.scalars(select(Answer.prompt_token_ids))) == [None, None]


async def test_what_is_lost_is_counted(database: Database) -> None:
    """Whoever asks why hears that the answer read something that is gone, and not what."""
    async with database.begin() as session:
        _, later, _ = await fill(session)
        context = await load_context(session, later.id)
        assert (len(context.messages), len(context.files), context.summarised, context.lost) == (1, 1, 1, 0)
        await forget_message(session, PLACE.team_id, PLACE.channel_id, ts="100.000")
        context = await load_context(session, later.id)
    assert (context.messages, context.files, context.summary, context.lost) == ((), (), "", 2)


async def test_a_correction_that_was_taken_back_is_shown_to_nobody(database: Database) -> None:
    """Also not to those who ask why of an answer that it was used for."""
    async with database.begin() as session:
        taught = await answered(session, await said(session, "Where is it?", ts="100.000"), "I do not know.")
        await save_correction(session, taught, user_id="U1", text=f"In {SECRET}.")
        row_id = str(await session.scalar(select(Correction.id)))
        later = await answered(session, await said(session, "Where?", ts="101.000"), "There.")
        await save_sources(session, later.id, [Source(SourceKind.CORRECTION, row_id, score=0.9)])
        assert [one.text for one in (await load_context(session, later.id)).corrections] == [f"In {SECRET}."]
        await save_correction(session, taught, user_id="U1", text="")
        context = await load_context(session, later.id)
    assert (context.corrections, context.lost) == ((), 1)


@pytest.mark.parametrize("is_before", [True, False])
async def test_the_words_that_a_reviewer_took_out_are_shown_to_nobody(database: Database, *, is_before: bool) -> None:
    """Whoever asks why sees those that were read; of what a reviewer changed or rejected since, that it is gone."""
    async with database.begin() as session:
        taught = await answered(session, await said(session, "Where is it?", ts="100.000"), "I do not know.")
        await save_correction(session, taught, user_id="U1", text=f"In {SECRET}.")
        row_id = str(await session.scalar(select(Correction.id)))
        if is_before:
            await decide_review(session, row_id, ReviewState.EDITED, by="U9", text="In the cellar.")
        later = await answered(session, await said(session, "Where?", ts="101.000"), "There.")
        await save_sources(session, later.id, [Source(SourceKind.CORRECTION, row_id, score=0.9)])
        if not is_before:
            await decide_review(session, row_id, ReviewState.EDITED, by="U9", text="In the cellar.")
        context = await load_context(session, later.id)
        shown = [(one.text, one.is_edited) for one in context.corrections]
        assert (shown, context.lost) == (([("In the cellar.", True)], 0) if is_before else ([], 1))
        await decide_review(session, row_id, ReviewState.REJECTED, by="U9")
        context = await load_context(session, later.id)
    assert (context.corrections, context.lost) == ((), 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Should we deploy on Friday?", "Should we not deploy on Friday?"),
        (f"{LONG} is the code {SECRET}?", f"{LONG} is the code gone?"),
        (f"Is it {'k' * 40}1?", f"Is it {'k' * 40}2?"),
    ],
)
async def test_an_edit_is_one_by_whatever_word(database: Database, before: str, after: str) -> None:
    """Also by a word that no question is found by, after so many others, and at the end of a long one."""
    async with database.begin() as session:
        await answered(session, await said(session, before), "Yes.")
        assert await change_message(session, PLACE.team_id, PLACE.channel_id, ts="100.000", text=after)
        message = (await session.scalars(select(Message))).one()
        assert message.edited_at is not None
        assert (await session.scalars(select(Erasure.cause))).all() == ["edit"]


async def test_an_edited_message_leaves_its_old_words_nowhere(database: Database) -> None:
    """The text, the index, summaries and prompts; what people said about the old answer stays theirs."""
    async with database.begin() as session:
        message, later, _ = await fill(session)
        changed = await change_message(session, PLACE.team_id, PLACE.channel_id, ts="100.000", text="Where is lunch?")
        assert changed is not None
        assert changed.answer_id is not None
        await session.refresh(message)
        await session.refresh(later)
        assert message.edited_at is not None
        assert later.prompt_token_ids is None
        assert await load_summary(session, message.thread_id) is None
        assert await change_message(session, "T1", "C1", ts="100.000", text="Where is lunch?") is None
        assert await change_message(session, "T1", "C1", ts="999.000", text="x") is None
        mended = await change_message(session, "T1", "C1", ts="100.000", text="Where is  lunch??")
        assert mended is not None

    assert not {"messages.text", "correction_terms.term", "thread_summaries.text"} & await places_of(database, SECRET)


async def test_an_edit_of_whoever_wants_nothing_stored_by_now_is_not_stored(database: Database) -> None:
    """Neither their new words nor those that they took back; what says the same stays as it was."""
    async with database.begin() as session:
        message = await said(session, "Where is the canteen?")
        answer = await answered(session, message, "Upstairs.")
        await choose_privacy(session, message.user_id, Privacy.UNSTORED)
        for text, left in (("Where is the canteen", "Where is the canteen?"), (f"Where is {SECRET}?", "")):
            assert await change_message(session, PLACE.team_id, PLACE.channel_id, ts="100.000", text=text) is None
            await session.refresh(message)
            assert message.text == left
        assert message.edited_at is not None
        assert await session.get(Answer, answer.id) is not None, "what was stored before stays"
    assert not await places_of(database, SECRET) | await places_of(database, "canteen")


async def test_what_changed_while_an_answer_was_written_is_not_kept(database: Database) -> None:
    """The tokens of its prompt are stored only if everything in it still stands."""
    async with database.begin() as session:
        first = await said(session, "one", ts="100.000")
        asked = await said(session, "two", ts="200.000")
        answer = await answered(session, asked, "three")
        draft = Draft(
            Question(PLACE, "200.000", "U1", "Maya", "two", Audience.PUBLIC),
            answer_id=answer.id,
            thread_id=asked.thread_id,
            reply_ts=[],
            prompt_ids=IDS,
            fitted=Fitted([], 1, 1, 3, (Said("Maya", "one", None, "100.000", first.id),)),
        )
        assert await prompt_to_keep(session, draft) == IDS
        draft.examples = [Example("gone", "q", "a", 0.9)]
        assert await prompt_to_keep(session, draft) is None
        draft.examples = []
        earlier = await answered(session, first, "what was answered", reply_ts=["100.001"])
        draft.fitted = Fitted([], 1, 1, 3, (Said("Maya", "one", "what was answered", "100.000", first.id),))
        assert await prompt_to_keep(session, draft) == IDS
        await forget_answers(session, [earlier.id])
        assert await prompt_to_keep(session, draft) is None
        draft.fitted = Fitted([], 1, 1, 3, (Said("Maya", "one", None, "100.000", first.id),))
        await change_message(session, "T1", "C1", ts="100.000", text="another")
        assert await prompt_to_keep(session, draft) is None
        await forget_message(session, "T1", "C1", ts="100.000")
        assert await prompt_to_keep(session, draft) is None
        await save_making(session, draft)
        await forget_message(session, "T1", "C1", ts="200.000")
        await save_making(session, draft)
        assert (await session.scalars(select(AnswerSource))).all() == []


@pytest.mark.parametrize("is_edit_first", [True, False])
async def test_a_correction_and_an_edit_at_once_are_one_after_the_other(
    database: Database, database_url: str, *, is_edit_first: bool
) -> None:
    """Whoever corrects sees the edit, or the edit is younger: nobody corrects words that they never saw."""
    other = Database(database_url)
    async with database.begin() as session:
        answer = await answered(session, await said(session, "Who is on call?"), "I do not know.")

    async def edit() -> None:
        async with other.begin() as session:
            await change_message(session, "T1", "C1", ts="100.000", text="Who eats lunch at one?")
            await asyncio.sleep(0.3)

    async def correct() -> bool:
        async with database.begin() as session:
            record = await load_answer(session, answer.id, is_locked=True)
            assert record is not None
            await asyncio.sleep(0.3)
            await save_correction(session, record.answer, user_id="U1", text="Sam.")
            return record.message.edited_at is not None

    begun = asyncio.create_task(edit() if is_edit_first else correct())
    await asyncio.sleep(0.1)
    later = await (correct() if is_edit_first else edit())
    knew = later if is_edit_first else await begun
    await begun
    await other.close()
    async with database.read() as session:
        correction = await current_correction(session, answer.id, user_id="U1")
        message = await session.scalar(select(Message))
    assert correction is not None
    assert message is not None
    assert message.edited_at is not None
    assert knew is is_edit_first
    assert (correction.created_at > message.edited_at) is knew


async def test_an_edit_and_a_deletion_at_once_leave_nothing(database: Database, database_url: str) -> None:
    """Two processes hear of the same message at the same moment: neither makes the other fail."""
    async with database.begin() as session:
        await said(session, "Where is lunch?", ts="100.000")
    other = Database(database_url)

    async def forget() -> None:
        async with other.begin() as session:
            await forget_message(session, "T1", "C1", ts="100.000")

    async with database.begin() as session:
        await change_message(session, "T1", "C1", ts="100.000", text="Is the canteen open?")
        going = asyncio.create_task(forget())
        await asyncio.sleep(0.3)  # it waits for what this transaction has written
    await going
    await other.close()

    async with database.read() as session:
        assert (await session.scalars(select(Message))).all() == []
        (gone,) = await session.scalars(select(Erasure))
    assert gone.cause == Cause.MESSAGE


@pytest.mark.parametrize("is_gone", [True, False], ids=["deleted", "edited"])
async def test_the_answer_to_several_messages_follows_each_of_them(database: Database, *, is_gone: bool) -> None:
    """What one person says at once has one answer: it goes with any of them, and an edit of any outdates it."""
    async with database.begin() as session:
        earlier = await said(session, "What is a stand-up?", ts="100.000")
        await answered(session, earlier, "A short meeting.")
        await said(session, f"My salary is {SECRET}.", ts="101.000")
        last = await said(session, "Is that enough?", ts="102.000")
        answer = await answered(session, last, f"{SECRET} is a lot.")
        other = await said(session, "What is a retro?", ts="103.000", user="U2")
        await answered(session, other, "A look back.")
    async with database.begin() as session:
        if is_gone:
            await forget_message(session, "T1", "C1", ts="101.000")
        else:
            changed = await change_message(session, "T1", "C1", ts="101.000", text="My salary is secret.")
            assert changed is not None
            assert changed.answer_id == answer.id
    async with database.read() as session:
        texts = set(await session.scalars(select(Answer.text)))
        edited = {row.ts for row in await session.scalars(select(Message)) if row.edited_at}
        assert set(await session.scalars(select(Message.ts))) >= {"100.000", "102.000", "103.000"}
    assert {"A short meeting.", "A look back."} <= texts
    assert (f"{SECRET} is a lot." in texts) is not is_gone
    assert edited == (set() if is_gone else {"101.000", "102.000"})
