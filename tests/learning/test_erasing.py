"""Words that go take along what was learned from them, on every database: adapters, run folders, reports, caches."""

import json
import shutil
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bot.admin.data import forget_expired
from bot.errors import EngineUnavailable, LearningError
from bot.learning import erasing
from bot.learning.absence import prove_absence
from bot.learning.erasing import Erasing, check_none_erased, save_report, take_back_erased
from bot.learning.figures import BeforeAfter, RunReport
from bot.learning.forgetting import forget_everywhere
from bot.storage import adapters as store
from bot.storage import moments
from bot.storage.choices import save_choice
from bot.storage.db import Database
from bot.storage.erasure_tables import Cause, Erasure
from bot.storage.erasures import hash_row
from bot.storage.feedback import save_correction
from bot.storage.forgetting import change_message, forget_answer, forget_message
from bot.storage.learning_tables import Adapter, AdapterState, Run, RunState
from bot.storage.person_data import forget_person
from bot.storage.runs import has_unwilling, owes_training, queue_run, save_examples
from bot.storage.tables import Answer, Message, Thread, now
from bot.storage.threads import Place
from tests.builders import answered, said

FILES = ("examples.jsonl", "manifest.jsonl", "adapter.gguf", "data.json", "report.html")


async def teach(database: Database, folder: Path, *, state: RunState = RunState.DONE) -> dict[str, int]:
    """Let a run learn from one message of each of three channels; return the runs by their channels."""
    runs = {}
    for number, channel in enumerate(("C1", "C2", "C3"), 1):
        async with database.begin() as session:
            message = await said(session, f"the code of {channel}?", ts="100.000", place=Place("T1", channel, "1.0"))
            answer = await answered(session, message, "wrong")
            await save_correction(session, answer, user_id="U1", text=f"it is {number}")
            run = await queue_run(session, trigger="cli", by="test")
            run.started_at = now()
            run.report = {"before_after": [{"row": "corrections:x", "question": "the code?"}], "page": "x"}
            known = {"user_id": "U1", "source": "correction", "split": "train", "weight": 1.0, "sha256": "0" * 64}
            rows = [("messages", message.id), ("answers", answer.id)]
            await save_examples(session, run.id, [{"row_table": t, "row_id": i} | known for t, i in rows])
            run.state = state
            adapter = Adapter(run_id=run.id, name=f"a{number}", path="", sha256="", base_sha256="", channel_id=channel)
            adapter.state = AdapterState.ACTIVE
            session.add(adapter)
            runs[channel] = run.id
        where = folder / "runs" / str(runs[channel])
        where.mkdir(parents=True)
        for name in FILES:
            (where / name).write_text("words")
    return runs


async def states(database: Database) -> dict[str, str]:
    """Return the adapters' states."""
    async with database.read() as session:
        return {one.name: str(one.state) for one in await store.all_adapters(session)}


def left(folder: Path, run_id: int) -> set[str]:
    """Return what is left in a run's folder."""
    return {path.name for path in (folder / "runs" / str(run_id)).iterdir()}


async def test_one_deleted_and_one_edited_message_take_their_adapters_along(database: Database, tmp_path: Path) -> None:
    """Each only its own; a change of spelling takes nothing; a retraining is owed until a run begins."""
    runs = await teach(database, tmp_path)
    forgotten: list[str] = []

    async def forget(scopes: Collection[str]) -> None:
        forgotten.extend(scopes)

    looking = Erasing(database, forget, tmp_path)
    await looking.look()
    async with database.begin() as session:
        await forget_message(session, "T1", "C1", ts="100.000")
        await change_message(session, "T1", "C2", ts="100.000", text="The code of C2")
    quoted = f"what the report of run {runs['C1']} quotes, which learned from it"
    assert quoted in (await prove_absence(database, tmp_path)).where
    await looking.look()
    assert quoted not in (await prove_absence(database, tmp_path)).where
    assert await states(database) == {"a1": "tainted", "a2": "active", "a3": "active"}
    async with database.begin() as session:
        assert await owes_training(session)
        await change_message(session, "T1", "C2", ts="100.000", text="Where is lunch?")
        await session.execute(
            update(Erasure).where(Erasure.cause == Cause.EDIT).values(at=now() + timedelta(seconds=1))
        )
    await looking.look()
    assert await states(database) == {"a1": "tainted", "a2": "tainted", "a3": "active"}
    assert left(tmp_path, runs["C1"]) == left(tmp_path, runs["C2"]) == {"data.json"}
    assert left(tmp_path, runs["C3"]) == set(FILES)
    assert {"T1/C1/1.0", "summary/T1/C1/1.0", "T1/C2/1.0"} <= set(forgotten)
    assert "T1/C3/1.0" not in forgotten
    async with database.begin() as session:
        reports = {run.id: run.report for run in await session.scalars(select(Run))}
        assert [bool(reports[run_id]["before_after"]) for run_id in runs.values()] == [False, False, True]
        (await queue_run(session, trigger="schedule", by="the clock")).created_at = now() + timedelta(seconds=1)
        await session.flush()
        assert not await owes_training(session)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("hours", [1, -1])
