"""The way from the engine's thread into the event loop, which is woken without letting go of the interpreter.

`call_soon_threadsafe` lets go of it to ring: then the event loop works at once, and the engine's thread waits for a
millisecond at every step. Here it works while llama.cpp computes. Knows nothing of what it carries.
"""

import asyncio
import ctypes
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")
_write = ctypes.PyDLL(None).write  # unlike os.write and ctypes.CDLL it keeps the interpreter's lock


class Handover(Generic[T]):
    """Carries items from any thread to *receive* in the running event loop."""

    def __init__(self, receive: Callable[[T], None]) -> None:
        self._receive = receive
        self._items: deque[T] = deque()
        self._source, self._bell = os.pipe()
        os.set_blocking(self._source, False)
        os.set_blocking(self._bell, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._source, self._take)

    def put(self, item: T) -> None:
        """Leave an item and ring; a pipe that is full has been rung often enough."""
        self._items.append(item)
        if self._bell >= 0:
            _write(self._bell, b"!", 1)

    def _take(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._source, 4096)
        while self._items:
            self._receive(self._items.popleft())

    def close(self) -> None:
        """Hand over what is left and let go of the pipe; the thread that puts must have ended."""
        self._take()
        self._loop.remove_reader(self._source)
        bell, self._bell = self._bell, -1
        os.close(bell)
        os.close(self._source)
