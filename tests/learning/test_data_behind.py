"""What examples rest on beside what they say: whoever taught an answer, and whose file it was made from, has a say."""

from collections.abc import Collection
from pathlib import Path

import pytest
from sqlalchemy import delete

from bot.engine.client import EngineClient
from bot.learning.absence import prove_absence
from bot.learning.data.drafts import Draft
from bot.learning.data.eligibility import MADE_OF_GONE, UNWILLING, UNWILLING_CHANNEL
from bot.learning.data.gathering import Harvest, look, read_drafts
from bot.learning.erasing import Erasing
from bot.storage.choices import CHANNEL, PERSON, save_choice
from bot.storage.db import Database
from bot.storage.fates import list_fates
from bot.storage.file_tables import AnswerFile, FileState, MessageFile
from bot.storage.files import drop_file
from bot.storage.forgetting import forget_answer, forget_message
from bot.storage.learning_tables import AdapterState
from bot.storage.memory_tables import AnswerSource, SourceKind
from bot.storage.runs import has_unwilling, queue_run, save_examples
from bot.storage.tables import Answer, Audience, Correction, Message, now
from tests.engine.conftest import serving
from tests.learning.feedback_rows import Team, system
from tests.learning.run_rig import Loop, add_adapter, configure, write_brief_model
from tests.learning.test_data_gathering import FREE

WORD = "ZEBRAFISH"
WAYS = ("before", "rejected", "other", "behind")


def tell(team: Team, way: str) -> tuple[Answer, Correction]:
    """Let Bo's answer repeat what Uma taught, and stand in what is learned in one of several ways; return both."""
    asked = team.ask("ada", "What is the door code?", "I do not know that.", channel="C2")
    hers = team.correct("uma", asked, f"The door code is {WORD}.")
    helped = team.ask("bo", "And what is the code?", f"The door code is {WORD}.", thread="t1", messages_used=0)
    message = next(row for row in team.rows if row.id == helped.message_id)
    if way == "before":
        team.vote("bo", team.ask("bo", "At which door?", f"Type {WORD} at the back.", thread="t1", messages_used=1))
    elif way == "rejected":
        team.correct("bo", helped, "Ask the front desk.")
    elif way == "other":
        team.prefer("bo", team.answer(message, "Ask the front desk.", messages_used=0), helped)
    else:  # what was said with her word is out of the prompt by then, and what was said to that is not
        team.ask("bo", "Where do I type it?", f"Type {WORD} below the bell.", thread="t1", messages_used=1)
        team.vote("bo", team.ask("bo", "And then?", "Push the door.", thread="t1", messages_used=1))
    return helped, hers


def note(helped: Answer, kind: SourceKind, ref_id: str) -> AnswerSource:
    """Return what the bot keeps when something stands in a prompt."""
    return AnswerSource(answer_id=helped.id, position=0, kind=kind, ref_id=ref_id, score=1.0)


async def read(database: Database) -> tuple[list[Draft], Harvest]:
    """Return what of Bo's is learned now."""
    harvest = await look(database, policy=FREE, system=system, since=None)
    found = [draft async for draft, _ in read_drafts(database, harvest, say=lambda *_: None)]
    return [draft for draft in found if draft.chosen.newest.user_id == "bo"], harvest


def has_word(found: Collection[Draft]) -> bool:
    """Whether what Uma taught stands in what is learned."""
    return any(WORD in text for one in found for text in (one.answer, one.rejected, str(one.messages)))


@pytest.mark.parametrize("way", WAYS)
async def test_whoever_taught_an_answer_has_a_say(database: Database, way: str) -> None:
    """Also of what is rejected and of earlier turns: by a no of theirs, or of where it was taught, and once it went."""
    team = Team()
    helped, hers = tell(team, way)
    await team.save(database)
    async with database.begin() as session:
        session.add(note(helped, SourceKind.CORRECTION, hers.id))
    (draft,), _ = await read(database)
    assert has_word([draft]) or way == "behind"
    assert {"uma", "ada"} <= set(draft.people)
    assert {("corrections", hers.id, "uma"), ("answers", helped.id, "bo")} <= {*draft.behind, *draft.rows}

    for kind, subject in ((PERSON, "uma"), (PERSON, "ada"), (CHANNEL, "C2")):
        await choose(database, kind, subject, is_allowed=False)
        await check_left_out(database, way, UNWILLING_CHANNEL if kind == CHANNEL else UNWILLING)
        await choose(database, kind, subject, is_allowed=True)
    assert len((await read(database))[0]) == 1
    async with database.begin() as session:
        await session.execute(delete(Correction).where(Correction.id == hers.id))
    await check_left_out(database, way, MADE_OF_GONE)


async def choose(database: Database, kind: str, subject: str, *, is_allowed: bool) -> None:
    """Let somebody say whether a person's or a channel's words may be learned from."""
    async with database.begin() as session:
        await save_choice(session, kind=kind, subject_id=subject, is_allowed=is_allowed, by="U1")


async def check_left_out(database: Database, way: str, bar: str) -> None:
    """Check that nothing is learned with what Uma taught; what Bo taught stands for itself."""
    found, harvest = await read(database)
    assert not has_word(found)
    assert [(draft.is_fact, draft.behind) for draft in found] == ([(True, ())] if way == "rejected" else [])
    assert way == "rejected" or harvest.left_out[bar]