async def test_bots_whose_clocks_differ_follow_each_other(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Each has run folders and an engine of its own, and hears of half of what people delete."""
    runs = await teach(database, tmp_path)
    forgotten: list[str] = []

    async def forget(scopes: Collection[str]) -> None:
        forgotten.extend(scopes)

    def tell_time() -> datetime:
        return now() + timedelta(hours=hours)

    heard, looks = (moments, erasing) if hours < 0 else (erasing, moments)
    monkeypatch.setattr(heard, "now", tell_time, raising=False)
    monkeypatch.setattr(looks, "now", now, raising=False)
    looking = Erasing(database, forget, tmp_path)
    await looking.look()
    async with database.begin() as session:
        await forget_message(session, "T1", "C1", ts="100.000")
    await looking.look()

    assert (await states(database))["a1"] == "tainted"
    assert left(tmp_path, runs["C1"]) == {"data.json"}
    assert "T1/C1/1.0" in forgotten


async def test_a_deleted_answer_takes_its_adapter_along(database: Database, tmp_path: Path) -> None:
    """An admin deleted it in Slack; what was learned from others stays."""
    await teach(database, tmp_path)
    forgotten: list[str] = []

    async def forget(scopes: Collection[str]) -> None:
        forgotten.extend(scopes)

    async with database.begin() as session:
        await session.execute(update(Answer).values(reply_ts=["100.001"]))
        assert await forget_answer(session, "T1", "C2", ts="100.001")
    await Erasing(database, forget, tmp_path).look()
    assert await states(database) == {"a1": "active", "a2": "tainted", "a3": "active"}
    assert {"T1/C2/1.0", "summary/T1/C2/1.0"} <= set(forgotten)


async def test_a_run_under_way_ends_and_can_never_be_judged(database: Database, tmp_path: Path) -> None:
    """Whether it is seen at the next look or by the run itself at its next step."""
    runs = await teach(database, tmp_path, state=RunState.TRAINING)
    async with database.begin() as session:
        await check_none_erased(session, runs["C1"])
        await forget_message(session, "T1", "C1", ts="100.000")
        with pytest.raises(LearningError, match="deleted or changed"):
            await check_none_erased(session, runs["C1"])
    await take_back_erased(database, tmp_path, since=None)
    async with database.read() as session:
        ended = {run.id: run.state for run in await session.scalars(select(Run))}
    assert [ended[run_id] for run_id in runs.values()] == ["cancelled", "training", "training"]


async def test_what_a_run_read_as_it_is_now_taints_nothing(database: Database, tmp_path: Path) -> None:
    """A message that was edited before the run began was learned with its new words."""
    async with database.begin() as session:
        await said(session, "the code of C1?", ts="100.000", place=Place("T1", "C1", "1.0"))
        await change_message(session, "T1", "C1", ts="100.000", text="the secret number of C1?")
    await teach(database, tmp_path)
    await take_back_erased(database, tmp_path, since=None)
    assert set((await states(database)).values()) == {"active"}


async def test_what_is_too_old_takes_the_examples_and_not_the_adapter(database: Database, tmp_path: Path) -> None:
    """Retention is about what is stored: the adapter was trained when it might be; the words in files and page go."""
    runs = await teach(database, tmp_path)
    async with database.begin() as session:
        await session.execute(update(Message).values(created_at=now() - timedelta(days=20)))
    assert await forget_expired(database, 15) == 3
    await take_back_erased(database, tmp_path, since=None)
    assert set((await states(database)).values()) == {"active"}
    assert left(tmp_path, runs["C1"]) == {"adapter.gguf", "data.json"}


async def test_what_grew_too_old_while_a_run_read_it_goes_when_it_has_ended(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention and training meet at night: the page that the run writes afterwards keeps no words either."""
    runs = await teach(database, tmp_path, state=RunState.TRAINING)
    async with database.begin() as session:
        await session.execute(update(Message).values(created_at=now() - timedelta(days=20)))
    assert await forget_expired(database, 15) == 3
    looking = Erasing(database, forget_nothing, tmp_path)
    await looking.look()
    assert left(tmp_path, runs["C1"]) == set(FILES)
    async with database.begin() as session:
        await session.execute(update(Run).values(state=RunState.DONE))
    monkeypatch.setattr(erasing, "EVERY", timedelta(0))

    await looking.look()

    assert left(tmp_path, runs["C1"]) == {"adapter.gguf", "data.json"}


async def test_a_report_quotes_nothing_that_grew_too_old_while_its_run_went_on(
    database: Database, tmp_path: Path
) -> None:
    """Neither in the database nor in Slack, where it is posted from there; another run's quotations stay."""
    runs = await teach(database, tmp_path, state=RunState.TRAINING)
    old = select(Thread.id).where(Thread.channel_id == "C1")
    async with database.begin() as session:
        aged = update(Message).where(Message.thread_id.in_(old)).values(created_at=now() - timedelta(days=20))
        await session.execute(aged)
    assert await forget_expired(database, 15) == 1
    await take_back_erased(database, tmp_path, since=None)
    quoted = BeforeAfter(question="the code?", taught="47", before="?", after="47", is_right=True, row="corrections:x")
    async with database.begin() as session:
        for run_id in runs.values():
            await save_report(session, run_id, RunReport(run_id=run_id, before_after=(quoted,)))
    async with database.read() as session:
        reports = [(await session.get_one(Run, run_id)).report for run_id in runs.values()]
    assert [bool(report["before_after"]) for report in reports] == [False, True, True]


async def test_a_person_who_is_forgotten_is_written_down_by_checksums_alone(database: Database, tmp_path: Path) -> None:
    """Every row that went, no word, no name; and the adapters go at once."""
    await teach(database, tmp_path)
    async with database.read() as session:
        before = (await session.execute(select(Message.__table__))).mappings().first()
    forgotten = await forget_everywhere(database, "U1", by="U1", folder=tmp_path)
    assert forgotten.adapters == ("a1", "a2", "a3")
    async with database.read() as session:
        gone = list(await session.scalars(select(Erasure)))
    assert sorted(row.row_table for row in gone) == sorted(["answers", "corrections", "messages"] * 3)
    assert {row.cause for row in gone} == {Cause.PERSON}
    assert before is not None
    assert hash_row(before) in {row.sha256 for row in gone}
    assert "U1" not in "".join(f"{row.row_id} {row.scope}" for row in gone)


async def test_an_engine_that_is_away_is_asked_again(database: Database, tmp_path: Path) -> None:
    """Nothing is taken for done before it is."""
    await teach(database, tmp_path)
    asked: list[list[str]] = []

    async def forget(scopes: Collection[str]) -> None:
        asked.append(sorted(scopes))
        if len(asked) == 1:
            raise EngineUnavailable

    looking = Erasing(database, forget, tmp_path)
    async with database.begin() as session:
        await forget_message(session, "T1", "C1", ts="100.000")
    with pytest.raises(EngineUnavailable):
        await looking.look()
    await looking.look()
    assert asked == [["T1/C1/1.0", "summary/T1/C1/1.0"]] * 2


async def test_what_a_killed_forgetting_left_goes(database: Database, tmp_path: Path) -> None:
    """Its rows cannot name the run any more, but the manifest of the run does; a damaged one holds up nothing."""
    runs = await teach(database, tmp_path)
    async with database.begin() as session:
        ids = list(await session.scalars(select(Message.id)))
        await forget_person(session, "U1")
    manifest = tmp_path / "runs" / str(runs["C1"]) / "manifest.jsonl"
    manifest.write_text(json.dumps({"rows": [["messages", ids[0], "U1"]]}) + "\n")
    for name in ("C2", "C3"):
        (tmp_path / "runs" / str(runs[name]) / "manifest.jsonl").unlink()

    async def forget(_scopes: Collection[str]) -> None:
        """Forget nothing."""

    await Erasing(database, forget, tmp_path).look()
    assert left(tmp_path, runs["C1"]) == {"data.json"}
    manifest.write_text("cut o")
    await Erasing(database, forget, tmp_path).look()


async def test_what_a_killed_run_had_not_written_to_its_end_goes(database: Database, tmp_path: Path) -> None:
    """Words that no manifest names: gone within a minute after the run has ended, whoever ended it, and seen before."""
    runs = await teach(database, tmp_path)
    async with database.begin() as session:
        (await session.get_one(Run, runs["C2"])).state = RunState.COLLECTING
    for run_id in runs.values():
        (tmp_path / "runs" / str(run_id) / ".said.draft").write_text("words")
    (tmp_path / "runs" / str(runs["C3"]) / "manifest.jsonl").unlink()

    async def forget(_scopes: Collection[str]) -> None:
        """Forget nothing."""

    assert sum("a killed run left" in one for one in (await prove_absence(database, tmp_path)).where) == 4
    await Erasing(database, forget, tmp_path).look()
    assert left(tmp_path, runs["C1"]) == set(FILES)
    assert ".said.draft" in left(tmp_path, runs["C2"]), "it is being written"
    assert left(tmp_path, runs["C3"]) == {"adapter.gguf", "data.json", "report.html"}


async def test_another_process_forgets_somebody(database: Database, tmp_path: Path) -> None:
    """Of several bots on one database each has a folder of its own, and follows within a minute what others forgot."""
    runs = await teach(database, tmp_path)
    async with database.begin() as session:
        ids = list(await session.scalars(select(Message.id)))
    for channel, message_id in zip(runs, ids, strict=True):
        manifest = tmp_path / "runs" / str(runs[channel]) / "manifest.jsonl"
        manifest.write_text(json.dumps({"rows": [["messages", message_id, "U1"]]}) + "\n")

    async def forget(_scopes: Collection[str]) -> None:
        """Forget nothing."""

    looking = Erasing(database, forget, tmp_path)
    await looking.look()
    assert left(tmp_path, runs["C1"]) == set(FILES)
    await forget_everywhere(database, "U1", by="U1", folder=tmp_path / "of another process")
    await looking.look()
    assert [left(tmp_path, run_id) for run_id in runs.values()] == [{"data.json"}] * 3


async def test_who_says_no_while_a_run_goes_on_is_not_learned_from(database: Database, tmp_path: Path) -> None:
    """What had been chosen before it began was heeded when it read; a no that was taken back counts for nothing."""
    runs = await teach(database, tmp_path, state=RunState.TRAINING)
    async with database.begin() as session:
        for kind, subject_id, answers in (("channel", "C2", [False]), ("channel", "C3", [False, True])):
            for is_allowed in answers:
                await save_choice(session, kind=kind, subject_id=subject_id, is_allowed=is_allowed, by="U0")
                await session.flush()

    async def check(channel: str) -> bool:
        async with database.read() as session:
            return await has_unwilling(session, runs[channel])

    assert [await check(channel) for channel in runs] == [False, True, False]
    async with database.begin() as session:
        await save_choice(session, kind="person", subject_id="U1", is_allowed=False, by="U1")
    assert [await check(channel) for channel in runs] == [True, True, True]
    async with database.read() as session:
        with pytest.raises(LearningError, match="said no to that while it ran"):
            await check_none_erased(session, runs["C1"])
    async with database.begin() as session:
        await session.execute(update(Run).values(started_at=now()))
    assert [await check(channel) for channel in runs] == [False, False, False]


async def test_a_damaged_manifest_keeps_nobodys_words(database: Database, tmp_path: Path) -> None:
    """Of a full disk or a hand: what it named nobody can say, so its examples go as well, and the others' are found."""
    runs = await teach(database, tmp_path)
    async with database.begin() as session:
        messages = {row.text: row for row in await session.scalars(select(Message))}
    for channel, run_id in runs.items():
        row = messages[f"the code of {channel}?"]
        entry = json.dumps({"rows": [["messages", row.id, row.user_id]]})
        damaged = entry[:9] if channel == "C1" else entry
        (tmp_path / "runs" / str(run_id) / "manifest.jsonl").write_text(damaged)
    await forget_everywhere(database, "U1", by="test", folder=tmp_path / "of another process")

    await Erasing(database, forget_nothing, tmp_path).look()

    assert left(tmp_path, runs["C1"]) == {"adapter.gguf", "data.json"}
    assert [left(tmp_path, runs[channel]) for channel in ("C2", "C3")] == [{"data.json"}, {"data.json"}]


async def forget_nothing(_scopes: Collection[str]) -> None:
    """Be an engine without a memory."""


async def test_a_run_folder_that_cannot_be_read_holds_up_nothing(database: Database, tmp_path: Path) -> None:
    """Somebody else's, or a file in its place: the other folders are emptied, and the engine forgets all the same."""
    runs = await teach(database, tmp_path)
    asked: list[str] = []

    async def forget(scopes: Collection[str]) -> None:
        asked.extend(scopes)

    looking = Erasing(database, forget, tmp_path)
    await looking.look()
    shutil.rmtree(tmp_path / "runs" / str(runs["C1"]))
    (tmp_path / "runs" / str(runs["C1"])).write_text("not a folder")
    async with database.begin() as session:
        for channel in ("C1", "C2"):
            await forget_message(session, "T1", channel, ts="100.000")

    await looking.look()

    assert asked
    assert left(tmp_path, runs["C2"]) == {"data.json"}
