"""Processes that a benchmark needs for a while."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import aiohttp


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
