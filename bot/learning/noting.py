"""How far a run is, in its row, at most once a second."""

import asyncio
from typing import Any

from bot.storage import runs as store
from bot.storage.db import Database

PAUSE_S = 1.0


class Note:
    """Says in a run's row what is done now."""

    def __init__(self, database: Database, run_id: int) -> None:
        self._database = database
        self._run_id = run_id
        self._writing: asyncio.Task[None] | None = None
        self._next: dict[str, Any] | None = None

    def say(self, phase: str) -> None:
        """Note what is done now."""
        self.count(phase, 0, 0)

    def count(self, phase: str, done: int, total: int) -> None:
        """Note what is done now, and how much of it; of several in a second the last one stays."""
        self._next = {"phase": phase, "step": done, "steps": total}
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Write no more: what comes next says for itself how far it is."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _write(self) -> None:
        while self._next is not None:
            progress, self._next = self._next, None
            async with self._database.begin() as session:
                await store.update_run(session, self._run_id, progress=progress)
            await asyncio.sleep(PAUSE_S)
