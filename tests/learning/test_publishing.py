"""Publishing an adapter is whole or not at all, whatever is killed in the middle: file, row, engine, answers."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import select

from bot.engine.client import EngineClient
from bot.engine.files.checksum import hash_model
from bot.engine.supervisor import EngineSupervisor
from bot.engine.types import AnswerOptions
from bot.errors import EngineBusy, EngineUnavailable
from bot.learning.rollout.serving import Rollout
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState
from tests.engine.conftest import wait_healthy
from tests.engine.test_supervisor import HELLO, command, until
from tests.engine.tiny_adapter import write_tiny_adapter
from tests.engine.tiny_model import write_tiny_model
from tests.learning.publish_process import KINDS
from tests.learning.run_process import address
from tests.learning.run_rig import opened

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 0.6  # of a publishing process; one adapter takes about a third of it


@asynccontextmanager
async def publishing(folder: Path, socket: Path, first: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process that publishes, and kill it with -9 when the block ends."""
    arguments = ("-m", "tests.learning.publish_process", str(folder), str(socket), str(first))
    with (folder / "publish.log").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=said
        )
    assert process.stdout
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answer(client: EngineClient, name: str | None) -> str:
    """Return what an adapter, or the base, answers."""
    options = AnswerOptions(model=name, temperature=0, max_tokens=12)
    return "".join([chunk.text async for chunk in client.chat(HELLO, options)])


async def learn_answers(client: EngineClient, folder: Path) -> list[str]:
    """Return what each kind of adapter answers, of an engine that nobody disturbs."""
    answers = []
    for kind in range(KINDS):
        metadata = {"apprentice.base_sha256": hash_model(folder / "tiny.gguf")}
        path = write_tiny_adapter(folder / "known.gguf", seed=kind, metadata=metadata, strength=0.8)
        await client.load_adapter("known", path)
        answers.append(await answer(client, "known"))
        await client.unload_adapter("known")
    return answers


async def find_served(database: Database) -> Adapter | None:
    """Return the one adapter that everybody gets; all others are replaced, or were never promoted."""
    async with database.read() as session:
        known = list(await session.scalars(select(Adapter)))
    served = [adapter for adapter in known if adapter.state == AdapterState.ACTIVE]
    assert len(served) <= 1
    assert {adapter.state for adapter in known} <= {AdapterState.ACTIVE, AdapterState.RETIRED, AdapterState.BUILT}
    for adapter in known:
        assert hash_model(Path(adapter.path)) == adapter.sha256, "a row says that there is a file, so it is whole"
    return served[0] if served else None


def find_next(folder: Path) -> int:
    """Return the number of the next adapter: one whose file is there was begun."""
    return 1 + max((int(path.stem.partition("-")[2]) for path in folder.glob("adapter-*.gguf")), default=-1)


async def follow(database: Database, client: EngineClient) -> None:
    """Do what a bot does that was started anew, until the engine is there."""
    rollout = Rollout(database, client)
    async with asyncio.timeout(60):
        while True:
            try:
                return await rollout.loaded.follow()
            except (EngineUnavailable, EngineBusy):
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=[pytest.mark.nightly, pytest.mark.timeout(3600)])])
async def test_publishing_is_whole_or_not_at_all(tmp_path: Path, kills: int) -> None:
    """The bot, the engine or both are killed at any moment: one adapter is served, it is the one that the database
    names, and it answers as it always does.
    """
    dice, counted = random.Random(kills), Counter[str]()
    model = write_tiny_model(tmp_path / "tiny.gguf")
    with TemporaryDirectory(prefix="engine-") as short:
        socket = Path(short) / "engine.sock"
        engine = [*command(model, socket), "--state-dir", short]
        async with (
            EngineSupervisor(engine, socket_path=socket) as supervisor,
            EngineClient(socket_path=socket) as client,
            opened(address(tmp_path)) as database,
        ):
            await supervisor.wait_ready(60)
            known = await learn_answers(client, tmp_path)
            assert len({*known, await answer(client, None)}) == KINDS + 1
            number = 0
            for kill in range(kills):
                victim = ("bot", "engine", "both")[kill % 3]
                async with publishing(tmp_path, socket, number) as process:
                    await asyncio.sleep(dice.uniform(0, LONGEST_S))
                    pid = supervisor.pid
                    assert process.returncode is None, (tmp_path / "publish.log").read_text()
                    if victim != "engine":
                        process.kill()
                    if victim != "bot" and pid is not None:
                        supervisor._breaker.crashes.clear()  # as after a quiet minute
                        os.kill(pid, signal.SIGKILL)
                        await until(lambda pid=pid: supervisor.pid not in {None, pid})
                        await wait_healthy(client)
                await follow(database, client)
                served = await find_served(database)
                if served is not None:
                    assert await answer(client, served.name) == known[int(served.name.rpartition("-")[2]) % KINDS]
                counted[victim] += 1
                number = find_next(tmp_path)
    print(f"\nkilled while adapters are published: {dict(counted)}, {number} files, 0 bad loads")
    assert served is not None
