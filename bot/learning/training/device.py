"""Where the base is while an adapter is trained over it: on the processor as it is, on a GPU in half the bytes.

The four-bit way is TRL's and bitsandbytes' own; nobody has tried it here on a GPU yet.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import peft
import torch
import transformers

from bot.errors import LearningError
from bot.learning.plan import Plan

ROOM = 1.3  # of the weights' own bytes, for what a step needs beside them


def move_to_device(model: Any, plan: Plan) -> Any:
    """Return the model where it is trained; its proofs were taken before, in full precision."""
    if not torch.cuda.is_available():
        if plan.recipe.is_four_bit:
            raise LearningError("A base in 4 bits can be trained on a GPU only, and torch sees none here.")
        return model
    weights = sum(weight.numel() for weight in model.parameters())
    free, _ = torch.cuda.mem_get_info()
    if plan.recipe.is_four_bit or 2 * weights * ROOM > free:
        del model
        return _load_four_bits(plan)
    return model.to(device="cuda", dtype=torch.bfloat16)


def _load_four_bits(plan: Plan) -> Any:
    if not plan.training_base:
        raise LearningError(
            "The GPU's memory is too small for this base, and a GGUF cannot be loaded in 4 bits: set TRAINING_BASE to "
            "a folder with the full-precision model, or use a smaller one."
        )
    if find_spec("bitsandbytes") is None:
        raise LearningError("A base in 4 bits needs a package that is not installed: run pip install bitsandbytes.")
    four_bits = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(
        Path(plan.training_base),
        quantization_config=four_bits,
        dtype=torch.bfloat16,
        device_map={"": 0},
        local_files_only=True,
    )
    return peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
