"""A bot process that works on runs and does nothing else, for tests that kill it.

python -m tests.learning.run_process FOLDER SOCKET FOLDS, with a database and tiny.gguf in the folder.
"""

import asyncio
import sys
from pathlib import Path

from bot.engine.client import EngineClient
from bot.learning import run
from bot.logs import set_up_logging
from tests.learning.run_rig import Loop, configure, opened


async def main(folder: Path, socket: Path, folds: int) -> None:
    """Work until killed."""
    run.LEASE_S, run.RENEW_S, run.PAUSE_S, run.LOOK_S = 2.0, 0.3, 0.3, 0.1
    async with EngineClient(socket_path=socket) as client, opened(address(folder)) as database:
        await Loop(database, client, configure(folder, folder / "tiny.gguf", folds=folds)).runner.work()


def address(folder: Path) -> str:
    """Return the address of the folder's database."""
    return f"sqlite+aiosqlite:///{folder / 'apprentice.db'}"


if __name__ == "__main__":
    set_up_logging("DEBUG", "text")
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
