"""What people chose or ended after a backup was made stays so when it is put back, and is not said to them again."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.admin.backup import back_up
from bot.admin.restore import _read_since, _write_note, restore
from bot.learning.forgetting import forget_everywhere
from bot.storage.admin_tables import ReviewRow, ReviewState
from bot.storage.db import Database, open_database
from bot.storage.feedback import current_vote, save_correction, save_vote, take_back_vote
from bot.storage.feedback_tables import Lesson, LessonState
from bot.storage.lessons import drop_lesson, refuse, save_lesson, teach
from bot.storage.outliving import settle_outliving
from bot.storage.preferences import load_preferences, save_preferences
from bot.storage.reacted import change_reaction
from bot.storage.reviews import decide_review
from bot.storage.schedule_tables import Kind, Occurrence, OccurrenceState, Schedule
from bot.storage.schedules import add_schedule, claim_due, end_occurrence, list_schedules, remove_schedule
from bot.storage.since import read_since
from bot.storage.tables import Answer, Correction, Feedback, Message, PreferencePair, Vote, now
from bot.storage.thread_manners import find_manners, set_muted
from bot.storage.threads import Place
from tests.builders import PLACE, answered, said
from tests.storage.test_backup import tools
from tests.storage.test_feedback import LESSON

__all__ = ["tools"]  # a fixture

OTHER = Place("T1", "C1", "200.000")


async def plan(database: Database, text: str, **changes: object) -> int:
    """Keep a reminder that is due by now."""
    values: dict[str, object] = {"team_id": "T1", "user_id": "U1", "kind": Kind.REMINDER, "channel_id": ""}
    values |= {"tz": "UTC", "cron": "", "created_at": now() - timedelta(hours=1)}
    async with database.begin() as session:
        schedule = Schedule(**{**values, "text": text, "next_at": now() - timedelta(minutes=1), **changes})
        return (await add_schedule(session, schedule)).id


async def say_due(database: Database) -> list[str]:
    """Let everything that is due be said; return what it was."""
    tomorrow = now() + timedelta(days=1)
    async with database.begin() as session:
        again = lambda schedule: tomorrow if schedule.cron else None  # noqa: E731 - as short as what it says
        due = await claim_due(session, moment=now(), find_next=again, limit=20, worker_id="one")
        texts = [one.schedule.text for one in due]
        for one in due:
            await end_occurrence(session, one, state=OccurrenceState.DONE, moment=now())
    return texts


async def test_what_was_said_or_taken_back_since_is_not_said_again(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Reminders, once or every day; what was still to come when the other database was replaced comes."""
    await plan(database, "said since")
    await plan(database, "said since and tomorrow", cron="0 9 * * *")
    removed = await plan(database, "taken back since", cron="0 9 * * *", next_at=now() + timedelta(hours=1))
    await plan(database, "to come", next_at=now() + timedelta(hours=1))
    backup = await back_up(database_url, tmp_path)
    assert await say_due(database) == ["said since", "said since and tomorrow"]
    async with database.begin() as session:
        await remove_schedule(session, await session.get_one(Schedule, removed), by="U1")
    await plan(database, "planned since, by a number that may have been another's")
    await database.close()

    restored = await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")

    assert restored.outlived == 5, "two that were said, when each comes next, and the one that was taken back"
    async with open_database(database_url) as opened:
        assert await say_due(opened) == []
        async with opened.read() as session:
            coming = await list_schedules(session, "T1", user_id="U1", channel_id="-")
            assert [row.text for row in coming] == ["to come", "said since and tomorrow"]
            said_once = await session.scalar(select(Schedule).where(Schedule.cron == "", Schedule.next_at.is_(None)))
            assert said_once is not None
            assert said_once.text == ""


async def test_a_reminder_under_way_keeps_its_words(database: Database, database_url: str, tmp_path: Path) -> None:
    """Whoever said it was killed: it is tried again, by whoever looks first whether it was said."""
    number = await plan(database, "call Tom")
    backup = await back_up(database_url, tmp_path)
    async with database.begin() as session:
        await claim_due(session, moment=now(), find_next=lambda _schedule: None, limit=20, worker_id="one")
    await database.close()

    await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")

    async with open_database(database_url) as opened, opened.read() as session:
        assert await session.scalar(select(Schedule.text).where(Schedule.id == number)) == "call Tom"
        assert await session.scalar(select(Occurrence.state)) == OccurrenceState.RUNNING


