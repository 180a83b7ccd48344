"""The bot's own port against strangers: what is no request, what comes too slowly, what is packed."""

import asyncio
import gzip
import logging
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp

from bot import door
from bot.slack.signed import Signed
from bot.web import build_web_app, serving

SILENT_S = 0.5


async def is_fine() -> dict[str, bool]:
    """Say that all is well."""
    return {"worker": True}


@asynccontextmanager
async def opened(*, silent_s: float = SILENT_S) -> AsyncIterator[int]:
    """Serve the port on which Slack's events come, with a page to install the app."""
    slack = AsyncApp(token="xoxb-x", signing_secret="s3cret", ignoring_self_events_enabled=False)
    flow: Any = SimpleNamespace(
        install_path="/slack/install", redirect_uri_path="/slack/back", handle_installation=None
    )
    app = build_web_app(alive=is_fine, ready=is_fine, slack=(slack, Signed("s3cret")), flow=flow)
    async with serving(app, host="127.0.0.1", port=0, silent_s=silent_s) as number:
        yield number


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Serve the port for a test."""
    async with opened() as number:
        yield number


async def say(port: int, said: bytes) -> tuple[bytes, float]:
    """Return what comes back until the connection ends, and after how long."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(said)
        async with asyncio.timeout(5):
            answer = await reader.read()
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
    return answer, time.monotonic() - began


async def give_up(saying: Iterable[asyncio.Task[Any]]) -> None:
    """Let nobody say anything more."""
    for one in saying:
        one.cancel()
    await asyncio.gather(*saying, return_exceptions=True)


async def test_what_is_no_request_is_answered_and_not_written_down(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """An address of nine thousand letters and the like: one line back, and no trace in the log for each."""
    caplog.set_level(logging.INFO)
    for said in (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n"):
        assert b"400 Bad Request" in (await say(port, said))[0]

    assert caplog.records == []


async def test_a_connection_that_never_asks_is_closed(port: int) -> None:
    """Half a head holds an open file; somebody who asks is answered meanwhile."""
    half = asyncio.create_task(say(port, b"POST /slack/events HTTP/1.1\r\nHost: x\r\n"))
    whole, _ = await say(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer, took = await half

    assert b"200 OK" in whole
    assert answer == b""
    assert SILENT_S <= took < 4


async def test_nothing_is_unpacked_for_strangers(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """Two hundred bytes that would be megabytes are refused like any other body, and so is what is no archive."""
    for body in (gzip.compress(b"a" * 3_000_000), b"nonsense"):
        head = f"POST /slack/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        answer, _ = await say(port, head.encode() + b"Content-Encoding: gzip\r\n\r\n" + body)
        assert b"401 Unauthorized" in answer

    assert [record for record in caplog.records if record.exc_info] == []


async def test_strangers_cannot_take_every_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is an open file of the process: of too many the oldest are closed, and whoever comes next is answered."""
    monkeypatch.setattr(door, "MOST_OPEN", 10)
    async with opened(silent_s=60) as port:
        halves = [asyncio.create_task(say(port, b"POST /slack/events HTTP/1.1\r\nHost: x\r\n")) for _ in range(40)]
        await asyncio.wait(halves, timeout=0.5)
        answer, _ = await say(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        closed, still_open = await asyncio.wait(halves, timeout=0.5)
        await give_up(still_open)

    assert len(closed) == 31
    assert b"200 OK" in answer


async def test_a_request_of_slacks_is_not_pushed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which Slack's request is answered stays, however old it is and however many others come."""
    monkeypatch.setattr(door, "MOST_OPEN", 3)
    closed: list[int] = []

    class One:
        transport = True

        def __init__(self, number: int) -> None:
            self.number = number

        def force_close(self) -> None:
            closed.append(self.number)

    ones: list[Any] = [One(number) for number in range(6)]
    entrance = door.Door()
    entrance.let_in(ones[0])
    with entrance.vouched(ones[0]):
        for one in ones[1:5]:
            entrance.let_in(one)
        entrance.close_silent(0)
    assert closed == [1, 2, 3, 4]

    entrance.let_in(ones[5])
    entrance.close_silent(60)
    assert closed == [1, 2, 3, 4]


async def test_half_a_body_holds_no_page_open(port: int) -> None:
    """Also where nobody asked for a body."""
    answer, took = await say(port, b"GET /slack/install HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")

    assert answer == b""
    assert SILENT_S <= took < 4


async def test_few_large_bodies_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a body is whole nobody knows whose it is; small ones, as Slack's are, are read all the time."""
    monkeypatch.setattr(door, "MOST_LARGE", 2)
    large = b"POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n" + b"x" * 200_000
    async with opened(silent_s=60) as port:
        halves = [asyncio.create_task(say(port, large)) for _ in range(5)]
        refused, held = await asyncio.wait(halves, timeout=3)
        small = b"POST /slack/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
        answer, _ = await say(port, small)
        await give_up(held)

    assert len(held) == 2
    assert all(b"503 Service Unavailable" in half.result()[0] for half in refused)
    assert b"401 Unauthorized" in answer
