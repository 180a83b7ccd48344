"""What a Web API method is: a name, what it takes to call it, and the function that answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bot.playground.entities import Channel, Json, Message
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.web_api.arguments import Arguments

Handler = Callable[[Hub, Arguments], Json]


@dataclass(frozen=True, slots=True)
class Method:
    """One method; *missing* says in a few words what Slack does and we do not."""

    name: str
    answer: Handler
    scope: str | None = None
    token: Literal["bot", "app", "config", "none"] = "bot"  # noqa: S105 - a kind of token, not one
    missing: str = ""


def require_channel(hub: Hub, args: Arguments, name: str = "channel") -> Channel:
    """Find the conversation the app means: by id, #name, or the id of a person for their DM."""
    wanted = args.required(name)
    workspace = hub.workspace
    channel = workspace.channels.get(wanted)
    if channel is None and wanted in workspace.users:
        channel = workspace.direct_channel({wanted, hub.app.bot_user_id})
    if channel is None:
        channel = workspace.channel_named(wanted)
    if channel is None or not (channel.kind == "public" or hub.app.bot_user_id in channel.members):
        raise SlackError("channel_not_found")
    return channel


def require_membership(hub: Hub, channel: Channel) -> None:
    """Refuse what only members may do."""
    if hub.app.bot_user_id not in channel.members:
        raise SlackError("not_in_channel")


def require_open_tab(hub: Hub, channel: Channel) -> None:
    """Refuse to write to a person who cannot see it: the app's Messages tab is switched off."""
    if channel.kind == "im" and not hub.manifest.has_messages:
        raise SlackError("messages_tab_disabled")


def require_message(hub: Hub, channel: Channel, ts: str) -> Message:
    """Find a message of the channel that is not ephemeral."""
    message = hub.workspace.find(channel.id, ts)
    if message is None:
        raise SlackError("message_not_found")
    return message


def require_thread(hub: Hub, channel: Channel, args: Arguments) -> str | None:
    """Return the root's timestamp of the thread that thread_ts names, if it names one."""
    thread_ts = args.text("thread_ts")
    if thread_ts is None:
        return None
    message = hub.workspace.find(channel.id, thread_ts)
    if message is None:
        raise SlackError("thread_not_found")
    return message.thread_ts or message.ts


def paginate(items: list[Json], args: Arguments, *, default: int, highest: int) -> tuple[list[Json], Json]:
    """Return one page of *items* and the response_metadata that leads to the next."""
    cursor = args.text("cursor")
    if cursor is not None and not cursor.removeprefix("offset:").isdigit():
        raise SlackError("invalid_cursor")
    start = int(cursor.removeprefix("offset:")) if cursor else 0
    end = start + args.limit(default=default, highest=highest)
    return items[start:end], {"next_cursor": f"offset:{end}" if end < len(items) else ""}
