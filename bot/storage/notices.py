"""What admins told everybody, and where it stands, so that it can be taken back."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.admin_tables import Notice
from bot.storage.tables import Audience, Message, Thread, now


async def busy_channels(session: AsyncSession, *, since: datetime) -> Sequence[str]:
    """Return the channels of our own people in which somebody talked to the assistant after a moment."""
    talked = select(Message.id).where(Message.thread_id == Thread.id, Message.created_at >= since).exists()
    ours = Thread.audience.in_([Audience.PUBLIC, Audience.PRIVATE])
    return sorted(set(await session.scalars(select(Thread.channel_id).where(ours, talked))))


async def save_notice(session: AsyncSession, text: str, *, by: str) -> Notice:
    """Keep a notice before it is posted."""
    notice = Notice(text=text, by=by, posts={})
    session.add(notice)
    await session.flush()
    return notice


async def find_notice(session: AsyncSession, notice_id: str) -> Notice | None:
    """Return a notice by its id, or the newest that stands (an empty id)."""
    if notice_id:
        return await session.get(Notice, notice_id)
    standing = select(Notice).where(Notice.withdrawn_at.is_(None)).order_by(Notice.id.desc()).limit(1)
    return await session.scalar(standing)


async def note_posts(session: AsyncSession, notice_id: str, posts: Mapping[str, str]) -> None:
    """Keep where a notice stands."""
    notice = await session.get_one(Notice, notice_id)
    notice.posts = dict(posts)


async def withdraw(session: AsyncSession, notice_id: str) -> None:
    """Keep that a notice stands nowhere any more."""
    notice = await session.get_one(Notice, notice_id)
    notice.withdrawn_at = now()
