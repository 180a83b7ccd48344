"""Backups: the database and the adapters as of one moment in one file, made while the bot runs; the oldest ones go."""

import asyncio
import json
import logging
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from bot.admin.lacking import find_lacking
from bot.admin.scratch import BACKUP, scratch_folder, sweep, sweep_drafts
from bot.errors import ApprenticeError, StorageError
from bot.storage.addresses import find_file
from bot.storage.copies import Copy, copy_database
from bot.storage.db import BACKUPS
from bot.storage.tables import now

FORMAT = 1
DATABASE, MANIFEST = "database", "manifest.json"
SUFFIX = ".tar.gz"
KEEP_COPIES = timedelta(days=30)
# What a run folder keeps for good, and what a restored bot needs; never the examples, which are people's words.
OF_RUNS = (
    *("adapter.gguf", "mixed.gguf", "manifest.jsonl", "plan.json", "outcome.json", "data.json", "card.md"),
    *("curves.png", "data.png", "report.html"),
)
OF_A_RUN = re.compile(r"learning/runs/[0-9]+/[^/]+")
GIVEN = re.compile(r"[0-9]{8}-[0-9]{6}\.tar\.gz")  # a backup that nobody named
COPY = re.compile(r"before-[0-9]+\.db")  # from before a migration
OTHERS = ("model.json", "learning/pinned.toml")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a backup holds, as its manifest says it: *files* by name with their checksums."""

    made_at: datetime
    folder: str  # DATA_DIR then, which the paths of adapters begin with
    copy: Copy
    files: dict[str, str]
    format: int = FORMAT


async def back_up(url: str, folder: Path, target: Path | None = None) -> Path:
    """Write a backup of the database at *url* and of *folder* (DATA_DIR, resolved); return where it is."""
    made_at = now()
    target = target or folder / BACKUPS / f"{made_at:%Y%m%d-%H%M%S}{SUFFIX}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with scratch_folder(BACKUP, beside=target.parent) as scratch:
            copy = await copy_database(url, scratch / DATABASE)
            draft = scratch / "draft"
            await asyncio.to_thread(_pack, draft, folder, copy, made_at)
            draft.replace(target)
    except OSError as error:
        mend = "make room, or give this user the right to write there; nothing was left there."
        raise StorageError(f"{target} cannot be written ({error.strerror}): {mend}") from error
    return target


def _pack(draft: Path, folder: Path, copy: Copy, made_at: datetime) -> None:
    """Write everything into one file; the database first, so that each adapter that it names is still to come."""
    files: dict[str, str] = {}
    with _naming():
        members = list(_list_files(folder))
    with draft.open("wb") as raw:
        with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1) as archive:
            for name, path in [(DATABASE, draft.with_name(DATABASE)), *members]:
                try:
                    with _naming():
                        file = path.open("rb")
                except FileNotFoundError:  # it was forgotten meanwhile
                    continue
                with file:
                    files[name] = _add(archive, name, file)
            backup = Backup(made_at=made_at, folder=str(folder), copy=copy, files=files)
            text = json.dumps(asdict(backup), default=str).encode()
            info = tarfile.TarInfo(MANIFEST)
            info.size = len(text)
            archive.addfile(info, BytesIO(text))
        raw.flush()
        os.fsync(raw.fileno())


@contextmanager
def _naming() -> Iterator[None]:
    """Say which file of DATA_DIR cannot be read: it is not the archive that is at fault."""
    try:
        yield
    except PermissionError as error:
        raise StorageError(
            f"{error.filename} cannot be read ({error.strerror}), so no backup was made: chown it to the user that "
            "runs the bot, or move it out of DATA_DIR if nobody needs it."
        ) from error


def _list_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield what belongs into a backup; *PermissionError* where nobody can know, which `glob` passes over."""
    runs = folder / "learning" / "runs"
    homes = sorted(runs.iterdir()) if runs.is_dir() else []
    for path in [*(home / name for home in homes for name in OF_RUNS), *(folder / name for name in OTHERS)]:
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(folder)), path


def may_hold(name: str) -> bool:
    """Return whether a backup may hold a file of this name: nothing else is put back, whatever a manifest says."""
    return name in {DATABASE, *OTHERS} or OF_A_RUN.fullmatch(name) is not None


class _Hashing:
    """A file that is hashed as it is read, so that the checksum is of the very bytes that were packed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sum = sha256()

    def read(self, size: int = -1) -> bytes:
        part = self._file.read(size)
        self.sum.update(part)
        return part


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes]) -> str:
    info = archive.gettarinfo(arcname=name, fileobj=file)
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o600
    hashing: Any = _Hashing(file)
    archive.addfile(info, hashing)
    return str(hashing.sum.hexdigest())


def list_backups(url: str, folder: Path) -> list[Path]:
    """Return the backups of DATA_DIR and the copies from before migrations, beside the database; the newest first.

    What the future made is the oldest: the clock was ahead then, and has been set back since.
    """
    mine = (folder / BACKUPS).resolve()
    there = [path for home in _homes(url, folder) if home.is_dir() for path in home.iterdir()]
    found = [path for path in there if COPY.fullmatch(path.name)]
    found += [path for path in there if path.parent == mine and path.name.endswith(SUFFIX)]
    moment, times = now().timestamp(), {path: path.stat().st_mtime for path in found}
    return sorted(found, key=lambda path: (times[path] <= moment, times[path]), reverse=True)


def _homes(url: str, folder: Path) -> set[Path]:
    file = find_file(url)
    return {(folder / BACKUPS).resolve(), *([file.parent / BACKUPS] if file else [])}


def rotate(url: str, folder: Path, keep: int) -> list[Path]:
    """Delete all but the newest backups, and copies from before a migration a month after it; return what went.

    What a killed process left goes as well. Never what somebody else named: another service may keep its own there,
    and an admin one from before an upgrade.
    """
    sweep_killed(url, folder)
    found = list_backups(url, folder)
    oldest = (now() - KEEP_COPIES).timestamp()
    backups = [path for path in found if GIVEN.fullmatch(path.name)]
    old = backups[keep:] + [path for path in found if COPY.fullmatch(path.name) and path.stat().st_mtime < oldest]
    for path in old:
        path.unlink(missing_ok=True)
    return old


def sweep_killed(url: str, folder: Path) -> list[Path]:
    """Remove what killed processes left of a backup or a restore; return what of it is still there."""
    file = find_file(url)
    drafts = sweep_drafts(file) if file is not None else []
    return drafts + [path for home in sorted({folder, *_homes(url, folder)}) for path in sweep(home)]


async def back_up_by_the_clock(url: str, folder: Path, keep: int) -> None:
    """Write a backup and let the oldest go; one that fails takes none of the others along."""
    try:
        target = await back_up(url, folder)
    except ApprenticeError as error:
        log.error("backup: none was made: %s", error)  # noqa: TRY400 - the sentence says it all
        return
    gone = await asyncio.to_thread(rotate, url, folder, keep)
    log.info("backup: %s is written, %d older ones went", target.name, len(gone))
    for sentence in await find_lacking(url, folder):
        log.warning("backup: %s", sentence)


async def rotate_by_the_clock(url: str, folder: Path, keep: int) -> None:
    """Let the oldest go, also where backups are made by hand alone."""
    await asyncio.to_thread(rotate, url, folder, keep)
