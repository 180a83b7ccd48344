"""What a reviewer refused is refused when it is sent again, also where its question is gone; no word of it stays."""

import re
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.admin.backup import back_up
from bot.admin.restore import restore
from bot.storage.admin_tables import RefusedWords, ReviewRow, ReviewState
from bot.storage.db import Database, open_database
from bot.storage.fates import list_fates
from bot.storage.feedback import save_correction
from bot.storage.forgetting import forget_message
from bot.storage.person_data import forget_old, forget_person
from bot.storage.reviews import decide_review
from bot.storage.tables import Correction, now
from tests.builders import PLACE, answered, said
from tests.storage.test_backup import tools

__all__ = ["tools"]  # a fixture


async def teach(session: AsyncSession, ts: str, text: str = "At the desk.") -> ReviewState | None:
    """Ask something and correct the answer; return what is decided about the correction at once."""
    answer = await answered(session, await said(session, "Where is the key?", ts=ts), "I do not know.")
    await save_correction(session, answer, user_id="U2", text=text)
    return await session.scalar(select(ReviewRow.state).filter_by(correction_id=await newest(session)))


async def newest(session: AsyncSession) -> str:
    """Return the newest correction."""
    return (await session.scalars(select(Correction.id).order_by(Correction.id.desc()))).first() or ""


async def delete_message(session: AsyncSession, ts: str) -> None:
    """Let a question be deleted in Slack."""
    await forget_message(session, PLACE.team_id, PLACE.channel_id, ts=ts)


async def test_a_reviewers_no_outlives_its_question(database: Database) -> None:
    """Deleted, forgotten or too old: the same words to another question wait for nobody, until a reviewer approves."""
    async with database.begin() as session:
        assert await teach(session, "1") is None
        await decide_review(session, await newest(session), ReviewState.REJECTED, by="U9")
        await delete_message(session, "1")
        assert await teach(session, "2", "at the desk") == ReviewState.REJECTED
        assert await teach(session, "3", "In the drawer.") is None
        await forget_person(session, "U1")
        assert await teach(session, "4") == ReviewState.REJECTED
        await forget_old(session, before=now() + timedelta(days=1), without=())
        (kept,) = (await session.execute(select(RefusedWords.__table__))).mappings()
        assert {"desk", "U1", "U2", "U9"} & set(re.findall(r"\w+", str(kept))) == set()

        assert await teach(session, "5") == ReviewState.REJECTED
        fates = await list_fates(session, "U2", most=5)
        assert [fate.is_rejected for fate in fates] == [True]
        await decide_review(session, await newest(session), ReviewState.APPROVED, by="U9")
        await delete_message(session, "5")
        assert await teach(session, "6") is None


async def test_it_outlives_a_restore(database: Database, database_url: str, tmp_path: Path) -> None:
    """Refused after the backup, with a question that is gone; and approved after it."""
    async with database.begin() as session:
        assert await teach(session, "1", "On the hook.") is None
        await decide_review(session, await newest(session), ReviewState.REJECTED, by="U9")
        await delete_message(session, "1")
        assert await teach(session, "2") is None
    backup = await back_up(database_url, tmp_path)
    async with database.begin() as session:
        await decide_review(session, await newest(session), ReviewState.REJECTED, by="U9")
        await delete_message(session, "2")
        assert await teach(session, "3", "On the hook.") == ReviewState.REJECTED
        await decide_review(session, await newest(session), ReviewState.APPROVED, by="U9")
    await database.close()

    await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")

    async with open_database(database_url) as opened, opened.begin() as session:
        assert await teach(session, "4") == ReviewState.REJECTED
        assert await teach(session, "5", "On the hook.") is None
