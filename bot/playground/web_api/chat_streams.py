"""chat.*Stream: answers that appear while they are written."""

from __future__ import annotations

from typing import Any, cast

from bot.playground.entities import Json, Message, SessionStatus
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.messaging import build_app_message
from bot.playground.slack_objects import message_object
from bot.playground.streams import add_chunks, append_stream, start_stream, stop_stream
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.chat import read_identity
from bot.playground.web_api.content import MAX_MARKDOWN, check_blocks, read_blocks, read_metadata
from bot.playground.web_api.method import (
    Method,
    require_channel,
    require_membership,
    require_message,
    require_open_tab,
    require_thread,
)

STATUSES = ("active", "processing", "suspended", "closed")
CHUNK_FIELDS = {
    "markdown_text": ("text",),
    "task_update": ("id", "title", "status"),
    "plan_update": ("title",),
    "blocks": ("blocks",),
}
TASK_STATUSES = {"pending", "in_progress", "complete", "error"}


def answer_start(hub: Hub, args: Arguments) -> Json:
    """Start a stream in a thread; in a channel it needs to know for whom."""
    channel = require_channel(hub, args)
    args.required("thread_ts")
    if not channel.is_direct:
        for name in ("recipient_team_id", "recipient_user_id"):
            if args.text(name) is None:
                raise SlackError(f"missing_{name}")
    recipient = args.text("recipient_user_id")
    if recipient is not None and recipient not in hub.workspace.users:
        raise SlackError("user_not_found")
    text, chunks = _read_growth(args)
    mode = args.one_of("task_display_mode", ("timeline", "plan")) if args.has("task_display_mode") else None
    require_membership(hub, channel)
    require_open_tab(hub, channel)
    message = build_app_message(
        hub,
        channel.id,
        thread_ts=require_thread(hub, channel, args),
        task_display_mode=mode,
        **read_identity(hub, args),
    )
    message.markdown_text = text + add_chunks(message, chunks)
    start_stream(hub, message, recipient=recipient)
    return {"channel": channel.id, "ts": message.ts}


def answer_append(hub: Hub, args: Arguments) -> Json:
    """Let a running stream grow."""
    message = _own_message(hub, args)
    text, chunks = _read_growth(args)
    if not text and not chunks:
        raise SlackError("no_text")
    if (message.channel, message.ts) in hub.stopped_streams:
        raise SlackError("stopped_by_user")
    if not message.streaming:
        raise SlackError("message_not_in_streaming_state")
    append_stream(hub, message, markdown_text=text, chunks=chunks)
    return {"channel": message.channel, "ts": message.ts}


def answer_stop(hub: Hub, args: Arguments) -> Json:
    """End a stream; one that a person stopped may still be given its blocks and status."""
    message = _own_message(hub, args)
    text, chunks = _read_growth(args)
    blocks, metadata = read_blocks(args) or [], read_metadata(args)
    status = args.one_of("session_status", STATUSES) if args.has("session_status") else "active"
    if not message.streaming and (message.channel, message.ts) not in hub.stopped_streams:
        raise SlackError("message_not_in_streaming_state")
    if message.streaming and (text or chunks):
        append_stream(hub, message, markdown_text=text, chunks=chunks)
    stop_stream(hub, message, blocks=blocks, metadata=metadata, status=cast("SessionStatus", status))
    return {"channel": message.channel, "ts": message.ts, "message": message_object(hub, message)}


def _own_message(hub: Hub, args: Arguments) -> Message:
    channel = require_channel(hub, args)
    message = require_message(hub, channel, args.required("ts"))
    if message.user != hub.app.bot_user_id:
        raise SlackError("message_not_owned_by_app")
    return message


def _read_growth(args: Arguments) -> tuple[str, list[Json]]:
    text = args.text("markdown_text") or ""
    if len(text) > MAX_MARKDOWN:
        raise SlackError("msg_too_long")
    chunks = args.json_list("chunks", error="invalid_chunks") or []
    for number, chunk in enumerate(chunks):
        _check_chunk(chunk, number)
    return text, chunks


def _check_chunk(chunk: Any, number: int) -> None:
    kind = chunk.get("type") if isinstance(chunk, dict) else None
    missing = [field for field in CHUNK_FIELDS.get(kind, ()) if not chunk.get(field)] if isinstance(kind, str) else []
    if kind not in CHUNK_FIELDS:
        problem = f"unsupported type: {kind} [json-pointer:/chunks/{number}/type]"
    elif missing:
        problem = f"missing required field: {missing[0]} [json-pointer:/chunks/{number}]"
    elif kind == "task_update" and chunk["status"] not in TASK_STATUSES:
        problem = f"must be one of: {', '.join(sorted(TASK_STATUSES))} [json-pointer:/chunks/{number}/status]"
    elif kind == "blocks" and not isinstance(chunk["blocks"], list):
        problem = f"must be an array [json-pointer:/chunks/{number}/blocks]"
    elif kind == "markdown_text" and not isinstance(chunk["text"], str):
        problem = f"must be a string [json-pointer:/chunks/{number}/text]"
    else:
        _check_size(chunk)
        return
    raise SlackError("invalid_chunks", messages=[f"[ERROR] {problem}"])


def _check_size(chunk: Json) -> None:
    if chunk["type"] == "markdown_text" and len(chunk["text"]) > MAX_MARKDOWN:
        raise SlackError("msg_too_long")
    if chunk["type"] == "blocks":
        check_blocks(chunk["blocks"])


METHODS = (
    Method("chat.startStream", answer_start, scope="chat:write"),
    Method("chat.appendStream", answer_append, scope="chat:write"),
    Method("chat.stopStream", answer_stop, scope="chat:write"),
)
