"""The file that a channel is served: its own adapter, with everybody's mixed in."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from bot.engine.files.checksum import hash_model
from bot.errors import LearningError
from bot.learning.adapter_place import find_adapter_file
from bot.learning.examples import Example, Split, read_examples
from bot.learning.plan import ADAPTER, EXAMPLES, Outcome
from bot.learning.proof.parity import Check
from bot.storage.adapters import adapter_in
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState
from bot.storage.runs import is_unwilling_in

MIXED = "mixed.gguf"


@dataclass(frozen=True, slots=True)
class Mixture:
    """A file to serve, and the name of everybody's adapter in it; empty: there is none."""

    path: Path
    mixed_with: str = ""


async def mix_with_everybodys(
    database: Database, folder: Path, *, name: str, base_sha256: str, scale: float
) -> Mixture:
    """Mix the adapter in a run folder, called *name*, with *scale* of the one that everybody is served, if any.

    It stays alone where that one has learned from any that said no since: what they hear is that it goes.
    """
    # Imported here: reading an adapter's file needs the gguf package of the training extra.
    from bot.learning.proof.mixing import Part, mix_adapters

    own = folder / ADAPTER
    async with database.read() as session:
        active = await adapter_in(session, AdapterState.ACTIVE)
        if active is None or not scale or active.base_sha256 != base_sha256 or await is_unwilling_in(session, active):
            return Mixture(own)
    everybodys = await asyncio.to_thread(_check_file, active, folder.parent.parent)
    parts = [Part(name, own), Part(active.name, everybodys, scale)]
    await asyncio.to_thread(mix_adapters, parts, folder / MIXED)
    return Mixture(folder / MIXED, active.name)


async def read_shared(database: Database, runs: Path) -> list[Example]:
    """Return what everybody's adapter was taught and is tested on, as far as its run's folder still has it."""
    async with database.read() as session:
        active = await adapter_in(session, AdapterState.ACTIVE)
    path = runs / str(active.run_id) / EXAMPLES if active is not None else None
    return await asyncio.to_thread(_read_tests, path) if path is not None else []


def _read_tests(path: Path) -> list[Example]:
    try:
        return [example for example in read_examples(path) if example.split is Split.TEST]
    except FileNotFoundError:
        return []


def check_mixture(adapter: Adapter, outcome: Outcome) -> Check:
    """Say whether a mixed adapter changes no weight too far."""
    from bot.learning.proof.mixing import judge_mix

    return judge_mix(Path(adapter.path), norms=outcome.weight_norms or {})


def _check_file(adapter: Adapter, folder: Path) -> Path:
    path = find_adapter_file(adapter, folder)
    if not path.is_file() or hash_model(path) != adapter.sha256:
        raise LearningError(
            f"{path} is not the file of {adapter.name} that was judged, so it cannot be mixed in: put the right one "
            "back, or take that adapter back."
        )
    return path
