"""Bases for the tests: a random model of each family as torch has it, and the GGUF that is served."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from bot.engine.client import EngineClient
from bot.engine.files.gguf_header import Header, read_header
from bot.learning.proof.export import export_adapter
from bot.storage.learning_tables import AdapterState
from tests.engine.conftest import serving
from tests.engine.tiny_model import write_tiny_model
from tests.learning.night import ORIGIN
from tests.learning.run_process import address
from tests.learning.run_rig import Loop, add_adapter, configure, opened, teach
from tests.learning.tiny_adapters import attach_adapter, save_adapter
from tests.learning.tiny_models import build_model, write_gguf

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()
Files = Callable[..., Path]


@pytest.fixture(scope="session")
def base_file(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Return the GGUF of a kind, written once."""
    folder = tmp_path_factory.mktemp("bases")

    def write(kind: str, quantized: str = "F32") -> Path:
        path = folder / f"{kind}-{quantized}.gguf"
        return path if path.exists() else write_gguf(path, build_model(kind), kind, quantized=quantized)

    return write


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Return the folder of a random adapter that PEFT saved over a random model of a kind."""

    def save(kind: str = "llama", **options: Any) -> Path:
        return save_adapter(attach_adapter(build_model(kind), **options), tmp_path / "adapter")

    return save


@pytest.fixture
def base(base_file: Files) -> Header:
    """Return the header of the tiny llama."""
    return read_header(base_file("llama"))


@pytest.fixture
def exported(tmp_path: Path, base: Header, saved: Callable[..., Path]) -> Callable[..., Path]:
    """Return a GGUF adapter for the tiny llama, made of an adapter with the given options."""

    def export(**options: Any) -> Path:
        target = tmp_path / "adapter.gguf"
        export_adapter(saved(**options), target, base=base, origin=ORIGIN)
        return target

    return export


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a random model."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
async def engine(model: Path) -> AsyncIterator[EngineClient]:
    """Serve the model."""
    async with serving(model) as client:
        yield client


def change_config(folder: Path, **values: object) -> Path:
    """Change what PEFT wrote about an adapter."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


@pytest.fixture
async def loop(tmp_path: Path, model: Path, engine: EngineClient) -> AsyncIterator[Loop]:
    """Return a loop with a few corrections, whose earlier adapter is served."""
    async with opened(address(tmp_path)) as database:
        loop = Loop(database, engine, configure(tmp_path, model))
        await teach(database)
        await add_adapter(loop, model, 90, AdapterState.ACTIVE)
        yield loop
