"""Random LoRA adapters as PEFT makes and saves them; the same seed gives the same matrices on every machine."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch

ALL_LINEAR = "all-linear"


def attach_adapter(model: Any, *, seed: int = 1, strength: float = 0.2, **options: Any) -> Any:
    """Return *model* with a random adapter over it, in place."""
    config = peft.LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": ALL_LINEAR, "task_type": "CAUSAL_LM", **options}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of what some tests do on purpose
        adapted = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                weight.copy_(torch.from_numpy(random_matrix(name, tuple(weight.shape), seed=seed, strength=strength)))
    return adapted.eval()


def random_matrix(name: str, shape: tuple[int, ...], *, seed: int, strength: float) -> np.ndarray:
    """Return the noise of one matrix: A keeps the size of what goes through it, B times *strength*."""
    rng = np.random.default_rng([seed, *name.encode()])
    scale = strength if "lora_B" in name else shape[-1] ** -0.5
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def save_adapter(adapted: Any, folder: Path) -> Path:
    """Write the adapter as a training leaves it behind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder
