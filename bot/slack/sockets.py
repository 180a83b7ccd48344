"""Socket Mode over several connections: the next one is open before one closes, and none may only be silent.

Bolt's own handler closes the old connection before it opens the new one, and what Slack sends in between waits for
Slack's next try, a minute later. Here each connection has a keeper that reads the old one to its end beside the new.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType
from slack_bolt import BoltResponse
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ConfigError
from bot.signals import rest
from bot.slack.calls import error_code, is_locked_out, is_passing, read_rest

CROWDED = {"too_many_websockets", "link_disabled"}  # coming again at once would make it worse
ENDED = {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How long a connection may be silent or an old one is read on, and how long to wait before another try."""

    ping_s: float = 10.0
    silence_s: float = 30.0
    hello_s: float = 15.0
    linger_s: float = 20.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    crowded_s: float = 30.0
    last_words_s: float = 2.0
    useless_s: float = 1.0


class Gone(Exception):  # noqa: N818 - reads as a state
    """A connection has ended, or never began."""


class Line:
    """One connection; *heard_at* is when anything came through it last, be it only a pong."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self.heard_at = time.monotonic()

    async def receive(self, pace: Pace) -> dict[str, Any]:
        """Return what Slack says next; raise *Gone* when it says nothing any more."""
        while True:
            try:
                frame = await self._socket.receive(timeout=pace.ping_s)
            except TimeoutError:
                if time.monotonic() - self.heard_at >= pace.silence_s:
                    raise Gone("silent") from None
                with suppress(ConnectionError):
                    await self._socket.ping()
                continue
            if frame.type in ENDED:
                raise Gone("closed")
            self.heard_at = time.monotonic()
            if frame.type is WSMsgType.PING:
                with suppress(ConnectionError):
                    await self._socket.pong(frame.data)
            elif frame.type is WSMsgType.TEXT:
                with suppress(ValueError, RecursionError):
                    said = json.loads(frame.data)
                    if isinstance(said, dict):
                        return said

    async def send(self, text: str) -> bool:
        """Say something; False when the connection is no more."""
        if self._socket.closed:
            return False
        try:
            await self._socket.send_str(text)
        except (ConnectionError, aiohttp.ClientError):
            return False
        return True

    async def close(self) -> None:
        """End it."""
        with suppress(ConnectionError, aiohttp.ClientError, TimeoutError):
            await self._socket.close()


class Sockets:
    """Holds *wanted* connections for one process; Slack takes ten of an app, over all its processes.

    *on_loss* hears of each that ended unannounced: what was on its way through it comes later. While it *may_hear*
    nothing, for what comes cannot be kept, it holds none: Slack tells another process then, if there is one.
    """

    def __init__(
        self,
        app: AsyncApp,
        app_token: str,
        *,
        client: AsyncWebClient,
        wanted: int = 2,
        pace: Pace | None = None,
        on_loss: Callable[[], None] = lambda: None,
        may_hear: Callable[[], bool] = lambda: True,
    ) -> None:
        self._app = app
        self._app_token = app_token
        self._client = client
        self._wanted = wanted
        self._pace = pace or Pace()
        self._on_loss = on_loss
        self._may_hear = may_hear
        self._lines: list[Line] = []
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way: set[asyncio.Task[None]] = set()

    def is_hearing(self) -> bool:
        """Return whether Slack has shown within half a minute that it is there."""
        moment = time.monotonic()
        return any(moment - line.heard_at < self._pace.silence_s for line in self._lines)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Hold the connections for as long as the block runs; raise *ConfigError* when Slack refuses the token."""
        async with aiohttp.ClientSession() as session:
            keepers = [asyncio.create_task(self._keep(session)) for _ in range(self._wanted)]
            keepers.append(asyncio.create_task(self._hang_up()))
            try:
                await self._first
                yield
            finally:
                for keeper in keepers:  # nothing new is taken
                    keeper.cancel()
                await asyncio.gather(*keepers, return_exceptions=True)
                if self._under_way:  # what came is acknowledged, so that nobody else gets it too
                    await asyncio.wait(self._under_way, timeout=self._pace.last_words_s)
                for task in self._under_way:
                    task.cancel()
                await asyncio.gather(*(line.close() for line in self._lines))

    async def _keep(self, session: aiohttp.ClientSession) -> None:
        """Have one connection, always; wait longer after each failure, and not as long as the others do."""
        failures = 0
        while True:
            await self._until_useful()
            try:
                line = await self._open(session)
                failures, reason = 0, await self._read(line)
            except _Wait as error:
                failures += 1
                await rest(self._find_wait(failures, least=error.seconds))
            except Exception:
                failures += 1
                log.exception("sockets: a connection met what nobody foresaw; opening another")
                await rest(self._find_wait(failures, least=0))
            else:
                if reason in CROWDED:
                    await asyncio.sleep(self._pace.crowded_s * random.uniform(1, 2))  # noqa: S311 - no secret

    async def _until_useful(self) -> None:
        while not self._may_hear():  # noqa: ASYNC110 - it is known by the clock
            await asyncio.sleep(self._pace.useless_s)

    async def _hang_up(self) -> None:
        """End every connection while what comes through it cannot be kept."""
        while True:
            await asyncio.sleep(self._pace.useless_s)
            if self._lines and not self._may_hear():
                log.warning("sockets: nothing that Slack says can be kept now; it has to tell somebody else")
                await asyncio.gather(*(line.close() for line in self._lines))

    def _find_wait(self, failures: int, *, least: float) -> float:
        longest = min(self._pace.longest_wait_s, self._pace.first_wait_s * 2.0 ** min(failures - 1, 10))
        return least + longest * random.uniform(0.5, 1)  # noqa: S311 - no secret

    async def _open(self, session: aiohttp.ClientSession) -> Line:
        """Open a connection and wait until Slack says hello; no step of it may hang."""
        line = None
        try:
            async with asyncio.timeout(self._pace.hello_s):
                answer = await self._client.apps_connections_open(app_token=self._app_token)
                socket = await session.ws_connect(
                    str(answer["url"]),
                    autoping=False,
                    proxy=self._client.proxy,
                    ssl=self._client.ssl or True,
                    max_msg_size=0,
                )
                line = Line(socket)
                said = await line.receive(self._pace)
        except SlackApiError as error:
            self._refuse(error)
            raise _Wait(read_rest(error) or 0) from error
        except (Gone, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.info("sockets: Slack cannot be reached (%s)", type(error).__name__)
            if line is not None:
                await line.close()
            raise _Wait from error
        if said.get("type") != "hello":
            await line.close()
            raise _Wait(self._pace.crowded_s if said.get("reason") in CROWDED else 0)
        self._lines.append(line)
        if not self._first.done():
            self._first.set_result(None)
        return line

    def _refuse(self, error: SlackApiError) -> None:
        """Give up where nothing was ever heard and waiting cannot help; afterwards only say what is wrong."""
        sentence = (
            f"SLACK_APP_TOKEN: Slack refuses it ({error_code(error)}). It needs the scope connections:write, and "
            "Socket Mode must be switched on."
        )
        if is_passing(error) and not is_locked_out(error):
            log.info("sockets: Slack opens none now (%s)", error_code(error))
        elif self._first.done():
            log.error("sockets: %s", sentence)
        else:
            self._first.set_exception(ConfigError(sentence))

    async def _read(self, line: Line) -> str:
        """Take what comes until Slack announces the end, and return why; what still comes is read beside the next."""
        try:
            while (said := await line.receive(self._pace)).get("type") != "disconnect":
                self._take(said, line)
        except Gone as error:
            self._lines.remove(line)
            self._on_loss()
            log.info("sockets: a connection is %s; opening another", error)
            self._start(line.close())
            return ""
        except Exception:  # a line that nobody reads must not be held: Slack would go on talking to it
            self._lines.remove(line)
            self._on_loss()
            self._start(line.close())
            raise
        self._start(self._read_on(line))
        return str(said.get("reason") or "")

    async def _read_on(self, line: Line) -> None:
        """Read a connection that Slack will close, for as long as it may still say something."""
        try:
            async with asyncio.timeout(self._pace.linger_s):
                while True:
                    self._take(await line.receive(self._pace), line)
        except (Gone, TimeoutError):
            pass
        finally:
            self._lines.remove(line)
            await line.close()

    def _take(self, said: dict[str, Any], line: Line) -> None:
        request = SocketModeRequest.from_dict(said)
        if request is not None:
            self._start(self._answer(request, line))

    async def _answer(self, request: SocketModeRequest, line: Line) -> None:
        """Let Bolt do what is to be done, and acknowledge it over whichever connection there is."""
        response = await run_async_bolt_app(self._app, request)
        if response.status != 200:
            log.info("sockets: not acknowledged (%d)", response.status)
            return
        text = json.dumps({"envelope_id": request.envelope_id} | _read_payload(response))
        for one in [line, *self._lines]:
            if await one.send(text):
                return
        log.info("sockets: an event was taken and could not be acknowledged; it will come again")

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


class _Wait(Exception):  # noqa: N818 - reads as an order
    """No connection now: try again after *seconds* at least."""

    def __init__(self, seconds: float = 0) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def _read_payload(response: BoltResponse) -> dict[str, Any]:
    """Return what Bolt wants to say with the acknowledgement."""
    if not response.body:
        return {}
    kind = (response.headers.get("content-type") or [""])[0]
    return {"payload": json.loads(response.body) if kind.startswith("application/json") else {"text": response.body}}
