"""Socket Mode: tickets, the app's WebSocket connections, envelopes and their acknowledgements."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web

from bot.playground.clock import Clock
from bot.playground.delivery import ACK_SECONDS, Envelope, Outcome
from bot.playground.entities import Json
from bot.playground.faults import Faults
from bot.playground.inspector import Inspector

ARRIVAL_SECONDS = ACK_SECONDS  # how long an event waits for an app that is not connected
MAX_CONNECTIONS = 10
LINGER_SECONDS = 1.0  # how long an app may take to replace a connection
CLOSE_SECONDS = 0.3  # how long an app may take to agree to a close
SLOT_SECONDS = 18_060  # what Slack announces as a connection's usual life


class Connection:
    """One WebSocket of the app."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self._transport = transport
        self.is_leaving = False
        self.is_gone = asyncio.Event()

    def abort(self) -> None:
        """Break the connection without a closing handshake."""
        if self._transport is not None:
            self._transport.abort()


class SocketMode:
    """Delivers envelopes over the app's connections in turn."""

    def __init__(
        self, *, app_id: str, clock: Clock, faults: Faults, inspector: Inspector, on_change: Callable[[], None]
    ) -> None:
        self._app_id = app_id
        self._clock = clock
        self._faults = faults
        self._inspector = inspector
        self._on_change = on_change
        self._tickets: set[str] = set()
        self._connections: list[Connection] = []
        self._pending: dict[str, asyncio.Future[Any]] = {}  # envelopes by id; any connection may acknowledge them
        self._arrivals: list[asyncio.Future[None]] = []  # of deliveries that wait for a connection

    @property
    def is_connected(self) -> bool:
        """Say whether an app is listening at the other end."""
        return any(not connection.is_leaving for connection in self._connections)

    def issue_ticket(self) -> str:
        """Return a ticket that opens one connection."""
        ticket = secrets.token_urlsafe(16)
        self._tickets.add(ticket)
        return ticket

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection of the app until it ends."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets or self._faults.is_cut:
            raise web.HTTPForbidden(text="This ticket is unknown or used; call apps.connections.open.")
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse(heartbeat=30, timeout=CLOSE_SECONDS)
        await socket.prepare(request)
        if len(self._connections) >= MAX_CONNECTIONS:
            await _say_goodbye(socket, "too_many_websockets")
            await socket.close()
            return socket
        connection = Connection(socket, request.transport)
        self._connections.append(connection)
        self._changed("connected")
        try:
            with suppress(ConnectionError):
                await socket.send_json(self._hello())
                self._announce()
                await self._receive(socket)
        finally:
            self._connections.remove(connection)
            connection.is_gone.set()
            self._changed("disconnected")
        return socket

    async def send(self, envelope: Envelope) -> Outcome:
        """Try once, and wait for the acknowledgement for at most three seconds of the clock."""
        connection = self._next_connection() or await self._await_connection()
        if connection is None:
            return Outcome(ok=False, reason="connection_failed")
        envelope_id = secrets.token_hex(16)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[envelope_id] = answer
        try:
            await connection.socket.send_json(_frame(envelope, envelope_id))
            response = await self._clock.wait_for(answer, seconds=ACK_SECONDS)
        except TimeoutError:
            return Outcome(ok=False, reason="timeout")
        except ConnectionError:
            return Outcome(ok=False, reason="connection_failed")
        finally:
            self._pending.pop(envelope_id, None)
        return Outcome(ok=True, response=response if isinstance(response, dict) else None)

    async def refresh(self, reason: str = "refresh_requested") -> None:
        """Ask every connection to come anew, and close those that are left after a second."""
        leaving = [connection for connection in self._connections if not connection.is_leaving]
        for connection in leaving:
            connection.is_leaving = True
        await asyncio.gather(*(self._retire(connection, reason) for connection in leaving))

    def cut(self) -> None:
        """Break every connection without a word."""
        for connection in self._connections:
            connection.is_leaving = True
            connection.abort()

    async def close(self) -> None:
        """Close every connection at once."""
        await asyncio.gather(*(connection.socket.close() for connection in list(self._connections)))

    def _next_connection(self) -> Connection | None:
        for connection in self._connections:
            if not connection.is_leaving and not connection.socket.closed:
                self._connections.remove(connection)
                self._connections.append(connection)
                return connection
        return None

    async def _await_connection(self) -> Connection | None:
        """Wait a moment: an app that is just coming back misses nothing."""
        if self._faults.is_cut:
            return None
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals.append(arrival)
        try:
            await self._clock.wait_for(arrival, seconds=ARRIVAL_SECONDS)
        except TimeoutError:
            return None
        finally:
            self._arrivals.remove(arrival)
        return self._next_connection()

    async def _receive(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                document = json.loads(message.data)
            except ValueError:
                continue
            if isinstance(document, dict):
                self._acknowledge(document)

    def _acknowledge(self, message: Json) -> None:
        """Settle the envelope that *message* acknowledges; a stranger's id is ignored."""
        answer = self._pending.get(str(message.get("envelope_id")))
        if answer is not None and not answer.done():
            answer.set_result(message.get("payload"))

    async def _retire(self, connection: Connection, reason: str) -> None:
        """Say goodbye and let the app close first, as it does once its new connection stands."""
        await _say_goodbye(connection.socket, reason)
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await connection.is_gone.wait()
        await connection.socket.close()

    def _announce(self) -> None:
        for arrival in self._arrivals:
            if not arrival.done():
                arrival.set_result(None)

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": len(self._connections),
            "debug_info": {"host": "playground", "build_number": 1, "approximate_connection_time": SLOT_SECONDS},
            "connection_info": {"app_id": self._app_id},
        }

    def _changed(self, status: str) -> None:
        self._inspector.note("socket", status, direction="from_app", ok=True, status=f"{len(self._connections)} open")
        self._on_change()


async def _say_goodbye(socket: web.WebSocketResponse, reason: str) -> None:
    with suppress(ConnectionError):
        await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "playground"}})


def _frame(envelope: Envelope, envelope_id: str) -> Json:
    frame: Json = {
        "envelope_id": envelope_id,
        "type": envelope.kind,
        "payload": envelope.payload,
        "accepts_response_payload": envelope.accepts_response,
    }
    if envelope.kind == "events_api":
        frame |= {"retry_attempt": envelope.retry_num, "retry_reason": envelope.retry_reason}
    return frame
