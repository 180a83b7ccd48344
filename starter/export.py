"""Write weights, tokenizer and chat template as one GGUF that llama.cpp and transformers read alike."""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, models
from torch import Tensor

from starter.chats import END, TEMPLATE
from starter.model import Shape
from starter.tokenizer import CONTROL, PAD, as_served, control_id, load_tokenizer


def interleave_heads(weight: Tensor, heads: int) -> Tensor:
    """llama.cpp rotates neighbouring rows of q and k, transformers the halves of a head."""
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def split_heads(weight: Tensor, heads: int) -> Tensor:
    """Undo `interleave_heads`."""
    rows, columns = weight.shape
    return weight.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def read_gguf(path: Path, heads: int) -> tuple[dict[str, Tensor], Tokenizer]:
    """Weights in float32 under the names of `build_weights`, and the tokenizer of a file that `write_gguf` wrote."""
    reader = gguf.GGUFReader(path)
    weights = {}
    for tensor in reader.tensors:
        name = tensor.name.removesuffix(".weight")
        weight = torch.from_numpy(np.array(tensor.data, dtype=np.float32))
        weights[name] = split_heads(weight, heads) if name.endswith(("attn_q", "attn_k")) else weight
    tokens, merges = (reader.fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "merges"))
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, pairs))
    tokenizer.add_special_tokens(list(CONTROL))
    return weights, as_served(tokenizer)


def write_gguf(path: Path, weights: dict[str, torch.nn.Parameter], shape: Shape, tokenizer: Tokenizer) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    _write_header(writer, shape)
    _write_tokenizer(writer, tokenizer)
    for name, parameter in weights.items():
        weight = parameter.detach().float()
        if name.endswith(("attn_q", "attn_k")):
            weight = interleave_heads(weight, shape.heads)
        array = weight.numpy().astype(np.float32 if weight.ndim == 1 else np.float16)
        writer.add_tensor(f"{name}.weight", array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_header(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("Apprentice starter")
    writer.add_basename("apprentice-starter")
    writer.add_description("A small assistant for demos and tests, trained from scratch on generated text")
    writer.add_license("MIT")
    writer.add_languages(["en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [token for token, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    types = [gguf.TokenType.CONTROL if token in CONTROL else gguf.TokenType.NORMAL for token in tokens]
    end, pad = control_id(tokenizer, END), control_id(tokenizer, PAD)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(pad)
    writer.add_eos_token_id(end)
    writer.add_eot_token_id(end)
    writer.add_pad_token_id(pad)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(TEMPLATE)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the checkpoint of a running or finished training as GGUF.")
    parser.add_argument("--out", type=Path, default=Path("bot/models/starter.gguf"))
    parser.add_argument("--work", type=Path, default=Path("build/starter"))
    options = parser.parse_args()
    tokenizer = load_tokenizer(options.work / "tokenizer.json")
    state = torch.load(options.work / "checkpoint.pt", weights_only=True)
    shape = Shape(vocabulary=tokenizer.get_vocab_size())
    write_gguf(options.out, state["weights"], shape, tokenizer)
    print(f"wrote {options.out} of step {state['step']}, {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
