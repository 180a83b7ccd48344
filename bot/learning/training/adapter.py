"""The adapter while it is trained: PEFT's LoRA over every linear layer, saved so that it can become a GGUF adapter."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from peft.utils import load_peft_weights

from bot.learning.plan import Recipe
from bot.learning.training.lora_rules import check_lora
from bot.learning.training.sheltering import shelter_adapter

LEARNED, REFERENCE = "default", "ref"  # TRL's names: what is trained, and what it was when preferences began


def attach_adapter(model: Any, recipe: Recipe, *, seed: int, shelter: Mapping[str, torch.Tensor] | None = None) -> Any:
    """Return *model* with a fresh adapter that changes nothing yet; its start depends on seed and *shelter* alone."""
    config = peft.LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    check_lora(config.to_dict())
    transformers.set_seed(seed)
    adapted = peft.get_peft_model(model, config)
    shelter_adapter(adapted, shelter or {})
    return adapted


def save_adapter(adapted: Any, folder: Path) -> None:
    """Write what was learned, without the reference that preferences are trained against."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT looks for the base's configuration where there is only a GGUF
        adapted.save_pretrained(folder, selected_adapters=[LEARNED], save_embedding_layers=False)


def restore_adapter(adapted: Any, folder: Path) -> None:
    """Put back what *save_adapter* wrote."""
    peft.set_peft_model_state_dict(adapted, load_peft_weights(str(folder), device="cpu"), adapter_name=LEARNED)


def drop_reference(adapted: Any) -> None:
    """Take away the reference that TRL adds for a phase of preferences, if it is there."""
    if REFERENCE in adapted.peft_config:
        adapted.delete_adapter(REFERENCE)
