"""How the bot hears Slack, over sockets or HTTP, and how it is asked whether it is well."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext

from slack_bolt.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow

from bot.engine.client import EngineClient
from bot.settings import Settings, Transport
from bot.slack.calls import Calls
from bot.slack.setup.installing import build_flow
from bot.slack.signed import Signed, Taken
from bot.slack.sockets import Sockets
from bot.slack.turns.catch_up import CatchUp
from bot.slack.workspaces import Workspaces
from bot.web import build_web_app, serving

FULL = "the database can be read and took nothing of what Slack brought last; the log says why"


@asynccontextmanager
async def listening(
    settings: Settings,
    slack: AsyncApp,
    engine: EngineClient,
    worker: asyncio.Task[None],
    *,
    calls: Calls,
    catch_up: CatchUp,
    workspaces: Workspaces | None,
    keeps: Callable[[], bool],
    answers: Callable[[], Awaitable[bool]],
    stores: Callable[[], bool],
    taken: Taken | None,
) -> AsyncIterator[int]:
    """Hear Slack and answer health checks for as long as the block runs; yield the port of the latter.

    Where several bots share a database, one that is cut off from it *keeps* nothing and leaves what is said to others;
    *answers* looks whether the database does now, *stores* whether it took what Slack brought last, and *taken* tells
    each which orders another one has taken.
    """
    is_http = settings.slack_transport is Transport.HTTP
    app_token = settings.slack_app_token.get_secret_value()
    lost = catch_up.doubt.begin
    sockets = None if is_http else Sockets(slack, app_token, client=slack.client, on_loss=lost, may_hear=keeps)

    def is_hearing() -> bool:
        return sockets is None or sockets.is_hearing()

    async def alive() -> dict[str, bool | str]:
        return {"worker": not worker.done(), "slack": is_hearing() or not keeps()}

    async def ready() -> dict[str, bool | str]:
        is_there, takes = keeps() and await answers(), stores()
        parts = {**await alive(), "database": is_there and takes, "engine": await engine.health()}
        return {**parts, "reason": FULL} if is_there and not takes else {**parts}

    flow = None if workspaces is None else _flow(settings, slack, workspaces, calls)
    gate = Signed(settings.slack_signing_secret.get_secret_value(), taken=taken) if is_http else None
    heard = None if gate is None else (slack, gate)
    web_app = build_web_app(alive=alive, ready=ready, slack=heard, flow=flow)
    async with (
        serving(web_app, host=settings.http_host, port=settings.http_port) as port,
        nullcontext() if sockets is None else sockets.connected(),
        catch_up.running(None if is_http else is_hearing),
    ):
        yield port


def _flow(settings: Settings, slack: AsyncApp, workspaces: Workspaces, calls: Calls) -> AsyncOAuthFlow:
    return build_flow(
        slack.client,
        workspaces,
        calls,
        client_id=settings.slack_client_id,
        client_secret=settings.slack_client_secret.get_secret_value(),
        install_url=settings.install_url,
    )
