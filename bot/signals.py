"""When a process should stop: on Ctrl-C, on SIGTERM, or when its parent is gone; and when a task should."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from bot.logs import flush_log

STOP_S = 28.0  # in which a process that was told to stop is gone, before who told it kills it

log = logging.getLogger(__name__)
T = TypeVar("T")


def stop_event(*, with_stdin: bool = False) -> asyncio.Event:
    """Return an event that is set on the first signal; a second one ends the process at once.

    *with_stdin* also watches standard input: a parent holds the other end of that pipe, and its end, however it
    died, closes it. So no child outlives its parent.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def ask() -> None:
        if stop.is_set():
            _end_now(130)
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
        _end_now(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _end_now(code: int) -> None:
    """End this process as it stands; only the last lines of its log are still written."""
    flush_log()
    os._exit(code)


async def run_stoppable(
    work: Callable[[Callable[[], None]], Awaitable[None]], stop: asyncio.Event, *, seconds: float = STOP_S
) -> None:
    """Run *work*, which ends when *stop* is set; until it has called what it is given, for it looks, cancel it then.

    A start may have to wait for others, for ever. Whatever it waits for, the process is gone *seconds* after.
    """
    has_begun = asyncio.Event()
    working = asyncio.ensure_future(work(has_begun.set))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if stop.is_set() and not has_begun.is_set():
        end_within(seconds)
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    else:
        await working


def is_ending() -> bool:
    """Return whether the task that asks was told to end, also where another error has hidden that since."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def rest(seconds: float) -> None:
    """Wait before another try; whoever was told to end tries no more, whatever error has hidden that."""
    if is_ending():
        raise asyncio.CancelledError
    await asyncio.sleep(seconds)


async def outcome_of(work: asyncio.Task[T]) -> T:
    """Return what comes of *work*; once it, or whoever waits for it, was told to end, no error hides that."""
    try:
        return await work
    except Exception as error:
        if work.cancelling() or is_ending():
            raise asyncio.CancelledError from error
        raise


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
