"""Files as a person sees them."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from bot.playground.entities import File
from bot.playground.errors import PageError
from bot.playground.files import DRAWN, may_see
from bot.playground.hub import Hub
from bot.playground.page.request import PageRequest


def get_file(page: PageRequest) -> web.Response:
    """Return the bytes of a file that was shared into a conversation which the person may read."""
    file = page.hub.workspace.files.get(page.text("file"))
    if file is None or not may_see(page.hub, page.user, file):
        raise PageError("This file does not exist or is not open to you.", status=404)
    return send_file(page.hub, file)


def send_file(hub: Hub, file: File) -> web.Response:
    """Send a file; nothing but a PNG or JPEG is ever shown in the page, everything else is saved."""
    content = hub.file_store.get(file.id)
    if content is None:
        raise PageError("The bytes of this file are lost.", status=410)
    is_drawn = file.mimetype in DRAWN.values()
    disposition = "inline" if is_drawn else "attachment"
    return web.Response(
        body=content,
        content_type=file.mimetype if is_drawn else "application/octet-stream",
        headers={
            "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(file.name)}",
            "Cache-Control": "private, max-age=3600" if is_drawn else "no-store",
        },
    )
