"""Where the assistant answers, and what it answers there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.errors import AdminError
from bot.language import _
from bot.storage.channel_settings import all_settings, load_rules, save_rules
from bot.storage.db import Database
from bot.storage.manners_tables import Mode
from bot.storage.threads import known_teams


@dataclass(frozen=True, slots=True)
class ChannelMode:
    """What was chosen for a channel."""

    channel_id: str
    mode: Mode
    by: str


async def list_channels(database: Database, team_id: str) -> Sequence[ChannelMode]:
    """Return the channels for which something was chosen, the newest choice first."""
    async with database.read() as session:
        rows = await all_settings(session, team_id)
    return [ChannelMode(row.channel_id, Mode(row.mode), row.by) for row in rows]


async def set_mode(database: Database, team_id: str, channel_id: str, mode: Mode, *, by: str) -> Mode:
    """Let something else be answered in a channel from now on; return what was before."""
    async with database.begin() as session:
        rules = await load_rules(session, team_id, channel_id)
        await save_rules(session, team_id, channel_id, replace(rules, mode=mode), by=by)
    return rules.mode


async def find_team(database: Database, named: str = "") -> str:
    """Return the workspace that is meant: the one named, or the only one that has ever asked anything."""
    async with database.read() as session:
        teams = await known_teams(session)
    if named:
        return named
    if len(teams) != 1:
        known = ", ".join(teams) or _("none yet")
        raise AdminError(_("Name the workspace with --team; known are: {teams}.").format(teams=known))
    return teams[0]
