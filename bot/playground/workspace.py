"""The workspace: people, channels, messages, sessions, and the questions one asks about them.

It only holds and finds; who is told about a change is decided by its callers.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bot.playground.entities import Channel, File, Json, Message, Prompts, ScheduledMessage, Session, User

MAX_UNREAD = 300  # nobody counts further, and counting happens at every message


@dataclass(slots=True)
class Workspace:
    """All that a restart must bring back; ephemeral messages and modals live elsewhere."""

    team_id: str
    team_name: str
    domain: str
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    messages: dict[str, dict[str, Message]] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    prompts: dict[str, Prompts] = field(default_factory=dict)
    last_read: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    homes: dict[str, Json] = field(default_factory=dict)  # what the app published for each person, as Slack's view
    scheduled: dict[str, ScheduledMessage] = field(default_factory=dict)
    last_ts: int = 0
    last_id: int = 0
    mark: str = ""  # in every id, where ids of another workspace come to the same app

    def next_ts(self, now: float) -> str:
        """Return a message timestamp that is later than every one before it."""
        self.last_ts = max(self.last_ts + 1, int(now * 1_000_000))
        return f"{self.last_ts // 1_000_000}.{self.last_ts % 1_000_000:06d}"

    def next_id(self, prefix: str) -> str:
        """Return an id that no earlier run has given, also when its last moments were never saved."""
        self.last_id = max(self.last_id + 1, time.time_ns() // 1_000_000)
        return f"{prefix}{self.mark}{_base36(self.last_id)}"

    def people(self) -> list[User]:
        """Return everyone who is not a bot."""
        return [user for user in self.users.values() if not user.is_bot]

    def channel_named(self, name: str) -> Channel | None:
        """Find a channel by name, with or without its #."""
        wanted = name.removeprefix("#")
        return next((channel for channel in self.channels.values() if channel.name == wanted and wanted), None)

    def direct_channel(self, users: Iterable[str]) -> Channel | None:
        """Find the DM whose members are exactly *users*."""
        wanted = set(users)
        return next(
            (channel for channel in self.channels.values() if channel.is_direct and set(channel.members) == wanted),
            None,
        )

    def can_see(self, user: str, channel: Channel) -> bool:
        """Say whether *user* may read *channel*: members always, others only in public, guests never."""
        if user in channel.members:
            return True
        person = self.users.get(user)
        return channel.kind == "public" and person is not None and not person.is_outsider

    def viewers(self, channel: Channel) -> set[str]:
        """Return all who may read *channel*."""
        return {user for user in self.users if self.can_see(user, channel)}

    def add(self, message: Message) -> Message | None:
        """Keep a message, update its thread's root, and return that root."""
        self.messages.setdefault(message.channel, {})[message.ts] = message
        root = self.root_of(message)
        if root is not None:
            self.count_replies(root)
        return root

    def remove(self, message: Message) -> Message | None:
        """Drop a message, update its thread's root, and return that root."""
        del self.messages[message.channel][message.ts]
        root = self.root_of(message)
        if root is not None:
            self.count_replies(root)
        return root

    def find(self, channel: str, ts: str) -> Message | None:
        """Find a message by its channel and timestamp."""
        return self.messages.get(channel, {}).get(ts)

    def root_of(self, message: Message) -> Message | None:
        """Return the message that a reply stands under."""
        return self.find(message.channel, message.thread_ts) if message.is_reply and message.thread_ts else None

    def count_replies(self, root: Message) -> None:
        """Bring the root's reply counts up to date with its thread."""
        replies = self.replies(root.channel, root.ts)
        root.reply_count = len(replies)
        root.latest_reply = replies[-1].ts if replies else None
        root.reply_users = list(dict.fromkeys(reply.user for reply in replies))[:5]
        root.thread_ts = root.ts if replies else None

    def replies(self, channel: str, thread_ts: str) -> list[Message]:
        """Return a thread's replies without its root, oldest first."""
        later = itertools.takewhile(lambda message: message.ts > thread_ts, self.newest_first(channel))
        return [message for message in later if message.is_reply and message.thread_ts == thread_ts][::-1]

    def top_level(self, channel: str) -> list[Message]:
        """Return what stands in the channel itself, oldest first."""
        return [message for message in self.messages.get(channel, {}).values() if is_top_level(message)]

    def newest_first(self, channel: str) -> Iterator[Message]:
        """Walk a channel's messages backwards; they are kept in order of time."""
        return reversed(self.messages.get(channel, {}).values())

    def session(self, channel: str, thread_ts: str) -> Session | None:
        """Find the agent session of a thread."""
        return self.sessions.get(f"{channel}:{thread_ts}")

    def keep_session(self, session: Session) -> None:
        """Keep a session under its thread."""
        self.sessions[f"{session.channel}:{session.thread_ts}"] = session

    def keep_prompts(self, prompts: Prompts) -> None:
        """Keep suggested prompts under their place, replacing those before."""
        self.prompts[f"{prompts.channel}:{prompts.thread_ts or ''}"] = prompts

    def mark_read(self, user: str, channel: str, ts: str) -> None:
        """Remember that *user* has read *channel* up to *ts*; never moves backwards."""
        seen = self.last_read.setdefault(user, {})
        seen[channel] = max(ts, seen.get(channel, ""))

    def unread(self, user: str, channel: Channel) -> tuple[int, int]:
        """Count the messages *user* has not read, and how many of them mention them, among the latest few hundred."""
        since = self.last_read.get(user, {}).get(channel.id, "")
        latest = itertools.islice(self.newest_first(channel.id), MAX_UNREAD)
        fresh = [
            message
            for message in itertools.takewhile(lambda message: message.ts > since, latest)
            if message.user != user and not message.deleted
        ]
        mentions = sum(f"<@{user}>" in message.text for message in fresh)
        return sum(channel.is_direct or is_top_level(message) for message in fresh), mentions


def is_top_level(message: Message) -> bool:
    """Say whether a message stands in the channel itself: not a reply, or one sent there as well."""
    return not message.is_reply or message.broadcast


def _base36(number: int) -> str:
    """Write *number* with the digits and capitals that Slack's ids have."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[rest] + digits
    return digits