async def test_what_was_deleted_is_not_learned_through_an_answer_that_repeats_it(database: Database) -> None:
    """A message of the thread that stood in its prompt, as its sources tell."""
    team = Team()
    told = team.ask("tom", f"The project is called {WORD}.", "Noted.", thread="t1", messages_used=0)
    answer = team.ask("bo", "What is it called?", f"It is called {WORD}.", thread="t1", messages_used=1)
    team.vote("bo", answer)
    await team.save(database)
    ts = next(row.ts for row in team.rows if row.id == told.message_id)
    async with database.begin() as session:
        session.add(note(answer, SourceKind.MESSAGE, told.message_id))
    assert len((await read(database))[0]) == 1

    async with database.begin() as session:
        await forget_message(session, "T1", "C1", ts=ts)
    found, harvest = await read(database)

    assert (found, harvest.left_out) == ([], {MADE_OF_GONE: 1})


async def learn(database: Database, folder: Path, client: EngineClient) -> tuple[Loop, int]:
    """Let a dry run learn, and an adapter of it be served; return the run."""
    loop = Loop(database, client, configure(folder, folder / "tiny.gguf"))
    run_id = await loop.queue(is_dry=True)
    await loop.runner.work_once()
    assert (await loop.run(run_id)).state == "done"
    assert WORD in (loop.folder(run_id) / "examples.jsonl").read_text()
    await add_adapter(loop, folder / "tiny.gguf", 7, AdapterState.ACTIVE, run_id=run_id)
    return loop, run_id


async def check_gone(loop: Loop, run_id: int) -> None:
    """Check that a look a minute later takes back what was learned, and leaves no word and nothing to prove."""

    async def forget(_scopes: Collection[str]) -> None:
        """Let no engine be asked."""

    await Erasing(loop.database, forget, loop.config.folder).look()
    assert await loop.state("apprentice-7") == "tainted"
    assert not (loop.folder(run_id) / "examples.jsonl").exists()
    assert (await prove_absence(loop.database, loop.config.folder)).where == ()


@pytest.mark.parametrize("end", ["forgotten", "message", "answer"])
async def test_what_was_learned_through_an_answer_goes(database: Database, tmp_path: Path, end: str) -> None:
    """Once whoever taught it is forgotten, what they answered is deleted, or the earlier answer is, in Slack.

    Whoever taught it is not told that it was learned: others outvoted it.
    """
    team = Team()
    helped, hers = tell(team, "before")
    helped.reply_ts = ["77.7"]
    again = team.ask("dee", "What is the door code?", "I do not know that.", channel="C3")
    for person in ("cy", "dee"):
        team.correct(person, again, "There is none.")
    await team.save(database)
    async with database.begin() as session:
        session.add(note(helped, SourceKind.CORRECTION, hers.id))
    write_brief_model(tmp_path / "tiny.gguf")
    async with serving(tmp_path / "tiny.gguf", n_ctx=512) as client:
        loop, run_id = await learn(database, tmp_path, client)
        async with database.read() as session:
            assert [fate.run_id for fate in await list_fates(session, "uma", most=9)] == [None]
            assert not await has_unwilling(session, run_id)
        if end == "forgotten":
            done = await loop.learning.forget("uma", by="uma")
            assert (done.runs, done.adapters) == ((run_id,), ("apprentice-7",))
        async with database.begin() as session:
            if end == "message":
                asked = await session.get_one(Answer, hers.answer_id)
                message = await session.get_one(Message, asked.message_id)
                await forget_message(session, "T1", "C2", ts=message.ts)
            elif end == "answer":
                await forget_answer(session, "T1", "C1", ts="77.7")
        await check_gone(loop, run_id)


async def test_who_taught_an_answer_says_no_while_a_run_goes_on(database: Database, tmp_path: Path) -> None:
    """As who said a word of it themselves."""
    team = Team()
    helped, hers = tell(team, "before")
    await team.save(database)
    async with database.begin() as session:
        session.add(note(helped, SourceKind.CORRECTION, hers.id))
        run = await queue_run(session, trigger="cli", by="test")
        run.started_at = now()
    (draft,), _ = await read(database)
    rows = [{"row_table": table, "row_id": row_id, "user_id": person} for table, row_id, person in draft.behind]
    values = {"source": "liked", "split": "behind", "weight": 1.0, "sha256": ""}
    async with database.begin() as session:
        await save_examples(session, run.id, [row | values for row in rows])
        await save_choice(session, kind=PERSON, subject_id="uma", is_allowed=False, by="uma")

    async with database.read() as session:
        assert await has_unwilling(session, run.id)


async def test_a_deleted_file_takes_along_what_was_learned_from_it(database: Database, tmp_path: Path) -> None:
    """Its message stays, and so does the answer that was made from it, which is learned no more."""
    team = Team()
    told = team.ask("uma", "What is in this file?", f"The salary of Tom is {WORD}.", thread="t1", messages_used=0)
    later = team.ask("bo", "And the plan?", f"To pay {WORD}.", thread="t1", messages_used=1)
    team.vote("bo", later)
    await team.save(database)
    known = {"mimetype": "text/plain", "size": 9, "url": "", "permalink": "", "audience": Audience.PUBLIC}
    async with database.begin() as session:
        file = MessageFile(message_id=told.message_id, slack_id="F1", name="x.txt", state=FileState.READ, **known)
        session.add(file)
        await session.flush()
        session.add(AnswerFile(answer_id=told.id, file_id=file.id, part=""))
        session.add(note(told, SourceKind.FILE, file.id))
    write_brief_model(tmp_path / "tiny.gguf")
    async with serving(tmp_path / "tiny.gguf", n_ctx=512) as client:
        loop, run_id = await learn(database, tmp_path, client)
        async with database.begin() as session:
            await drop_file(session, "T1", "F1")
        await check_gone(loop, run_id)
    found, harvest = await read(database)

    assert (found, harvest.left_out) == ([], {MADE_OF_GONE: 1})
