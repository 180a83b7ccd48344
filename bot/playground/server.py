"""The playground's HTTP server: Slack's side under /api, the page's side under /page, and the page itself."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from bot.playground.errors import PageError, PlaygroundError, SlackError
from bot.playground.files import take_bytes
from bot.playground.guards import add_headers, guard
from bot.playground.hub import Hub
from bot.playground.inspector import shorten_tokens
from bot.playground.options import PlaygroundOptions, check_options, is_loopback
from bot.playground.page.files import send_file
from bot.playground.page.request import HUB
from bot.playground.page.routes import add_page_routes
from bot.playground.responses import use_response_url
from bot.playground.scheduled import arm_all
from bot.playground.web_api.dispatch import handle_call, read_values
from bot.playground.web_api.files import require_file

STATIC = Path(__file__).parent / "static"
MAX_BODY = 4 * 1024 * 1024
SHUTDOWN_SECONDS = 0.5
APP_PATHS = ("/api/", "/link", "/commands/", "/upload/", "/files-pri/")

logger = logging.getLogger(__name__)


def build_app(options: PlaygroundOptions) -> web.Application:
    """Build the server for one workspace; it starts its work when it is run."""
    check_options(options)
    hub = Hub(options)
    app = web.Application(middlewares=[guard, _cut], client_max_size=MAX_BODY)
    app[HUB] = hub
    app.router.add_route("*", "/api/{method:[^/]+}", _handle_api)
    app.router.add_get("/oauth/v2/authorize", _handle_authorize)
    app.router.add_get("/link", _handle_link)
    app.router.add_get("/link/", _handle_link)
    app.router.add_post("/commands/{key}", _handle_response)
    app.router.add_post("/upload/v1/{key}", _handle_upload)
    app.router.add_get("/files-pri/{team}-{file}/{name:.*}", _handle_private_file)
    app.router.add_get("/health", _handle_health)
    add_page_routes(app)
    app.router.add_get("/", _handle_index)
    app.router.add_get("/archives/{channel}/{message}", _handle_index)
    app.router.add_static("/static", STATIC)
    app.on_response_prepare.append(add_headers)
    app.on_startup.append(_start)
    app.on_shutdown.append(_stop)
    return app


async def serve(options: PlaygroundOptions, *, stop: asyncio.Event | None = None) -> None:
    """Serve until SIGINT or SIGTERM, or until *stop* is set by a caller that handles signals itself."""
    runner = await start_server(options)
    try:
        logger.info("Playground ready at %s/ (SLACK_API_URL=%s/api/)", *(2 * [runner.app[HUB].base_url]))
        if stop is None:
            stop = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
    finally:
        await runner.cleanup()


async def start_server(options: PlaygroundOptions) -> web.AppRunner:
    """Start listening; the caller cleans the runner up."""
    runner = web.AppRunner(build_app(options), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port).start()
    except OSError as error:
        await runner.cleanup()
        raise PlaygroundError(
            f"The playground cannot listen on {options.host} port {options.port} ({error.strerror}); "
            "stop what listens there or choose another with --port."
        ) from error
    host = f"[{options.host}]" if ":" in options.host else options.host
    hub = runner.app[HUB]
    hub.base_url = f"http://{host}:{runner.addresses[0][1]}"
    if hub.second is not None:
        hub.second.base_url = hub.base_url
    return runner


async def _start(app: web.Application) -> None:
    app[HUB].start()
    arm_all(app[HUB])


async def _stop(app: web.Application) -> None:
    await app[HUB].close()


@web.middleware
async def _cut(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Let nothing of the app come through while a partition lasts."""
    if request.path.startswith(APP_PATHS) and request.app[HUB].faults.is_on("partition"):
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    return await handler(request)


async def _handle_api(request: web.Request) -> web.StreamResponse:
    return await handle_call(request.app[HUB], request)


async def _handle_link(request: web.Request) -> web.StreamResponse:
    return await request.app[HUB].sockets.connect(request)


async def _handle_authorize(request: web.Request) -> web.StreamResponse:
    """Let the second workspace's admin agree, and send the browser back to the app with a code."""
    hub, wanted = request.app[HUB], request.query
    if hub.second is None or wanted.get("client_id") != hub.options.client_id:
        return web.Response(status=400, text="invalid_client_id, or this playground has no second workspace.")
    back = urlsplit(wanted.get("redirect_uri", ""))
    if not is_loopback(back.hostname or ""):
        return web.Response(status=400, text="bad_redirect_uri: only this machine's own addresses.")
    code = secrets.token_hex(16)
    hub.second.codes.add(code)
    raise web.HTTPFound(f"{back.geturl()}?{urlencode({'code': code, 'state': wanted.get('state', '')})}")


async def _handle_response(request: web.Request) -> web.StreamResponse:
    hub, key = request.app[HUB], request.match_info["key"]
    entry = hub.inspector.start("http", "response_url", request={}, direction="from_app")
    try:
        values = await read_values(request)
        entry.request = shorten_tokens(values)
        office = hub.second if hub.second is not None and hub.second.response_urls.has(key) else hub
        use_response_url(office, key, values)
    except SlackError as error:
        hub.inspector.finish(entry, ok=False, status=error.code)
        status = 404 if error.code in {"expired_url", "used_url"} else 400
        return web.json_response({"ok": False, "error": error.code}, status=status)
    hub.inspector.finish(entry, ok=True, status="ok")
    return web.Response(text="ok")


async def _handle_upload(request: web.Request) -> web.StreamResponse:
    if request.content_type == "multipart/form-data":
        parts = [part for part in (await request.post()).values() if isinstance(part, web.FileField)]
        content = parts[0].file.read() if parts else b""
    else:
        content = await request.read()
    try:
        return web.Response(text=take_bytes(request.app[HUB], request.match_info["key"], content))
    except PlaygroundError as error:
        return web.Response(status=400, text=str(error))


async def _handle_private_file(request: web.Request) -> web.StreamResponse:
    """Send a file to the app; without its token or the right scope Slack sends a page to log in, and so do we."""
    hub = request.app[HUB]
    is_app = request.headers.get("Authorization", "") == f"Bearer {hub.options.bot_token}"
    if not is_app or not hub.manifest.has_scope("files:read"):
        return web.Response(text="<!DOCTYPE html><title>Sign in</title>", content_type="text/html")
    try:
        return send_file(hub, require_file(hub, request.match_info["file"]))
    except (SlackError, PageError):
        return web.Response(status=404, text="file_not_found")


async def _handle_health(request: web.Request) -> web.StreamResponse:  # noqa: ARG001 - aiohttp's handler
    return web.json_response({"ok": True, "pid": os.getpid()})  # so that whoever started it knows that it is theirs


async def _handle_index(request: web.Request) -> web.StreamResponse:  # noqa: ARG001 - aiohttp's handler
    return web.FileResponse(STATIC / "index.html")
