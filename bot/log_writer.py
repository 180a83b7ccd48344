"""Writes the log from a thread of its own: a reader that stands still (a pager, a full pipe) holds up nobody.

A line is laid out and scrubbed where it is logged; only text waits here, and only so much of it.
"""

import logging
import os
import threading
import time
from queue import Full, Queue

from bot.logs import LAST_S
from bot.metrics import LOG_LINES_LOST

MOST_LINES = 5_000
FULL_S = 0.05


class LogWriter(logging.Handler):
    """Hands lines to its thread; what finds no room is counted, and the count written once there is room."""

    def __init__(self, descriptor: int, *, most: int = MOST_LINES) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: Queue[str] = Queue(most)
        self._lost = self._told = 0  # each is written by one side alone, so neither needs a lock
        # Ends with the process, also in the middle of a write that nobody takes.
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Let a line wait for its turn, or count it."""
        try:
            self._lines.put_nowait(self.format(record))
        except Full:
            self._lost += 1
            LOG_LINES_LOST.inc()
        except Exception:  # noqa: BLE001 - as every handler does: a line that cannot be laid out ends nothing
            self.handleError(record)

    def flush(self) -> None:
        """Wait until all is written, a moment at most; `logging` calls it when the process ends."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, LAST_S)

    def _write_all(self) -> None:
        while True:
            self._write(self._lines.get())
            lost = self._lost - self._told
            if lost and self._lines.empty():
                self._told += lost
                said = f"{lost} lines are missing above: whoever reads this log stood still"
                record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, said, None, None)
                self._write(self.format(record))
            self._lines.task_done()

    def _write(self, line: str) -> None:
        rest = f"{line}\n".encode(errors="backslashreplace")
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody else made it so
                time.sleep(FULL_S)
            except OSError:  # nobody reads any more, or the disk is full
                LOG_LINES_LOST.inc()
                return
