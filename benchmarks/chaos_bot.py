"""The bot of a chaos run: a process that is killed and started again, as a service manager would."""

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bot.playground.testing import Playground

COMMAND = (sys.executable, "-m", "bot", "run")
READY_S = 90.0
LAST_WORDS_S = 2.0


class KillableBot:
    """One `bot run` with its engine; *resumed* are the seconds that it took to be back after each kill."""

    def __init__(self, playground: Playground, environment: Mapping[str, str], log: Path) -> None:
        self._playground = playground
        self._environment = {**os.environ, **environment}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(0))
        self.resumed: list[float] = []
        self.last_words: list[str] = []  # of each time that it ended without having been killed

    async def start(self) -> None:
        """Start it; what it says goes to the log, through a pipe: so it has last words on a full disk as well."""
        self._process = await asyncio.create_subprocess_exec(
            *COMMAND,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._listening = asyncio.create_task(self._listen(self._process.stdout))

    async def _listen(self, said: asyncio.StreamReader | None) -> None:
        """Write down what it says until it ends."""
        with self._log.open("ab", buffering=0) as log:
            while said is not None and (text := await said.read(1 << 16)):
                log.write(text)

    async def wait_ready(self) -> None:
        """Return when it listens; start it again if it ended before."""
        deadline = time.monotonic() + READY_S
        while not self._playground.hub.sockets.is_connected:
            await self.revive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the bot did not come back within {READY_S:.0f} s; see {self._log}")
            await asyncio.sleep(0.05)

    async def revive(self) -> None:
        """Start it again if it ended without having been killed, and keep what it said."""
        if self._process is not None and self._process.returncode is not None:
            # Its engine holds the other end as well, and may live a little longer.
            await asyncio.wait({self._listening}, timeout=LAST_WORDS_S)
            lines = self._log.read_text().splitlines()
            self.last_words.append(f"ended with {self._process.returncode}: {' / '.join(lines[-3:])}")
            await self.start()

    async def kill(self, *, waits: bool) -> None:
        """Kill it without a word and start it again; with *waits* return when it is back."""
        process = self._running()
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        began = time.monotonic()
        await self.start()
        if waits:
            await self.wait_ready()
            self.resumed.append(time.monotonic() - began)

    async def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        process = self._running()
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()

    def kill_engine(self) -> bool:
        """Kill the engine under it; False when there is none at the moment."""
        pid = self._engine_pid()
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True

    def fill_disk(self, *, is_full: bool) -> None:
        """Let every write to a file fail, or let them work again."""
        limit = 0 if is_full else resource.RLIM_INFINITY
        with suppress(ProcessLookupError):
            resource.prlimit(self._running().pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("start the bot first")
        return self._process

    def _engine_pid(self) -> int | None:
        pid = self._running().pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            named = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
        except OSError:
            return None
        return next((child for child, name in named.items() if b"engine" in name), None)
