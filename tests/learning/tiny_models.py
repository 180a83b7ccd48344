"""Random models of every architecture that adapters are exported for: as transformers builds them, and as a GGUF.

The GGUF is written here, tensor by tensor with the names of the gguf package, so that neither reader is its own proof.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers

from tests.engine.tiny_model import CHATML, CONTROL, MERGES, byte_alphabet

WIDTH, HIDDEN, LAYERS, HEADS, KV_HEADS, CONTEXT = 64, 128, 2, 4, 2, 512
WORDS = [*byte_alphabet(), *(merge.replace(" ", "") for merge in MERGES)]
TOKENS = [*WORDS, *CONTROL]
PLAIN: dict[str, Any] = {
    "vocab_size": len(TOKENS),
    "hidden_size": WIDTH,
    "intermediate_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": CONTEXT,
    "rms_norm_eps": 1e-5,
    "bos_token_id": len(WORDS),
    "eos_token_id": len(TOKENS) - 1,
    "pad_token_id": None,
    "tie_word_embeddings": False,
}
WIDE_HEAD = {"head_dim": 24}  # not width / heads, as in real ones
GEMMA = {**WIDE_HEAD, "tie_word_embeddings": True}
GEMMA_2 = {"query_pre_attn_scalar": 24, "sliding_window": 32}
ROPE_3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 128}
FAR = {"rope_type": "linear", "rope_theta": 1_000_000.0, "factor": 8.0}
ROPE_GEMMA = {"full_attention": FAR, "sliding_attention": {"rope_type": "default", "rope_theta": 5_000.0}}
# The model type of transformers, the architecture in the GGUF, and what differs from the plain shape.
SHAPES: dict[str, tuple[str, str, Mapping[str, Any]]] = {
    "llama": ("llama", "llama", {}),
    "llama-tied": ("llama", "llama", {"tie_word_embeddings": True}),
    "llama3-rope": ("llama", "llama", {"rope_parameters": ROPE_3}),
    "mistral": ("mistral", "llama", {"sliding_window": None}),
    "qwen2": ("qwen2", "qwen2", {}),
    "qwen2-yarn": ("qwen2", "qwen2", {"rope_parameters": YARN}),
    "qwen3": ("qwen3", "qwen3", WIDE_HEAD),
    "gemma": ("gemma", "gemma", GEMMA),
    "gemma2": ("gemma2", "gemma2", {**GEMMA, **GEMMA_2}),
    "gemma3": ("gemma3_text", "gemma3", {**GEMMA, **GEMMA_2, "num_hidden_layers": 6, "rope_parameters": ROPE_GEMMA}),
    "phi3": ("phi3", "phi3", {}),
}


def build_model(kind: str, *, seed: int = 7, **changes: Any) -> Any:
    """Return a model of random weights, loud enough that greedy choices are clear."""
    model_type, _, different = SHAPES[kind]
    config = transformers.AutoConfig.for_model(model_type, **{**PLAIN, **different, **changes})
    config.architectures = [transformers.AutoModelForCausalLM._model_mapping[type(config)].__name__]
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim == 1:
                weight.add_(noise * 0.1)
            else:
                weight.copy_(noise * loudness(name, kind) / weight.shape[-1] ** 0.5)
    return model


def loudness(name: str, kind: str) -> float:
    """Return how large a matrix is against the usual; an embedding that is the output too would drown the rest."""
    if "lm_head" in name:
        return 4.0
    return (1.3 if kind.startswith("gemma") else 2.0) if "embed" in name else 1.5


def write_gguf(path: Path, model: Any, kind: str, *, quantized: str = "F32") -> Path:
    """Write *model* as llama.cpp's converter would; matrices as *quantized*."""
    architecture = SHAPES[kind][1]
    writer = gguf.GGUFWriter(path, architecture)
    write_header(writer, model.config, kind)
    write_vocabulary(writer)
    names = gguf.get_tensor_name_map(find_architecture(architecture), model.config.num_hidden_layers)
    type_ = gguf.GGMLQuantizationType[quantized]
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        array = convert(name, tensor, kind, model.config)
        if array.ndim == 1:
            writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), array)
        else:
            packed = gguf.quantize(array, type_)
            writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), packed, raw_dtype=type_)
    if kind == "llama3-rope":
        plain = 1 / ROPE_3["rope_theta"] ** (np.arange(0, WIDTH // HEADS, 2) / (WIDTH // HEADS))
        writer.add_tensor("rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq.numpy()).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def find_architecture(name: str) -> gguf.MODEL_ARCH:
    """Return the gguf package's constant for an architecture."""
    return next(arch for arch, known in gguf.MODEL_ARCH_NAMES.items() if known == name)


def convert(name: str, tensor: torch.Tensor, kind: str, config: Any) -> np.ndarray:
    """Return a weight as the GGUF holds it."""
    array = tensor.detach().float().numpy()
    heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(name.split(".")[-2], 0)
    if SHAPES[kind][1] == "llama" and heads:
        array = array.reshape(heads, 2, -1, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
    if kind.startswith("gemma") and name.endswith("norm.weight"):
        array = array + 1
    return np.ascontiguousarray(array)


def write_header(writer: gguf.GGUFWriter, config: Any, kind: str) -> None:
    """Write the numbers that llama.cpp needs of an architecture."""
    head = getattr(config, "head_dim", None) or WIDTH // HEADS
    writer.add_name("tiny random model")  # a name with "phi3" would make llama.cpp look for that family's tokens
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(len(TOKENS))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    if kind.startswith(("llama", "mistral", "phi3")):
        writer.add_rope_dimension_count(head)
    if kind.startswith(("gemma", "qwen3")):
        writer.add_key_length(head)
        writer.add_value_length(head)
    if kind in {"gemma2", "gemma3"}:
        writer.add_sliding_window(config.sliding_window)
    if kind == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    rope = config.rope_parameters
    far = rope.get("full_attention", rope)
    writer.add_rope_freq_base(far["rope_theta"])
    if kind == "gemma3":
        writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
    if far["rope_type"] in {"linear", "yarn"}:
        writer.add_rope_scaling_type(gguf.RopeScalingType(far["rope_type"]))
        writer.add_rope_scaling_factor(far["factor"])
    if far["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(far["original_max_position_embeddings"])


def write_vocabulary(writer: gguf.GGUFWriter) -> None:
    """Write the byte-level vocabulary of the engine's tests."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([gguf.TokenType.NORMAL] * len(WORDS) + [gguf.TokenType.CONTROL] * len(CONTROL))
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(len(WORDS))
    writer.add_eos_token_id(len(TOKENS) - 1)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)
