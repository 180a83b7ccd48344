"""A learning loop that a test can run in seconds: a random model in a real engine, a few rows, real training."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf

from bot.engine.client import EngineClient
from bot.engine.files.checksum import hash_model
from bot.learning.config import LearningConfig
from bot.learning.control import Learning
from bot.learning.figures import RunReport
from bot.learning.rollout.serving import Rollout
from bot.learning.run import Runner
from bot.learning.steps import Steps
from bot.learning.training.recipe import Breadth
from bot.learning.window import Window
from bot.storage import adapters
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState, Run, RunState
from bot.storage.runs import queue_run
from tests.engine.tiny_adapter import write_tiny_adapter
from tests.engine.tiny_model import write_tiny_model
from tests.learning.feedback_rows import PLAIN, Team, system

THINGS = ("ladder", "projector", "van", "printer", "kettle", "drill", "tent", "spare key", "flag", "camera")
PLACES = ("the shed", "room Birch", "Mill Lane", "room Oak", "the pantry", "the cellar", "the loft", "a drawer")


async def teach(database: Database, count: int = 10, *, team: Team | None = None) -> Team:
    """Let three people ask and correct, after what a team said already, and store it."""
    team = team or Team()
    for number, thing in enumerate(THINGS[:count]):
        answer = team.ask(("ada", "bo", "cy")[number % 3], f"Where is the {thing}?", "I do not know that.")
        team.correct(("bo", "cy", "ada")[number % 3], answer, f"The {thing} is in {PLACES[number % len(PLACES)]}.")
    await team.save(database)
    return team


@dataclass
class Loop:
    """A learning loop as one bot process has it."""

    database: Database
    client: EngineClient
    config: LearningConfig
    is_busy: Callable[[], bool] = lambda: False
    heard: list[RunReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rollout = Rollout(self.database, self.client)
        self.steps = Steps(
            self.database,
            self.client,
            self.rollout,
            config=self.config,
            system=system,
            is_busy=self.ask_busy,
        )
        self.runner = Runner(self.database, self.rollout, self.steps, hear=self.hear)
        self.learning = Learning(
            self.database, self.client, self.rollout, self.runner, config=self.config, system=system
        )

    def ask_busy(self) -> bool:
        """Return whether people wait for answers, which a test may change."""
        return self.is_busy()

    async def hear(self, report: RunReport) -> None:
        """Keep a report."""
        self.heard.append(report)

    async def queue(self, **changes: Any) -> int:
        """Ask for a run."""
        return await self.learning.request_run(**{"by": "U1", "trigger": "cli", **changes})

    async def run(self, run_id: int) -> Run:
        """Return a run as the database has it."""
        async with self.database.read() as session:
            return await session.get_one(Run, run_id)

    async def state(self, name: str) -> str:
        """Return an adapter's state."""
        async with self.database.read() as session:
            found = await adapters.find_adapter(session, name)
        return str(found.state) if found else ""

    def folder(self, run_id: int) -> Path:
        """Return a run's folder."""
        return self.config.run_folder(run_id)


def configure(folder: Path, model: Path | None, **changes: Any) -> LearningConfig:
    """Return a configuration with which a run takes seconds."""
    values = {
        "folder": folder / "learning",
        "model_path": model,
        "needs_permission": False,
        "window": Window.parse("00:00-00:00"),
        "policy": PLAIN,
        "breadth": Breadth(0, 0.0),
    }
    return LearningConfig(**{**values, **changes})


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """Open a database, built by the migrations."""
    database = Database(url)
    await database.migrate()
    try:
        yield database
    finally:
        await database.close()


async def add_adapter(loop: Loop, model: Path, number: int, state: AdapterState, **changes: Any) -> Adapter:
    """Store an adapter of random weights as an earlier run left it."""
    sha256 = hash_model(model)
    path = loop.config.folder / f"earlier-{number}.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tiny_adapter(path, seed=number, metadata={"apprentice.base_sha256": sha256}, strength=0.8)
    values = {
        "name": f"apprentice-{number}",
        "path": str(path),
        "sha256": hash_model(path),
        "base_sha256": sha256,
        "state": state,
        "canary_share": 0.0,
        "watch": {},
    }
    async with loop.database.begin() as session:
        run = await queue_run(session, trigger="cli", by="test")
        run.state, run.reason = RunState.DONE, "It was better."
        adapter = Adapter(**{"run_id": run.id, **values, **changes})
        session.add(adapter)
    return adapter


def write_brief_model(path: Path) -> Path:
    """Return a random model whose answers are a few tokens long, so that judging takes seconds."""
    write_tiny_model(path)
    reader = gguf.GGUFReader(path, "r+")
    words = next(field for field in reader.fields.values() if field.name == "tokenizer.ggml.tokens")
    end = [bytes(words.parts[part]).decode() for part in words.data].index("<|im_end|>")
    output = next(tensor for tensor in reader.tensors if tensor.name == "output.weight")
    output.data[end] *= 6
    reader.data.flush()
    return path
