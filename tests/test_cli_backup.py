"""`bot backup`, `bot restore` and `bot data prove` as somebody types them."""

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.admin.backup import back_up_by_the_clock
from bot.lock import holding
from bot.settings import load_settings
from bot.storage.db import Database
from tests.storage.test_backup import tools
from tests.test_cli_admin import bot, fill, folder

__all__ = ["folder", "tools"]  # fixtures


def run_sql(statement: str) -> list[tuple[object, ...]]:
    """Read or change the database behind everybody's back."""

    async def work() -> list[tuple[object, ...]]:
        database = Database(load_settings().database())
        async with database.begin() as session:
            found = await session.execute(text(statement))
            rows = [tuple(row) for row in found] if found.returns_rows else []
        await database.close()
        return rows

    return asyncio.run(work())


def test_a_backup_comes_back(folder: Path) -> None:
    """To a folder with nothing in it at once, over what is there by force alone and after a question."""
    fill()
    target = folder / "mine.tar.gz"
    assert f"{target} is written" in bot("backup", str(target)).stdout
    run_sql("DELETE FROM messages")
    refused = bot("restore", str(target))
    assert refused.exit_code != 0
    assert "--force" in str(refused.exception)
    assert "Aborted" in bot("restore", str(target), "--force", answer="n\n").output
    assert run_sql("SELECT count(*) FROM messages") == [(0,)]
    back = bot("restore", str(target), "--force", "--yes").stdout
    assert "are back." in back
    assert "0 rows that were deleted since are gone again. 0 things hold that people chose" in back
    assert run_sql("SELECT count(*) FROM messages") == [(1,)]
    (folder / "apprentice.db").unlink()
    unknown = bot("restore", str(target)).stdout
    assert "cannot be known" in unknown
    assert "its author hears of it" in unknown
    audit = bot("audit", "last").stdout
    assert "backup.begin" in audit
    assert "backup.restore" in audit
    assert bot("backup").exit_code == 0
    assert len(list((folder / "backups").iterdir())) == 1


def test_the_audit_log_says_of_no_backup_that_it_was_made_which_was_not(
    folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that one is begun, which the backup knows of itself, and where it is once it is there."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    fill()
    told = "SELECT action, target FROM audit WHERE action LIKE 'backup.%' ORDER BY number"
    (folder / "backups").touch()  # a file in the way
    failed = bot("backup")
    assert "cannot be written" in str(failed.exception)
    assert run_sql(told) == [("backup.begin", "")]
    (folder / "backups").unlink()

    target = str(folder / "mine.tar.gz")
    assert bot("backup", target).exit_code == 0
    begun = [("backup.begin", ""), ("backup.begin", target)]
    assert run_sql(told) == [*begun, ("backup.make", target)]
    assert bot("restore", target, "--force", "--yes").exit_code == 0
    assert [row for row in run_sql(told) if row[0] != "backup.restore"] == begun


def test_a_backup_says_which_adapter_it_lacks(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another bot on the same database has its file; nothing is said of what is there, or answers nobody."""
    fill()
    made = bot("backup")
    assert made.exit_code == 0
    assert "x of apprentice-1 (active) is not in" in made.stdout
    assert "apprentice-2" not in made.stdout
    asyncio.run(back_up_by_the_clock(load_settings().database(), folder, 7))
    assert "the backup lacks it" in caplog.text

    (folder / "learning" / "runs" / "1").mkdir(parents=True)
    (folder / "learning" / "runs" / "1" / "x").touch()
    assert "lacks" not in bot("backup", str(folder / "whole.tar.gz")).stdout


def test_what_was_deleted_is_proven_to_be_gone(folder: Path) -> None:
    """From rows, adapters and run folders, or else it says where it is and ends with 1."""
    fill()
    bot("backup")
    clean = bot("data", "prove", "U2")
    assert (clean.exit_code, "nothing of it was found" in clean.stdout) == (0, True)
    found = bot("data", "prove", "U1")
    assert found.exit_code == 1
    assert "found 1 rows of U1 in messages" in found.stdout

    message, *_ = run_sql("SELECT id, thread_id, ts, user_id, user_name, text, audience, created_at FROM messages")
    assert bot("data", "forget", "U1", "--yes").exit_code == 0
    gone = bot("data", "prove", "U1")
    assert gone.exit_code == 0, gone.stdout
    assert "4 rows are written down as gone" in gone.stdout
    assert "1 of 1 backups are older" in gone.stdout

    left, used = folder / ".restore-killed", folder / ".restore-used"
    for path in (left, used):
        (path / "copy").mkdir(parents=True)
    with holding(left):
        pass
    with holding(used):
        told = bot("data", "prove", "U1")
    assert (told.exit_code, str(used) in told.stdout, left.exists()) == (1, True, False)

    manifest = folder / "learning" / "runs" / "1" / "manifest.jsonl"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"rows": [["messages", message[0], "U9"]]}) + "\n")
    assert f"found 1 examples in {manifest}" in bot("data", "prove").stdout
    manifest.unlink()
    thread = ", ".join(f"'{value}'" for value in (message[1], "T1", "C1", "1", "public", message[7]))
    run_sql(f"INSERT INTO threads (id, team_id, channel_id, thread_ts, audience, created_at) VALUES ({thread})")
    columns = "id, thread_id, ts, user_id, user_name, text, audience, created_at"
    values = ", ".join(f"'{value}'" for value in message)
    run_sql(f"INSERT INTO messages ({columns}) VALUES ({values})")
    back = bot("data", "prove")
    assert (back.exit_code, "found 1 rows of messages that were deleted" in back.stdout) == (1, True)


def test_a_wrong_schedule_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of its variable."""
    from bot.errors import ConfigError
    from bot.jobs import read_cron

    with pytest.raises(ConfigError, match="BACKUP_SCHEDULE"):
        read_cron("BACKUP_SCHEDULE", "nightly")
    for never in ("0 0 31 2 *", "0 0 30,31 2 *", "0 0 31 4,6,9,11 *"):
        with pytest.raises(ConfigError, match=r"BACKUP_SCHEDULE.*no year has.*such as"):
            read_cron("BACKUP_SCHEDULE", never)
    read_cron("BACKUP_SCHEDULE", "0 0 29 2 *")
    monkeypatch.setenv("BACKUP_KEEP", "0")
    with pytest.raises(ConfigError, match="BACKUP_KEEP"):
        load_settings()
