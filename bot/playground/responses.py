"""What the app says through a response URL or as the direct answer to a command."""

from __future__ import annotations

from typing import Any

from bot.playground.entities import Json, Message
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.messaging import (
    build_app_message,
    change,
    delete,
    delete_ephemeral,
    find_ephemeral,
    post,
    post_ephemeral,
)
from bot.playground.triggers import ResponseTicket
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.content import Content, read_content


def use_response_url(hub: Hub, key: str, values: Json) -> None:
    """Do what the app says through a response URL, and count it as one of its five uses."""
    ticket = hub.response_urls.find(key)
    respond(hub, ticket, values)
    ticket.uses_left -= 1


def respond(hub: Hub, ticket: ResponseTicket, values: Json) -> None:
    """Delete or replace the message that was clicked, or say something new."""
    args = Arguments(values)
    original = _find_original(hub, ticket)
    if args.boolean("delete_original"):
        if original is not None:
            (delete_ephemeral if original.ephemeral else delete)(hub, original)
        return
    content = read_content(args)
    if content.is_empty:
        raise SlackError("no_text")
    if args.boolean("replace_original") and original is not None:
        _replace(hub, original, content)
        return
    _say(hub, ticket, args, content)


def _say(hub: Hub, ticket: ResponseTicket, args: Arguments, content: Content) -> None:
    """Say it in the channel, even if the click was in a thread: only thread_ts leads there."""
    message = build_app_message(hub, ticket.channel, thread_ts=args.text("thread_ts"), **content.fields())
    if args.text("response_type") == "in_channel":
        post(hub, message)
    else:
        post_ephemeral(hub, message, user=ticket.user)


def _replace(hub: Hub, original: Message, content: Content) -> None:
    fields: dict[str, Any] = content.fields()
    if content.metadata is None:
        fields["metadata"] = original.metadata
    change(hub, original, editor=None, **fields)


def _find_original(hub: Hub, ticket: ResponseTicket) -> Message | None:
    if ticket.message_ts is None:
        return None
    found = hub.workspace.find(ticket.channel, ticket.message_ts)
    return found or find_ephemeral(hub, ticket.channel, ticket.message_ts)
