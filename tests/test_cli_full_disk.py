"""What `bot …` says on a disk that is full or may not be written to: one sentence, and nothing is half done."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.errors import explain
from bot.settings import load_settings
from bot.storage.copies import examine_sqlite
from bot.storage.db import Database
from tests.test_cli import BOT
from tests.test_cli_admin import bot, fill

OPENS = 40_000  # bytes: so much is enough to open a database, and too little to write to it


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Mount a small disk and let it be DATA_DIR, with a database in which somebody asked."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], check=False).returncode:
        pytest.skip("only an administrator mounts")
    monkeypatch.setenv("DATA_DIR", str(folder))
    monkeypatch.setattr("bot.logs.set_up_logging", lambda *_, **__: None)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(folder: Path, *, left: int) -> Iterator[None]:
    """Leave so many bytes of the disk."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize - left)
    yield
    ballast.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nothing be written to the disk."""
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)


def orders(folder: Path, correction: str) -> list[tuple[str, ...]]:
    """Return every command that writes to the database, and those that write files."""
    return [
        ("migrate",),
        ("users", "block", "U1", "--yes"),
        ("channels", "mode", "C1", "off"),
        ("budget", "set", "U1", "5"),
        ("data", "export", "U1"),
        ("data", "export", "U1", "--output", str(folder / "u1.json")),
        ("data", "retention", "C1", "3", "--yes"),
        ("data", "forget", "U1", "--yes"),
        ("audit", "export", "--output", str(folder / "audit.jsonl")),
        ("dataset", "export", "--format", "sft", "--output", str(folder / "sft.jsonl")),
        ("dataset", "approve", correction),
        ("adapters", "rollback"),
        ("train", "--dry-run"),
        ("backup",),
        ("restore", str(folder / "backup.tar.gz"), "--force", "--yes"),
    ]


def show(folder: Path) -> tuple[object, list[str]]:
    """Return what the database holds but for who tried what, and which files lie beside it."""

    async def settle() -> None:  # what a process left in the log of SQLite goes into the file
        database = Database(load_settings().database())
        await database.revision()
        await database.close()

    asyncio.run(settle())
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    tables = {name: table for name, table in examine_sqlite(folder / "apprentice.db").tables.items() if name != "audit"}
    return tables, [name for name in files if name != ".lock"]


@pytest.mark.parametrize("left", [0, OPENS, None])
def test_a_disk_that_takes_nothing_is_one_clear_line(disk: Path, left: int | None) -> None:
    """Full, almost full or read-only: each command that fails says where and what to do, and has changed nothing."""
    correction = fill()
    assert bot("backup", str(disk / "backup.tar.gz")).exit_code == 0
    failed = []
    wanted = [order for order in orders(disk, correction) if not (left and order[0] == "train")]  # which waits for room
    for order in wanted:
        before = show(disk)
        with read_only(disk) if left is None else filled(disk, left=left):
            result = bot(*order)
        if result.exit_code:
            failed.append(order)
            assert isinstance(result.exception, Exception), result.output
            sentence = explain(result.exception)
            assert sentence, (order, result.exception)
            assert left or "room" in sentence or "disk" in sentence, (order, sentence)
            assert show(disk) == before, order
    assert left or failed == wanted


@pytest.mark.parametrize("left", [0, 200_000, 600_000])
def test_another_disk_without_room_is_one_clear_line(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """Where the database has room, and what is written elsewhere has none or too little."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    fill()
    with filled(disk, left=left):
        for order in (("backup", str(disk / "b.tar.gz")), ("data", "export", "U1", "--output", str(disk / "u1.json"))):
            result = bot(*order)
            assert left or result.exit_code == 1
            if result.exit_code:
                sentence = explain(result.exception) if isinstance(result.exception, Exception) else None
                assert sentence, result.exception
                assert str(disk) in sentence
                assert "room" in sentence or "disk" in sentence
                assert [path.name for path in disk.iterdir()] == ["ballast"]


def test_an_output_without_room_is_one_clear_line(disk: Path) -> None:
    """What goes to the terminal may go to a file there."""
    fill()
    with Path("/dev/full").open("w") as full:
        result = subprocess.run([*BOT, "audit", "export"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1), result.stderr
    assert "No space left on device" in result.stderr
