"""What each channel wants of the assistant."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage import audit
from bot.storage.manners_tables import ChannelSetting, Mode
from bot.storage.tables import now


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """What is answered in a channel; messages of one person within *merge_s* are one, None: as in the settings."""

    mode: Mode = Mode.THREAD
    merge_s: float | None = None


async def load_rules(session: AsyncSession, team_id: str, channel_id: str) -> ChannelRules:
    """Return the rules of a channel, chosen or not."""
    found = await session.get(ChannelSetting, (team_id, channel_id))
    return ChannelRules() if found is None else read_rules(found)


async def save_rules(session: AsyncSession, team_id: str, channel_id: str, rules: ChannelRules, *, by: str) -> None:
    """Let a channel have *rules*; who chose them stands in the audit."""
    found = await session.get(ChannelSetting, (team_id, channel_id))
    if found is None:
        found = ChannelSetting(team_id=team_id, channel_id=channel_id)
        session.add(found)
    found.mode, found.by, found.at = rules.mode, by, now()
    found.merge_ms = None if rules.merge_s is None else round(rules.merge_s * 1000)
    audit.record(session, "channel", by=by, target=channel_id, mode=rules.mode, merge_ms=found.merge_ms)


async def all_settings(session: AsyncSession, team_id: str) -> Sequence[ChannelSetting]:
    """Return every channel of a workspace for which something was chosen, the newest choice first."""
    chosen = select(ChannelSetting).filter_by(team_id=team_id)
    return list(await session.scalars(chosen.order_by(ChannelSetting.at.desc(), ChannelSetting.channel_id)))


def read_rules(row: ChannelSetting) -> ChannelRules:
    """Return what a row says."""
    return ChannelRules(Mode(row.mode), None if row.merge_ms is None else row.merge_ms / 1000)
