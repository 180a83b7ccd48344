"""Whether an adapter may be served: its file, its checksum, the model it was made for, and a trial run.

The trial runs in a process of its own; a refusal leaves everything that is served as it was. What was tried is a
private copy, and the copy is what is loaded, so that nobody can change the file in between.
"""

import asyncio
import errno
import hashlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bot.engine.files.checksum import check_gguf
from bot.engine.supervisor import build_environment
from bot.errors import ConfigError, EngineError, ModelFileError
from bot.lock import temporary_folder

MAX_BYTES = 4 * 1024**3
TRIED = "apprentice-adapter-"  # begins the names of the folders with copies that are being tried
CHUNK_BYTES = 1024 * 1024
COPIES = 2  # one is tried, and one kept for the next engine
# In all less than a client's patience with a silent connection. The first trial takes only what nobody else wants of
# the processor; where that is too little, a second one takes a share.
TRIALS = (("idle", 100.0), ("nice", 180.0))
LOOK_SECONDS, LEAST_SHARE = 1.0, 0.25
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")


class AdapterRefused(EngineError):  # noqa: N818 - reads as a state, not as a mistake
    """The adapter cannot be served."""

    status, code = 400, "adapter_refused"


class AdapterUnread(AdapterRefused):
    """The adapter's file is not there, or not for this engine to read."""

    code = "adapter_unread"


class NoRoom(AdapterRefused):
    """There is no room to try the adapter now, which says nothing about it."""

    status, code = 507, "no_room"

    @classmethod
    def because(cls, error: Exception) -> "NoRoom":
        """Say what the system refused."""
        reason = getattr(error, "strerror", None) or error
        return cls(f"The engine cannot try an adapter now ({reason}): make room in TMPDIR, and it is tried again.")


@asynccontextmanager
async def admit(path: Path, *, model_path: Path, base_sha256: str, sha256: str) -> AsyncIterator[tuple[Path, str]]:
    """Yield a private copy of an adapter that passed every check, and its SHA-256; *AdapterRefused* says why not."""
    with _needing_room(), temporary_folder(TRIED) as folder:
        copy = folder / "adapter.gguf"
        found = await asyncio.to_thread(_copy, path, copy)
        if sha256 and found != sha256.lower():
            raise AdapterRefused(
                f"{path} has not the SHA-256 that was promised: it was changed or copied incompletely."
            )
        metadata = await try_in_process(model_path, copy, name=path)
        made_for = metadata.get("apprentice.base_sha256")
        if made_for and made_for != base_sha256:
            raise AdapterRefused(f"{path} was trained for another model than {model_path.name}.")
        yield copy, found


@contextmanager
def _needing_room() -> Iterator[None]:
    """Let a disk that is full, or a system that has no more processes, say nothing about an adapter."""
    try:
        yield
    except (OSError, ConfigError) as error:
        raise NoRoom.because(error) from error


def _copy(path: Path, target: Path) -> str:
    """Copy an adapter and return its SHA-256."""
    digest = hashlib.sha256()
    with _open(path) as source, target.open("xb") as copy:
        if shutil.disk_usage(target.parent).free < COPIES * os.fstat(source.fileno()).st_size:
            raise NoRoom.because(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
    return digest.hexdigest()


def _open(path: Path) -> BinaryIO:
    """Open an adapter that may be one."""
    try:
        if not path.is_file():
            raise AdapterUnread(f"{path} is not there for the engine: put it back, or serve another adapter.")
        check_gguf(path, "lora_path")
        if path.stat().st_size > MAX_BYTES:
            raise AdapterRefused(f"{path} is larger than {MAX_BYTES} bytes.")
        return path.open("rb")
    except ModelFileError as error:
        raise AdapterRefused(str(error)) from error
    except OSError as error:
        raise AdapterUnread(str(error)) from error


async def try_in_process(model_path: Path, adapter_path: Path, *, name: Path) -> Mapping[str, str]:
    """Return the metadata of an adapter that computes, or raise *AdapterRefused* with what happened to the trial."""
    for manner, seconds in TRIALS:
        with suppress(TimeoutError):
            code, output = await _run_trial(model_path, adapter_path, manner=manner, seconds=seconds)
            break
    else:
        raise AdapterRefused(f"{name} was tried for {sum(seconds for _, seconds in TRIALS):g} s without an end.")
    report = _read_report(output)
    if code < 0:
        raise AdapterRefused(f"{name} ends the process that computes with it ({signal.Signals(-code).name}).")
    metadata = report.get("metadata")
    if not isinstance(metadata, dict):
        raise AdapterRefused(f"{name} cannot be served: {report.get('reason') or f'its trial ended with {code}'}.")
    return metadata


async def _run_trial(model_path: Path, adapter_path: Path, *, manner: str, seconds: float) -> tuple[int, bytes]:
    """Return a trial's exit code and what it wrote, or raise *TimeoutError*; nothing of it is left either way."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot.engine.probe", str(model_path), str(adapter_path), manner),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # where Linux shares time out by session, it is no part of the engine's
        env=build_environment(os.environ, {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}),
    )
    reading = asyncio.create_task(process.communicate())
    starving = asyncio.create_task(_starve(process.pid if manner == "idle" else None))
    try:
        async with asyncio.timeout(seconds):
            await asyncio.wait({reading, starving}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            raise TimeoutError
        output, _ = reading.result()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        for task in (reading, starving):
            task.cancel()
        await asyncio.gather(reading, starving, return_exceptions=True)
    return process.returncode or 0, output


async def _starve(pid: int | None) -> None:
    """Return when a process has hardly been given the processor for a while; never, where nobody can tell."""
    used = _read_used_seconds(pid)
    while used is not None:
        await asyncio.sleep(LOOK_SECONDS)
        before, used = used, _read_used_seconds(pid)
        if used is not None and used - before < LEAST_SHARE * LOOK_SECONDS:
            return
    await asyncio.Event().wait()


def _read_used_seconds(pid: int | None) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _read_report(output: bytes) -> Mapping[str, object]:
    try:
        report = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}
