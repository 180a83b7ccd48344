"""How the assistant is: the model that answers, and how many wait for it."""

from dataclasses import dataclass

from bot.engine.client import EngineClient
from bot.errors import EngineError
from bot.metrics import WAITING
from bot.storage.db import Database
from bot.storage.inbox import count_waiting


@dataclass(frozen=True)
class Status:
    """How the assistant is; *model* is None while the engine is away."""

    model: str | None
    waiting: int


async def read_status(database: Database, engine: EngineClient) -> Status:
    """Ask the engine and the database how they are."""
    async with database.read() as session:
        waiting = await count_waiting(session)
    WAITING.set(waiting)
    try:
        return Status((await engine.models())[0].id, waiting)
    except EngineError:
        return Status(None, waiting)
