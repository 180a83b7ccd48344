"""The things a workspace consists of, as plain data; knows neither Slack's JSON nor any transport."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
ChannelKind = Literal["public", "private", "im", "mpim"]
SessionStatus = Literal["active", "processing", "suspended", "closed"]


@dataclass(slots=True)
class User:
    """A person or the app's bot user."""

    id: str
    name: str
    real_name: str
    display_name: str
    color: str = "4a154b"
    is_bot: bool = False
    is_admin: bool = False
    is_guest: bool = False
    is_single_channel: bool = False  # of a guest: in one channel only
    team: str = ""  # another organisation's workspace; empty: this one
    avatar: str = ""
    tz: str = "Europe/London"
    locale: str = "en-GB"

    @property
    def is_outsider(self) -> bool:
        """Say whether they see only the conversations that they were brought into."""
        return self.is_guest or bool(self.team)


@dataclass(slots=True)
class Channel:
    """A conversation of any kind; a DM has two members and no name."""

    id: str
    name: str
    kind: ChannelKind
    topic: str = ""
    members: list[str] = field(default_factory=list)
    creator: str = ""
    created: int = 0
    is_ext_shared: bool = False

    @property
    def is_direct(self) -> bool:
        """Say whether only its members can ever see it and nobody can join."""
        return self.kind in {"im", "mpim"}


@dataclass(slots=True)
class Reaction:
    """One emoji under a message, with those who chose it."""

    name: str
    users: list[str]


@dataclass(slots=True)
class Edited:
    """Who changed a message last, and when."""

    user: str
    ts: str


@dataclass(slots=True)
class File:
    """An uploaded file; *shares* are the messages that show it, by channel."""

    id: str
    name: str
    title: str
    mimetype: str
    size: int
    user: str
    created: int
    ready_at: float = 0.0  # Slack takes a moment before a picture can stand in a block
    shares: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Message:
    """A message in a channel or thread; an app's streamed text grows in markdown_text."""

    ts: str
    channel: str
    user: str
    text: str = ""
    thread_ts: str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    markdown_text: str | None = None
    edited: Edited | None = None
    reactions: list[Reaction] = field(default_factory=list)
    reply_count: int = 0
    reply_users: list[str] = field(default_factory=list)
    latest_reply: str | None = None
    subtype: str | None = None
    streaming: bool = False
    chunks: list[Json] = field(default_factory=list)
    task_display_mode: str | None = None
    stream_recipient: str | None = None
    metadata: Json | None = None
    ephemeral: bool = False
    ephemeral_user: str | None = None
    deleted: bool = False
    broadcast: bool = False
    username: str | None = None
    icon: str | None = None
    files: list[Json] = field(default_factory=list)

    @property
    def is_reply(self) -> bool:
        """Say whether it stands in a thread below another message."""
        return self.thread_ts is not None and self.thread_ts != self.ts


@dataclass(slots=True)
class ScheduledMessage:
    """A message of the app that is said at *post_at*, in seconds since the epoch."""

    id: str
    created: int
    post_at: int
    message: Message


@dataclass(slots=True)
class Session:
    """An agent session: the app's work in one thread."""

    channel: str
    thread_ts: str
    status: SessionStatus = "active"
    title: str | None = None
    status_text: str | None = None
    loading_messages: list[str] = field(default_factory=list)
    initiator: str | None = None
    is_bridged: bool = False  # processing only because the legacy status says something


@dataclass(slots=True)
class Prompts:
    """The prompts that the app suggests in its DM, or in one thread of it."""

    channel: str
    thread_ts: str | None
    title: str | None
    prompts: list[Json]
