"""The bot's own HTTP: health, readiness, metrics, and Slack's events where HTTP is the transport."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow

from bot.errors import ConfigError

MAX_BODY = 1024 * 1024
BODY_S = 10.0  # for so long a body may come in
SILENT_S, LOOK_S = 20.0, 5.0  # a connection without a request, which Slack has no use for, is closed after this time

SERVER_ERROR = 500

BUSY: web.AppKey[set[object]] = web.AppKey("busy", set)  # connections with a request that is being answered

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
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_note_busy])
    app[BUSY] = set()

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
        try:
            async with asyncio.timeout(BODY_S):
                body = await request.read()
        except TimeoutError:
            return web.json_response({"error": "too slow"}, status=408)
        if not gate.is_signed(request.headers, body):
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


class Unread(logging.Filter):
    """Leaves out what strangers send that is no request at all, which would be a long trace for each."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write it."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)


UNREAD = Unread()


@web.middleware
async def _note_busy(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Keep in mind that a connection has a request that is being answered."""
    request.app[BUSY].add(request.protocol)
    try:
        return await handler(request)
    finally:
        request.app[BUSY].discard(request.protocol)


async def _close_silent(runner: web.AppRunner, busy: set[object], *, silent_s: float) -> None:
    """Close connections that ask nothing, or so slowly that they never come to it: each costs an open file."""
    since: dict[web.RequestHandler, float] = {}
    while runner.server is not None:
        moment, there = time.monotonic(), runner.server.connections
        since = {one: since.get(one, moment) for one in there if one not in busy}
        for one, began in since.items():
            if moment - began >= silent_s:
                one.force_close()
        await asyncio.sleep(min(LOOK_S, silent_s))


@asynccontextmanager
async def serving(app: web.Application, *, host: str, port: int, silent_s: float = SILENT_S) -> AsyncIterator[int]:
    """Serve *app* for as long as the block runs; yield the port, which differs from *port* when that is 0."""
    strangers = logging.getLogger(f"{__name__}.server")
    strangers.addFilter(UNREAD)
    # Slack compresses nothing, so nobody can have us unpack anything before they have shown that they are Slack.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2, auto_decompress=False, logger=strangers)
    await runner.setup()
    closing = asyncio.create_task(_close_silent(runner, app[BUSY], silent_s=silent_s))
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigError(
                f"HTTP_PORT: {host}:{port} cannot be used ({error.strerror}): stop what uses it, or set HTTP_PORT."
            ) from error
        yield int(runner.addresses[0][1])
    finally:
        closing.cancel()
        await runner.cleanup()
