"""The bot's own HTTP: health, readiness, metrics, and Slack's events where HTTP is the transport."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow

from bot.errors import ConfigError

MAX_BODY = 1024 * 1024

SERVER_ERROR = 500

Check = Callable[[], Awaitable[dict[str, bool]]]


class Gate(Protocol):
    """Tells Slack's requests from others'."""

    def is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Return whether a request is Slack's."""
        ...

    def is_first(self, headers: Mapping[str, str]) -> bool:
        """Return whether it came for the first time."""
        ...

    def give_back(self, headers: Mapping[str, str]) -> None:
        """Let a request come again."""
        ...


def build_web_app(
    *, alive: Check, ready: Check, slack: tuple[AsyncApp, Gate] | None, flow: AsyncOAuthFlow | None = None
) -> web.Application:
    """Build the application; *slack* is given when Slack delivers its events over HTTP, *flow* for installing it."""
    app = web.Application(client_max_size=MAX_BODY)

    async def show(check: Check) -> web.Response:
        parts = await check()
        return web.json_response(parts, status=200 if all(parts.values()) else 503)

    async def healthz(_request: web.Request) -> web.Response:
        return await show(alive)

    async def readyz(_request: web.Request) -> web.Response:
        return await show(ready)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    if slack is not None:
        _add_events(app, *slack)
    if flow is not None:
        _add_flow(app, flow)
    return app


def _add_events(app: web.Application, slack: AsyncApp, gate: Gate) -> None:
    """Hand Slack's requests on, each once; one that could not be handled may come again."""
    dispatch = slack.async_dispatch

    async def events(request: web.Request) -> web.Response:
        if not gate.is_signed(request.headers, await request.read()):
            return web.json_response({"error": "invalid request"}, status=401)
        if not gate.is_first(request.headers):
            return web.Response()  # Slack, should it ask twice, is told that it is done
        response = None
        try:
            response = await to_aiohttp_response(await dispatch(await to_bolt_request(request)))
        finally:
            if response is None or response.status >= SERVER_ERROR:
                gate.give_back(request.headers)
        return response

    app.add_routes([web.post("/slack/events", events)])


def _add_flow(app: web.Application, flow: AsyncOAuthFlow) -> None:
    """Serve the page on which people install the app, and the one to which Slack sends them back."""

    async def install(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await flow.handle_installation(await to_bolt_request(request)))

    async def redirect(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await flow.handle_callback(await to_bolt_request(request)))

    app.add_routes([web.get(flow.install_path, install), web.get(flow.redirect_uri_path, redirect)])


@asynccontextmanager
async def serving(app: web.Application, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve *app* for as long as the block runs; yield the port, which differs from *port* when that is 0."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigError(
                f"HTTP_PORT: {host}:{port} cannot be used ({error.strerror}): stop what uses it, or set HTTP_PORT."
            ) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
