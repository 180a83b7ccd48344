"""Models of real shapes whose weights are holes in a file: llama.cpp can size them, nobody has to hold them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import gguf
import numpy as np

from tests.engine.tiny_model import CHATML


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a model of a family looks like."""

    architecture: str = "llama"
    layers: int = 32
    width: int = 4096
    hidden: int = 14336
    heads: int = 32
    heads_kv: int = 8
    head: int = 128
    vocab: int = 128_256
    n_ctx: int = 131_072
    is_tied: bool = False
    output_norm: str = "output_norm"
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.Q4_K
    more: Mapping[str, int | float | bool] = field(default_factory=dict)
    extra: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    attends: tuple[int, ...] | None = None
    instead: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def layer_heads_kv(self) -> int | list[int]:
        """How many heads each layer keeps keys of; none where something else stands instead of attention."""
        if self.attends is None:
            return self.heads_kv
        return [self.heads_kv if number in self.attends else 0 for number in range(self.layers)]

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every weight, rows first."""
        query, key = self.heads * self.head, self.heads_kv * self.head
        layer = {
            "attn_norm.weight": (self.width,),
            "attn_q.weight": (query, self.width),
            "attn_k.weight": (key, self.width),
            "attn_v.weight": (key, self.width),
            "attn_output.weight": (self.width, query),
            "ffn_norm.weight": (self.width,),
            "ffn_gate.weight": (self.hidden, self.width),
            "ffn_up.weight": (self.hidden, self.width),
            "ffn_down.weight": (self.width, self.hidden),
            **self.extra,
        }
        found: dict[str, tuple[int, ...]] = {
            "token_embd.weight": (self.vocab, self.width),
            f"{self.output_norm}.weight": (self.width,),
        }
        if not self.is_tied:
            found["output.weight"] = (self.vocab, self.width)
        for number in range(self.layers):
            wanted = {name: shape for name, shape in layer.items() if name not in self.without}
            if self.attends is not None and number not in self.attends:
                kept = {
                    name: shape
                    for name, shape in wanted.items()
                    if name[:6] not in {"attn_q", "attn_k", "attn_v", "attn_o"}
                }
                wanted = {**kept, **self.instead}
            found |= {f"blk.{number}.{name}": shape for name, shape in wanted.items()}
        return found


LLAMA_8B = Shape()
QWEN_7B = Shape(
    architecture="qwen2",
    layers=28,
    width=3584,
    hidden=18944,
    heads=28,
    heads_kv=4,
    vocab=152_064,
    n_ctx=32_768,
    extra={"attn_q.bias": (3584,), "attn_k.bias": (512,), "attn_v.bias": (512,)},
)
GEMMA_4B = Shape(
    architecture="gemma3",
    layers=34,
    width=2560,
    hidden=10240,
    heads=8,
    heads_kv=4,
    head=256,
    vocab=262_144,
    is_tied=True,
    more={"attention.sliding_window": 1024, "attention.key_length": 256, "attention.value_length": 256},
    extra={
        "attn_q_norm.weight": (256,),
        "attn_k_norm.weight": (256,),
        "post_attention_norm.weight": (2560,),
        "post_ffw_norm.weight": (2560,),
    },
)
MAMBA_1B = Shape(
    architecture="mamba",
    layers=48,
    width=2048,
    hidden=0,
    heads=0,
    heads_kv=0,
    vocab=50_280,
    is_tied=True,
    kind=gguf.GGMLQuantizationType.F16,
    more={"ssm.conv_kernel": 4, "ssm.inner_size": 4096, "ssm.state_size": 16, "ssm.time_step_rank": 128},
    extra={
        "ssm_in.weight": (8192, 2048),
        "ssm_conv1d.weight": (4096, 4),
        "ssm_conv1d.bias": (4096,),
        "ssm_x.weight": (160, 4096),
        "ssm_dt.weight": (4096, 128),
        "ssm_dt.bias": (4096,),
        "ssm_a": (4096, 16),
        "ssm_d": (4096,),
        "ssm_out.weight": (2048, 4096),
    },
    without=(
        *("attn_q.weight", "attn_k.weight", "attn_v.weight", "attn_output.weight"),
        *("ffn_norm.weight", "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"),
    ),
)
MOE_30B = Shape(
    architecture="qwen3moe",
    layers=48,
    width=2048,
    hidden=768,
    heads=32,
    heads_kv=4,
    vocab=151_936,
    n_ctx=40_960,
    more={
        "expert_count": 128,
        "expert_used_count": 8,
        "expert_feed_forward_length": 768,
        "attention.key_length": 128,
        "attention.value_length": 128,
    },
    extra={
        "attn_q_norm.weight": (128,),
        "attn_k_norm.weight": (128,),
        "ffn_gate_inp.weight": (128, 2048),
        "ffn_gate_exps.weight": (128, 768, 2048),
        "ffn_up_exps.weight": (128, 768, 2048),
        "ffn_down_exps.weight": (128, 2048, 768),
    },
    without=("ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"),
)

DEEPSEEK_LITE = Shape(
    architecture="deepseek2",
    layers=26,
    width=2048,
    hidden=10944,
    heads=16,
    heads_kv=1,
    head=192,
    vocab=102_400,
    n_ctx=163_840,
    kind=gguf.GGMLQuantizationType.Q8_0,
    more={
        "attention.kv_lora_rank": 512,
        "attention.key_length": 576,
        "attention.value_length": 512,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
        "rope.dimension_count": 64,
        "leading_dense_block_count": 26,
        "expert_shared_count": 2,
        "expert_feed_forward_length": 1408,
    },
    extra={
        "attn_kv_a_mqa.weight": (576, 2048),
        "attn_kv_a_norm.weight": (512,),
        "attn_k_b.weight": (16, 512, 128),
        "attn_v_b.weight": (16, 128, 512),
        "attn_output.weight": (2048, 2048),
    },
    without=("attn_k.weight", "attn_v.weight"),
)
LFM_1B = Shape(
    architecture="lfm2",
    layers=16,
    width=2048,
    hidden=8192,
    heads=32,
    heads_kv=8,
    head=64,
    vocab=65_536,
    output_norm="token_embd_norm",
    n_ctx=128_000,
    is_tied=True,
    kind=gguf.GGMLQuantizationType.F16,
    more={"shortconv.l_cache": 3},
    extra={"attn_q_norm.weight": (64,), "attn_k_norm.weight": (64,)},
    attends=(2, 5, 8, 10, 12, 14),
    instead={
        "shortconv.conv.weight": (2048, 3),
        "shortconv.in_proj.weight": (6144, 2048),
        "shortconv.out_proj.weight": (2048, 2048),
    },
)


def write_sparse_model(path: Path, shape: Shape, *, template: str = CHATML) -> Path:
    """Write the header of a model and leave its weights out; the file takes a few megabytes on disk."""
    writer = gguf.GGUFWriter(path, shape.architecture)
    writer.add_context_length(shape.n_ctx)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.layer_heads_kv)
    writer.add_layer_norm_rms_eps(1e-5)
    if shape.heads and "rope.dimension_count" not in shape.more:
        writer.add_rope_dimension_count(shape.head)
    for key, value in shape.more.items():
        add = writer.add_bool if isinstance(value, bool) else writer.add_uint32
        add(f"{shape.architecture}.{key}", value)  # type: ignore[arg-type]
    writer.add_vocab_size(shape.vocab)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"w{number}" for number in range(shape.vocab - 1)] + ["<|im_end|>"])
    writer.add_token_types([1] * (shape.vocab - 1) + [3])
    writer.add_token_merges(["w w"])
    writer.add_bos_token_id(shape.vocab - 1)
    writer.add_eos_token_id(shape.vocab - 1)
    writer.add_chat_template(template)
    total = 0
    for name, rows_first in shape.tensors().items():
        is_plain = len(rows_first) == 1 or "norm" in name or "ssm_a" in name or "conv1d" in name or "gate_inp" in name
        kind = gguf.GGMLQuantizationType.F32 if is_plain else shape.kind
        per_block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        size = prod(rows_first) // per_block * block_bytes
        writer.add_tensor_info(name, rows_first, np.dtype(np.float16), size, raw_dtype=kind)
        total += -(-size // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for file in writer.fout or ():
        file.truncate(file.tell() + total + 64)
    writer.close()
    return path
