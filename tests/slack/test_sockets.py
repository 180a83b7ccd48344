"""The sockets to Slack: the next one is open before one closes, and none is believed that only is silent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ConfigError
from bot.playground.testing import Playground
from bot.slack.sockets import Pace, Sockets

QUICK = Pace(ping_s=0.1, silence_s=0.3, hello_s=1, first_wait_s=0.05, longest_wait_s=0.2, crowded_s=0.1)


@asynccontextmanager
async def listener(
    playground: Playground,
    heard: list[str],
    *,
    pace: Pace | None = None,
    url: str = "",
    lost: list[str] | None = None,
    may_hear: Callable[[], bool] = lambda: True,
) -> Any:
    """Run an app that notes what people say, over our sockets."""
    client = AsyncWebClient("xoxb-playground", base_url=url or playground.api_url, retry_handlers=[])

    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id="T1", bot_user_id="U0APPRENTICE", bot_token="xoxb")

    app = AsyncApp(client=client, authorize=authorize, signing_secret="x")

    @app.event("message")
    async def note(event: dict[str, Any]) -> None:
        heard.append(event["text"])

    losses = [] if lost is None else lost
    on_loss = partial(losses.append, "lost")
    sockets = Sockets(app, "xapp-playground", client=client, pace=pace, on_loss=on_loss, may_hear=may_hear)
    async with sockets.connected():
        yield sockets


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a fresh workspace."""
    async with Playground() as opened:
        yield opened


@pytest.mark.parametrize("rounds", [1, pytest.param(250, marks=[pytest.mark.nightly, pytest.mark.timeout(3600)])])
async def test_refreshes_lose_and_delay_nothing(playground: Playground, rounds: int) -> None:
    """While Slack closes one connection after the other, every message comes at Slack's first try, once."""
    heard: list[str] = []
    lost: list[str] = []
    maya = playground.maya
    said = 0
    async with listener(playground, heard, lost=lost):
        for _ in range(rounds):
            playground.hub.inspector.clear()  # it keeps a few hundred exchanges
            before = said
            refreshing = asyncio.create_task(_refresh_often(playground, times=4))
            while not refreshing.done():
                await maya.say(maya.dm, f"message {said}")
                said += 1
                await asyncio.sleep(0.05)
            await refreshing
            await playground.wait_until(lambda: len(heard) >= said, what="the last message")  # noqa: B023 - at once
            assert {entry["status"] for entry in playground.log("event")} == {"acked"}
            assert len(playground.log("event", "message.im")) == said - before  # Slack had no reason to try again

    assert sorted(heard) == sorted(f"message {number}" for number in range(said))
    assert lost == []


async def _refresh_often(playground: Playground, *, times: int) -> None:
    for _ in range(times):
        await playground.refresh_sockets()
        await playground.wait_for_connection()
        await asyncio.sleep(0.1)


async def test_who_can_keep_nothing_leaves_it_to_others(playground: Playground) -> None:
    """A process that is cut off from its database takes nothing from Slack, and comes back once it can keep it."""
    heard: list[str] = []
    keeps = [True]
    maya, here = playground.maya, playground.hub.sockets._connections
    pace = Pace(useless_s=0.05, first_wait_s=0.05)
    async with (
        listener(playground, heard, pace=pace, may_hear=lambda: keeps[0]) as cut_off,
        listener(playground, [], pace=pace),
    ):
        await playground.wait_until(lambda: len(here) == 4, what="both")
        keeps[0] = False
        await playground.wait_until(lambda: len(here) == 2, what="one to leave")
        assert not cut_off.is_hearing()
        for number in range(8):
            await maya.say(maya.dm, f"message {number}")
        await playground.wait_until(lambda: len(playground.log("event", "message.im")) >= 8, what="the other to hear")
        assert heard == []
        keeps[0] = True
        await playground.wait_until(lambda: len(here) == 4, what="it to be back")
        assert cut_off.is_hearing()


async def test_there_are_two_connections(playground: Playground) -> None:
    """One breaking alone is nothing that anybody notices but ourselves: something may have been on its way."""
    lost: list[str] = []
    async with listener(playground, [], lost=lost) as sockets:
        await playground.wait_until(lambda: len(playground.hub.sockets._connections) == 2, what="two connections")
        playground.hub.sockets._connections[0].abort()
        assert sockets.is_hearing()
        await playground.wait_until(lambda: lost, what="the loss to be noticed")
        await playground.wait_until(lambda: len(playground.hub.sockets._connections) == 2, what="two again")
    assert lost == ["lost"]


