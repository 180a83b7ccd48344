"""A backup put back: read, checked, filled in, brought to the newest revision, and rid of what was deleted since."""

import asyncio
import json
import shutil
import tarfile
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import file_digest
from pathlib import Path
from typing import Any

from bot.admin.backup import DATABASE, FORMAT, MANIFEST, Backup, may_hold
from bot.admin.scratch import RESTORE, scratch_folder
from bot.errors import REFUSED, StorageError
from bot.learning.forgetting import empty_runs, forget_rows, scrub_erased
from bot.storage import adapters, runs
from bot.storage.audit import RESTORED, record
from bot.storage.copies import Copy, end_restore, examine_sqlite, is_empty, put_back, replaced
from bot.storage.db import Database, check_known, open_database
from bot.storage.learning_tables import RunState
from bot.storage.report_posts import doubt_posts
from bot.storage.since import Settled, Since, read_since, settle_since
from bot.storage.tables import now

UNDER_WAY = "It was under way when the backup was made that was restored."


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back.

    *erased* counts the messages and other rows that were deleted after the backup was made, and are gone again; None
    where nothing could say: nothing was there, or it could not be read. *people* were forgotten since, and are so
    again. *outlived* counts what people chose or ended since, and that holds.
    """

    made_at: datetime
    rows: int
    files: int
    erased: int | None
    people: Collection[str] = ()
    outlived: int = 0


async def restore(url: str, folder: Path, source: Path, *, is_forced: bool, by: str) -> Restored:
    """Put a backup back into the database at *url* and into *folder* (DATA_DIR, resolved); nobody else may use them."""
    if not is_forced and not await is_empty(url):
        raise StorageError("There is a database already: --force puts the backup in its place.")
    learned = folder / "learning" / "runs"  # adapters, which may have been learned since
    if not is_forced and await asyncio.to_thread(lambda: any(path.is_file() for path in learned.rglob("*"))):
        raise StorageError(f"There is something in {learned} already: --force puts the backup in its place.")
    async with AsyncExitStack() as held:
        await held.enter_async_context(replaced(url))
        scratch, backup = held.enter_context(unpacked(source, beside=folder))
        check_known(backup.copy.revision, str(source))
        since = await _read_since(url) if is_forced else None
        is_file = backup.copy.kind == "sqlite"
        # A file is made true before it is put there: if this process dies, nothing that was deleted is back for good.
        here = f"sqlite+aiosqlite:///{scratch / DATABASE}" if is_file else url
        if not is_file:
            await put_back(url, scratch / DATABASE, backup.copy, note=_write_note(since))
        async with open_database(here, is_restoring=True) as database:  # which migrates it
            settled, runs_of_forgotten = await _settle(database, backup, folder, since, by=by)
        if is_file:
            await put_back(url, scratch / DATABASE, backup.copy)
        await asyncio.to_thread(_put_back_files, scratch, folder, backup)
        await empty_runs(folder / "learning", runs_of_forgotten)
    rows = sum(int(count) for count, _ in backup.copy.tables.values())
    return Restored(backup.made_at, rows, len(backup.files) - 1, **asdict(settled))


@contextmanager
def unpacked(source: Path, *, beside: Path) -> Iterator[tuple[Path, Backup]]:
    """Unpack a backup that is whole, into a folder that goes with the block."""
    with _taking_room(beside), scratch_folder(RESTORE, beside=beside) as scratch:
        try:
            with tarfile.open(source, "r:gz") as archive:
                archive.extractall(scratch, filter="data")
            backup = read_manifest((scratch / MANIFEST).read_text(encoding="utf-8"))
            _check_names(scratch, backup)
            for file, sha256 in backup.files.items():
                with (scratch / file).open("rb") as opened:
                    if file_digest(opened, "sha256").hexdigest() != sha256:
                        raise StorageError(f"{source} is damaged: {file} is not what was backed up.")
        except (tarfile.TarError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, OSError) and error.errno in REFUSED:
                raise  # that says nothing about the backup
            raise StorageError(f"{source} is no backup, or is damaged ({error}).") from error
        if backup.copy.kind == "sqlite" and examine_sqlite(scratch / DATABASE) != backup.copy:
            raise StorageError(f"{source} is damaged: its rows are not those that were backed up.")
        yield scratch, backup


@contextmanager
def _taking_room(folder: Path) -> Iterator[None]:
    """Say what the system refused while a backup was unpacked beside *folder*, or put in its place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        place = error.filename2 or error.filename or folder
        raise StorageError(
            f"The backup cannot be put back: {place} cannot be written ({error.strerror or error}). Make room, or give "
            "the bot the right to write there, then restore it again; the backup is as good as before."
        ) from error


