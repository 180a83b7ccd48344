"""The thread that writes the log: in order, nothing lost that has room, and what is lost is counted."""

import logging
import os
import time
from collections.abc import Iterator

import pytest

from bot.log_writer import LogWriter
from bot.logs import Scrubbing
from bot.metrics import LOG_LINES_LOST

LONG = "x" * 70_000  # more than a pipe keeps


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe."""
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def record(text: str) -> logging.LogRecord:
    """Make a record of a warning."""
    return logging.LogRecord("bot.some", logging.WARNING, __file__, 1, text, (), None)


def read(reader: int, end: str) -> list[str]:
    """Read lines until one has *end* in it."""
    said = b""
    while end.encode() not in said:
        said += os.read(reader, 65_536)
    return said.decode().splitlines()


def test_what_finds_no_room_is_counted_and_said(pipe: tuple[int, int]) -> None:
    """Nobody who logs waits; the count comes once somebody reads, and later lines come after it."""
    reader, writer = pipe
    handler = LogWriter(writer, most=3)
    handler.setFormatter(Scrubbing("%(levelname)s %(name)s: %(message)s"))
    before = LOG_LINES_LOST._value.get()
    handler.handle(record(LONG))
    while not handler._lines.empty():
        time.sleep(0.01)
    began = time.monotonic()
    for number in range(8):
        handler.handle(record(f"line {number} xoxb-1-secret"))

    assert time.monotonic() - began < 5
    assert LOG_LINES_LOST._value.get() - before == 5
    said = read(reader, "stood still\n")
    assert said[1:] == [
        *(f"WARNING bot.some: line {number} [secret]" for number in range(3)),
        "WARNING bot.log_writer: 5 lines are missing above: whoever reads this log stood still",
    ]
    handler.handle(record("again"))
    assert read(reader, "again\n") == ["WARNING bot.some: again"]


def test_a_flush_waits_for_what_was_said_and_never_long(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is written where somebody reads; else it gives up."""
    reader, writer = pipe
    handler = LogWriter(writer)
    for number in range(100):
        handler.handle(record(f"line {number}"))
    handler.flush()
    os.set_blocking(reader, False)
    assert os.read(reader, 65_536).decode().splitlines()[-1] == "line 99"
    monkeypatch.setattr("bot.log_writer.LAST_S", 0.2)
    handler.handle(record(LONG))
    began = time.monotonic()
    handler.flush()
    assert 0.1 < time.monotonic() - began < 10
    os.read(reader, 65_536)


def test_a_reader_that_has_gone_ends_nothing() -> None:
    """`bot run | less`, and q."""
    reader, writer = os.pipe()
    os.close(reader)
    handler, before = LogWriter(writer), LOG_LINES_LOST._value.get()
    for _ in range(3):
        handler.handle(record("gone"))
    handler.flush()
    assert LOG_LINES_LOST._value.get() - before == 3
    os.close(writer)
