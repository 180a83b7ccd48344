"""reactions.*: emoji under messages."""

from __future__ import annotations

import re

from bot.playground.entities import Json, Message
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.messaging import react, unreact
from bot.playground.slack_objects import message_object
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.method import Method, require_channel, require_membership, require_message

NAME = re.compile(r"[\w+'-]+(::skin-tone-[2-6])?")
TS = re.compile(r"\d{10}\.\d{6}")
MAX_KINDS = 50


def answer_add(hub: Hub, args: Arguments) -> Json:
    """Add the app's reaction."""
    message, name = _target(hub, args)
    if len(message.reactions) >= MAX_KINDS and name not in {reaction.name for reaction in message.reactions}:
        raise SlackError("too_many_emoji")
    if not react(hub, message, user=hub.app.bot_user_id, name=name):
        raise SlackError("already_reacted")
    return {}


def answer_remove(hub: Hub, args: Arguments) -> Json:
    """Take the app's reaction away."""
    message, name = _target(hub, args)
    if not unreact(hub, message, user=hub.app.bot_user_id, name=name):
        raise SlackError("no_reaction")
    return {}


def answer_get(hub: Hub, args: Arguments) -> Json:
    """Show a message with its reactions."""
    message = _message(hub, args)
    shown = message_object(hub, message, is_full=args.boolean("full", default=False))
    return {"type": "message", "channel": message.channel, "message": shown}


def _target(hub: Hub, args: Arguments) -> tuple[Message, str]:
    name = args.required("name").strip(":")
    if not NAME.fullmatch(name):
        raise SlackError("invalid_name")
    return _message(hub, args), name


def _message(hub: Hub, args: Arguments) -> Message:
    channel = require_channel(hub, args)
    timestamp = args.text("timestamp")
    if timestamp is None:
        raise SlackError("no_item_specified")
    if not TS.fullmatch(timestamp):
        raise SlackError("bad_timestamp")
    require_membership(hub, channel)
    return require_message(hub, channel, timestamp)


METHODS = (
    Method("reactions.add", answer_add, scope="reactions:write"),
    Method("reactions.remove", answer_remove, scope="reactions:write", missing="files"),
    Method("reactions.get", answer_get, scope="reactions:read", missing="files"),
)
