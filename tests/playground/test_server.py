"""The server as a process: where it listens, how it stops, and what it refuses."""

import asyncio
import signal
import sys
import time

import aiohttp
import pytest

from bot.playground.errors import PlaygroundError
from bot.playground.options import PlaygroundOptions
from bot.playground.server import serve, start_server
from bot.playground.testing import Playground

PROGRAM = """
import asyncio, logging, sys
from bot.playground.options import PlaygroundOptions
from bot.playground.server import serve
logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)
asyncio.run(serve(PlaygroundOptions(port=0)))
"""
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


async def test_a_taken_port_is_named() -> None:
    """The sentence says which port, and how to choose another."""
    async with Playground() as first:
        port = int(first.base_url.rsplit(":", 1)[1])
        with pytest.raises(PlaygroundError, match=rf"port {port} .* choose another with --port"):
            await serve(PlaygroundOptions(port=port))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "example.org", "::"])
async def test_only_loopback_is_served(host: str) -> None:
    """Without a log-in, nobody else may reach it."""
    with pytest.raises(PlaygroundError, match="not a loopback address"):
        await start_server(PlaygroundOptions(host=host, port=0))


async def test_an_events_url_must_be_one() -> None:
    """A mistyped URL is refused before anything starts."""
    with pytest.raises(PlaygroundError, match="is not an http"):
        await start_server(PlaygroundOptions(port=0, events_url="localhost:3000"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_stops_within_a_second(number: signal.Signals) -> None:
    """With a page and an app connected, a signal ends the process at once and cleanly."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
    base = line.split()[3].rstrip("/")
    async with aiohttp.ClientSession(base) as session:
        async with session.post(
            "/api/apps.connections.open", headers={"Authorization": "Bearer xapp-playground"}
        ) as answer:
            url = (await answer.json())["url"]
        async with session.ws_connect(url), session.ws_connect("/page/live?user=U0MAYA"):
            started = time.monotonic()
            process.send_signal(number)
            out, err = await asyncio.wait_for(process.communicate(), 10)
            assert time.monotonic() - started < 5
    assert process.returncode == 0
    assert (out, err) == (b"", b"")


async def test_a_frozen_page_does_not_hold_it_up() -> None:
    """A page and an app that have stopped reading cannot delay the end."""
    async with Playground() as playground:
        host, port = playground.base_url.removeprefix("http://").split(":")
        ticket = playground.hub.sockets.issue_ticket()
        frozen = []
        for path in ("/page/live?user=U0MAYA", f"/link?ticket={ticket}"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(HANDSHAKE.format(path=path, host=f"{host}:{port}").encode())
            assert b"101" in await reader.readline()
            frozen.append(writer)
        started = time.monotonic()
    assert time.monotonic() - started < 5
    for writer in frozen:
        writer.close()


async def test_a_caller_may_stop_it() -> None:
    """An event set by the caller ends it as a signal does."""
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(PlaygroundOptions(port=0), stop=stop))
    await asyncio.sleep(0.1)
    stop.set()
    await asyncio.wait_for(serving, 2)
