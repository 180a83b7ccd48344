"""One process at a time in a data folder: two bots on one database would take up each other's work."""

import fcntl
import logging
import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from threading import Event, Thread

from bot.errors import ConfigError

log = logging.getLogger(__name__)


class FolderInUse(ConfigError):  # noqa: N818 - reads as a state
    """Another bot works in this data folder."""


STOP_IT = "stop that one, or set another DATA_DIR."
ONE_WRITER = "SQLite takes one bot at a time; several need PostgreSQL."
GUARD_S = 1.0
YOUNG_S = 10.0  # for so long a temporary folder may have been made and not be locked yet


@contextmanager
def holding(folder: Path, *, setting: str = "DATA_DIR", mend: str = STOP_IT) -> Iterator[None]:
    """Create *folder* and hold it while the block runs; the system lets go of it however the process ends.

    *setting* is the variable that named it, *mend* what to do when another bot holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("ab+", buffering=0)
    except OSError as error:
        mend = "give this user the right to it, or set another place."
        raise ConfigError(f"{setting}: cannot write to {error.filename} ({error.strerror}): {mend}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise FolderInUse(
                f"{setting}: {folder} is in use by the bot with process id {file.read().decode().strip()}: {mend}"
            ) from error
        try:
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        except OSError as error:
            raise ConfigError(f"{setting}: cannot write to {folder} ({error.strerror}): is the disk full?") from error
        yield


@contextmanager
def guarding(folder: Path, *, setting: str = "DATA_DIR", mend: str = STOP_IT) -> Iterator[None]:
    """Hold *folder* as `holding` does, also where somebody removes its lock while the block runs.

    Who takes the lock for what a dead bot left could start a second one. Where that was faster, this process is told
    to end: two that believe to be alone take each other's work away again and again.
    """
    ended = Event()

    def guard(known: int | None) -> None:
        with ExitStack() as held:
            while not ended.wait(GUARD_S):
                if _number_of(folder) == known or not os.access(folder, os.W_OK):
                    continue
                try:
                    held.enter_context(holding(folder))
                except FolderInUse as error:
                    if find_holder(folder) in {None, os.getpid()}:  # somebody only looked who holds it
                        continue
                    log.warning("The lock was removed and another bot has started, so this one ends: %s", error)
                    os.kill(os.getpid(), signal.SIGTERM)
                    return
                except ConfigError:  # the folder takes nothing now
                    continue
                known = _number_of(folder)

    with holding(folder, setting=setting, mend=mend):
        guard_thread = Thread(target=guard, args=(_number_of(folder),), daemon=True)
        guard_thread.start()
        try:
            yield
        finally:
            ended.set()
            guard_thread.join()


def _number_of(folder: Path) -> int | None:
    try:
        return (folder / ".lock").stat().st_ino
    except OSError:
        return None


def find_holder(folder: Path) -> int | None:
    """Return the process id of the bot that works in *folder* now; None when none does."""
    try:
        file = (folder / ".lock").open("r+")
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = file.read().strip()
            return int(said) if said.isdigit() else None
    return None


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Make a private folder that goes with the block, and remove those of processes that were killed before."""
    sweep_temporary(prefix)
    with TemporaryDirectory(prefix=prefix) as name, holding(Path(name), setting="TMPDIR"):
        yield Path(name)


def sweep_temporary(prefix: str) -> None:
    """Remove the temporary folders of a prefix that are ours and that no process holds any more."""
    try:
        home = Path(gettempdir())
    except OSError:  # there is none that takes anything: the disk is full
        return
    for path in home.glob(f"{prefix}*"):
        with suppress(OSError):
            if _is_abandoned(path):
                shutil.rmtree(path)


def _is_abandoned(path: Path) -> bool:
    found = path.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not is_ours or time.time() - found.st_mtime < YOUNG_S:
        return False
    with (path / ".lock").open("r+b") as file:  # what has none was made by somebody else
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True
