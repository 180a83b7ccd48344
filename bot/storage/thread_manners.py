"""How the assistant stands in a thread, and how often another bot has talked to it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.manners_tables import BotWord, ThreadManners
from bot.storage.tables import Inbox, InboxState, Message, Thread
from bot.storage.threads import Place, find_thread

KEY = ("team_id", "channel_id", "thread_ts")
STATES = ("is_muted", "is_talk", "is_told", "is_refused")


async def find_manners(session: AsyncSession, place: Place) -> ThreadManners | None:
    """Return how the assistant stands in a thread; None where it has no part."""
    found = await session.get(ThreadManners, (place.team_id, place.channel_id, place.thread_ts))
    if found is not None:
        return found
    thread = await find_thread(session, place)
    if thread is None:
        return None
    newest = await session.scalar(select(func.max(Message.ts)).filter_by(thread_id=thread.id))
    await change_manners(session, place, None, {"active_ts": newest or place.thread_ts})
    return await session.get_one(ThreadManners, (place.team_id, place.channel_id, place.thread_ts))


async def change_manners(
    session: AsyncSession, place: Place, found: ThreadManners | None, news: Mapping[str, Any]
) -> None:
    """Change how the assistant stands in a thread, in one statement; *found* is what was read of it, if anything."""
    if found is not None:
        for name, value in news.items():
            setattr(found, name, value)
        await session.flush()
        return
    fresh = {"active_ts": "", "talkers": [], **dict.fromkeys(STATES, False), **news}
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    row = insert(ThreadManners).values(**vars(place), **fresh)
    await session.execute(row.on_conflict_do_update(index_elements=KEY, set_=dict(news)))


async def set_muted(session: AsyncSession, place: Place, *, is_muted: bool, ts: str) -> None:
    """Be quiet in a thread, or take part in it from *ts* on, without being mentioned."""
    news: dict[str, Any] = {"is_muted": is_muted}
    if not is_muted:
        news |= {"is_talk": False, "is_told": False, "talkers": [], "active_ts": ts}
    await change_manners(session, place, await find_manners(session, place), news)


async def leave_thread(session: AsyncSession, place: Place, *, ts: str) -> None:
    """Take no part in a thread in which nothing but a message that was refused has called us; it was said at *ts*."""
    found = await session.get(ThreadManners, (place.team_id, place.channel_id, place.thread_ts))
    if found is not None and found.active_ts == ts and await find_thread(session, place) is None:
        found.active_ts = ""


async def waiting_speakers(session: AsyncSession, place: Place) -> set[str]:
    """Return whose messages in a thread have no outcome yet."""
    waits = select(Inbox.payload).filter_by(**vars(place), kind="message").where(Inbox.state != InboxState.DONE)
    return {str((payload.get("event") or {}).get("user")) for payload in await session.scalars(waits)}


async def load_speakers(session: AsyncSession, place: Place) -> dict[str, str]:
    """Return the names of the people who have said something to the assistant in a thread, by their ids."""
    said = select(Message.user_id, Message.user_name).join(Thread, Message.thread_id == Thread.id)
    found = await session.execute(said.filter_by(**vars(place)).distinct())
    return {user_id: name for user_id, name in found}  # noqa: C416 - a row is no pair to dict()


async def count_bot_words(session: AsyncSession, team_id: str, bot_id: str, *, since: datetime) -> int:
    """Return how often a bot has been listened to since then."""
    words = select(func.count()).select_from(BotWord).filter_by(team_id=team_id, bot_id=bot_id)
    return (await session.scalar(words.where(BotWord.at > since))) or 0


def note_bot_word(session: AsyncSession, team_id: str, bot_id: str) -> None:
    """Note that a bot is listened to."""
    session.add(BotWord(team_id=team_id, bot_id=bot_id))


async def prune_manners(session: AsyncSession, *, before: datetime) -> None:
    """Forget threads in which nobody has spoken since, unless somebody wanted quiet there; and words of bots."""
    old = ThreadManners.active_ts < f"{before.timestamp():.6f}"
    await session.execute(delete(ThreadManners).where(old, ThreadManners.is_muted.is_(False)))
    await session.execute(delete(BotWord).where(BotWord.at < before))
