"""Processes that a benchmark needs for a while."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from bot.engine.client import EngineClient

STARTER = Path(__file__).parent.parent / "bot" / "models" / "starter.gguf"


def free_port() -> int:
    """Return a port that nothing uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def process(command: Sequence[str], **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run *command* for as long as the block runs."""
    running = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):  # it may have ended by itself
            running.terminate()
        await running.wait()


async def until_ok(http: aiohttp.ClientSession, url: str, *, key: str = "") -> None:
    """Wait until *url* answers 200."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    for _ in range(1200):
        try:
            async with http.get(url, headers=headers) as response:
                if response.ok:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)
    raise TimeoutError(f"{url} did not answer")


@asynccontextmanager
async def serve_starter(folder: Path) -> AsyncIterator[EngineClient]:
    """Run the engine with the starter model on one thread, as a process of its own, for as long as the block runs."""
    socket_path = folder / "engine.sock"
    command = [sys.executable, "-m", "bot", "engine", "--model", str(STARTER), "--socket", str(socket_path)]
    async with process([*command, "--threads", "1"]), EngineClient(socket_path=socket_path) as client:
        while not await client.health():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
        yield client
