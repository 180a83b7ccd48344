"""files.*: an upload in three steps, and what is known about a file."""

from __future__ import annotations

from bot.playground.entities import Channel, File, Json
from bot.playground.errors import SlackError
from bot.playground.files import begin_upload, complete_upload, may_see, remove, share
from bot.playground.hub import Hub
from bot.playground.slack_objects import file_object
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.content import read_blocks
from bot.playground.web_api.method import Method, require_channel, require_membership, require_thread

MAX_AT_ONCE = 10


def answer_upload_url(hub: Hub, args: Arguments) -> Json:
    """Say where a file of some length can be sent to, once."""
    name, length = args.required("filename"), args.required("length")
    if not length.isdigit() or not int(length):
        raise SlackError("invalid_arguments", messages=["[ERROR] must be a positive integer [json-pointer:/length]"])
    key, upload = begin_upload(hub, name=name, length=int(length))
    return {"upload_url": f"{hub.base_url}/upload/v1/{key}", "file_id": upload.file_id}


def answer_complete(hub: Hub, args: Arguments) -> Json:
    """Make files of what was sent, and share them where the app wants them."""
    wanted = args.json_list("files", error="invalid_arguments") or []
    if not 1 <= len(wanted) <= MAX_AT_ONCE or not all(isinstance(item, dict) and item.get("id") for item in wanted):
        raise SlackError("invalid_arguments", messages=["[ERROR] missing required field: files"])
    channels = [_require_share(hub, args, name) for name in _channel_ids(args)]
    threads = [require_thread(hub, channel, args) for channel in channels]
    comment, blocks = args.text("initial_comment"), read_blocks(args)
    files = [complete_upload(hub, str(item["id"]), title=_title(item)) for item in wanted]
    for channel, thread_ts in zip(channels, threads, strict=True):
        content = {"text": comment or "", "blocks": [] if comment else blocks or []}
        share(hub, files, channel, thread_ts=thread_ts, **content)
    return {"files": [file_object(hub, file) for file in files]}


def answer_info(hub: Hub, args: Arguments) -> Json:
    """Describe a file that the app may see."""
    return {"file": file_object(hub, require_file(hub, args.required("file"))), "comments": []}


def answer_delete(hub: Hub, args: Arguments) -> Json:
    """Delete one of the app's own files, and the messages that show nothing else."""
    file = require_file(hub, args.required("file"))
    if file.user != hub.app.bot_user_id:
        raise SlackError("cant_delete_file")
    remove(hub, file)
    return {}


def require_file(hub: Hub, file_id: str) -> File:
    """Find a file that the app uploaded or can read somewhere."""
    file = hub.workspace.files.get(file_id)
    if file is None or not may_see(hub, hub.workspace.users[hub.app.bot_user_id], file):
        raise SlackError("file_not_found")
    return file


def _channel_ids(args: Arguments) -> list[str]:
    single = args.text("channel_id")
    return list(dict.fromkeys([*([single] if single else []), *args.words("channels")]))


def _require_share(hub: Hub, args: Arguments, name: str) -> Channel:
    channel = require_channel(hub, Arguments({**args.all(), "channel_id": name}), "channel_id")
    if channel.id != name:  # unlike chat.postMessage, neither names nor people's ids are taken
        raise SlackError("channel_not_found")
    require_membership(hub, channel)
    return channel


def _title(item: Json) -> str | None:
    title = item.get("title")
    return str(title)[:255] if title else None


METHODS = (
    Method("files.getUploadURLExternal", answer_upload_url, scope="files:write", missing="snippets"),
    Method("files.completeUploadExternal", answer_complete, scope="files:write", missing="name and icon"),
    Method("files.delete", answer_delete, scope="files:write"),
    Method("files.info", answer_info, scope="files:read", missing="comments, thumbnails and previews"),
)
