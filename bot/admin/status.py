"""How the assistant is: the model that answers, and how many wait for it."""

import shutil
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bot.engine.client import EngineClient
from bot.errors import EngineError
from bot.metrics import WAITING
from bot.storage.db import Database
from bot.storage.inbox import ANSWERED, count_waiting, oldest_waiting

LEAST_FREE_GB = 1.0


@dataclass(frozen=True)
class Status:
    """How the assistant is; *model* is None while the engine is away."""

    model: str | None
    waiting: int


async def read_status(database: Database, engine: EngineClient) -> Status:
    """Ask the engine and the database how they are."""
    async with database.read() as session:
        waiting = await count_waiting(session, kinds=ANSWERED)  # without the order that asks for this
    WAITING.set(waiting)
    try:
        return Status((await engine.models())[0].id, waiting)
    except EngineError:
        return Status(None, waiting)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether all that the assistant needs is there."""

    database: str
    revision: str
    is_current: bool
    database_ms: float
    model: str | None
    adapters: tuple[str, ...]
    waiting: int
    oldest: datetime | None
    free_gb: float

    @property
    def is_well(self) -> bool:
        """Return whether nothing needs a hand."""
        return self.is_current and self.model is not None and self.free_gb >= LEAST_FREE_GB


async def read_health(database: Database, engine: EngineClient, folder: Path) -> Health:
    """Ask everything that can be asked quickly; `bot doctor` looks closer."""
    began = time.perf_counter()
    async with database.read() as session:
        waiting, oldest = await count_waiting(session, kinds=ANSWERED), await oldest_waiting(session)
    took = (time.perf_counter() - began) * 1000
    found, newest = await database.revision()
    try:
        models = [model.id for model in await engine.models()]
    except EngineError:
        models = []
    return Health(
        database=database.place(),
        revision=found or "",
        is_current=found == newest,
        database_ms=took,
        model=models[0] if models else None,
        adapters=tuple(models[1:]),
        waiting=waiting,
        oldest=oldest,
        free_gb=shutil.disk_usage(folder).free / 1e9,
    )
