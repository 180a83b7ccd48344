"""chat.*: posting, changing and deleting messages; streaming has a module of its own."""

from __future__ import annotations

from typing import Any

from bot.playground.entities import Json, Message
from bot.playground.errors import SlackError
from bot.playground.files import require_images
from bot.playground.hub import Hub
from bot.playground.messaging import build_app_message, change, delete, post, post_ephemeral
from bot.playground.slack_objects import message_object
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.content import Content, read_content
from bot.playground.web_api.method import (
    Method,
    require_channel,
    require_membership,
    require_message,
    require_open_tab,
    require_thread,
)

MAX_UPDATE_TEXT = 4_000


def answer_post(hub: Hub, args: Arguments) -> Json:
    """Say something in a channel, a DM or a thread."""
    channel = require_channel(hub, args)
    content = _require_content(hub, args)
    require_membership(hub, channel)
    require_open_tab(hub, channel)
    thread_ts = require_thread(hub, channel, args)
    message = build_app_message(
        hub,
        channel.id,
        thread_ts=thread_ts,
        broadcast=thread_ts is not None and args.boolean("reply_broadcast"),
        **content.fields(),
        **read_identity(hub, args),
    )
    post(hub, message)
    return {"channel": channel.id, "ts": message.ts, "message": message_object(hub, message)}


def answer_post_ephemeral(hub: Hub, args: Arguments) -> Json:
    """Say something that one person sees, if they are in the channel."""
    channel = require_channel(hub, args)
    user = args.required("user")
    content = _require_content(hub, args)
    require_membership(hub, channel)
    require_open_tab(hub, channel)
    if user not in hub.workspace.users:
        raise SlackError("user_not_found")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    thread_ts = args.text("thread_ts")
    message = build_app_message(hub, channel.id, thread_ts=thread_ts, **content.fields(), **read_identity(hub, args))
    root = hub.workspace.find(channel.id, thread_ts) if thread_ts else None
    if thread_ts is None or (root is not None and root.reply_count):
        post_ephemeral(hub, message, user=user)
    # Into a thread that does not exist yet Slack accepts an ephemeral message and never shows it; so do we.
    return {"message_ts": message.ts}


def answer_update(hub: Hub, args: Arguments) -> Json:
    """Change one of the app's own messages; text without blocks takes the blocks away."""
    channel = require_channel(hub, args)
    message = _own_message(hub, args, error="cant_update_message")
    if message.streaming:
        raise SlackError("streaming_state_conflict")
    content = read_content(args, max_text=MAX_UPDATE_TEXT)
    require_images(hub, content.blocks)
    if content.is_empty and content.metadata is None:
        raise SlackError("no_text")
    is_text = content.text is not None or content.markdown_text is not None
    editor = hub.app.bot_user_id if is_text and not content.blocks else None
    change(hub, message, editor=editor, **_changes(content, message))
    return {
        "channel": channel.id,
        "ts": message.ts,
        "text": message.text,
        "message": message_object(hub, message),
    }


def answer_delete(hub: Hub, args: Arguments) -> Json:
    """Delete one of the app's own messages."""
    message = _own_message(hub, args, error="cant_delete_message")
    delete(hub, message)
    return {"channel": message.channel, "ts": message.ts}


def answer_permalink(hub: Hub, args: Arguments) -> Json:
    """Return the address of a message."""
    channel = require_channel(hub, args)
    message = require_message(hub, channel, args.required("message_ts"))
    return {"channel": channel.id, "permalink": build_permalink(hub, message)}


def build_permalink(hub: Hub, message: Message) -> str:
    """Return the address under which the page shows a message."""
    link = f"{hub.base_url}/archives/{message.channel}/p{message.ts.replace('.', '')}"
    return f"{link}?thread_ts={message.thread_ts}&cid={message.channel}" if message.is_reply else link


def read_identity(hub: Hub, args: Arguments) -> dict[str, Any]:
    """Read the name and icon under which the app wants to speak this once."""
    username, icon = args.text("username"), args.text("icon_emoji") or args.text("icon_url")
    if (username or icon) and not hub.manifest.has_scope("chat:write.customize"):
        provided = ",".join(sorted(hub.manifest.scopes or ()))
        raise SlackError("missing_scope", needed="chat:write.customize", provided=provided)
    return {"username": username, "icon": icon}


def _require_content(hub: Hub, args: Arguments) -> Content:
    content = read_content(args)
    if content.is_empty:
        raise SlackError("no_text")
    require_images(hub, content.blocks)
    return content


def _own_message(hub: Hub, args: Arguments, *, error: str) -> Message:
    channel = require_channel(hub, args)
    message = require_message(hub, channel, args.required("ts"))
    if message.user != hub.app.bot_user_id or message.subtype is not None:
        raise SlackError(error)
    return message


def _changes(content: Content, message: Message) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if content.text is not None or content.markdown_text is not None:
        changes |= content.fields()
        changes.pop("metadata")
        if content.attachments is None:
            changes["attachments"] = message.attachments
    elif content.blocks is not None:
        changes["blocks"] = content.blocks
    if content.attachments is not None:
        changes["attachments"] = content.attachments
    if content.metadata is not None:
        changes["metadata"] = content.metadata or None
    return changes


METHODS = (
    Method("chat.postMessage", answer_post, scope="chat:write", missing="unfurling, link_names and parse"),
    Method("chat.postEphemeral", answer_post_ephemeral, scope="chat:write", missing="link_names and parse"),
    Method("chat.update", answer_update, scope="chat:write", missing="link_names and parse"),
    Method("chat.delete", answer_delete, scope="chat:write"),
    Method("chat.getPermalink", answer_permalink),
)
