"""What admins told everybody, and where it stands, so that it can be taken back."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select, true
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.admin_tables import Notice
from bot.storage.tables import Audience, Message, Thread, now


async def busy_channels(session: AsyncSession, *, since: datetime, team_id: str = "") -> Sequence[str]:
    """Return the channels of our own people in which somebody talked to the assistant after a moment.

    Only those of the workspace *team_id*, if one is named.
    """
    talked = select(Message.id).where(Message.thread_id == Thread.id, Message.created_at >= since).exists()
    ours = Thread.audience.in_([Audience.PUBLIC, Audience.PRIVATE])
    here = Thread.team_id == team_id if team_id else true()
    return sorted(set(await session.scalars(select(Thread.channel_id).where(ours, talked, here))))


async def save_notice(session: AsyncSession, text: str, *, by: str) -> Notice:
    """Keep a notice before it is posted."""
    notice = Notice(text=text, by=by, posts={})
    session.add(notice)
    await session.flush()
    return notice


async def note_posts(session: AsyncSession, notice_id: str, posts: Mapping[str, str]) -> bool:
    """Keep where a notice stands; return False, and keep nothing, when it was taken back meanwhile."""
    notice = await session.get_one(Notice, notice_id, with_for_update=True)
    if notice.withdrawn_at is None:
        notice.posts = dict(posts)
    return notice.withdrawn_at is None


async def withdraw(session: AsyncSession, notice_id: str) -> Notice | None:
    """Keep that a notice, the newest unless one is named, is taken back; None when there is none that stands anywhere.

    One that was taken back stands where it could not be deleted, or where a kill came first. An older one goes by its
    name only: two who take back the newest at once mean the same.
    """
    found = select(Notice).order_by(Notice.id.desc()).limit(1).with_for_update()
    notice = await session.scalar(found.where(Notice.id == notice_id) if notice_id else found)
    if notice is None or (notice.withdrawn_at is not None and not notice.posts):
        return None
    notice.withdrawn_at = notice.withdrawn_at or now()
    return notice


async def forget_posts(session: AsyncSession, notice_id: str, channels: Collection[str]) -> None:
    """Keep where a notice was deleted."""
    notice = await session.get_one(Notice, notice_id, with_for_update=True)
    notice.posts = {channel: ts for channel, ts in notice.posts.items() if channel not in channels}