def _check_names(scratch: Path, backup: Backup) -> None:
    """Refuse files that the manifest does not name or that no backup holds: they would be put back as well."""
    there = {str(path.relative_to(scratch)) for path in scratch.rglob("*") if not path.is_dir()}
    foreign = (there ^ {*backup.files, MANIFEST}) | {name for name in backup.files if not may_hold(name)}
    if foreign:
        raise ValueError(f"what it holds is not what a backup holds: {min(foreign)}")


def read_manifest(text: str) -> Backup:
    """Read what a backup says of itself."""
    found: dict[str, Any] = json.loads(text)
    if found["format"] != FORMAT:
        raise ValueError(f"its form is {found['format']}, and this version reads {FORMAT}")
    made_at = datetime.fromisoformat(found["made_at"]).astimezone(UTC)
    if made_at > now() + timedelta(days=1):  # what was deleted since would not be
        raise ValueError(f"it says that it was made in the future, {made_at:%Y-%m-%d}")
    return Backup(
        **{name: found[name] for name in ("folder", "files")},
        made_at=made_at,
        copy=Copy(**found["copy"]),
    )


async def _read_since(url: str) -> Since | None:
    """Return what the database that is to be replaced knows to have gone; None where it cannot be read.

    One that an earlier restore left, which was killed, knows it by the note of that.
    """
    database = Database(url)
    try:
        left = json.loads(await database.read_unfinished() or "{}")
        async with database.read() as session:
            found: dict[str, Any] = asdict(await read_since(session))
        flags = {name: found.pop(name) or left.get(name, False) for name in ("is_forbidden", "is_apart")}
        both: dict[str, Any] = {name: [*rows, *left.get(name, [])] for name, rows in found.items()}
        return Since(**both | flags)
    except Exception:  # noqa: BLE001 - it may be damaged in any way, which is why it is replaced
        return None
    finally:
        await database.close()


def _write_note(since: Since | None) -> str:
    """Return what a restore knows to have gone, for one that comes after it if it is killed."""
    return "null" if since is None else json.dumps(asdict(since))


def _put_back_files(scratch: Path, folder: Path, backup: Backup) -> None:
    """Put back what the backup holds, and not what was made beside it, such as a copy from before a migration."""
    shutil.rmtree(folder / "learning" / "runs", ignore_errors=True)
    for name in backup.files:
        if name != DATABASE:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.restored")
            shutil.move(scratch / name, draft)  # `learning` may be another disk
            draft.replace(target)


async def _settle(
    database: Database, backup: Backup, folder: Path, since: Since | None, *, by: str
) -> tuple[Settled, set[int]]:
    """Make the restored rows true here and now, all at once; return in which runs' files forgotten words stand."""
    found = set[int]()
    async with database.begin() as session:
        settled = Settled() if since is None else await settle_since(session, since, by=by)
        await end_restore(session)
        while run := await runs.open_run(session):
            await runs.end_run(session, run.id, RunState.CANCELLED, reason=UNDER_WAY)
            await adapters.set_aside(session, run.id, by="run", reason=UNDER_WAY)
        await adapters.move_paths(session, backup.folder, str(folder))
        await doubt_posts(session)
        made_at = backup.made_at.isoformat(timespec="seconds")
        record(session, RESTORED, by=by, made_at=made_at, erased=settled.erased)
        for user_id in sorted(settled.people):  # not later: a process that dies would leave them back
            found |= set((await forget_rows(session, user_id, by=by)).runs)
        await scrub_erased(session)
    return settled, found
