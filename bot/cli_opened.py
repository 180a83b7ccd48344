"""What the commands at the terminal share: the settings and the database opened, and who gives the order."""

import asyncio
import getpass
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from bot.start import start

if TYPE_CHECKING:
    from bot.settings import Settings
    from bot.storage.db import Database

DATABASES = (b"SQLite format 3\0", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")  # its file, and its write-ahead log
PERSON_ID, CHANNEL_ID = re.compile(r"[UWB][A-Z0-9]+"), re.compile(r"[CGD][A-Z0-9]+")

MOST_NEAR = 5  # channels that are named where one may be misspelt
YES = click.option("--yes", is_flag=True, help="Do it without asking.")
NEW = click.option("--new", "is_new", is_flag=True, help="Take a channel in which nothing was heard so far.")


def check_person(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Return the id of a person, or refuse what is none, such as a name; nothing stays nothing."""
    if (value or parameter.required) and not PERSON_ID.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no person's id, such as U012AB3CD (in Slack: Profile, Copy member ID).")
    return value


def check_channel(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Return the id of a channel, or refuse what is none; nothing stays nothing."""
    if (value or parameter.required) and not CHANNEL_ID.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no channel's id, such as C012AB3CD (it stands in its details).")
    return value


def check_subject(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Return the id of a person or a channel."""
    is_channel = CHANNEL_ID.fullmatch(value) is not None
    return value if is_channel else check_person(context, parameter, value)


def check_target(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    """Return the file that a command may write; refuse a database, which would be gone, also while a bot writes it."""
    if value is not None and value.is_file():
        with value.open("rb") as file:
            if file.read(16).startswith(DATABASES):
                raise click.BadParameter(f"{value} is a database, and would be gone: name another file.")
    return value


OUTPUT = click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=check_target,
    help="Write to this file.  [default: the terminal]",
)


@contextmanager
def writing_to(output: Path | None) -> Iterator[TextIO]:
    """Yield what is written to: a file that is whole or not there, or the terminal."""
    from bot.learning.atomic import writing

    if output is None:
        yield sys.stdout
        sys.stdout.flush()  # here it can still be said that there is no room
        return
    with writing(output) as file:
        yield file


def write_out(text: str, output: Path | None) -> None:
    """Write a text, and say so where it is not the terminal that has it."""
    with writing_to(output) as file:
        file.write(text if text.endswith("\n") else f"{text}\n")
    if output is not None:
        click.echo(f"{output} is written.", err=True)


def run_opened(work: "Callable[[Database, Settings], Awaitable[None]]") -> None:
    """Run *work* with the settings and an open database, which must be there."""
    from bot.storage.db import open_database

    settings = start()
    require_database(settings)

    async def run() -> None:
        await refuse_migrating(settings)
        async with open_database(settings.database()) as database:
            await work(database, settings)

    asyncio.run(run())


async def refuse_migrating(settings: "Settings") -> None:
    """Refuse to bring the database to another revision under a bot that runs: once ended, it could not start again."""
    from bot.errors import StorageError
    from bot.lock import find_holder
    from bot.storage.db import Database

    holder = find_holder(settings.data_dir)
    if holder is None:
        return
    database = Database(settings.database())
    try:
        found, newest = await database.revision()
    finally:
        await database.close()
    if found is not None and found != newest:
        raise StorageError(
            f"The database is at revision {found}, and the bot with process id {holder} works with it: ask its own "
            f"version, or stop it; `bot migrate` then brings the database to {newest}."
        )


def require_database(settings: "Settings") -> None:
    """Refuse to make a database for whoever is in another folder than the bot: what it says of a new one is idle."""
    from bot.errors import StorageError
    from bot.storage.addresses import find_file

    file = find_file(settings.database())
    if file is not None and not file.exists():
        raise StorageError(
            f"DATA_DIR: there is no database at {file}: set it, or go to the folder whose .env the bot has; "
            "`bot migrate` makes a new one."
        )


async def require_channel(database: "Database", channel_id: str, *, is_new: bool, team_id: str = "") -> None:
    """Refuse a channel that nobody knows, for it may be misspelt, unless whoever names it says that *is_new*."""
    from difflib import get_close_matches

    from bot.errors import AdminError
    from bot.storage.channels import known_channels

    async with database.read() as session:
        known = await known_channels(session, team_id)
    if not is_new and channel_id not in known:
        near = get_close_matches(channel_id, known, n=MOST_NEAR)
        others = near or [one for one in known if not one.startswith("D")][:MOST_NEAR]
        said = f" {'Near it' if near else 'Known'}: {', '.join(others)}." if others else ""
        raise AdminError(f"Nothing was heard or chosen in {channel_id} so far.{said} If it is right, add --new.")


def one_line(text: str, *, most: int) -> str:
    """Return the beginning of what somebody wrote as a terminal may show it: nothing in it moves a cursor or hides."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:most]


def is_number(word: str, *, most: int) -> bool:
    """Return whether a word is a number from 1 to *most*."""
    return word.isdecimal() and len(word) <= len(str(most)) and 1 <= int(word) <= most


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something goes that does not come back; *yes* was said on the command line."""
    if not yes:
        click.confirm(question, abort=True)


def name_me() -> str:
    """Return who gives the order, as it stands in the audit log."""
    try:
        return f"cli:{getpass.getuser()}"[:64]
    except (KeyError, OSError):  # a container's user without a name
        return "cli"
