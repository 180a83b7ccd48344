"""What is known of channels: which want an adapter of their own, and who can read in them."""

from collections.abc import Sequence

from sqlalchemy import select, union, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.admin_tables import Limit
from bot.storage.asking_tables import PRIVATE
from bot.storage.choices import CHANNEL, OWN_ADAPTER, load_opted_out, newest_choice
from bot.storage.installing_tables import ChannelPersona
from bot.storage.learning_tables import TrainingChoice
from bot.storage.limits import CHANNEL_BUDGET, RETENTION
from bot.storage.manners_tables import ChannelSetting
from bot.storage.tables import Audience, Inbox, Thread


async def wants_own(session: AsyncSession, channel_id: str) -> bool:
    """Return whether a channel's newest choice is an adapter of its own."""
    chosen = await newest_choice(session, kind=OWN_ADAPTER, subject_id=channel_id)
    return chosen is not None and chosen.is_allowed


async def own_channels(session: AsyncSession) -> Sequence[str]:
    """Return the channels that want an adapter of their own."""
    return sorted((await load_opted_out(session)).own)


async def channel_audiences(session: AsyncSession, channel_id: str) -> frozenset[Audience]:
    """Return who could read what was said in a channel, then and now; empty while nobody has asked anything there.

    What somebody asked there for their own eyes was not said in it.
    """
    said = select(Thread.audience).where(Thread.channel_id == channel_id, ~Thread.thread_ts.startswith(PRIVATE))
    found = await session.scalars(said.distinct())
    return frozenset(Audience(name) for name in found)


async def has_public(session: AsyncSession, channel_id: str) -> bool:
    """Return whether anything that was said in a channel counts as what everybody may read."""
    found = select(Thread.id).where(Thread.channel_id == channel_id, Thread.audience == Audience.PUBLIC).limit(1)
    return await session.scalar(found) is not None


async def close_channel(session: AsyncSession, channel_id: str) -> None:
    """Let what was said in a channel while it was public be for its people alone: Slack says that it is private now.

    Everything that is asked whether everybody may read it is asked for its thread too. What is said in a thread once
    the channel is public again opens that one thread.
    """
    public = update(Thread).where(Thread.channel_id == channel_id, Thread.audience == Audience.PUBLIC)
    await session.execute(public.values(audience=Audience.PRIVATE))


async def list_closed(session: AsyncSession) -> Sequence[tuple[str]]:
    """Return the channels in which all that was said is for their people alone."""
    said = select(Thread.channel_id).where(~Thread.thread_ts.startswith(PRIVATE))
    private, public = (said.where(Thread.audience == audience) for audience in (Audience.PRIVATE, Audience.PUBLIC))
    return [(row[0],) for row in await session.execute(private.except_(public))]


async def is_private(session: AsyncSession, channel_id: str) -> bool:
    """Return whether anything was said in a channel that not everybody could read; so it is taken while unknown."""
    return bool(channel_id) and await channel_audiences(session, channel_id) != {Audience.PUBLIC}


async def known_channels(session: AsyncSession, team_id: str = "") -> list[str]:
    """Return the channels, of a workspace or of all, in which anything was heard or for which anything was chosen."""
    there = {"team_id": team_id} if team_id else {}
    tables = (Thread, Inbox, ChannelSetting, ChannelPersona)
    heard = [select(table.channel_id).filter_by(**there) for table in tables]
    chosen = [
        select(Limit.subject_id).where(Limit.kind.in_([CHANNEL_BUDGET, RETENTION])),
        select(TrainingChoice.subject_id).where(TrainingChoice.kind.in_([CHANNEL, OWN_ADAPTER])),
    ]
    return sorted(await session.scalars(union(*heard, *chosen)))
