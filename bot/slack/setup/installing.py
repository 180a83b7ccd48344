"""Installing the app in several workspaces: Slack's OAuth pages, the installations that it leads to, and their end."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltContext
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.stateless import StatelessOAuthStateStore
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.calls import REMOVED, Calls
from bot.slack.setup.manifest import INSTALL_PATH, REDIRECT_PATH, SCOPES
from bot.slack.workspaces import Workspace, Workspaces
from bot.storage.db import Database
from bot.storage.installations import Installed
from bot.storage.keyring import Keyring

STATE_S = 600
REPLACED = REMOVED | {"invalid_auth"}  # what Slack says of a token once it has given out another

log = logging.getLogger(__name__)


class Store(AsyncInstallationStore):
    """Keeps what Bolt's flow brings; finding is done by *Workspaces*."""

    def __init__(self, workspaces: Workspaces, calls: Calls) -> None:
        self._workspaces = workspaces
        self._calls = calls

    async def async_save(self, installation: Installation) -> None:
        """Keep the bot's token of an installation; one of a person is none of our business."""
        is_org = bool(installation.is_enterprise_install)
        installed = Installed(
            enterprise_id=installation.enterprise_id or "",
            team_id="" if is_org else installation.team_id or "",
            name=str((installation.enterprise_name if is_org else installation.team_name) or "")[:200],
            app_id=installation.app_id or "",
            bot_id=installation.bot_id or "",
            bot_user_id=installation.bot_user_id or "",
            token=installation.bot_token or "",
            scopes=",".join(installation.bot_scopes or ()),
            installed_by=installation.user_id or "",
        )
        await self._workspaces.save(installed, ended=await asyncio.create_task(self._find_ended(installed)))
        log.info("installed in %s", installation.enterprise_id if is_org else installation.team_id)

    async def _find_ended(self, installed: Installed) -> Workspace | None:
        """Return the installation before a new one where Slack refuses its token: nobody heard that it was removed.

        For a task of its own: it serves the workspace with the old token.
        """
        place = {"team_id": installed.team_id, "enterprise_id": installed.enterprise_id}
        before = await self._workspaces.find(**place, is_fresh=True)
        if before is None or self._workspaces.is_home(before) or before.token == installed.token:
            return None
        if (before.team_id, before.enterprise_id) != (installed.team_id, installed.enterprise_id):
            return None  # that of its organisation
        await self._workspaces.enter(**place)
        return before if await self._calls.find_lockout() in REPLACED else None

    async def async_save_bot(self, bot: Bot) -> None:
        """Do nothing: a bot comes with its installation."""


async def open_workspaces(
    keys: Sequence[str], database: Database, identity: AuthorizeResult, calls: Calls
) -> Workspaces | None:
    """Open the installations with their keys; None where there is only the workspace of SLACK_BOT_TOKEN."""
    if not keys:
        return None
    home = None
    if identity.team_id:
        home = Workspace(
            identity.enterprise_id or "",
            identity.team_id,
            identity.bot_id or "",
            identity.bot_user_id or "",
            identity.bot_token or "",
        )
    workspaces = Workspaces(database, Keyring(keys), home=home)
    workspaces.on_drop.append(calls.forget)
    log.info("installed in %d workspaces or organisations by OAuth", await workspaces.open())
    return workspaces


def build_flow(
    client: AsyncWebClient,
    workspaces: Workspaces,
    calls: Calls,
    *,
    client_id: str,
    client_secret: str,
    install_url: str,
) -> AsyncOAuthFlow:
    """Build the two pages, which stand at *install_url* for people's browsers."""
    slack = client.base_url.removesuffix("/").removesuffix("/api")
    return AsyncOAuthFlow(
        client=AsyncWebClient(base_url=client.base_url, session=client.session, retry_handlers=[]),
        logger=log,
        settings=AsyncOAuthSettings(
            client_id=client_id,
            client_secret=client_secret,
            scopes=list(SCOPES),
            redirect_uri=f"{install_url.rstrip('/')}{REDIRECT_PATH}",
            install_path=INSTALL_PATH,
            redirect_uri_path=REDIRECT_PATH,
            authorization_url=f"{slack}/oauth/v2/authorize",
            installation_store=Store(workspaces, calls),
            state_store=StatelessOAuthStateStore(expiration_seconds=STATE_S, signing_secret=client_secret),
            state_expiration_seconds=STATE_S,
            logger=log,
        ),
    )


def build_identity(workspace: Workspace | None) -> AuthorizeResult | None:
    """Tell Bolt who we are in a workspace; None where the app is not installed."""
    if workspace is None:
        return None
    return AuthorizeResult(
        enterprise_id=workspace.enterprise_id or None,
        team_id=workspace.team_id or None,
        bot_user_id=workspace.bot_user_id,
        bot_id=workspace.bot_id,
        bot_token=workspace.token,
    )


def register_endings(
    app: AsyncApp, workspaces: Workspaces | None, calls: Calls, look_later: Callable[[], None]
) -> None:
    """Register what happens when a workspace removes the app; Bolt does not ask who we are for these two events.

    Slack may say so again after the app was installed anew, so the token itself is asked. Where Slack does not tell
    plainly, nothing is dropped, and the look for what was missed asks again: *look_later* has it come soon.
    """

    @app.event("app_uninstalled")
    async def handle_uninstalled(context: AsyncBoltContext) -> None:
        await end(context, None)

    @app.event("tokens_revoked")
    async def handle_revoked(event: dict[str, Any], context: AsyncBoltContext) -> None:
        await end(context, (event.get("tokens") or {}).get("bot") or [])

    async def end(context: AsyncBoltContext, revoked: Collection[str] | None) -> None:
        """Forget an installation whose bot is among those *revoked*, if that is said."""
        place = {"team_id": context.team_id or "", "enterprise_id": context.enterprise_id or ""}
        found = None if workspaces is None else await workspaces.find(**place, is_fresh=True)
        if workspaces is None or (found is not None and workspaces.is_home(found)):
            if revoked is None or revoked:
                log.error("the app was removed from %s: install it again, and set SLACK_BOT_TOKEN anew", place)
        elif found is not None and (revoked is None or found.bot_user_id in revoked):
            await workspaces.enter(**place)
            said = await calls.find_lockout()
            if said in REPLACED:
                await workspaces.drop(found)
                log.warning("the app was removed from %s; its token is forgotten", place)
            elif said == "":
                log.info("the token of %s works: that the app was removed there is an old word", place)
            else:
                look_later()
                log.warning("Slack does not say whether the app was removed from %s; it is asked again soon", place)
