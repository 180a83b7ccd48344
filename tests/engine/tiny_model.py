"""A random Llama of a few hundred kilobytes with a byte-level vocabulary and ChatML, written with the gguf library."""

from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = ("Ġ t", "h e", "Ġt he", "i n", "e r", "o n", "Ġ a", "u s", "us er", "s t", "Ċ Ċ", "l l", "he ll", "hell o")


def byte_alphabet() -> list[str]:
    """Return GPT-2's printable stand-in for each of the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {byte: chr(byte) for byte in printable}, 0
    for byte in range(256):
        if byte not in letters:
            letters[byte] = chr(256 + extra)
            extra += 1
    return [letters[byte] for byte in range(256)]


def write_tiny_model(
    path: Path,
    *,
    seed: int = 7,
    n_ctx: int = 2048,
    width: int = 64,
    layers: int = 2,
    may_end: bool = True,
    is_tied: bool = False,
    template: str = CHATML,
    script: tuple[str, ...] = (),
    control: tuple[str, ...] = (),
    pooling: gguf.PoolingType | None = None,
    has_places: bool = False,
) -> Path:
    """Write the model to *path*; the same seed gives the same weights.

    With a *script*, whose pieces become tokens (control tokens if *control* has them), it says that after every
    line break, and ends. Its width must be larger than its vocabulary. With *has_places* it is a Qwen2-VL, which
    counts a picture's positions in two directions.
    """
    heads, hidden = 4, width * 2
    words = [*byte_alphabet(), *(merge.replace(" ", "") for merge in MERGES)]
    spoken = [piece for piece in dict.fromkeys(script) if piece not in {*control, *CONTROL}]
    tokens = [*words, *CONTROL, *control, *spoken]
    writer = gguf.GGUFWriter(path, "qwen2vl" if has_places else "llama")
    writer.add_name("tiny random llama")
    writer.add_context_length(n_ctx)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads // 2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    if has_places:
        writer.add_rope_dimension_sections([width // heads // 8, width // heads // 8, width // heads // 4, 0])
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [gguf.TokenType.NORMAL] * len(words)
        + [gguf.TokenType.CONTROL] * (len(CONTROL) + len(control))
        + [gguf.TokenType.USER_DEFINED] * len(spoken)
    )
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    order = [tokens.index(piece) for piece in ("Ċ", *script, "<|im_end|>")] if script else []
    shapes = tensor_shapes(len(tokens), width=width, hidden=hidden, layers=layers)
    if has_places:
        shapes |= {name.replace("weight", "bias"): shape[:1] for name, shape in shapes.items() if name[-8] in "qkv"}
    for name, shape in shapes.items():
        if is_tied and name == "output.weight":
            continue
        tensor = scripted_tensor(name, shape, order) if script else random_tensor(name, shape, seed=seed)
        if name == "output.weight" and not may_end:
            tensor[len(words) :] = 0  # a logit of zero is far below the loud ones
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tensor_shapes(vocab: int, *, width: int, hidden: int, layers: int) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every weight."""
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocab, width),
        "output_norm.weight": (width,),
        "output.weight": (vocab, width),
    }
    for layer in range(layers):
        shapes |= {
            f"blk.{layer}.attn_norm.weight": (width,),
            f"blk.{layer}.attn_q.weight": (width, width),
            f"blk.{layer}.attn_k.weight": (width // 2, width),
            f"blk.{layer}.attn_v.weight": (width // 2, width),
            f"blk.{layer}.attn_output.weight": (width, width),
            f"blk.{layer}.ffn_norm.weight": (width,),
            f"blk.{layer}.ffn_gate.weight": (hidden, width),
            f"blk.{layer}.ffn_up.weight": (hidden, width),
            f"blk.{layer}.ffn_down.weight": (width, hidden),
        }
    return shapes


def random_tensor(name: str, shape: tuple[int, ...], *, seed: int) -> np.ndarray:
    """Return ones for norms and scaled noise for the rest; the output is loud, so that greedy choices are clear."""
    if len(shape) == 1:
        return np.ones(shape, dtype=np.float32)
    rng = np.random.default_rng([seed, *name.encode()])
    scale = 1.0 if name == "token_embd.weight" else 2.0 / np.sqrt(shape[-1])
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def scripted_tensor(name: str, shape: tuple[int, ...], order: list[int]) -> np.ndarray:
    """Return weights whose layers do nothing, and whose output is loud for the token that follows in *order*."""
    tensor = np.ones(shape, dtype=np.float32) if len(shape) == 1 else np.zeros(shape, dtype=np.float32)
    if name == "token_embd.weight":
        tensor[: shape[0], : shape[0]] = np.eye(shape[0])
    if name == "output.weight":
        for token, following in pairwise(order):
            tensor[following, token] = 10
    return tensor