async def test_an_earlier_database_takes_nothing_from_a_later_backup(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """An older backup was put back, and now a newer one: what only that knows was neither removed nor chosen later."""
    await fill(database)
    older = await back_up(database_url, tmp_path, tmp_path / "older.tar.gz")
    await choose(database)
    await plan(database, "planned later", next_at=now() + timedelta(hours=1))
    async with database.begin() as session:
        await save_preferences(session, "U9", language="de")
    newer = await back_up(database_url, tmp_path, tmp_path / "newer.tar.gz")
    await database.close()
    await restore(database_url, tmp_path, older, is_forced=True, by="cli:me")
    async with open_database(database_url) as opened, opened.begin() as session:
        await save_preferences(session, "U8", language="zh")

    await restore(database_url, tmp_path, newer, is_forced=True, by="cli:me")

    async with open_database(database_url) as opened:
        await check_chosen(opened)
        async with opened.read() as session:
            coming = await list_schedules(session, "T1", user_id="U1", channel_id="-")
            assert [row.text for row in coming] == ["planned later"]
            assert [(await load_preferences(session, user)).language for user in ("U8", "U9")] == ["zh", "de"]


async def fill(database: Database) -> None:
    """Let people say something, correct it, like it and choose something."""
    async with database.begin() as session:
        message = await said(session, ts="100.000")
        first = await answered(session, message, "In the drawer.")
        again = await answered(session, message, "On the shelf.", replaces_id=first.id)
        await save_vote(session, again, user_id="U1", vote=Vote.UP)
        for user in ("U1", "U2", "U3"):
            await save_correction(session, first, user_id=user, text=f"{user}: on the hook")
        await save_lesson(session, LESSON)
        await save_preferences(session, "U1", language="zh")
        await find_manners(session, PLACE)
        await set_muted(session, OTHER, is_muted=True, ts="200.000")


async def choose(database: Database) -> None:
    """Let them choose anew, end and decide."""
    async with database.begin() as session:
        first, again = (await session.scalars(select(Answer).order_by(Answer.id))).all()
        await take_back_vote(session, again, user_id="U1")
        await save_correction(session, first, user_id="U1", text="")
        second, third = (await session.scalars(select(Correction).where(Correction.user_id != "U1"))).all()
        await decide_review(session, second.id, ReviewState.REJECTED, by="U7")
        await decide_review(session, third.id, ReviewState.EDITED, by="U7", text="On the hook.")
        refuse((await session.scalars(select(Lesson))).one())
        await save_preferences(session, "U1", shown="private")
        await save_preferences(session, "U4", has_hints=False)
        await set_muted(session, PLACE, is_muted=True, ts="101.000")
        await set_muted(session, OTHER, is_muted=False, ts="201.000")


async def check_chosen(database: Database) -> None:
    """Look whether what *choose* did is so."""
    async with database.read() as session:
        again = (await session.scalars(select(Answer).order_by(Answer.id.desc()))).first()
        assert again is not None
        vote = await current_vote(session, again.id, user_id="U1")
        assert vote is None or vote.vote == Vote.NONE
        assert (await session.scalars(select(PreferencePair))).all() == []
        current = select(Correction.user_id).where(Correction.superseded_at.is_(None)).order_by(Correction.user_id)
        assert (await session.scalars(current)).all() == ["U2", "U3"]
        reviews = await session.execute(select(Correction.user_id, ReviewRow.state, ReviewRow.text).join(Correction))
        assert sorted(tuple(row) for row in reviews) == [
            ("U2", ReviewState.REJECTED, ""),
            ("U3", ReviewState.EDITED, "On the hook."),
        ]
        lesson = (await session.scalars(select(Lesson))).one()
        assert (lesson.state, lesson.question, lesson.text) == (LessonState.REFUSED, "", "")
        mine = await load_preferences(session, "U1")
        assert (mine.language, mine.shown) == ("zh", "private")
        assert not (await load_preferences(session, "U4")).has_hints
        manners = [await find_manners(session, place) for place in (PLACE, OTHER)]
        assert [row.is_muted for row in manners if row] == [True, False]


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=1)])
async def test_what_people_chose_since_holds(
    database: Database, database_url: str, tmp_path: Path, ahead: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Preferences, quiet in a thread, what was taken back, a reviewer's no; also where the clock was set back since."""
    with monkeypatch.context() as patched:
        for module in ("preferences", "reviews"):
            patched.setattr(f"bot.storage.{module}.now", lambda: now() + ahead)
        await fill(database)
    backup = await back_up(database_url, tmp_path)
    await choose(database)
    async with database.begin() as session:
        await said(session, "Said after the backup", ts="102.000")
    await database.close()

    restored = await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")

    assert restored.outlived == 10
    async with open_database(database_url) as opened:
        await check_chosen(opened)
        async with opened.read() as session:
            assert await session.scalar(select(Message.id).where(Message.ts == "102.000")) is None


async def test_a_restore_that_was_killed_leaves_it_to_the_next(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """The note that PostgreSQL keeps of it says the same as the database did."""
    await fill(database)
    await choose(database)
    since = await _read_since(database_url)
    assert since is not None
    assert all(" " <= letter <= "~" for letter in _write_note(since))
    async with database.read() as session:
        assert (await read_since(session)).outliving == since.outliving
    async with database.begin() as session:
        assert await settle_outliving(session, since.outliving) == 0, "nothing is newer than itself"


async def test_who_was_forgotten_in_the_backup_gets_no_preferences(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """An older backup was put back, which knew them still, and now the newer one."""
    await fill(database)
    older = await back_up(database_url, tmp_path, tmp_path / "older.tar.gz")
    await forget_everywhere(database, "U1", by="U1", folder=tmp_path / "learning")
    newer = await back_up(database_url, tmp_path, tmp_path / "newer.tar.gz")
    await database.close()
    await restore(database_url, tmp_path, older, is_forced=True, by="cli:me")

    await restore(database_url, tmp_path, newer, is_forced=True, by="cli:me")

    async with open_database(database_url) as opened, opened.read() as session:
        assert (await load_preferences(session, "U1")).language == ""


async def test_what_somebody_says_again_holds(database: Database, database_url: str, tmp_path: Path) -> None:
    """Whoever thought the same when the backup was made and when it was put back thinks it still, said twice or not."""
    async with database.begin() as session:
        answer = await answered(session, await said(session, ts="100.000"), "In the drawer.")
        for user in ("U1", "U2", "U3"):
            await save_vote(session, answer, user_id=user, vote=Vote.DOWN, comment=f"{user} said so")
            await save_correction(session, answer, user_id=user, text=f"{user}: on the hook")
    backup = await back_up(database_url, tmp_path)
    async with database.begin() as session:
        await save_vote(session, answer, user_id="U1", vote=Vote.UP)
        await save_correction(session, answer, user_id="U1", text="On the shelf.")
        for user, comment in (("U1", "U1 said so"), ("U2", "")):
            await save_vote(session, answer, user_id=user, vote=Vote.DOWN, comment=comment)
        await save_correction(session, answer, user_id="U1", text="U1: on the hook")
        await save_correction(session, answer, user_id="U2", text="On the shelf.")
    await database.close()

    await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")

    async with open_database(database_url) as opened, opened.read() as session:
        for table in (Feedback, Correction):
            current = select(table.user_id).where(table.superseded_at.is_(None)).order_by(table.user_id)
            assert (await session.scalars(current)).all() == ["U1", "U3"]


async def test_a_reaction_holds_as_it_stood_when_the_backup_was_put_back(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Taken away and put again it counts; taken away for good it does not, nor after a thumb that was undone since."""
    async with database.begin() as session:
        answer = await answered(session, await said(session, ts="100.000"), "In the drawer.")
        for user in ("U1", "U2", "U3"):
            await change_reaction(session, answer, user_id=user, vote=Vote.UP, left=[], is_added=True)
    backup = await back_up(database_url, tmp_path)
    async with database.begin() as session:
        await save_vote(session, answer, user_id="U3", vote=Vote.DOWN)
        for user in ("U1", "U2", "U3"):
            await change_reaction(session, answer, user_id=user, vote=Vote.UP, left=[], is_added=False)
        await change_reaction(session, answer, user_id="U1", vote=Vote.UP, left=[], is_added=True)
        assert await take_back_vote(session, answer, user_id="U3") is Vote.NONE
    await database.close()

    await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")

    async with open_database(database_url) as opened, opened.read() as session:
        current = select(Feedback.user_id, Feedback.vote).where(Feedback.superseded_at.is_(None))
        assert (await session.execute(current)).all() == [("U1", "up")]


@pytest.mark.parametrize(("edited", "is_agreed"), [(None, False), ("Elsewhere.", False), (None, True)])
async def test_a_lesson_goes_with_its_message(
    database: Database, database_url: str, tmp_path: Path, edited: str | None, *, is_agreed: bool
) -> None:
    """Its author, who was asked when the backup was made, has deleted or edited it since: no word of it is back."""
    async with database.begin() as session:
        await save_lesson(session, LESSON)
    backup = await back_up(database_url, tmp_path)
    async with database.begin() as session:
        if is_agreed:
            await teach(session, (await session.scalars(select(Lesson))).one())
        await drop_lesson(session, LESSON.place.team_id, LESSON.place.channel_id, ts=LESSON.ts, edited=edited)
    await database.close()

    await restore(database_url, tmp_path, backup, is_forced=True, by="cli:me")

    async with open_database(database_url) as opened, opened.read() as session:
        assert (await session.scalars(select(Lesson))).all() == []
