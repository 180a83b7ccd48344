"""Which LoRA configurations become an adapter that serves as it was trained; asked before a night is spent on one.

A pure check of PEFT's own configuration as a mapping. Knows neither torch nor GGUF.
"""

import re
from collections.abc import Iterable, Mapping

from bot.errors import LearningError

# What may differ from PEFT's default: it does not reach the adapter's file, or the export writes it right.
FREE = {
    "task_type",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "r",
    "target_modules",
    "exclude_modules",
    "lora_alpha",
    "lora_dropout",
    "use_rslora",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
    "megatron_core",
    "runtime_config",
    "qalora_group_size",
    "ensure_weight_tying",
}
REASONS = {
    "use_dora": "DoRA scales whole columns of the base's weights, and llama.cpp only adds to them",
    "lora_bias": "llama.cpp has no place for an adapter's bias",
    "modules_to_save": "whole layers cannot travel in an adapter's file",
    "trainable_token_indices": "new token embeddings cannot travel in an adapter's file",
    "target_parameters": "llama.cpp adapts weight matrices, and these are other parameters",
    "layer_replication": "it makes another model than the one that is served",
    "fan_in_fan_out": "its matrices lie the other way round than llama.cpp's",
    "alora_invocation_tokens": "the engine switches adapters by request, not by token",
}
OWN_WORDS = {"peft_type", "bias", "init_lora_weights", "loftq_config"}
SAFE_STARTS: tuple[object, ...] = (True, False, "gaussian")
FORBIDDEN = {
    "embed_tokens": "an adapter of the embedding can end the process that serves it",
    "lm_head": "it is one matrix with the embedding in many models, and PEFT's is then not the served one",
}


def check_lora(config: Mapping[str, object]) -> None:
    """Raise *LearningError* with every reason for which an adapter of *config* would not serve as it was trained."""
    reasons = list(find_reasons(config))
    if reasons:
        raise LearningError(f"This LoRA configuration cannot be served: {'; '.join(reasons)}.")


def find_reasons(config: Mapping[str, object]) -> Iterable[str]:
    """Yield a clause for each option that a GGUF adapter cannot carry; an option nobody knows is one of them."""
    kind = config.get("peft_type", "LORA")
    if getattr(kind, "value", kind) != "LORA":
        yield f"peft_type is {kind}, and only LORA becomes a GGUF adapter"
    if config.get("bias", "none") != "none":
        yield f"bias={config['bias']!r} (llama.cpp has no place for an adapter's bias: use 'none')"
    start = config.get("init_lora_weights", True)
    if start not in SAFE_STARTS:
        yield f"init_lora_weights={start!r} may change the base's own weights, and the served base stays: use True"
    for name, value in config.items():
        if value and name not in FREE | OWN_WORDS:
            yield f"{name} ({REASONS.get(name, 'nobody has proven that it serves as it was trained')})"
    for name, why in FORBIDDEN.items():
        if is_targeted(config, name):
            yield f"target_modules names {name} ({why})"


def is_targeted(config: Mapping[str, object], module: str) -> bool:
    """Whether PEFT would adapt a module of this name; `all-linear` leaves out embedding and output."""
    targets = config.get("target_modules")
    if isinstance(targets, str):
        return any(re.fullmatch(targets, name) for name in (module, f"model.{module}"))
    names = targets if isinstance(targets, (list, tuple, set, frozenset)) else ()
    return any(str(name).split(".")[-1] == module for name in names)
