"""Files: announced, uploaded, shared into conversations, and shown only to those who may read one of these."""

from __future__ import annotations

import mimetypes
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bot.playground.entities import Channel, File, Json, Message, User
from bot.playground.errors import PlaygroundError, SlackError
from bot.playground.events import event_ts, publish
from bot.playground.hub import Hub
from bot.playground.messaging import build_app_message, change, delete, post

MAX_FILE = 4_000_000  # bytes
MAX_FILES = 64_000_000  # bytes of all files together
MAX_PENDING = 20
MAX_SHARED = 10  # files of one message, as in Slack
DRAWN = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
BLOCK_IMAGES = {"image/png", "image/jpeg", "image/gif"}
ID_IN_URL = re.compile(r"[-/](F[A-Z0-9]+)/")


@dataclass(slots=True)
class Upload:
    """A file that an app announced, and its bytes once they came."""

    file_id: str
    name: str
    length: int
    content: bytes | None = None


def begin_upload(hub: Hub, *, name: str, length: int) -> tuple[str, Upload]:
    """Take note of a file that will come; return the key of its upload URL."""
    stored = sum(file.size for file in hub.workspace.files.values())
    if length > MAX_FILE or stored + length > MAX_FILES:
        raise SlackError("file_upload_size_restricted")
    while len(hub.uploads) >= MAX_PENDING:
        del hub.uploads[next(iter(hub.uploads))]
    key, upload = secrets.token_urlsafe(24), Upload(hub.workspace.next_id("F"), name, length)
    hub.uploads[key] = upload
    return key, upload


def take_bytes(hub: Hub, key: str, content: bytes) -> str:
    """Take a file's bytes at its upload URL; return what Slack answers, or raise a sentence."""
    upload = hub.uploads.get(key)
    if upload is None:
        raise PlaygroundError("There is no such upload.")
    if len(content) != upload.length:
        raise PlaygroundError(f"{upload.length} bytes were announced, and {len(content)} came.")
    upload.content = content
    return f"OK - {len(content)}"


def complete_upload(hub: Hub, file_id: str, *, title: str | None) -> File:
    """Make a file of an upload whose bytes have come."""
    key = next((key for key, upload in hub.uploads.items() if upload.file_id == file_id), None)
    if key is None or (content := hub.uploads[key].content) is None:
        raise SlackError("file_not_found")
    upload = hub.uploads.pop(key)
    return keep(hub, file_id, content, name=upload.name, title=title or upload.name, user=hub.app.bot_user_id)


def keep(hub: Hub, file_id: str, content: bytes, *, name: str, title: str, user: str) -> File:
    """Keep a file of somebody, to be shared or not."""
    hub.file_store.put(file_id, content)
    delay = hub.faults.setting("slow_files", "seconds") if hub.faults.is_on("slow_files") else 0.0
    file = File(
        id=file_id,
        name=name,
        title=title,
        mimetype=read_mimetype(name, content),
        size=len(content),
        user=user,
        created=int(hub.clock.now()),
        ready_at=hub.clock.now() + delay,
    )
    hub.workspace.files[file_id] = file
    hub.changed()
    return file


def share(hub: Hub, files: list[File], channel: Channel, *, thread_ts: str | None, **content: Any) -> Message:
    """Post files into a channel or thread; from then on whoever may read it may see them."""
    message = build_app_message(hub, channel.id, thread_ts=thread_ts, subtype="file_share", **content)
    return post(hub, attach(message, files))


def attach(message: Message, files: list[File]) -> Message:
    """Let a message that is about to be posted show files."""
    message.files = [brief(file) for file in files]
    for file in files:
        file.shares.setdefault(message.channel, []).append(message.ts)
    return message


def remove(hub: Hub, file: File) -> None:
    """Delete a file: messages show it no more, and those that say nothing else are gone."""
    del hub.workspace.files[file.id]
    hub.file_store.drop(file.id)
    for channel, shown in file.shares.items():
        for ts in shown:
            message = hub.workspace.find(channel, ts)
            if message is None:
                continue
            left = [other for other in message.files if other["id"] != file.id]
            if left or message.text or message.blocks or message.reply_count:
                change(hub, message, editor=None, files=left)
            else:
                delete(hub, message)
    publish(hub, {"type": "file_deleted", "file_id": file.id, "event_ts": event_ts(hub)})
    hub.changed()


def may_see(hub: Hub, user: User, file: File) -> bool:
    """Say whether somebody may see a file: its owner, and who can read a conversation it was shared into."""
    workspace = hub.workspace
    shared = [workspace.channels[channel] for channel in file.shares if channel in workspace.channels]
    return user.id == file.user or any(workspace.can_see(user.id, channel) for channel in shared)


def brief(file: File) -> Json:
    """Return what a message keeps of a file, for the page to draw."""
    return {"id": file.id, "name": file.name, "title": file.title, "mimetype": file.mimetype, "size": file.size}


def read_mimetype(name: str, content: bytes) -> str:
    """Return what a file is: pictures by their first bytes, everything else by its name."""
    drawn = next((kind for start, kind in DRAWN.items() if content.startswith(start)), None)
    guess = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return drawn or (guess if guess not in DRAWN.values() else "application/octet-stream")


def require_images(hub: Hub, blocks: list[Any] | None, *, pointer: str = "/blocks") -> None:
    """Refuse blocks with a picture that is no file of this workspace, no picture, or not processed yet."""
    problems = [
        f"[ERROR] invalid slack file [json-pointer:{pointer}/{place}/slack_file]"
        for index, block in enumerate(blocks or [])
        for place, image in _images(block, str(index))
        if not _is_usable(hub, image)
    ]
    if problems:
        errors = [text.removeprefix("[ERROR] ") for text in problems]
        raise SlackError("invalid_blocks", messages=problems, errors=errors)


def _images(block: Any, place: str) -> Iterator[tuple[str, Json]]:
    if not isinstance(block, dict):
        return
    if isinstance(block.get("slack_file"), dict):
        yield place, block["slack_file"]
    elements = block.get("elements")
    listed = enumerate(elements if isinstance(elements, list) else [])
    inner = [("accessory", block.get("accessory")), *((f"elements/{number}", item) for number, item in listed)]
    for name, item in inner:
        if isinstance(item, dict) and isinstance(item.get("slack_file"), dict):
            yield f"{place}/{name}", item["slack_file"]


def _is_usable(hub: Hub, image: Json) -> bool:
    found = ID_IN_URL.search(f"{image.get('url') or ''}/")
    file = hub.workspace.files.get(image.get("id") or (found.group(1) if found else ""))
    return file is not None and file.mimetype in BLOCK_IMAGES and hub.clock.now() >= file.ready_at