async def test_a_silent_connection_is_given_up(playground: Playground) -> None:
    """A line that is open and carries nothing, not even pongs, makes it deaf; then it comes back by itself."""
    heard: list[str] = []
    maya = playground.maya
    async with Relay(playground) as relay, listener(playground, heard, pace=QUICK, url=f"{relay.url}/api/") as sockets:
        # The tickets name the playground's own address; through the relay goes what is connected to it.
        playground.hub.base_url = relay.url
        await playground.refresh_sockets()
        await playground.wait_until(lambda: len(relay.pairs) >= 2, what="connections through the relay")
        relay.is_frozen = True
        await playground.wait_until(lambda: not sockets.is_hearing(), what="it to notice")
        await asyncio.sleep(0.5)  # the next opening hangs as well
        relay.is_frozen = False
        await playground.wait_until(sockets.is_hearing, what="it to come back")
        await maya.say(maya.dm, "hello")
        await playground.wait_until(lambda: "hello" in heard, what="the message")


async def test_a_crowd_is_left_alone(playground: Playground) -> None:
    """Where Slack has too many connections already, it waits a while instead of knocking again at once."""
    async with listener(playground, []) as _:
        await playground.wait_until(lambda: len(playground.hub.sockets._connections) == 2, what="two connections")
        crowd = [listener(playground, []) for _ in range(4)]
        for one in crowd:
            await one.__aenter__()
        await playground.wait_until(lambda: len(playground.hub.sockets._connections) == 10, what="ten connections")
        waits: list[float] = []
        sockets = Sockets(None, "xapp-playground", client=AsyncWebClient(base_url=playground.api_url))  # type: ignore[arg-type]
        sockets._find_wait = lambda _failures, *, least: waits.append(least) or 0.01  # type: ignore[method-assign,func-returns-value]
        waiting = asyncio.create_task(sockets.connected().__aenter__())
        await playground.wait_until(lambda: waits, what="a refusal")
        assert waits[0] >= 30
        for one in crowd:
            await one.__aexit__(None, None, None)
        context = await asyncio.wait_for(waiting, 10)
        assert context is None


async def test_a_wrong_token_ends_it_in_words(playground: Playground) -> None:
    """Waiting would not help."""
    sockets = Sockets(None, "xapp-wrong", client=AsyncWebClient(base_url=playground.api_url))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="SLACK_APP_TOKEN"):
        async with sockets.connected():
            raise AssertionError("it is connected")


class Relay:
    """A way to the playground that can stop carrying anything without breaking."""

    def __init__(self, playground: Playground) -> None:
        self._port = int(playground.base_url.rpartition(":")[2])
        self.is_frozen = False
        self.pairs: list[asyncio.StreamWriter] = []
        self.url = ""

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self.pairs:
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._port)
        self.pairs += [writer, there[1]]
        await asyncio.gather(self._pump(reader, there[1]), self._pump(there[0], writer), return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.is_frozen:
                continue  # swallowed: nobody hears that it is gone
            writer.write(data)
            await writer.drain()
        writer.close()


async def test_what_cannot_be_read_ends_no_connection_unseen(playground: Playground) -> None:
    """Brackets within brackets are left out; with anything else the connection ends: none is held that nobody reads."""
    heard: list[str] = []
    maya, sockets = playground.maya, playground.hub.sockets
    async with listener(playground, heard, pace=QUICK) as listening:
        await playground.wait_until(lambda: len(sockets._connections) == 2, what="two connections")
        for connection in list(sockets._connections):
            await connection.socket.send_str("[" * 100_000)
            await connection.socket.send_str('{"type": "events_api", "envelope_id": "1", "payload": 5}')
        await asyncio.sleep(0.5)
        await playground.wait_until(lambda: len(sockets._connections) == 2, what="two again")
        for number in range(4):
            await maya.say(maya.dm, f"message {number}")
        await playground.wait_until(lambda: len(heard) == 4, timeout=3, what="every message")
        assert len(listening._lines) == 2
