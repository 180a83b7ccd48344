"""Folders in which a backup is made or taken apart: whole copies of what people said, so none may outlive its work."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from bot.lock import find_holder, holding

BACKUP, RESTORE = ".backup-", ".restore-"
YOUNG_S = 60.0  # for so long a folder may not have been locked yet


@contextmanager
def scratch_folder(prefix: str, *, beside: Path) -> Iterator[Path]:
    """Make a folder that goes with the block, and remove those of processes that were killed before theirs did."""
    sweep(beside)
    with TemporaryDirectory(prefix=prefix, dir=beside) as name, holding(Path(name)):
        inner = Path(name) / "copy"  # beside the lock, which is no part of any backup
        inner.mkdir()
        yield inner


def sweep_drafts(file: Path) -> list[Path]:
    """Remove copies of a database's *file* that a restore or a migration was killed over; return what is there yet."""
    left = []
    for path in [file.with_name(f".{file.name}.restored"), *file.parent.glob("backups/.before-*")]:
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > YOUNG_S:
                path.unlink()
            else:
                left.append(path)
    return left


def sweep(folder: Path) -> list[Path]:
    """Remove what nobody works in any more, which nothing else would ever delete; return what is still there."""
    left = []
    for path in [*folder.glob(f"{BACKUP}*"), *folder.glob(f"{RESTORE}*")]:
        with suppress(FileNotFoundError):
            if _is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)
            if path.exists():
                left.append(path)
    return left


def _is_abandoned(path: Path) -> bool:
    """Return whether a folder's lock is free, or it has none and is too old to get one still."""
    is_locked_once = (path / ".lock").exists() or time.time() - path.stat().st_mtime > YOUNG_S
    return is_locked_once and find_holder(path) is None
