"""The bot's own port against strangers: what is no request, what comes too slowly, what is packed."""

import asyncio
import gzip
import logging
import time
from collections.abc import AsyncIterator

import pytest
from slack_bolt.async_app import AsyncApp

from bot.slack.signed import Signed
from bot.web import build_web_app, serving

SILENT_S = 0.5


async def is_fine() -> dict[str, bool]:
    """Say that all is well."""
    return {"worker": True}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Serve the port on which Slack's events come."""
    slack = AsyncApp(token="xoxb-x", signing_secret="s3cret", ignoring_self_events_enabled=False)
    app = build_web_app(alive=is_fine, ready=is_fine, slack=(slack, Signed("s3cret")))
    async with serving(app, host="127.0.0.1", port=0, silent_s=SILENT_S) as opened:
        yield opened


async def say(port: int, said: bytes) -> tuple[bytes, float]:
    """Return what comes back until the connection ends, and after how long."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer, time.monotonic() - began


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
