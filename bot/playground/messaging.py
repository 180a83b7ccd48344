"""Posting, changing, deleting and reacting: the one place where messages change, for people and app alike."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import Any

from bot.playground import events
from bot.playground.entities import Edited, Json, Message, Reaction
from bot.playground.hub import Hub
from bot.playground.sessions import clear_legacy_status
from bot.playground.slack_objects import message_object


def build_app_message(hub: Hub, channel: str, **fields: Any) -> Message:
    """Build a message that the app says now."""
    return Message(
        ts=hub.workspace.next_ts(hub.clock.now()),
        channel=channel,
        user=hub.app.bot_user_id,
        bot_id=hub.app.bot_id,
        app_id=hub.app.id,
        **fields,
    )


def post(hub: Hub, message: Message) -> Message:
    """Put a message into its channel and tell pages and app."""
    workspace = hub.workspace
    message.blocks = name_blocks(message.blocks)
    root = workspace.add(message)
    workspace.mark_read(message.user, message.channel, message.ts)
    hub.push_message(message)
    if root is not None:
        hub.push_message(root)
    if message.bot_id is not None:
        clear_legacy_status(hub, workspace.session(message.channel, message.thread_ts or message.ts))
    hub.push_channel(workspace.channels[message.channel])
    events.message_posted(hub, message)
    return message


def post_ephemeral(hub: Hub, message: Message, *, user: str) -> Message:
    """Show a message to one person only, until the playground stops."""
    message.ephemeral, message.ephemeral_user = True, user
    message.blocks = name_blocks(message.blocks)
    hub.ephemerals.setdefault(message.channel, []).append(message)
    hub.live.push({"type": "message", "message": asdict(message)}, {user})
    return message


def change(hub: Hub, message: Message, *, editor: str | None, **fields: Any) -> None:
    """Set some fields of a message; with an *editor* it is marked as edited."""
    before = message_object(hub, message)
    for name, value in fields.items():
        setattr(message, name, name_blocks(value) if name == "blocks" else value)
    if editor is not None:
        message.edited = Edited(user=editor, ts=events.event_ts(hub))
    hub.push_message(message)
    if not message.ephemeral:
        events.message_changed(hub, message, before=before)


def delete(hub: Hub, message: Message) -> None:
    """Take a message away; the root of a thread leaves a tombstone."""
    before = message_object(hub, message)
    if message.reply_count:
        message.text, message.markdown_text = "This message was deleted.", None
        message.blocks, message.attachments, message.chunks, message.reactions = [], [], [], []
        message.files = []
        message.metadata, message.subtype, message.user = None, "tombstone", "USLACKBOT"
        message.deleted, message.bot_id, message.app_id = True, None, None
        hub.push_message(message)
        events.message_changed(hub, message, before=before)
        return
    root = hub.workspace.remove(message)
    channel = hub.workspace.channels[message.channel]
    frame = {"type": "message_deleted", "channel": channel.id, "ts": message.ts, "thread_ts": message.thread_ts}
    hub.live.push(frame, hub.workspace.viewers(channel))
    if root is not None:
        hub.push_message(root)
    hub.push_channel(channel)
    events.message_deleted(hub, message, before=before)


def delete_ephemeral(hub: Hub, message: Message) -> None:
    """Take an ephemeral message away from the one who sees it."""
    hub.ephemerals[message.channel].remove(message)
    frame = {"type": "message_deleted", "channel": message.channel, "ts": message.ts, "thread_ts": message.thread_ts}
    hub.live.push(frame, hub.audience(message))


def find_ephemeral(hub: Hub, channel: str, ts: str) -> Message | None:
    """Find an ephemeral message that is still shown."""
    return next((message for message in hub.ephemerals.get(channel, []) if message.ts == ts), None)


def react(hub: Hub, message: Message, *, user: str, name: str) -> bool:
    """Add a reaction and say whether it was new."""
    reaction = next((item for item in message.reactions if item.name == name), None)
    if reaction is None:
        reaction = Reaction(name, [])
        message.reactions.append(reaction)
    if user in reaction.users:
        return False
    reaction.users.append(user)
    hub.push_message(message)
    events.reaction_changed(hub, message, user=user, name=name, is_added=True)
    return True


def unreact(hub: Hub, message: Message, *, user: str, name: str) -> bool:
    """Remove a reaction and say whether it was there."""
    reaction = next((item for item in message.reactions if item.name == name and user in item.users), None)
    if reaction is None:
        return False
    reaction.users.remove(user)
    if not reaction.users:
        message.reactions.remove(reaction)
    hub.push_message(message)
    events.reaction_changed(hub, message, user=user, name=name, is_added=False)
    return True


def name_blocks(blocks: list[Json]) -> list[Json]:
    """Give every block an id, as Slack does with those that have none."""
    return [block if block.get("block_id") else {**block, "block_id": secrets.token_hex(3)} for block in blocks]
