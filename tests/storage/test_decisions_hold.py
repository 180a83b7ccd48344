"""What people decided is not undone without a word, by their own forget-me or by a restore of a backup from before."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.admin.backup import back_up
from bot.admin.restore import restore
from bot.storage.channels import close_channel, has_public
from bot.storage.choices import CHANNEL, OWN_ADAPTER, PERSON, load_opted_out, save_choice
from bot.storage.db import Database, open_database
from bot.storage.erasures import find_returned
from bot.storage.feedback_tables import Lesson
from bot.storage.lessons import is_known, refuse, save_lesson
from bot.storage.person_data import collect_person, forget_person
from tests.builders import answered, said
from tests.storage.test_backup import tools
from tests.storage.test_feedback import LESSON

__all__ = ["tools"]  # a fixture


async def test_an_authors_no_outlives_their_own_forget_me(database: Database) -> None:
    """“Nobody can ask you for it again”: what is kept of it is which message it was."""
    async with database.begin() as session:
        refuse(await save_lesson(session, LESSON))
        await forget_person(session, LESSON.author_id)
        assert await is_known(session, LESSON.place, ts=LESSON.ts)
        assert await collect_person(session, LESSON.author_id) == {}
        assert await find_returned(session) == {}
        assert list(await session.scalars(select(Lesson.user_id))) == [""]


async def choose(session: AsyncSession, kind: str, *, is_allowed: bool) -> None:
    """Let a channel, or a person, choose something."""
    await save_choice(session, kind=kind, subject_id="U1" if kind == PERSON else "C1", is_allowed=is_allowed, by="U1")


Chosen = Sequence[tuple[str, bool]]


@pytest.mark.parametrize(
    ("chosen", "agreed"),  # before the backup and since; whether C1 is learned from, alone, and U1 is
    [
        (([(CHANNEL, True)], [(OWN_ADAPTER, True)]), (True, True, True)),
        (([(CHANNEL, True), (OWN_ADAPTER, True)], [(OWN_ADAPTER, False)]), (True, False, True)),
        (([(CHANNEL, True)], [(CHANNEL, False)]), (False, False, True)),
        (([(PERSON, False), (CHANNEL, False)], [(PERSON, True), (CHANNEL, True)]), (True, False, True)),
        (([], [(PERSON, True), (PERSON, False)]), (True, False, False)),
    ],
)
async def test_what_was_said_to_learning_since_holds_after_a_restore(
    database: Database,
    database_url: str,
    tmp_path: Path,
    chosen: tuple[Chosen, Chosen],
    agreed: tuple[bool, bool, bool],
) -> None:
    """A channel's adapter of its own keeps its words from everybody's; a yes that came after a no holds as well."""
    for number, choices in enumerate(chosen):
        async with database.begin() as session:
            for kind, is_allowed in choices:
                await choose(session, kind, is_allowed=is_allowed)
        if number == 0:
            backup = await back_up(database_url, tmp_path)
    await database.close()

    for _ in range(2):  # the second knows of it by the first
        await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")

    async with open_database(database_url) as opened, opened.read() as session:
        out = await load_opted_out(session)
    assert ("C1" not in out.channels, "C1" in out.own, "U1" not in out.people) == agreed


async def test_a_no_that_only_the_backup_knows_outlives_an_earlier_yes(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Older backups were put back, in which somebody said nothing or yes; now comes the newest, where they say no."""
    older = await back_up(database_url, tmp_path, tmp_path / "older.tar.gz")
    async with database.begin() as session:
        await choose(session, PERSON, is_allowed=True)
    between = await back_up(database_url, tmp_path, tmp_path / "between.tar.gz")
    async with database.begin() as session:
        await choose(session, PERSON, is_allowed=False)
    newer = await back_up(database_url, tmp_path, tmp_path / "newer.tar.gz")
    await database.close()

    for backup in (older, between, newer):
        await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")

    async with open_database(database_url) as opened, opened.read() as session:
        assert (await load_opted_out(session)).people == {"U1"}


async def test_a_channel_that_became_private_since_stays_so(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """What was said there before is for its people alone, from the restore on, and not from the next word there on."""
    async with database.begin() as session:
        await answered(session, await said(session), "In the drawer.")
        assert await has_public(session, "C1")
    backup = await back_up(database_url, tmp_path)
    async with database.begin() as session:
        await close_channel(session, "C1")
    await database.close()

    await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")

    async with open_database(database_url) as opened, opened.read() as session:
        assert not await has_public(session, "C1")
