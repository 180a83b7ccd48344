"""The trained base is the served file, bit by bit where transformers can be made to see it so, else a refusal."""

from pathlib import Path
from typing import Any

import gguf
import pytest
import torch

from bot.engine.files.gguf_header import read_header
from bot.errors import LearningError
from bot.learning.proof.scores import compare
from bot.learning.training.base import load_base, measure_weights, score
from bot.learning.training.placement import find_places
from tests.learning.conftest import Files
from tests.learning.tiny_models import SHAPES, TOKENS, build_model, write_gguf

TEXT = tuple(number * 7 % 260 for number in range(120))


@pytest.mark.parametrize("kind", [kind for kind in SHAPES if kind != "gemma"])
def test_the_loaded_base_is_the_model_that_was_written(kind: str, base_file: Files) -> None:
    """Head sizes, RoPE scaling, soft caps and sliding layers come back: the logits are the same."""
    written, loaded = build_model(kind), load_base(base_file(kind))

    agreement = compare(score(written, [TEXT]), score(loaded, [TEXT]))
    assert agreement.divergence < 1e-9
    assert agreement.same_choice == 1
    assert agreement.largest_gap < 1e-4


def test_the_loaded_base_can_be_trained(base_file: Files) -> None:
    """Every weight has a gradient and none is held back as quantized."""
    model = load_base(base_file("llama", "Q8_0")).train()

    model(input_ids=torch.tensor([TEXT]), labels=torch.tensor([TEXT])).loss.backward()

    assert not getattr(model, "is_quantized", False)
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())
    assert model.config.architectures == ["LlamaForCausalLM"]


def test_without_its_rope_factors_the_base_would_be_another(base_file: Files) -> None:
    """What this module puts back is not noise: transformers' own reading of the file computes something else."""
    loaded = load_base(base_file("llama3-rope"))
    expected = score(loaded, [TEXT])
    loaded.model.rotary_emb.inv_freq = build_model("llama").model.rotary_emb.inv_freq

    assert compare(expected, score(loaded, [TEXT])).divergence > 1e-3


def test_weights_are_measured_by_their_name_in_the_file(base_file: Files) -> None:
    """A permuted matrix has the size of the one that is not."""
    path = base_file("llama")
    places = find_places(read_header(path), ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"])
    stored = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}

    sizes = measure_weights(load_base(path), places)

    assert sizes == pytest.approx({name: float((stored[name] ** 2).sum()) ** 0.5 for name in sizes}, rel=1e-5)
    assert set(sizes) == {"blk.0.attn_q.weight", "blk.1.ffn_down.weight"}


def rewrite(path: Path, target: Path, *, drop: str = "", add: str = "", **values: Any) -> Path:
    """Copy a GGUF without the tensor *drop*, with the tensor *add*, and with other values in its header."""
    reader = gguf.GGUFReader(path)
    architecture = values.pop("architecture", "llama")
    writer = gguf.GGUFWriter(target, architecture)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind, *inner = field.types
        key = name.replace("llama.", f"{architecture}.")
        writer.add_key_value(key, field.contents(), kind, inner[0] if inner else None)
    for name, value in values.items():
        key = name.replace("__", ".")
        writer.add_key_value(
            key, value, gguf.GGUFValueType.STRING if isinstance(value, str) else gguf.GGUFValueType.UINT32
        )
    for tensor in reader.tensors:
        if tensor.name != drop:
            writer.add_tensor(tensor.name, tensor.data)
    if add:
        writer.add_tensor(add, reader.tensors[0].data[:1].reshape(-1).copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"architecture": "gemma"}, "transformers does not read gemma from GGUF"),
        ({"llama__expert_count": 8}, "mixture of experts"),
        ({"split__count": 2}, "of 2 files"),
        ({"general__type": "adapter"}, "an adapter and not a model"),
        ({"llama__rope__scaling__type": "longrope"}, "longrope"),
        ({"add": "rope_factors_long.weight"}, "longrope"),
        ({"add": "blk.0.attn_sinks.weight"}, r"training would leave out blk\.0\.attn_sinks\.weight"),
        ({"drop": "token_embd.weight"}, "a vocabulary and no weights"),
        ({"drop": "blk.1.ffn_up.weight"}, r"it has no blk\.1\.ffn_up\.weight"),
    ],
    ids=str,
)
def test_what_would_be_lost_is_refused(change: dict[str, Any], reason: str, tmp_path: Path, base_file: Files) -> None:
    """A base that training would see otherwise than the engine is never trained, and the sentence says why."""
    path = rewrite(base_file("llama"), tmp_path / "changed.gguf", **change)

    with pytest.raises(Exception, match=reason):
        load_base(path)


def test_a_full_precision_folder_takes_the_files_place(tmp_path: Path, base_file: Files) -> None:
    """TRAINING_BASE loads a family that transformers cannot read from GGUF."""
    written = build_model("gemma")
    written.save_pretrained(tmp_path / "full")

    loaded = load_base(base_file("gemma"), tmp_path / "full")

    assert compare(score(written, [TEXT]), score(loaded, [TEXT])).divergence == 0


def test_a_folder_without_a_model_is_named(tmp_path: Path, base_file: Files) -> None:
    """The sentence names the setting and the folder."""
    with pytest.raises(LearningError, match=r"TRAINING_BASE is .*/empty, and there is no config\.json"):
        load_base(base_file("llama"), tmp_path / "empty")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(LearningError, match="no model can be loaded there"):
        load_base(base_file("llama"), tmp_path)


def test_another_vocabulary_is_seen(tmp_path: Path) -> None:
    """The file's own table of tokens decides how many there are, not its header."""
    path = write_gguf(tmp_path / "more.gguf", build_model("llama", vocab_size=len(TOKENS) + 3), "llama")

    assert load_base(path).config.vocab_size == len(TOKENS) + 3
