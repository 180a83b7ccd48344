"""Renders chat templates in a process of its own: nothing inside a process ends a call in C that lasts.

A list that holds itself twice, thirty levels deep, is written out for hours, and meanwhile no other thread of Python
runs. A process has limits that the kernel keeps, and it can be killed. Knows no messages.
"""

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping

from bot.engine.supervisor import build_environment

TIME_LIMIT_SECONDS = 1.0
START_SECONDS = 30.0
GRACE_SECONDS = 2.0  # the worker's own clock comes first: it ends the worker even when nobody waits any more
REPLY_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024
Json = Mapping[str, object]


class RenderError(ValueError):
    """The template could not be rendered; the text says what it does instead."""


class Renderer:
    """One worker process, started by the first call and replaced when a template has ended it; safe for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: Worker | None = None

    def check(self, source: str) -> None:
        """Raise *RenderError* if *source* is no template."""
        self._ask({"source": source}, TIME_LIMIT_SECONDS)

    def render(self, source: str, variables: Json, *, seconds: float = TIME_LIMIT_SECONDS) -> str:
        """Return the text that *source* makes of *variables*, which must be JSON; *RenderError* says why not."""
        return self._ask({"source": source, "variables": variables}, seconds)

    def _ask(self, request: Json, seconds: float) -> str:
        line = json.dumps({**request, "seconds": seconds}).encode() + b"\n"
        with self._lock:
            worker = self._worker if self._worker and self._worker.is_alive else _start()
            self._worker = None  # comes back when it has answered
            reply = worker.ask(line, seconds=seconds)
            self._worker = worker
        if "text" not in reply:
            raise RenderError(str(reply.get("error")))
        return str(reply["text"])


class Worker:
    """A running worker process and our end of the line to it."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bot.engine.chat.render_worker"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            env=build_environment(os.environ, {}),
        )
        theirs.close()
        self._end = weakref.finalize(self, _end, self._process, self._line)
        self._receive(time.monotonic() + START_SECONDS)

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def ask(self, line: bytes, *, seconds: float) -> Json:
        """Return the worker's answer; a worker that gives none is ended, and that is the error."""
        deadline = time.monotonic() + seconds + GRACE_SECONDS
        try:
            self._line.settimeout(seconds + GRACE_SECONDS)
            self._line.sendall(line)
            reply = json.loads(self._receive(deadline))
        except (OSError, ValueError) as error:
            self._end()
            is_late = isinstance(error, TimeoutError) or self._process.returncode == -signal.SIGALRM
            raise RenderError("runs for too long" if is_late else "needs too much memory") from error
        return reply if isinstance(reply, dict) else {}

    def _receive(self, deadline: float) -> bytes:
        """Return one line of the worker."""
        parts: list[bytes] = []
        size = 0
        while not parts or not parts[-1].endswith(b"\n"):
            self._line.settimeout(max(0.001, deadline - time.monotonic()))
            parts.append(self._line.recv(CHUNK_BYTES))
            size += len(parts[-1])
            if not parts[-1] or size > REPLY_BYTES:
                raise ConnectionError("the worker ended")
        return b"".join(parts)


def _start() -> Worker:
    try:
        return Worker()
    except OSError as error:
        raise RenderError(f"cannot be rendered, its process does not start ({error})") from error


def _end(process: subprocess.Popen[bytes], line: socket.socket) -> None:
    """End a worker and forget it; its own clock may have been first."""
    line.close()
    try:
        process.wait(0.1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@functools.cache
def shared_renderer() -> Renderer:
    """Return this process's renderer: an engine has one template, and one worker is enough for it."""
    return Renderer()
