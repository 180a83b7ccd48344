"""`bot feedback|data|audit`: what people think, what is stored of them, and who did what; as in Slack.

Imports nothing heavy before a command runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli_opened import (
    NEW,
    OUTPUT,
    YES,
    check_channel,
    check_person,
    confirm,
    is_number,
    name_me,
    one_line,
    require_channel,
    run_opened,
    write_out,
)

if TYPE_CHECKING:
    from bot.settings import Settings
    from bot.storage.db import Database

SHOWN = 200  # characters of what somebody wrote
FIND = click.option(
    "--find", "containing", default="", help="Only rows whose actor, action or target begins with this."
)


@click.group()
def feedback() -> None:
    """What people think of the answers."""


@feedback.command()
@click.option("--weeks", default=8, show_default=True, type=click.IntRange(1, 520))
def trend(weeks: int) -> None:
    """Count answers, thumbs and corrections week by week."""
    from bot.admin.feedback import read_trend

    async def work(database: "Database", _settings: "Settings") -> None:
        click.echo("week        answers     up   down  corrections  liked")
        for week in await read_trend(database, weeks=weeks):
            liked = "" if week.liked is None else f"{week.liked:.0%}"
            counts = f"{week.answers:7} {week.ups:6} {week.downs:6} {week.corrections:12}"
            click.echo(f"{week.begin}  {counts}  {liked:>5}")

    run_opened(work)


@feedback.command()
@click.option("--most", default=10, show_default=True, type=click.IntRange(1, 100))
def worst(most: int) -> None:
    """Show the answers that people liked least, of those that everybody could read."""
    from bot.admin.feedback import read_worst

    async def work(database: "Database", _settings: "Settings") -> None:
        found = await read_worst(database, most=most)
        if not found:
            click.echo("Nobody has disliked an answer that everybody could read.")
        for item in found:
            reasons = f" ({', '.join(item.reasons)})" if item.reasons else ""
            click.echo(f"{item.downs} down, {item.ups} up, {item.channel_id}{reasons}")
            click.echo(f"  Q: {one_line(item.question, most=SHOWN)}\n  A: {one_line(item.answer, most=SHOWN)}")
            for remark in item.remarks:
                click.echo(f"  {remark.user_id or 'somebody'}: {one_line(remark.text, most=SHOWN)}")

    run_opened(work)


@click.group()
def data() -> None:
    """What is stored of somebody, and for how long."""


@data.command("export")
@click.argument("user", callback=check_person)
@OUTPUT
def export_person(user: str, output: Path | None) -> None:
    """Write all that is stored of USER as JSON; the bot tells them, as it does of the order in Slack."""
    from bot.admin.data import export_person as export

    async def work(database: "Database", _settings: "Settings") -> None:
        write_out(await export(database, user, by=name_me(), owes_word=True), output)
        click.echo(f"{user} hears of it from the bot, within a minute or when it runs again.", err=True)

    run_opened(work)


@data.command()
@click.argument("user", callback=check_person)
@YES
def forget(user: str, yes: bool) -> None:
    """Delete all that is stored of USER; adapters that learned from them are never served again. No way back."""
    from bot.learning.forgetting import forget_everywhere

    confirm(f"Delete all that is stored of {user}, and take back what was learned from it?", yes=yes)

    async def work(database: "Database", settings: "Settings") -> None:
        folder = (settings.data_dir / "learning").resolve()
        forgotten = await forget_everywhere(database, user, by=name_me(), folder=folder)
        for name, count in forgotten.counts.items():
            click.echo(f"{count:8} {name.replace('_', ' ')}")
        click.echo(f"{len(forgotten.runs):8} runs without their examples")
        click.echo(f"{len(forgotten.adapters):8} adapters never served again {' '.join(forgotten.adapters)}".rstrip())

    run_opened(work)


@data.command()
@click.argument("user", default="", callback=check_person)
def prove(user: str) -> None:
    """Look everywhere for what was deleted, and for what is left of USER; end with 1 where something is found."""
    from datetime import UTC, datetime

    from bot.admin.backup import list_backups, sweep_killed
    from bot.learning.absence import prove_absence

    async def work(database: "Database", settings: "Settings") -> None:
        folder = settings.data_dir.resolve()
        left = [f"{path}: a copy of everything" for path in sweep_killed(settings.database(), folder)]
        proof = await prove_absence(database, folder / "learning", user_id=user)
        backups = list_backups(settings.database(), folder)
        older = [path for path in backups if proof.newest and path.stat().st_mtime < proof.newest]
        click.echo(f"{proof.erased:8} rows are written down as gone, by id and checksum")
        click.echo(f"{proof.rows:8} of them found again in the database")
        click.echo(f"{proof.adapters:8} adapters and {proof.manifests} manifests of run folders were looked at")
        click.echo(f"{len(older):8} of {len(backups)} backups are older than the newest of them, and go by BACKUP_KEEP")
        if proof.newest:
            click.echo(f"         the newest went at {datetime.fromtimestamp(proof.newest, UTC):%Y-%m-%d %H:%M} UTC")
        for found in [*proof.where, *left]:
            click.echo(f"   found {found}")
        if proof.where or left:
            raise SystemExit(1)
        click.echo("         nothing of it was found")

    run_opened(work)


@data.command()
@click.argument("channel", default="", callback=check_channel)
@click.argument("days", default="")
@YES
@NEW
def retention(channel: str, days: str, yes: bool, is_new: bool) -> None:
    """Delete what is said in CHANNEL after DAYS: a number, forever, or default. Without them: show what was set."""
    from bot.admin.data import MOST_DAYS, read_retention, set_retention

    words = {"forever": 0, "default": None}
    if channel and days not in words and not is_number(days, most=MOST_DAYS):
        raise click.BadParameter(f"a number from 1 to {MOST_DAYS:,}, forever, or default", param_hint="DAYS")
    if channel and days.isdecimal():
        confirm(f"Delete what was said in {channel} once it is {days} days old?", yes=yes)

    async def work(database: "Database", settings: "Settings") -> None:
        if channel:
            await require_channel(database, channel, is_new=is_new)
            await set_retention(database, channel, words[days] if days in words else int(days), by=name_me())
        click.echo(f"everywhere else  {settings.retention_days or 'forever'}")
        for name, kept in (await read_retention(database)).items():
            click.echo(f"{name:16} {kept or 'forever'}")

    run_opened(work)


@click.group()
def audit() -> None:
    """Who did what with the assistant."""


@audit.command()
@click.option("--most", default=20, show_default=True, type=click.IntRange(1, 10_000))
@FIND
def last(most: int, containing: str) -> None:
    """Show the newest rows, the newest first."""
    from bot.admin.audit_log import read_audit

    async def work(database: "Database", _settings: "Settings") -> None:
        for row in await read_audit(database, most=most, containing=containing):
            click.echo(f"{row['number']:6} {row['at'][:19]}  {row['by']:16} {row['action']:20} {row['target']}")

    run_opened(work)


@audit.command("export")
@FIND
@OUTPUT
def export_log(containing: str, output: Path | None) -> None:
    """Write the log as JSON lines, the oldest row first."""
    from bot.admin.audit_log import export_audit

    async def work(database: "Database", _settings: "Settings") -> None:
        write_out(await export_audit(database, by=name_me(), containing=containing), output)

    run_opened(work)


@audit.command()
@click.argument("seal", required=False)
def verify(seal: str | None) -> None:
    """Compute every seal again; with a SEAL that you noted earlier, also whether the rows up to it are still there."""
    from bot.admin.audit_log import verify_audit
    from bot.errors import AdminError

    if seal is not None and not seal.strip():
        raise click.BadParameter("it is empty, so nothing would be looked for.", param_hint="SEAL")

    async def work(database: "Database", _settings: "Settings") -> None:
        chain = await verify_audit(database, head=seal or "")
        if chain.broken_at is not None:
            broken = f"Row {chain.broken_at} was changed, or one before it is missing"
            raise AdminError(f"{broken}; rows 1 to {chain.count} hold.")
        if not chain.has_head:
            raise AdminError("The rows hold, but that seal is not among them: the newest rows were cut off.")
        click.echo(f"All {chain.count} rows hold. Note this seal elsewhere: {chain.seal}")

    run_opened(work)
