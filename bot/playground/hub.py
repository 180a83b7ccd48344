"""The parts of one playground, put together; what happens between them is told by the modules that use it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from bot.playground.clock import Clock, Timer
from bot.playground.delivery import Delivery
from bot.playground.entities import Channel, Json, Message
from bot.playground.faults import Faults
from bot.playground.file_store import FileStore
from bot.playground.http_delivery import HttpDelivery
from bot.playground.inspector import Inspector
from bot.playground.limits import Limits
from bot.playground.live import Live
from bot.playground.manifest import read_manifest
from bot.playground.modals import Modals
from bot.playground.options import PlaygroundOptions
from bot.playground.seed import (
    build_app_identity,
    build_second_app,
    build_second_workspace,
    build_workspace,
    install_app,
)
from bot.playground.snapshot import Snapshot
from bot.playground.socket_mode import SocketMode
from bot.playground.triggers import ResponseUrls, Triggers

if TYPE_CHECKING:
    from bot.playground.files import Upload


class Hub:
    """Holds the workspace and all that surrounds it, and tells pages and file about changes."""

    def __init__(self, options: PlaygroundOptions, *, first: Hub | None = None) -> None:
        self.options = options
        self.manifest = read_manifest(options.manifest)
        identity = build_app_identity(options, self.manifest)
        self.app = identity if first is None else build_second_app(identity)
        self.clock: Clock = Clock() if first is None else first.clock
        self.second: Hub | None = None
        self.is_installed = first is None
        self.codes: set[str] = set()  # what Slack has given out for the second workspace and nobody has exchanged yet
        self.live = Live()
        self.faults = Faults(options.faults)
        self.limits = Limits(now=self.clock.now)
        self.inspector = Inspector(
            now=self.clock.now, on_change=lambda entry: self.live.push({"type": "log", "entry": entry})
        )
        self.snapshot = Snapshot(options.data)
        build = build_workspace if first is None else build_second_workspace
        self.workspace = self.snapshot.load() or build(self.app)
        install_app(self.workspace, self.app)
        self.triggers = Triggers(now=self.clock.now)
        self.response_urls = ResponseUrls(now=self.clock.now)
        self.modals = Modals()
        self.file_store = FileStore(options.data)
        self.uploads: dict[str, Upload] = {}
        self.ephemerals: dict[str, list[Message]] = {}
        self.looking_at: dict[str, str] = {}
        self.timers: dict[str, Timer] = {}
        self.stopped_streams: set[tuple[str, str]] = set()
        self.base_url = ""
        self.sockets: SocketMode = (
            first.sockets
            if first is not None
            else SocketMode(
                app_id=self.app.id,
                clock=self.clock,
                faults=self.faults,
                inspector=self.inspector,
                on_change=self.push_app,
            )
        )
        self.http: HttpDelivery | None = first.http if first is not None else self._build_http_delivery()
        self.delivery = Delivery(
            self.http or self.sockets, clock=self.clock, faults=self.faults, inspector=self.inspector
        )
        if first is None:
            self.clock.before_jump = self.delivery.settle
        if first is None and options.has_second:
            token = f"{options.bot_token}-second"
            self.second = Hub(replace(options, bot_token=token, data=None), first=self)

    def install(self) -> None:
        """Let the app in, with a token that no earlier installation had."""
        if not self.is_installed:
            self.is_installed = True
            self.options = replace(self.options, bot_token=f"{self.options.bot_token}-again")

    def serving(self, token: str | None) -> Hub:
        """Return the workspace that a token belongs to."""
        second = self.second
        return second if second is not None and second.is_installed and token == second.options.bot_token else self

    def start(self) -> None:
        """Begin what needs a running event loop."""
        if self.http is not None:
            self.http.start()

    async def close(self) -> None:
        """End every connection, then write the file a last time."""
        self.live.close()
        if self.second is not None:
            self.second.live.close()
            await self.second.delivery.close()
        await self.delivery.close()
        await self.sockets.close()
        if self.http is not None:
            await self.http.close()
        self.clock.stop()
        self.snapshot.save(self.workspace)

    def reset(self) -> None:
        """Put the seed workspace in place of everything that was said and done."""
        self.workspace = build_workspace(self.app)
        self.modals.stacks.clear()
        self.uploads.clear()
        self.file_store.clear()
        self.ephemerals.clear()
        self.looking_at.clear()
        self.stopped_streams.clear()
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
        self.faults.reset()
        self.limits.clear()
        self.inspector.clear()
        self.changed()
        self.live.push({"type": "reset"})

    def changed(self) -> None:
        """Have the workspace written to its file soon."""
        self.snapshot.schedule(self.workspace)

    def set_timer(self, name: str, seconds: float, callback: Callable[[], object]) -> None:
        """Start the named timer, in place of one of that name that still runs."""
        self.cancel_timer(name)

        def fire() -> None:
            self.timers.pop(name, None)
            callback()

        self.timers[name] = self.clock.call_later(seconds, fire)

    def cancel_timer(self, name: str) -> None:
        """Stop the named timer, if it runs."""
        timer = self.timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def push_message(self, message: Message) -> None:
        """Show a new or changed message to those who may see it, and have it kept."""
        self.live.push({"type": "message", "message": asdict(message)}, self.audience(message))
        self.changed()

    def push_channel(self, channel: Channel, users: Collection[str] | None = None) -> None:
        """Show a channel's present state, which differs from person to person."""
        for user in self.live.watching(users if users is not None else self.workspace.viewers(channel)):
            self.live.push({"type": "channel", "channel": self.channel_for(user, channel)}, {user})
        self.changed()

    def push_app(self) -> None:
        """Show whether the app is connected."""
        self.live.push({"type": "app", "app": self.app_state()})

    def audience(self, message: Message) -> Collection[str]:
        """Return who may see a message."""
        if message.ephemeral_user is not None:
            return {message.ephemeral_user}
        return self.workspace.viewers(self.workspace.channels[message.channel])

    def channel_for(self, user: str, channel: Channel) -> Json:
        """Return a channel as *user*'s page shows it."""
        unread, mentions = self.workspace.unread(user, channel)
        others = [member for member in channel.members if member != user]
        return {
            "id": channel.id,
            "name": channel.name,
            "kind": channel.kind,
            "is_ext_shared": channel.is_ext_shared,
            "topic": channel.topic,
            "members": list(channel.members),
            "user": others[0] if channel.kind == "im" and others else None,
            "unread": unread,
            "mentions": mentions,
            "last_read": self.workspace.last_read.get(user, {}).get(channel.id, ""),
        }

    def app_state(self) -> Json:
        """Return the app as the page shows it."""
        return {
            **asdict(self.app),
            "shortcuts": [asdict(shortcut) for shortcut in self.manifest.shortcuts],
            "connected": (self.http or self.sockets).is_connected and not self.faults.is_cut,
            "delivery": "http" if self.http else "socket",
            "stoppable": self.manifest.is_subscribed("agent_session_stopped"),
        }

    def _build_http_delivery(self) -> HttpDelivery | None:
        if self.options.events_url is None:
            return None
        return HttpDelivery(
            self.options.events_url,
            signing_secret=self.options.signing_secret,
            clock=self.clock,
            faults=self.faults,
            on_change=self.push_app,
        )
