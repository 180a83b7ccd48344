"""What a training leaves behind, with a random adapter in place of a learned one; and what the engine makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bot.engine.files.checksum import hash_model
from bot.engine.files.gguf_header import Header, read_header
from bot.learning.proof.export import Origin, export_adapter
from bot.learning.proof.parity import Measured
from bot.learning.proof.scores import Scores
from bot.learning.proof.served import try_adapter
from bot.learning.training.base import load_base, measure_weights, score
from bot.learning.training.placement import find_places
from tests.engine.conftest import serving
from tests.learning.tiny_adapters import attach_adapter, save_adapter
from tests.learning.tiny_models import build_model

Texts = Sequence[Sequence[int]]
ORIGIN = Origin(run_id="run-7", base_sha256="", template_sha256="c" * 64, dataset_sha256="d" * 64)


@dataclass(frozen=True)
class Night:
    """Torch's own scores before and after, the model with its adapter, and the file."""

    base: Header
    texts: Texts
    trained_base: Sequence[Scores]
    trained: Sequence[Scores]
    sizes: dict[str, float]
    origin: dict[str, str]
    adapted: Any
    adapter: Path


def spend_night(path: Path, folder: Path, kind: str, *, texts: Texts, **options: Any) -> Night:
    """Attach a random adapter to the served base in torch and export it."""
    base = read_header(path)
    model = build_model(kind) if kind == "gemma" else load_base(path)
    before = score(model, texts)
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    sizes = measure_weights(model, find_places(base, [name for name in linear if name != "lm_head"]))
    adapted = attach_adapter(model, **{"strength": 0.05, **options})
    origin = replace(ORIGIN, base_sha256=hash_model(path))
    export_adapter(save_adapter(adapted, folder / "adapter"), folder / "a.gguf", base=base, origin=origin)
    return Night(base, texts, before, score(adapted, texts), sizes, origin.values(), adapted, folder / "a.gguf")


async def measure(path: Path, night: Night) -> tuple[Measured, Sequence[Scores]]:
    """Let the engine try and serve the adapter, and score base, adapter and base again."""
    async with serving(path, n_ctx=512) as client:
        trial = await try_adapter(
            client,
            night.texts,
            base=path.stem,
            adapter=night.adapter,
            sha256=hash_model(night.adapter),
        )
        assert [model.id for model in await client.models()] == [path.stem]
    return Measured(trial.before, night.trained_base, trial.adapted, night.trained), trial.after
