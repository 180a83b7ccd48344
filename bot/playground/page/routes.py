"""Which path of the page's API is answered by which function, and how errors look there."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from aiohttp import web

from bot.playground.entities import Json
from bot.playground.errors import PageError
from bot.playground.page import channels, controls, files, interactions, messages, state
from bot.playground.page.live import handle_live
from bot.playground.page.request import PageRequest, read_request

Answer = (
    Callable[[PageRequest], Json] | Callable[[PageRequest], Awaitable[Json]] | Callable[[PageRequest], web.Response]
)

ROUTES: tuple[tuple[str, str, Answer], ...] = (
    ("GET", "/page/state", state.get_state),
    ("GET", "/page/messages", state.get_messages),
    ("GET", "/page/log", state.get_log),
    ("GET", "/page/files", files.get_file),
    ("POST", "/page/files", files.post_file),
    ("DELETE", "/page/files", files.delete_file),
    ("POST", "/page/messages", messages.post_message),
    ("PATCH", "/page/messages", messages.patch_message),
    ("DELETE", "/page/messages", messages.delete_message),
    ("POST", "/page/prompts", messages.post_prompt),
    ("POST", "/page/reactions", messages.post_reaction),
    ("POST", "/page/typing", messages.post_typing),
    ("POST", "/page/commands", interactions.post_command),
    ("POST", "/page/shortcuts", interactions.post_shortcut),
    ("POST", "/page/actions", interactions.post_action),
    ("POST", "/page/options", interactions.post_options),
    ("POST", "/page/views/submit", interactions.post_view_submission),
    ("POST", "/page/views/close", interactions.post_view_closed),
    ("POST", "/page/stop", interactions.post_stop),
    ("POST", "/page/sessions/rename", interactions.post_rename),
    ("POST", "/page/open", channels.post_open),
    ("POST", "/page/read", channels.post_read),
    ("POST", "/page/ims", channels.post_direct),
    ("POST", "/page/channels", channels.post_channel),
    ("POST", "/page/channels/join", channels.post_join),
    ("POST", "/page/channels/invite", channels.post_invite),
    ("POST", "/page/channels/leave", channels.post_leave),
    ("POST", "/page/faults", controls.post_faults),
    ("POST", "/page/clock", controls.post_clock),
    ("POST", "/page/reset", controls.post_reset),
    ("POST", "/page/refresh", controls.post_refresh),
)


def add_page_routes(app: web.Application) -> None:
    """Put the page's API and its WebSocket into the server."""
    for method, path, answer in ROUTES:
        app.router.add_route(method, path, _build_handler(answer))
    app.router.add_get("/page/live", _refusing(handle_live))


def _build_handler(answer: Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        result = answer(await read_request(request))
        document = await result if inspect.isawaitable(result) else result
        if isinstance(document, web.Response):
            return document
        return web.json_response(document, headers={"Cache-Control": "no-store"})

    return _refusing(handle)


def _refusing(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def refuse(request: web.Request) -> web.StreamResponse:
        try:
            return await handle(request)
        except PageError as error:
            return web.json_response({"error": error.sentence}, status=error.status)

    return refuse
