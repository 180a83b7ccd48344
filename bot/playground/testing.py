"""For tests: a playground on a free port, and the people in it, who act as the page would let them.

The app under test reaches it through sockets as it reaches Slack; only the people act in this process.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from types import TracebackType
from typing import Any

from aiohttp import web

from bot.playground import events
from bot.playground.entities import Json, Message
from bot.playground.hub import Hub
from bot.playground.options import PlaygroundOptions
from bot.playground.page import controls
from bot.playground.page.request import HUB
from bot.playground.person import Person, channel_id
from bot.playground.server import start_server

POLL_SECONDS = 0.01
PATIENCE_S = 30.0  # for what comes at once where nothing else runs


class Playground:
    """`async with Playground() as playground:` serves a fresh workspace until the block ends."""

    def __init__(self, options: PlaygroundOptions | None = None, **changes: Any) -> None:
        self.options = replace(options or PlaygroundOptions(port=0), **changes)
        self._runner: web.AppRunner | None = None
        self.office: Hub | None = None

    async def __aenter__(self) -> Playground:
        self._runner = await start_server(self.options)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def hub(self) -> Hub:
        """The parts inside, for what this class does not offer."""
        if self.office is not None:
            return self.office
        if self._runner is None:
            raise RuntimeError("Enter the playground first: async with Playground() as playground.")
        return self._runner.app[HUB]

    @property
    def second(self) -> Playground:
        """The second workspace (has_second=True), which the app sees once it is installed there: U0ZOE and U0MAX."""
        view = copy.copy(self)
        view.office = self.hub.second
        return view

    async def uninstall(self) -> None:
        """Take the app out of this workspace: its token is dead, and it hears of it."""
        self.hub.is_installed = False
        events.app_removed(self.hub)

    @property
    def base_url(self) -> str:
        """The server's address, without a slash at its end."""
        return self.hub.base_url

    @property
    def api_url(self) -> str:
        """What SLACK_API_URL must be for the app under test."""
        return f"{self.base_url}/api/"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a Bolt app finds this playground."""
        return {
            "SLACK_API_URL": self.api_url,
            "SLACK_BOT_TOKEN": self.options.bot_token,
            "SLACK_APP_TOKEN": self.options.app_token,
            "SLACK_SIGNING_SECRET": self.options.signing_secret,
        }

    @property
    def maya(self) -> Person:
        """Maya Chen, an admin."""
        return self.person("U0MAYA")

    @property
    def tom(self) -> Person:
        """Tom Becker."""
        return self.person("U0TOM")

    @property
    def priya(self) -> Person:
        """Priya Nair, who shares #leads with Maya."""
        return self.person("U0PRIYA")

    @property
    def sam(self) -> Person:
        """Sam Okafor, a guest."""
        return self.person("U0SAM")

    def person(self, user: str) -> Person:
        """Return somebody by user id."""
        return Person(self.hub, user)

    def channel(self, name: str) -> str:
        """Return a channel's id, given its id or its name with or without #."""
        return channel_id(self.hub, name)

    def messages(self, channel: str, thread_ts: str | None = None) -> list[Json]:
        """Return what stands in a channel, or in a thread with its root, oldest first."""
        where = self.channel(channel)
        if thread_ts is None:
            return [asdict(message) for message in self.hub.workspace.top_level(where)]
        root = self.hub.workspace.find(where, thread_ts)
        return [asdict(message) for message in [*([root] if root else []), *self._replies(where, thread_ts)]]

    def message(self, channel: str, ts: str) -> Json:
        """Return one message as it stands now."""
        found = self.hub.workspace.find(self.channel(channel), ts)
        if found is None:
            raise LookupError(f"There is no message {ts} in {channel}.")
        return asdict(found)

    def views(self, user: str) -> list[Json]:
        """Return somebody's open modals, the top one last."""
        return [modal.to_page() for modal in self.hub.modals.stack(user)]

    def home(self, user: str) -> Json | None:
        """Return what the app's Home tab shows to somebody; None before it was published."""
        return self.hub.workspace.homes.get(user)

    @property
    def sessions(self) -> list[Json]:
        """Return all agent sessions."""
        return [asdict(session) for session in self.hub.workspace.sessions.values()]

    def session(self, channel: str, thread_ts: str) -> Json | None:
        """Return a thread's session, if it has one."""
        found = self.hub.workspace.session(self.channel(channel), thread_ts)
        return asdict(found) if found else None

    def prompts(self, channel: str) -> list[Json]:
        """Return the prompts suggested in a DM."""
        found = self.hub.workspace.prompts.get(f"{self.channel(channel)}:")
        return list(found.prompts) if found else []

    def log(self, kind: str | None = None, name: str | None = None) -> list[Json]:
        """Return the inspector's entries, of one kind and name if asked."""
        return [
            entry
            for entry in self.hub.inspector.after(0)
            if kind in {None, entry["kind"]} and name in {None, entry["name"]}
        ]

    async def wait_until(self, is_true: Callable[[], Any], *, timeout: float = PATIENCE_S, what: str = "it") -> Any:
        """Wait until *is_true* returns something true, and return that."""
        deadline = time.monotonic() + timeout
        while not (found := is_true()):
            if time.monotonic() > deadline:
                recent = [f"{entry['kind']} {entry['name']}: {entry['status']}" for entry in self.log()[-12:]]
                raise TimeoutError(f"Waited {timeout:g} s for {what}; the latest exchanges: {recent}")
            await asyncio.sleep(POLL_SECONDS)
        return found

    async def wait_for_connection(self, *, timeout: float = PATIENCE_S) -> None:
        """Wait until the app listens."""
        await self.wait_until(lambda: self.hub.app_state()["connected"], timeout=timeout, what="the app to connect")

    async def wait_for_reply(
        self, channel: str, thread_ts: str, *, timeout: float = PATIENCE_S, after: str | None = None
    ) -> Json:
        """Wait for the app's finished answer: the newest of its messages after the last human one (or *after*)."""
        where = self.channel(channel)
        found = await self.wait_until(
            lambda: self._finished_reply(where, thread_ts, after=after), timeout=timeout, what="a finished reply"
        )
        return asdict(found)

    async def wait_for_view(self, user: str, *, timeout: float = PATIENCE_S) -> Json:
        """Wait until somebody has a modal open, and return the top one."""
        found = await self.wait_until(lambda: self.views(user), timeout=timeout, what=f"a view for {user}")
        return dict(found[-1])

    async def advance(self, seconds: float) -> None:
        """Move the playground's clock on."""
        await self.hub.clock.advance(seconds)

    def fault(self, name: str, *, enabled: bool = True, **params: Any) -> None:
        """Switch a fault on (or off) with some settings."""
        controls.switch_fault(self.hub, name, enabled=enabled, params=params)

    async def refresh_sockets(self) -> None:
        """Make the app open new sockets."""
        await self.hub.sockets.refresh()

    def _replies(self, channel: str, thread_ts: str) -> list[Message]:
        return self.hub.workspace.replies(channel, thread_ts)

    def _finished_reply(self, channel: str, thread_ts: str, *, after: str | None) -> Message | None:
        replies = self._replies(channel, thread_ts)
        human = [message.ts for message in replies if message.bot_id is None]
        since = after or (human[-1] if human else thread_ts)
        answers = [message for message in replies if message.bot_id is not None and message.ts > since]
        session = self.hub.workspace.session(channel, thread_ts)
        is_busy = session is not None and session.status == "processing"
        if not answers or is_busy or any(message.streaming for message in answers):
            return None
        return answers[-1]
