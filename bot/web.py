"""The bot's own HTTP: health, readiness, metrics, and Slack's events where HTTP is the transport."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.request.async_request import AsyncBoltRequest

from bot.door import MAX_BODY, Bodies, Door
from bot.errors import ConfigError

SILENT_S, LOOK_S = 20.0, 5.0  # a connection without a request of Slack's is closed after this time
BACKLOG = 128

SERVER_ERROR = 500

Check = Callable[[], Awaitable[Mapping[str, bool | str]]]  # of each part whether it is well; why not, in words


class Gate(Protocol):
    """Tells Slack's requests from others'."""

    def is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Return whether a request is Slack's."""
        ...

    async def is_first(self, headers: Mapping[str, str]) -> bool:
        """Return whether it came for the first time."""
        ...

    async def give_back(self, headers: Mapping[str, str]) -> None:
        """Let a request come again."""
        ...


DOOR = web.AppKey("door", Door)


def build_web_app(
    *, alive: Check, ready: Check, slack: tuple[AsyncApp, Gate] | None, flow: AsyncOAuthFlow | None = None
) -> web.Application:
    """Build the application; *slack* is given when Slack delivers its events over HTTP, *flow* for installing it."""
    app = web.Application(client_max_size=MAX_BODY)
    app[DOOR] = Door()

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
    dispatch, bodies = slack.async_dispatch, Bodies()

    async def events(request: web.Request) -> web.Response:
        body = await bodies.read(request)
        if isinstance(body, web.Response):
            return body
        if not gate.is_signed(request.headers, body):
            return web.json_response({"error": "invalid request"}, status=401)
        if not await gate.is_first(request.headers):
            return web.Response()  # Slack, should it ask twice, is told that it is done
        response = None
        with request.app[DOOR].vouched(request.protocol):
            try:
                asked = AsyncBoltRequest(body=body.decode(), query=request.query_string, headers=dict(request.headers))
                response = await to_aiohttp_response(await dispatch(asked))
            finally:
                if response is None or response.status >= SERVER_ERROR:
                    await gate.give_back(request.headers)
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


async def _close_silent(door: Door, *, silent_s: float) -> None:
    """Close connections that ask nothing, or so slowly that they never come to it."""
    while True:
        await asyncio.sleep(min(LOOK_S, silent_s))
        door.close_silent(silent_s)


@asynccontextmanager
async def serving(app: web.Application, *, host: str, port: int, silent_s: float = SILENT_S) -> AsyncIterator[int]:
    """Serve *app* for as long as the block runs; yield the port, which differs from *port* when that is 0."""
    strangers = logging.getLogger(f"{__name__}.server")
    strangers.addFilter(UNREAD)
    # Slack compresses nothing, so nobody can have us unpack anything before they have shown that they are Slack.
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=2, lingering_time=1, auto_decompress=False, logger=strangers
    )
    await runner.setup()
    closing = asyncio.create_task(_close_silent(app[DOOR], silent_s=silent_s))
    try:
        async with _listen(runner, app[DOOR], host=host, port=port) as opened:
            yield opened
    finally:
        closing.cancel()
        await runner.cleanup()


@asynccontextmanager
async def _listen(runner: web.AppRunner, door: Door, *, host: str, port: int) -> AsyncIterator[int]:
    """Let connections in through *door* while the block runs; yield the port."""
    server, loop = runner.server, asyncio.get_running_loop()
    if server is None:
        raise RuntimeError("The runner is not set up.")
    try:
        listener = await loop.create_server(lambda: door.let_in(server()), host, port, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"HTTP_HOST, HTTP_PORT: {host}:{port} cannot be used ({error.strerror}): stop what uses it, or set others."
        ) from error
    try:
        yield int(listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
