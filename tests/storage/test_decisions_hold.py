"""What people decided is not undone without a word, by their own forget-me or by a restore of a backup from before."""

from sqlalchemy import select

from bot.storage.db import Database
from bot.storage.erasures import find_returned
from bot.storage.feedback_tables import Lesson
from bot.storage.lessons import is_known, refuse, save_lesson
from bot.storage.person_data import collect_person, forget_person
from tests.storage.test_feedback import LESSON


async def test_an_authors_no_outlives_their_own_forget_me(database: Database) -> None:
    """“Nobody can ask you for it again”: what is kept of it is which message it was."""
    async with database.begin() as session:
        refuse(await save_lesson(session, LESSON))
        await forget_person(session, LESSON.author_id)
        assert await is_known(session, LESSON.place, ts=LESSON.ts)
        assert await collect_person(session, LESSON.author_id) == {}
        assert await find_returned(session) == {}
        assert list(await session.scalars(select(Lesson.user_id))) == [""]
