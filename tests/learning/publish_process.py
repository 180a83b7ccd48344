"""A bot process that publishes one adapter after the other and does nothing else, for a test that kills it.

python -m tests.learning.publish_process FOLDER SOCKET FIRST, with a database and tiny.gguf in the folder.
"""

import asyncio
import sys
from itertools import count
from pathlib import Path

from bot.engine.client import EngineClient
from bot.engine.files.checksum import hash_model
from bot.errors import EngineBusy, EngineUnavailable
from bot.learning.atomic import replacing
from bot.learning.rollout.serving import Rollout
from bot.storage.adapters import adapters_in
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState, RunState
from bot.storage.runs import queue_run
from tests.engine.tiny_adapter import write_tiny_adapter
from tests.learning.run_process import address
from tests.learning.run_rig import opened

KINDS = 5  # adapters of other weights; they come again under other names


async def main(folder: Path, socket: Path, first: int) -> None:
    """Publish until killed."""
    base_sha256 = hash_model(folder / "tiny.gguf")
    async with EngineClient(socket_path=socket) as client, opened(address(folder)) as database:
        rollout = Rollout(database, client)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        async with database.read() as session:
            left = [adapter.name for adapter in await adapters_in(session, AdapterState.BUILT)]
        for name in left:  # a run that was killed goes on
            await publish(rollout, name)
        for number in count(first):
            await publish(rollout, await store(database, folder, number, base_sha256))


async def publish(rollout: Rollout, name: str) -> None:
    """Serve an adapter to everybody, as soon as the engine is there."""
    while True:
        try:
            await rollout.promote(name, by="U1", reasons=["It is better."])
        except (EngineBusy, EngineUnavailable):
            await asyncio.sleep(0.05)
        else:
            return


async def store(database: Database, folder: Path, number: int, base_sha256: str) -> str:
    """Write an adapter's file and then its row, as a run does; return its name."""
    path = folder / f"adapter-{number}.gguf"
    with replacing(path) as draft:
        write_tiny_adapter(draft, seed=number % KINDS, metadata={"apprentice.base_sha256": base_sha256}, strength=0.8)
    async with database.begin() as session:
        run = await queue_run(session, trigger="cli", by="test")
        run.state, run.reason = RunState.DONE, "It was better."
        adapter = Adapter(
            run_id=run.id,
            name=f"apprentice-{number}",
            path=str(path),
            sha256=hash_model(path),
            base_sha256=base_sha256,
            state=AdapterState.BUILT,
            canary_share=0.0,
            watch={},
        )
        session.add(adapter)
    return adapter.name


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
