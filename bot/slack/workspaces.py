"""The workspaces that the app is installed in, and which of them is being served.

Whoever begins to work for a workspace enters it: calls, names and roles are those of the workspace that was entered,
for as long as that task and the tasks that it starts run. Where nobody enters one, it is the one of the settings.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from bot.storage.db import Database, Session
from bot.storage.installations import (
    Installed,
    drop_installation,
    find_installation,
    note_team,
    relock_installations,
    save_installation,
)
from bot.storage.keyring import Keyring

FRESH_S = 60.0  # for so long a token counts without a look: another process may have taken a newer one


@dataclass(frozen=True, slots=True)
class Workspace:
    """One installation; *team_id* is empty for a whole organisation."""

    enterprise_id: str
    team_id: str
    bot_id: str
    bot_user_id: str
    token: str

    @property
    def key(self) -> str:
        """Return what tells it from others."""
        return f"{self.enterprise_id}/{self.team_id}"


_serving: ContextVar[Workspace | None] = ContextVar("serving", default=None)


def serving() -> Workspace | None:
    """Return the workspace that is being served; None: the one of the settings."""
    return _serving.get()


def own_user_id(of_settings: str) -> str:
    """Return the bot's own user id where it is serving; *of_settings* is that of SLACK_BOT_TOKEN."""
    workspace = serving()
    return of_settings if workspace is None else workspace.bot_user_id


def key_of(name: str) -> str:
    """Return *name*, which may mean another thing in another workspace, as one that means only this one."""
    workspace = serving()
    return name if workspace is None else f"{workspace.key}/{name}"


class Workspaces:
    """Finds installations by what events say; *home* is the workspace of SLACK_BOT_TOKEN, if there is one."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        *,
        home: Workspace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._home = home
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, Workspace]] = {}
        self.is_outdated = keyring.is_outdated
        self.on_drop: list[Callable[[Workspace], None]] = []

    async def open(self) -> int:
        """Lock every token with the newest key; return how many installations there are."""
        async with self._database.begin() as session:
            return await relock_installations(session, self._keyring)

    async def find(self, *, team_id: str, enterprise_id: str = "", is_fresh: bool = False) -> Workspace | None:
        """Return the installation that a workspace's events belong to, as it is now if it must be *is_fresh*."""
        if self._home is not None and team_id == self._home.team_id:
            return self._home
        place = (enterprise_id, team_id)
        at, known = self._known.get(place, (0.0, None))
        if known is not None and not is_fresh and self._clock() - at < FRESH_S:
            return known
        async with self._database.read() as session:
            found = await find_installation(session, self._keyring, team_id=team_id, enterprise_id=enterprise_id)
        if found is None:
            self._known.pop(place, None)
            return None
        workspace = _workspace(found)
        self._known[place] = (self._clock(), workspace)
        if known is None and not found.team_id and team_id and enterprise_id:
            async with self._database.begin() as session:
                await note_team(session, team_id, enterprise_id)
        return workspace

    def doubt(self, team_id: str) -> None:
        """Look anew what counts in a workspace that does not answer: another process may have taken a newer token."""
        self._known = {place: known for place, known in self._known.items() if place[1] != team_id}

    def is_home(self, workspace: Workspace) -> bool:
        """Return whether a workspace is that of SLACK_BOT_TOKEN."""
        return workspace is self._home

    async def enter(self, team_id: str, enterprise_id: str = "") -> Workspace | None:
        """Serve a workspace from here on in this task; None when the app is not installed there."""
        found = await self.find(team_id=team_id, enterprise_id=enterprise_id)
        if found is not None:
            _serving.set(None if found is self._home else found)
        return found

    async def save(self, installed: Installed, *, ended: Workspace | None = None) -> None:
        """Keep a new installation, or the new token of an old one; one that *ended* before goes with what waited."""
        async with self._database.begin() as session:
            if ended is not None:
                await self._drop(session, ended)
            await save_installation(session, installed, self._keyring)
        self._forget(_workspace(installed))

    async def drop(self, workspace: Workspace) -> None:
        """Forget an installation that was taken back, unless there is a newer one by now."""
        async with self._database.begin() as session:
            await self._drop(session, workspace)
        self._forget(workspace)

    async def _drop(self, session: Session, workspace: Workspace) -> None:
        place = {"team_id": workspace.team_id, "enterprise_id": workspace.enterprise_id}
        await drop_installation(session, self._keyring, **place, token=workspace.token)

    def _forget(self, workspace: Workspace) -> None:
        self._known = {place: known for place, known in self._known.items() if known[1].key != workspace.key}
        for tell in self.on_drop:
            tell(workspace)


def _workspace(installed: Installed) -> Workspace:
    return Workspace(
        installed.enterprise_id, installed.team_id, installed.bot_id, installed.bot_user_id, installed.token
    )
