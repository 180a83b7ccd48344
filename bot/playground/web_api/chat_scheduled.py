"""chat.scheduleMessage and its list: what the app says later, at most 120 days ahead."""

from __future__ import annotations

from bot.playground.entities import Json, ScheduledMessage
from bot.playground.errors import SlackError
from bot.playground.files import require_images
from bot.playground.hub import Hub
from bot.playground.messaging import build_app_message
from bot.playground.scheduled import hold, release
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.chat import read_identity
from bot.playground.web_api.content import read_content
from bot.playground.web_api.method import Method, paginate, require_channel, require_membership, require_thread

FARTHEST = 120 * 86_400
TOO_LATE = 60  # seconds before its time a message can no longer be taken back
MOST = 30  # messages within five minutes of each other, in one channel
CROWD = 300


def answer_schedule(hub: Hub, args: Arguments) -> Json:
    """Keep a message until its time."""
    channel = require_channel(hub, args)
    post_at = _read_time(args, "post_at")
    content = read_content(args)
    if content.is_empty:
        raise SlackError("no_text")
    require_images(hub, content.blocks)
    require_membership(hub, channel)
    thread_ts = require_thread(hub, channel, args)
    now = hub.clock.now()
    if post_at <= now:
        raise SlackError("time_in_past")
    if post_at > now + FARTHEST:
        raise SlackError("time_too_far")
    near = [held for held in _held(hub, channel.id) if abs(held.post_at - post_at) < CROWD]
    if len(near) >= MOST:
        raise SlackError("restricted_too_many")
    fields = {**content.fields(), **read_identity(hub, args)}
    message = build_app_message(hub, channel.id, thread_ts=thread_ts, **fields)
    held = hold(hub, message, post_at=post_at)
    said = {"text": message.text, "username": hub.app.name, "bot_id": message.bot_id, "type": "delayed_message"}
    return {
        "channel": channel.id,
        "scheduled_message_id": held.id,
        "post_at": post_at,
        "message": said | {"subtype": "bot_message", "attachments": message.attachments},
    }


def answer_list(hub: Hub, args: Arguments) -> Json:
    """List what is still to be said, soonest first."""
    channel = require_channel(hub, args).id if args.has("channel") else None
    oldest = _read_time(args, "oldest") if args.has("oldest") else 0
    latest = _read_time(args, "latest") if args.has("latest") else None
    found = [
        held for held in _held(hub, channel) if held.post_at >= oldest and (latest is None or held.post_at <= latest)
    ]
    listed = [
        {
            "id": held.id,
            "channel_id": held.message.channel,
            "post_at": held.post_at,
            "date_created": held.created,
            "text": held.message.text,
        }
        for held in found
    ]
    page, metadata = paginate(listed, args, default=100, highest=1000)
    return {"scheduled_messages": page, "response_metadata": metadata}


def answer_delete(hub: Hub, args: Arguments) -> Json:
    """Take a message back, up to a minute before its time."""
    channel = require_channel(hub, args)
    held = hub.workspace.scheduled.get(args.required("scheduled_message_id"))
    if held is None or held.message.channel != channel.id or held.post_at - hub.clock.now() < TOO_LATE:
        raise SlackError("invalid_scheduled_message_id")
    release(hub, held)
    return {}


def _held(hub: Hub, channel: str | None) -> list[ScheduledMessage]:
    found = [held for held in hub.workspace.scheduled.values() if channel in {None, held.message.channel}]
    return sorted(found, key=lambda held: (held.post_at, held.id))


def _read_time(args: Arguments, name: str) -> int:
    try:
        return int(float(args.required(name)))
    except ValueError:
        raise SlackError("invalid_time") from None


METHODS = (
    Method("chat.scheduleMessage", answer_schedule, scope="chat:write", missing="unfurling, link_names and parse"),
    Method("chat.scheduledMessages.list", answer_list),
    Method("chat.deleteScheduledMessage", answer_delete, scope="chat:write"),
)
