"""What the commands at the terminal share: the settings and the database opened, and who gives the order."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from bot.start import start

if TYPE_CHECKING:
    from bot.settings import Settings
    from bot.storage.db import Database


def run_opened(work: "Callable[[Database, Settings], Awaitable[None]]") -> None:
    """Run *work* with the settings and an open database."""
    from bot.storage.db import open_database

    settings = start()

    async def run() -> None:
        async with open_database(settings.database()) as database:
            await work(database, settings)

    asyncio.run(run())


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
