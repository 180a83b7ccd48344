"""The model that is trained: the very GGUF that is served, dequantized, or the folder that TRAINING_BASE names.

Imported by the trainer process only. Whether it computes what the engine computes is for `parity` to prove.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import torch
import transformers

from bot.engine.files.gguf_header import Header, read_header
from bot.errors import LearningError
from bot.learning.proof.scores import KEPT, Scores
from bot.learning.training.base_config import MEND, ROPE_FREQS, build_values, check_loadable, describe_difference
from bot.learning.training.placement import Place


def load_base(model_path: Path, training_base: Path | None = None) -> Any:
    """Return the trainable model in 32-bit floats; *LearningError* says why there is none."""
    if training_base:
        return _load_folder(training_base)
    header = read_header(model_path)
    check_loadable(header)
    config = build_config(header)
    check_tensors(header, config)
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            str(model_path.parent),
            gguf_file=model_path.name,
            config=config,
            dtype=torch.float32,
            quantization_config=transformers.GgufConfig(dequantize=True),  # without it the model cannot be trained
            local_files_only=True,
        )
    except NotImplementedError as error:  # a weight format that the gguf package cannot undo
        raise LearningError(f"{model_path} cannot be trained as it is ({error}): {MEND}.") from error
    if any(tensor.name == ROPE_FREQS for tensor in header.tensors):
        _stretch_rope(model, model_path)
    return model


def _load_folder(folder: Path) -> Any:
    if not (folder / "config.json").is_file():
        raise LearningError(
            f"TRAINING_BASE is {folder}, and there is no config.json: name a transformers model's folder."
        )
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise LearningError(f"TRAINING_BASE is {folder}, and no model can be loaded there ({reason}).") from error


def build_config(header: Header) -> Any:
    """Return transformers' configuration of the model in a GGUF."""
    config = transformers.AutoConfig.for_model(**build_values(header))
    config.architectures = [_model_class(config).__name__]
    return config


def _model_class(config: Any) -> Any:
    return transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]


def check_tensors(header: Header, config: Any) -> None:
    """Raise *LearningError* if file and model differ in a weight; what is missing would be random, without a word."""
    with torch.device("meta"):
        state = _model_class(config)(config).state_dict()
    architecture = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == header.architecture)
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    wanted = {}
    for name, tensor in state.items():
        if name != "lm_head.weight" or not config.tie_word_embeddings:
            stem, suffix = name.rsplit(".", 1)
            wanted[f"{names.get_name(stem) or stem}.{suffix}"] = tuple(tensor.shape)
    found = {tensor.name: tuple(reversed(tensor.shape)) for tensor in header.tensors if tensor.name != ROPE_FREQS}
    difference = describe_difference(
        missing=set(wanted) - set(found),
        unread=set(found) - set(wanted),
        shapes={
            name: f"{found[name]}, not {shape}" for name, shape in wanted.items() if found.get(name, shape) != shape
        },
    )
    if difference:
        raise LearningError(f"{header.path} cannot be trained as it is, because {difference}: {MEND}.")


def _stretch_rope(model: Any, model_path: Path) -> None:
    """Divide the rotary frequencies by the file's own factors, as llama.cpp does; transformers passes them over."""
    factors = next(tensor.data for tensor in gguf.GGUFReader(model_path).tensors if tensor.name == ROPE_FREQS)
    rotary = model.model.rotary_emb
    rotary.inv_freq = rotary.inv_freq / torch.tensor(factors, dtype=torch.float32)
    rotary.original_inv_freq = rotary.inv_freq.clone()


def measure_weights(model: Any, places: Mapping[str, Place]) -> dict[str, float]:
    """Return the size of each weight that an adapter is for, by its name in the GGUF; asked before PEFT wraps it."""
    return {place.tensor: model.get_submodule(module).weight.detach().norm().item() for module, place in places.items()}


def score(model: Any, texts: Sequence[Sequence[int]]) -> list[Scores]:
    """Return what the model thinks of the tokens of each text, in the form in which the engine says it."""
    scored = []
    for text in texts:
        ids = torch.tensor([list(text)], device=model.device)
        with torch.inference_mode():
            logprobs = model(input_ids=ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
        best = logprobs.topk(min(KEPT, logprobs.shape[-1]))
        given = logprobs.gather(1, ids[0, 1:, None])[:, 0]
        scored.append(Scores(tuple(text), given.cpu().numpy(), best.indices.cpu().numpy(), best.values.cpu().numpy()))
    return scored
