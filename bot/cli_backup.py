"""`bot backup|restore`: everything in one file while the bot runs, and back again while it does not.

Imports nothing heavy before a command runs.
"""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli_opened import check_target, confirm, name_me, run_opened
from bot.start import start

if TYPE_CHECKING:
    from bot.settings import Settings
    from bot.storage.db import Database

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE, required=False, callback=check_target)
def backup(file: Path | None) -> None:
    """Write database, adapters and what runs learned from to FILE, also while the bot runs.

    Without FILE it goes to DATA_DIR/backups, where the oldest are deleted (BACKUP_KEEP).
    """
    from bot.admin.backup import back_up
    from bot.admin.lacking import find_lacking
    from bot.storage.audit import record

    if file is not None and file.exists():
        raise click.BadParameter(f"{file} is there already: name another file, or remove it first.")

    async def work(database: "Database", settings: "Settings") -> None:
        """Make it; the audit log says that it is begun, which is in the backup too, and then that it was made."""
        async with database.begin() as session:
            record(session, "backup.begin", by=name_me(), target=str(file or ""))
        folder = await asyncio.to_thread(settings.data_dir.resolve)
        target = await back_up(settings.database(), folder, file)
        click.echo(
            f"{target} is written ({target.stat().st_size / 1e6:.1f} MB). It holds what people said: keep it so."
        )
        async with database.begin() as session:
            record(session, "backup.make", by=name_me(), target=str(target))
        for sentence in await find_lacking(settings.database(), folder):
            click.echo(sentence)

    run_opened(work)


@click.command()
@click.argument("file", type=FILE)
@click.option("--force", is_flag=True, help="Put it in the place of what is there.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
def restore(file: Path, force: bool, yes: bool) -> None:
    """Check the backup FILE and put it back; stop every bot before.

    What was deleted since stays deleted, and what people chose or ended since holds.
    """
    from bot.admin.restore import restore as put_back
    from bot.lock import ONE_WRITER, holding
    from bot.storage.addresses import find_file

    settings = start()
    folder = settings.data_dir.resolve()
    if force:
        confirm("Replace the database and the run folders that are there?", yes=yes)

    async def work() -> None:
        restored = await put_back(settings.database(), folder, file, is_forced=force, by=name_me())
        click.echo(
            f"{restored.rows} rows and {restored.files} files of {restored.made_at:%Y-%m-%d %H:%M} UTC are back."
        )
        if restored.erased is None:
            click.echo(
                "What was deleted, forgotten, refused, chosen or taken back after the backup was made cannot be known "
                "here, and is as it was: forget it again. A reminder or digest that was due by now is not said late: "
                "where Slack does not show that it was said, its author hears of it."
            )
        else:
            click.echo(
                f"{restored.erased} rows that were deleted since are gone again. {restored.outlived} things hold that "
                "people chose, decided or ended since: preferences, what may be learned from, adapters and rights "
                "that were taken back, reminders and digests that were said or taken back, quiet threads, reviews, "
                "and votes, corrections and lessons that count no more. What was said or planned since is gone; "
                "channels, budgets, limits, promotions and rights "
                "that were given are as they were."
            )
        for user_id in sorted(restored.people):
            click.echo(f"{user_id} is forgotten again.")

    with ExitStack() as held:  # as `bot run` does, so that neither works while the other does
        held.enter_context(holding(settings.data_dir))
        database_file = find_file(settings.database())
        if database_file is not None and database_file.parent != folder:
            held.enter_context(holding(database_file.parent, setting="DATABASE_URL", mend=ONE_WRITER))
        asyncio.run(work())
