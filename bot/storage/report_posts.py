"""Where the reports of runs stand in Slack, and which state of its adapter each shows.

Several may change one report: whoever pressed a button below it, and what follows the adapters. Each leaves a mark
before and takes it away afterwards. Where marks crossed nobody knows what is shown, and the report is shown anew.
"""

from collections.abc import Sequence

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bot.storage.adapters import find_shown_state
from bot.storage.learning_tables import Adapter, AdapterState, ReportPost
from bot.storage.tables import new_id


async def save_post(
    session: AsyncSession, run_id: int, *, reader_id: str, channel_id: str, ts: str, picture_id: str, state: str
) -> None:
    """Keep where a report stands, and which state of the adapter it was posted with."""
    post = await find_post(session, channel_id, ts)
    if post is None:
        post = ReportPost(channel_id=channel_id, ts=ts)
        session.add(post)
    post.run_id, post.reader_id, post.picture_id, post.shown = run_id, reader_id, picture_id, state


async def find_post(session: AsyncSession, channel_id: str, ts: str) -> ReportPost | None:
    """Return a report by where it stands."""
    found = select(ReportPost).where(ReportPost.channel_id == channel_id, ReportPost.ts == ts)
    return await session.scalar(found.with_for_update())


async def find_outdated(session: AsyncSession) -> Sequence[tuple[ReportPost, Adapter]]:
    """Return the reports that do not show what their adapters are now, and those, the newest first.

    What waits is looked at again and again: a `train off` changes what is true of it, and nothing of its row.
    """
    newest = aliased(Adapter)
    made = select(func.max(newest.id)).where(newest.run_id == ReportPost.run_id).scalar_subquery()
    found = select(ReportPost, Adapter).join(Adapter, Adapter.id == made)
    found = found.where(or_(Adapter.state != ReportPost.shown, Adapter.state == AdapterState.WAITING))
    rows = [(row[0], row[1]) for row in await session.execute(found.order_by(ReportPost.id.desc()))]
    return [(post, adapter) for post, adapter in rows if await find_shown_state(session, adapter) != post.shown]


async def begin_showing(session: AsyncSession, channel_id: str, ts: str) -> str:
    """Note that somebody changes what a report shows; return their mark for `end_showing`."""
    mark = new_id()
    here = update(ReportPost).where(ReportPost.channel_id == channel_id, ReportPost.ts == ts)
    await session.execute(here.values(shown=mark))
    return mark


async def end_showing(session: AsyncSession, channel_id: str, ts: str, *, mark: str, state: str) -> None:
    """Note which state a report shows, unless another has begun since to change it too."""
    post = await find_post(session, channel_id, ts)
    if post is not None:
        post.shown = state if post.shown == mark else new_id()


async def doubt_posts(session: AsyncSession, run_id: int | None = None) -> None:
    """Let every report, or those of one run, be shown anew: Slack shows what these rows say no more."""
    those = update(ReportPost) if run_id is None else update(ReportPost).where(ReportPost.run_id == run_id)
    await session.execute(those.values(shown=""))


async def forget_post(session: AsyncSession, channel_id: str, ts: str) -> None:
    """Forget a report that needs to be changed no more, or cannot be."""
    await session.execute(delete(ReportPost).where(ReportPost.channel_id == channel_id, ReportPost.ts == ts))
