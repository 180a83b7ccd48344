"""Brings events, interactions and commands to the app, as often as Slack would try.

It knows envelopes and attempts; the two transports (Socket Mode and HTTP) know the wire.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from bot.playground.clock import Clock
from bot.playground.entities import Json
from bot.playground.faults import Faults
from bot.playground.inspector import Inspector, Kind, LogEntry

ACK_SECONDS = 3.0
RETRY_DELAYS = (0.0, 60.0, 300.0)
SETTLE_SECONDS = 0.3

EnvelopeKind = Literal["events_api", "interactive", "slash_commands"]
LOG_KINDS: dict[EnvelopeKind, Kind] = {
    "events_api": "event",
    "interactive": "interaction",
    "slash_commands": "command",
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """Something the app must acknowledge within three seconds."""

    kind: EnvelopeKind
    name: str
    payload: Json
    accepts_response: bool = False
    retry_num: int = 0
    retry_reason: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt: acknowledged (perhaps with a response), or why not."""

    ok: bool
    reason: str = ""
    response: Json | None = None
    no_retry: bool = False


class Transport(Protocol):
    """A wire to the app."""

    @property
    def is_connected(self) -> bool:
        """Say whether an app is listening at the other end."""

    async def send(self, envelope: Envelope) -> Outcome:
        """Try once, and wait for the acknowledgement for at most three seconds of the clock."""


class Delivery:
    """Delivers each event until it is acknowledged or Slack would give up; asks everything else once."""

    def __init__(self, transport: Transport, *, clock: Clock, faults: Faults, inspector: Inspector) -> None:
        self._transport = transport
        self._clock = clock
        self._faults = faults
        self._inspector = inspector
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_the_wire = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def post_event(self, name: str, payload: Json) -> None:
        """Start delivering an event and return at once."""
        envelope = Envelope("events_api", name, payload)
        self._spawn(self._deliver(envelope, self._log(envelope)))

    async def ask(self, envelope: Envelope) -> Outcome:
        """Deliver an interaction or a command once and return what the app said."""
        entry = self._log(envelope)
        outcome = await self._attempt(envelope, entry)
        self._inspector.finish(
            entry,
            ok=outcome.ok,
            status="acked" if outcome.ok else outcome.reason,
            ms=entry.ms,
            response=outcome.response,
        )
        return outcome

    async def settle(self) -> None:
        """Give what is on the wire a moment of real time to be acknowledged."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._quiet.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """Stop all attempts."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, envelope: Envelope, entry: LogEntry) -> None:
        held = self._faults.strike("reorder_events")
        if held is not None:
            await self._clock.sleep(held["seconds"] * self._faults.draw())
        for number, delay in enumerate((None, *RETRY_DELAYS)):
            if number and delay is not None:
                self._inspector.finish(entry, ok=None, status=f"retry {number}", ms=entry.ms)
                await self._clock.sleep(delay)
            outcome = await self._attempt(envelope, entry)
            if outcome.ok:
                self._inspector.finish(entry, ok=True, status="acked", ms=entry.ms, response=outcome.response)
                await self._redeliver(envelope)
                return
            if outcome.no_retry:
                break
            envelope = replace(envelope, retry_num=number + 1, retry_reason=outcome.reason)
        self._inspector.finish(entry, ok=False, status=outcome.reason, ms=entry.ms)

    async def _redeliver(self, envelope: Envelope) -> None:
        """Deliver once more what the app already has, when such a fault is on."""
        again = replace(envelope, retry_num=1, retry_reason="timeout")
        if self._faults.strike("duplicate_events") is not None:
            await self.ask(again)
        late = self._faults.strike("late_redelivery")
        if late is None:
            return
        copies = int(late["copies"])
        for number in range(copies):
            await self._clock.sleep(late["seconds"] / copies)
            await self.ask(replace(again, retry_num=number + 1))

    async def _attempt(self, envelope: Envelope, entry: LogEntry) -> Outcome:
        is_heard = self._transport.is_connected
        if is_heard:
            self._on_the_wire += 1
            self._quiet.clear()
        started = time.monotonic()
        try:
            return await self._transport.send(envelope)
        finally:
            entry.ms = (time.monotonic() - started) * 1000
            self._on_the_wire -= is_heard
            if not self._on_the_wire:
                self._quiet.set()

    def _log(self, envelope: Envelope) -> LogEntry:
        kind = LOG_KINDS[envelope.kind]
        return self._inspector.start(kind, envelope.name, request=envelope.payload, direction="to_app")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
