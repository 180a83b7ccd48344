"""Files as a person sees them."""

from __future__ import annotations

import re
from urllib.parse import quote

from aiohttp import web

from bot.playground.entities import File, Json
from bot.playground.errors import PageError
from bot.playground.files import DRAWN, MAX_FILE, MAX_FILES, MAX_SHARED, brief, keep, may_see, remove
from bot.playground.hub import Hub
from bot.playground.page.request import PageRequest

MAX_NAME = 255


def post_file(page: PageRequest) -> Json:
    """Take a file that the person will share with a message."""
    content, name, hub = page.value("content"), page.text("name").strip(), page.hub
    if not isinstance(content, bytes) or not content:
        raise PageError("This file is empty.")
    stored = sum(file.size for file in hub.workspace.files.values())
    if len(content) > MAX_FILE or stored + len(content) > MAX_FILES:
        raise PageError(f"The playground keeps files of at most {MAX_FILE // 1_000_000} MB.", status=413)
    if not name or len(name) > MAX_NAME or re.search(r"[\x00-\x1f\x7f/\\\\]", name):
        raise PageError("This file needs another name.")
    file = keep(hub, hub.workspace.next_id("F"), content, name=name, title=name, user=page.user.id)
    return {"file": brief(file)}


def delete_file(page: PageRequest) -> Json:
    """Delete one of the person's own files wherever it was shared."""
    file = page.hub.workspace.files.get(page.text("file"))
    if file is None or file.user != page.user.id:
        raise PageError("This file does not exist or is not yours.", status=404)
    remove(page.hub, file)
    return {"ok": True}


def list_own(page: PageRequest) -> list[File]:
    """Return the files that the person put to the message that they send."""
    ids = page.value("files") or []
    if not isinstance(ids, list) or len(ids) > MAX_SHARED:
        raise PageError(f"A message takes at most {MAX_SHARED} files.")
    files = [page.hub.workspace.files.get(str(file_id)) for file_id in ids]
    found = [file for file in files if file is not None and file.user == page.user.id]
    if len(found) < len(ids):
        raise PageError("This file does not exist or is not yours.", status=404)
    return found


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
