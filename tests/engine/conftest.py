"""An engine for the tests: a tiny random model, served in this process on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bot.engine.api.server import serve
from bot.engine.client import EngineClient
from bot.engine.types import EngineOptions
from tests.engine.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of random weights; `tiny.gguf` makes its name `tiny`."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


async def wait_healthy(client: EngineClient, server: asyncio.Task[None] | None = None) -> None:
    """Return when the engine answers; raise what its server died of."""
    while not await client.health():
        if server and server.done():
            await server
        await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a larger random model, whose answers take long enough to be interrupted, and which never ends one."""
    path = tmp_path_factory.mktemp("slow") / "slow.gguf"
    return write_tiny_model(path, width=512, layers=6, may_end=False)


@asynccontextmanager
async def serving(model: Path, **options: object) -> AsyncIterator[EngineClient]:
    """Serve *model* on a private socket until the block ends."""
    with TemporaryDirectory(prefix="engine-") as folder:
        path = Path(folder) / "engine.sock"
        stop = asyncio.Event()
        chosen = {"threads": 1, "n_ctx": 512, **options}
        server = asyncio.create_task(serve(EngineOptions(model_path=model, socket_path=path, **chosen), stop=stop))
        async with EngineClient(socket_path=path) as client:
            await wait_healthy(client, server)
            try:
                yield client
            finally:
                stop.set()
                await server


@pytest.fixture
async def client(tiny_model: Path) -> AsyncIterator[EngineClient]:
    """Return a client of a running engine."""
    async with serving(tiny_model) as client:
        yield client
