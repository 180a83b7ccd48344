"""The demo: the unmodified bot, an engine and the playground, on this machine and nowhere else."""

import asyncio
import logging
import sys
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from bot.app import RunningBot, running_bot
from bot.errors import ApprenticeError, ConfigError
from bot.settings import PLAYGROUND_TOKEN, Settings, Transport

PATIENCE_S = 60
MANIFEST = "manifest.json"

log = logging.getLogger(__name__)


async def run_demo(
    settings: Settings,
    folder: Path,
    begin: Callable[[], None],
    *,
    port: int,
    opens_browser: bool,
    stop: asyncio.Event,
    say: Callable[[str], None],
) -> None:
    """Start all three, say where to look, and stop them when *stop* is set or one of them ends.

    What they store goes to *folder*, in which the app's manifest lies. *begin* is called when it looks at *stop*.
    """
    url = f"http://127.0.0.1:{port}"
    async with (
        _playground(port=port, folder=folder) as playground,
        running_bot(demo_settings(settings, url=url, folder=folder)) as bot,
    ):
        begin()
        playground_ended = asyncio.create_task(_end_with(playground, stop))
        await _ready_or_stopped(bot, stop)
        if not stop.is_set():
            say(f"\n  Apprentice is ready:  {url}\n\n  Talk to it in the browser; Ctrl-C stops it.\n")
            if opens_browser:
                webbrowser.open(url)
        await bot.run_until(stop)
        if playground_ended.done():
            raise ApprenticeError("The playground ended by itself; its last lines stand above.")
        playground_ended.cancel()


def demo_settings(settings: Settings, *, url: str, folder: Path) -> Settings:
    """Point the bot at the playground; the model and its settings stay the user's own."""
    return settings.model_copy(
        update={
            "slack_bot_token": SecretStr(PLAYGROUND_TOKEN),
            "slack_app_token": SecretStr("xapp-playground"),
            "slack_signing_secret": SecretStr("playground-signing-secret"),
            "slack_api_url": f"{url}/api/",
            "slack_transport": Transport.SOCKET,
            "http_host": "127.0.0.1",
            "http_port": 0,
            "data_dir": folder,
            "database_url": "",
            "admin_user_ids": ("U0MAYA",),
        }
    )


@asynccontextmanager
async def _playground(*, port: int, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the playground as a process of its own, in a session of its own so that Ctrl-C reaches only the parent."""
    command = [sys.executable, "-m", "bot", "playground", "--port", str(port), "--exit-with-stdin"]
    command += ["--data", str(folder / "workspace.json"), "--manifest", str(folder / MANIFEST)]
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, start_new_session=True)
    try:
        await _until_serving(process, f"http://127.0.0.1:{port}/health")
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _until_serving(process: asyncio.subprocess.Process, url: str) -> None:
    """Wait for the playground's first sign of life; its own words say what was wrong when it ends instead."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as session:
        for _ in range(PATIENCE_S * 20):
            if process.returncode is not None:
                raise ConfigError(
                    "The playground could not start; the line above says why. `bot demo --help` has --port."
                )
            try:
                async with session.get(url) as response:
                    if response.ok and (await response.json()).get("pid") == process.pid:
                        return
            except (aiohttp.ClientError, TimeoutError, ValueError):
                pass  # not there yet, or somebody else's server: then ours ends and says so
            await asyncio.sleep(0.05)
    raise ApprenticeError(f"The playground did not answer within {PATIENCE_S} s.")


async def _ready_or_stopped(bot: RunningBot, stop: asyncio.Event) -> None:
    loading, stopping = asyncio.create_task(bot.wait_for_engine()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
    finally:
        loading.cancel()
        stopping.cancel()


async def _end_with(playground: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
    await playground.wait()
    stop.set()
