"""Keeps an engine process alive for the bot: starts it, asks for its health, replaces it when it dies or hangs.

Knows processes and one health check; it must not know what the engine computes.
"""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import aiohttp

from bot.engine.breaker import DEGRADED_SECONDS, Breaker
from bot.errors import EngineError, EngineUnavailable, ModelFileError
from bot.metrics import ENGINE_RESTARTS

log = logging.getLogger(__name__)

State = Literal["starting", "ready", "failed", "stopped"]
CHECK_SECONDS = 1.0
LOADING_CHECK_SECONDS = 0.05
ANSWER_SECONDS = 2.0
HUNG_SECONDS = 5.0
SILENT_START_SECONDS = 60.0
STOP_SECONDS = 5.0
KEPT_LINES = 20
CRASHES = frozenset({signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV})  # SIGILL is a wrong build
LINE_BYTES = 64 * 1024
PASSED_NAMES = frozenset({"HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR", "TZ", "USER"})
PASSED_PREFIXES = ("CUDA_", "GGML_", "GPU_", "HIP_", "LLAMA_", "NVIDIA_", "OMP_", "ROCR_", "VK_", "XDG_")


def build_environment(parent: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return what the engine may know of the bot's environment: paths and hardware, never a token or a database."""
    passed = {name: value for name, value in parent.items() if name in PASSED_NAMES or name.startswith(PASSED_PREFIXES)}
    return {**passed, "PYTHONUNBUFFERED": "1", "GGML_NO_BACKTRACE": "1", **extra}


class EngineSupervisor:
    """One engine process and its replacements; use it as an asynchronous context manager."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        socket_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.state: State = "starting"
        self.restarts = 0
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.error: EngineError | None = None
        self._command = tuple(command)
        self._socket_path = socket_path
        self._env = build_environment(os.environ, env or {})
        self._cwd = cwd
        self._breaker = Breaker()
        self._changed = asyncio.Condition()
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The running engine's process id."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_alive(), name="engine-supervisor")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def wait_ready(self, timeout: float) -> None:
        """Return when the model answers; raise what prevents it, *ModelFileError* where the file is at fault."""
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: self.state != "starting")
        except TimeoutError as error:
            raise EngineUnavailable(f"The engine is not ready after {timeout:g} s.") from error
        if self.state != "ready":
            raise self.error or EngineUnavailable("The engine is stopped.")

    async def switch(self, command: Sequence[str]) -> None:
        """End the engine, and start another with *command*; `wait_ready` says when it answers."""
        await self.stop()
        self._command, self._breaker, self.error = tuple(command), Breaker(), None
        await self._enter("starting")
        self._task = asyncio.create_task(self._keep_alive(), name="engine-supervisor")

    async def stop(self) -> None:
        """End the engine: first by closing its standard input, in the end by force."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._end_process()
        await self._enter("stopped")

    async def _keep_alive(self) -> None:
        while True:
            started, was_ready, refusal = time.monotonic(), False, None
            try:
                was_ready = await self._run_once()
            except OSError as error:  # the system has no process, memory or open file left, which passes
                refusal = EngineUnavailable(f"The engine cannot be started: {error.strerror or error}.")
            now = time.monotonic()
            self._breaker.record(now)
            self.restarts += 1
            ENGINE_RESTARTS.inc()
            self.error = refusal or self._explain(was_ready=was_ready)
            is_hopeless = isinstance(self.error, ModelFileError) or self._breaker.is_open(now)
            delay = DEGRADED_SECONDS if is_hopeless else self._breaker.delay(now)
            await self._enter("failed" if is_hopeless else "starting")
            log.error("The engine stopped after %.1f s, next start in %.1f s: %s", now - started, delay, self.error)
            await asyncio.sleep(delay)

    async def _run_once(self) -> bool:
        """Start a process and watch it until it ends or has to be ended; return whether it ever was ready."""
        self.lines.clear()
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._env,
            cwd=self._cwd,
            start_new_session=True,
            limit=LINE_BYTES,
        )
        reader = asyncio.create_task(self._read_lines(process))
        watcher = asyncio.create_task(self._watch())
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait((watcher, ended), return_when=asyncio.FIRST_COMPLETED)
            if process.returncode is None:
                log.error("The engine has not answered for %.0f s and is replaced.", HUNG_SECONDS)
                process.kill()
            await ended
            await reader
        finally:
            for task in (watcher, ended, reader):
                task.cancel()
            await asyncio.gather(watcher, ended, reader, return_exceptions=True)
        return bool(watcher.done() and self.state == "ready")

    async def _watch(self) -> None:
        """Ask for the engine's health again and again; return when it hangs.

        A question counts for no longer than it is asked: while this process was held up itself, nobody listened.
        """
        silent, looked, patience = 0.0, time.monotonic(), SILENT_START_SECONDS
        connector = aiohttp.UnixConnector(str(self._socket_path), force_close=True)
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while silent < patience:
                answer = await _ask_health(session)
                waited, looked = time.monotonic() - looked, time.monotonic()
                silent = 0.0 if answer is not None else silent + min(waited, ANSWER_SECONDS + CHECK_SECONDS)
                if answer == "ok":
                    patience = HUNG_SECONDS
                    await self._enter("ready")
                elif answer == "stalled":
                    return
                await asyncio.sleep(CHECK_SECONDS if self.state == "ready" else LOADING_CHECK_SECONDS)

    async def _read_lines(self, process: asyncio.subprocess.Process) -> None:
        """Pass the engine's log on and keep its end for the case of a crash."""
        if process.stdout is None:
            return
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # a line without end: what was read so far is dropped
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self.lines.append(text)
            log.info("%s", text)

    def _explain(self, *, was_ready: bool) -> EngineError:
        """Return what ended the process; a last line that names a model on the command line blames that file."""
        code = self._process.returncode if self._process else None
        last = self.lines[-1].removeprefix("bot: ") if self.lines else "it wrote nothing"
        files = [part for part in self._command if part.endswith(".gguf")]
        model = next(iter(files), "")
        if code is not None and code < 0:
            if model and not was_ready and -code in CRASHES:
                mend = "download it again or choose another model"
                return ModelFileError(f"{model} ends the engine ({signal.Signals(-code).name}, {last}): {mend}.")
            last = f"it was killed by {signal.Signals(-code).name} after: {last}"
        if any(file in last for file in files) and not was_ready:
            return ModelFileError(last)
        when = "while it served" if was_ready else "while it started"
        return EngineUnavailable(f"The engine stopped {when}: {last}")

    async def _enter(self, state: State) -> None:
        async with self._changed:
            self.state = state
            self._changed.notify_all()

    async def _end_process(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        if process.stdin:
            process.stdin.close()
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                if number:
                    process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
                return


async def _ask_health(session: aiohttp.ClientSession) -> str | None:
    """Return the engine's own word for its state, None if it does not answer."""
    try:
        async with session.get("http://engine/health") as response:
            body = await response.json(content_type=None)
            return str(body.get("status")) if isinstance(body, dict) else None
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return None
