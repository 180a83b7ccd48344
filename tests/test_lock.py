"""Temporary folders of processes that were killed: they go at the next start, and nobody else's do."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.engine.adapters import TRIED
from bot.engine.supervisor import EngineSupervisor
from bot.lock import FolderInUse, find_holder, guarding, holding, sweep_temporary, temporary_folder
from bot.running_engine import ENGINE, running_engine
from bot.settings import STARTER_MODEL, load_settings
from tests.engine.conftest import serving

PREFIX = "apprentice-test-"
HOLD = """
import sys, time
from bot.lock import temporary_folder

with temporary_folder(sys.argv[1]) as folder:
    (folder / "adapter.gguf").write_bytes(b"weights")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let temporary folders be made in one of the test's own, whose path leaves a socket room."""
    with tempfile.TemporaryDirectory(prefix="t") as name:
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(name)


def hold(prefix: str) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that works in a temporary folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, prefix], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        return process, age(Path(process.stdout.readline().strip()))


def age(folder: Path) -> Path:
    """Let a folder be an hour old."""
    os.utime(folder, (time.time() - 3600,) * 2)
    return folder


def leave(prefix: str) -> Path:
    """Return what a killed process has left."""
    process, folder = hold(prefix)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert (folder / "adapter.gguf").exists()
    return folder


def test_only_what_a_dead_process_left_is_removed(temporary: Path) -> None:
    """Not what another works in, not what was made just now, not what only has such a name."""
    alive, held = hold(PREFIX)
    foreign, link = temporary / f"{PREFIX}notes", temporary / f"{PREFIX}link"
    foreign.mkdir()
    link.symlink_to(leave("other-"), target_is_directory=True)
    left, young = leave(PREFIX), leave(PREFIX)
    os.utime(young)
    age(foreign)
    try:
        with temporary_folder(PREFIX) as own:
            age(own)
            sweep_temporary(PREFIX)
            assert set(temporary.glob(f"{PREFIX}*")) == {held, foreign, link, young, own}
    finally:
        alive.terminate()
        alive.wait()
    assert not left.exists()
    assert (link / "adapter.gguf").exists()
    assert not own.exists()


def test_a_lock_that_is_removed_is_held_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes it for what a dead bot left gets no second bot; where one was faster, the first is told to end."""
    monkeypatch.setattr("bot.lock.GUARD_S", 0.01)
    told: list[int] = []
    with guarding(tmp_path), signalled(told):
        (tmp_path / ".lock").unlink()
        until((tmp_path / ".lock").exists)
        until(lambda: find_holder(tmp_path) == os.getpid())
        with pytest.raises(FolderInUse), holding(tmp_path):
            pass
        taken = tmp_path / "taken"
        with holding(taken):
            (taken / ".lock").write_text("1")  # another process
            (taken / ".lock").replace(tmp_path / ".lock")
            until(lambda: told)


@contextmanager
def signalled(told: list[int]) -> Iterator[None]:
    """Write down each order to end, in the place of ending."""
    before = signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def until(is_true: Callable[[], object]) -> None:
    """Wait, for ten seconds at most."""
    end = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)


async def test_an_engine_removes_copies_that_a_killed_one_tried() -> None:
    """At its start; there may be no adapter to load for a long time."""
    left = leave(TRIED)
    async with serving(STARTER_MODEL):
        assert not left.exists()


def list_own(folder: Path) -> list[Path]:
    """Return what engines keep in a folder."""
    return list(folder.glob(f"{ENGINE}*"))


async def test_a_bot_removes_what_a_killed_ones_engine_kept(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket and the copies of adapters lie in one folder, which is the bot's to remove."""
    left = leave(ENGINE)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    async with running_engine(load_settings()) as running:
        assert isinstance(running.supervisor, EngineSupervisor)
        assert not left.exists()
        (own,) = list_own(temporary)
    assert not own.exists()
