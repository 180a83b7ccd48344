"""Reads files in processes that can do nothing else, a few at a time; whatever they do, this one only waits."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from bot.files.found import Extract, Trouble, Unreadable
from bot.files.kinds import Kind

SECONDS = 30.0
SPEECH_SECONDS = 900.0
AT_ONCE = 2
MOST_REPLY = 16 * 1024**2  # bytes; JSON writes a million characters with at most twelve bytes each
WORKER = "bot.files.worker"
SPEECH_WORKER = "bot.files.speech_worker"

log = logging.getLogger(__name__)


class FileReader:
    """Turns bytes into text; *speech_model* is the folder of a speech model, None where there is none."""

    def __init__(self, speech_model: Path | None = None) -> None:
        self._speech_model = speech_model
        self._free = asyncio.Semaphore(AT_ONCE)
        self._listening = asyncio.Semaphore(1)

    @property
    def hears(self) -> bool:
        """Whether a recording can be written down: there is a model, and the extra that runs it."""
        has_model = self._speech_model is not None and self._speech_model.is_dir()
        return has_model and find_spec("faster_whisper") is not None

    async def read(self, kind: Kind, content: bytes) -> Extract:
        """Return the text of a file; raise *Unreadable* when it gives none."""
        if kind is Kind.AUDIO:
            command = _command(SPEECH_WORKER, str(self._speech_model))
            async with self._listening:
                return await _run(command, content, seconds=SPEECH_SECONDS)
        async with self._free:
            return await _run(_command(WORKER, kind.value), content, seconds=SECONDS)


def _command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-m", module, *arguments]


async def _run(command: Sequence[str], content: bytes, *, seconds: float) -> Extract:
    """Give *content* to a process of its own, and read its one answer; no answer is the file's fault."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"},
        cwd="/",
        limit=MOST_REPLY,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            reply = await _converse(process, content)
    except TimeoutError:
        raise Unreadable(Trouble.HEAVY) from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
        await process.wait()
    return _read_reply(reply, process.returncode)


async def _converse(process: asyncio.subprocess.Process, content: bytes) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    reading = asyncio.ensure_future(process.stdout.read(MOST_REPLY))
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(content)
        await process.stdin.drain()
        process.stdin.close()
    parts = [await reading]
    while parts[-1] and sum(map(len, parts)) < MOST_REPLY:
        parts.append(await process.stdout.read(MOST_REPLY))
    return b"".join(parts)


def _read_reply(reply: bytes, status: int | None) -> Extract:
    try:
        found = json.loads(reply)
        if "trouble" in found:
            raise Unreadable(Trouble(found["trouble"]))
        return Extract(str(found["text"]), tuple(map(int, found["pages"])), is_cut=bool(found["is_cut"]))
    except (ValueError, KeyError, TypeError):
        log.info("files: the process that read a file ended with %s and said nothing", status)
        raise Unreadable(Trouble.HEAVY if status and status < 0 else Trouble.DAMAGED) from None
