"""When a process should stop: on Ctrl-C, on SIGTERM, or when its parent is gone."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


def stop_event(*, with_stdin: bool = False) -> asyncio.Event:
    """Return an event that is set on the first signal; a second one ends the process at once.

    *with_stdin* also watches standard input: a parent holds the other end of that pipe, and its end, however it
    died, closes it. So no child outlives its parent.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def ask() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    if with_stdin:
        loop.add_reader(sys.stdin.fileno(), _at_end_of_input, loop, stop)
    return stop


def end_within(seconds: float) -> None:
    """End this process by then, whatever it still waits for: what it knows is in the database."""

    def end() -> None:
        log.error("stopping took longer than %.0f s; what was not finished goes on at the next start", seconds)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


@contextmanager
def on_hangup(act: Callable[[], object]) -> Iterator[None]:
    """Call *act* at every SIGHUP while the block runs, instead of ending; where no signals come, do nothing."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGHUP, act)
    except (RuntimeError, ValueError):  # not the main thread of the process
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _at_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        loop.remove_reader(sys.stdin.fileno())
        stop.set()
