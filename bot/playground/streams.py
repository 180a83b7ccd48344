"""Streamed messages: they start, grow, and end by the app, by Stop, or by expiring."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict

from bot.playground import events
from bot.playground.entities import Json, Message, SessionStatus
from bot.playground.hub import Hub
from bot.playground.messaging import name_blocks, post
from bot.playground.sessions import ensure_session, set_status
from bot.playground.slack_objects import message_object


def start_stream(hub: Hub, message: Message, *, recipient: str | None) -> None:
    """Post a message that may grow, and show the app at work in its thread."""
    message.streaming = True
    message.stream_recipient = recipient
    message.markdown_text = message.markdown_text or ""
    post(hub, message)
    session = ensure_session(hub, message.channel, message.thread_ts or message.ts, initiator=recipient)
    set_status(hub, session, "processing")
    if hub.faults.is_on("stream_expiry"):
        seconds = hub.faults.setting("stream_expiry", "seconds")
        hub.set_timer(_timer(message), seconds, lambda: _end(hub, message))


def append_stream(hub: Hub, message: Message, *, markdown_text: str, chunks: list[Json]) -> None:
    """Let a stream grow by text and by chunks; pages get only what is new where that is enough."""
    added = markdown_text + add_chunks(message, chunks)
    message.markdown_text = (message.markdown_text or "") + added
    if all(chunk["type"] == "markdown_text" for chunk in chunks):
        frame = {
            "type": "stream",
            "channel": message.channel,
            "ts": message.ts,
            "thread_ts": message.thread_ts,
            "append": added,
        }
        hub.live.push(frame, _watchers(hub, message))
    else:
        hub.live.push({"type": "message", "message": asdict(message)}, _watchers(hub, message))
    hub.changed()


def stop_stream(
    hub: Hub, message: Message, *, blocks: list[Json], metadata: Json | None, status: SessionStatus
) -> None:
    """End a stream with what stands below its text, and put its session into a state."""
    before = message_object(hub, message)
    hub.stopped_streams.discard((message.channel, message.ts))
    message.blocks = [*message.blocks, *name_blocks(blocks)]
    message.metadata = metadata or message.metadata
    _end(hub, message)
    events.message_changed(hub, message, before=before)
    session = hub.workspace.session(message.channel, message.thread_ts or message.ts)
    if session is not None:
        set_status(hub, session, status)


def press_stop(hub: Hub, channel_id: str, thread_ts: str, *, user: str) -> list[str]:
    """Stop the thread's streams for a person and tell the app; the session's state is left to it."""
    thread = [hub.workspace.find(channel_id, thread_ts), *hub.workspace.replies(channel_id, thread_ts)]
    streaming = [message for message in thread if message is not None and message.streaming]
    for message in streaming:
        hub.stopped_streams.add((message.channel, message.ts))
        _end(hub, message)
    stopped = [message.ts for message in streaming]
    channel = hub.workspace.channels[channel_id]
    events.session_stopped(hub, channel, thread_ts=thread_ts, user=user, streams=stopped)
    return stopped


def add_chunks(message: Message, chunks: list[Json]) -> str:
    """Merge task, plan and block chunks into the message and return the text among the chunks."""
    texts: list[str] = []
    for chunk in chunks:
        if chunk["type"] == "markdown_text":
            texts.append(chunk["text"])
        elif chunk["type"] == "blocks":
            message.blocks = [*message.blocks, *name_blocks(chunk["blocks"])]
        else:
            _merge(message.chunks, chunk)
    return "".join(texts)


def _merge(chunks: list[Json], chunk: Json) -> None:
    """Update the task with the same id, or the plan; else add it."""
    for known in chunks:
        if known["type"] == chunk["type"] and known.get("id") == chunk.get("id"):
            known.update(chunk)
            return
    chunks.append(dict(chunk))


def _end(hub: Hub, message: Message) -> None:
    hub.cancel_timer(_timer(message))
    message.streaming = False
    hub.push_message(message)


def _watchers(hub: Hub, message: Message) -> Collection[str]:
    """Return who sees a stream grow: in a channel its one recipient, the others see its start and its end."""
    is_direct = hub.workspace.channels[message.channel].is_direct
    return hub.audience(message) if is_direct or message.stream_recipient is None else {message.stream_recipient}


def _timer(message: Message) -> str:
    return f"stream:{message.channel}:{message.ts}"
