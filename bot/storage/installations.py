"""Where the app is installed: one row a workspace, or one for a whole organisation, each with its locked token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage import audit
from bot.storage.installing_tables import ChannelPersona, Installation, OrgTeam
from bot.storage.keyring import Keyring
from bot.storage.schedule_tables import Schedule
from bot.storage.schedules import remove_schedule
from bot.storage.tables import Answer, AnswerState, Inbox, InboxState, Message, Thread, now


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An installation with its token open; *team_id* is empty where a whole organisation installed it."""

    enterprise_id: str
    team_id: str
    name: str
    app_id: str
    bot_id: str
    bot_user_id: str
    token: str
    scopes: str
    installed_by: str


async def save_installation(session: AsyncSession, installed: Installed, keyring: Keyring) -> None:
    """Keep an installation in place of an older one of the same workspace or organisation."""
    await _put(
        session,
        Installation,
        {"enterprise_id": installed.enterprise_id, "team_id": installed.team_id},
        name=installed.name,
        app_id=installed.app_id,
        bot_id=installed.bot_id,
        bot_user_id=installed.bot_user_id,
        token=keyring.lock(installed.token),
        scopes=installed.scopes,
        installed_by=installed.installed_by,
        at=now(),
    )
    audit.record(session, "installed", by=installed.installed_by, target=installed.team_id or installed.enterprise_id)


async def find_installation(
    session: AsyncSession, keyring: Keyring, *, team_id: str, enterprise_id: str = ""
) -> Installed | None:
    """Return a workspace's own installation, or else that of its organisation, whose id is learned from events."""
    row = await session.scalar(select(Installation).where(Installation.team_id == team_id)) if team_id else None
    if row is None:
        known = await session.get(OrgTeam, team_id) if team_id and not enterprise_id else None
        organisation = enterprise_id or (known.enterprise_id if known else "")
        row = await session.get(Installation, (organisation, "")) if organisation else None
    return None if row is None else _open(row, keyring)


async def note_team(session: AsyncSession, team_id: str, enterprise_id: str) -> None:
    """Remember which organisation a workspace belongs to."""
    await _put(session, OrgTeam, {"team_id": team_id}, enterprise_id=enterprise_id)


async def _put(
    session: AsyncSession, table: type[Installation | OrgTeam], which: dict[str, str], **values: Any
) -> None:
    """Write the row that *which* names, new or in place of the old one; two processes may do so at the same moment."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    statement = insert(table).values(which | values)
    await session.execute(statement.on_conflict_do_update(index_elements=list(which), set_=values))


async def drop_installation(
    session: AsyncSession, keyring: Keyring, *, team_id: str, enterprise_id: str, token: str
) -> None:
    """Forget a token, and with it what waited there and how it spoke there; what is written fails.

    Where another process has kept a newer token meanwhile, that one stays, and so does all else.
    """
    row = await session.get(Installation, (enterprise_id, team_id), with_for_update=True)
    if row is None or keyring.unlock(row.token) != token:
        return
    await session.delete(row)
    await session.flush()
    teams = (
        [team_id]
        if team_id
        else list(await session.scalars(select(OrgTeam.team_id).where(OrgTeam.enterprise_id == enterprise_id)))
    )
    await session.execute(delete(ChannelPersona).where(ChannelPersona.team_id.in_(teams)))
    for schedule in await session.scalars(select(Schedule).where(Schedule.team_id.in_(teams))):
        await remove_schedule(session, schedule, by="slack")
    waiting = update(Inbox).where(Inbox.team_id.in_(teams), Inbox.state == InboxState.PENDING)
    await session.execute(waiting.values(state=InboxState.DONE, payload={}, done_at=now()))  # nobody missed it
    under_way = update(Inbox).where(Inbox.team_id.in_(teams), Inbox.state == InboxState.RUNNING)
    await session.execute(under_way.values(payload={}))  # of what has not begun yet nothing is stored any more
    asked = select(Message.id).join(Thread, Message.thread_id == Thread.id).where(Thread.team_id.in_(teams))
    writing = update(Answer).where(Answer.message_id.in_(asked), Answer.state == AnswerState.WRITING)
    await session.execute(writing.values(state=AnswerState.FAILED))  # nobody can be shown it
    await session.execute(delete(OrgTeam).where(OrgTeam.team_id.in_(teams)))
    audit.record(session, "uninstalled", by="slack", target=team_id or enterprise_id)


async def list_teams(session: AsyncSession) -> list[str]:
    """Return every workspace that is known to have the app, by itself or by its organisation."""
    own = await session.scalars(select(Installation.team_id))
    of_organisations = await session.scalars(select(OrgTeam.team_id))
    return [team_id for team_id in dict.fromkeys((*own, *of_organisations)) if team_id]


async def list_installations(session: AsyncSession, keyring: Keyring) -> list[Installed]:
    """Return every installation; raise *ConfigError* if a token cannot be opened."""
    rows = await session.scalars(select(Installation).order_by(Installation.at))
    return [_open(row, keyring) for row in rows]


async def relock_installations(session: AsyncSession, keyring: Keyring) -> int:
    """Lock every token with the newest key, and return how many there are; raise *ConfigError* if one is lost."""
    rows: Sequence[Installation] = list(await session.scalars(select(Installation)))
    for row in rows:
        row.token = keyring.relock(row.token)
    return len(rows)


def _open(row: Installation, keyring: Keyring) -> Installed:
    return Installed(
        enterprise_id=row.enterprise_id,
        team_id=row.team_id,
        name=row.name,
        app_id=row.app_id,
        bot_id=row.bot_id,
        bot_user_id=row.bot_user_id,
        token=keyring.unlock(row.token),
        scopes=row.scopes,
        installed_by=row.installed_by,
    )
