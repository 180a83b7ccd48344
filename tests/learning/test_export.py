"""A PEFT adapter becomes the GGUF adapter that llama.cpp's own converter would make of it, or nothing at all."""

import json
import resource
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bot.engine.files.gguf_header import Header, read_header
from bot.errors import LearningError
from bot.learning.proof.export import choose_scale, export_adapter, read_adapter
from tests.learning.conftest import Files, change_config
from tests.learning.make_golden import GOLDEN, KINDS, describe
from tests.learning.night import ORIGIN

FOLDER = Callable[..., Path]


def read_alpha(path: Path) -> float:
    """Return the alpha in an adapter's header."""
    return float(gguf.GGUFReader(path).fields["adapter.lora.alpha"].contents())


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_equal_the_converters(kind: str, tmp_path: Path, base_file: Files, saved: FOLDER) -> None:
    """Names, types, shapes and every bit are those of llama.cpp's converter, and so is what the header means."""
    export_adapter(saved(kind), tmp_path / "ours.gguf", base=read_header(base_file(kind)), origin=ORIGIN)

    assert describe(tmp_path / "ours.gguf") == json.loads((GOLDEN / f"{kind}.json").read_text())


def test_the_file_says_where_it_comes_from(exported: FOLDER) -> None:
    """Run, base, template and data stand in the header, and the base's name where others look for it."""
    header = read_header(exported())

    assert {key: header.text(key) for key in ORIGIN.values()} == ORIGIN.values()
    assert header.text("general.base_model.0.name") == "tiny random model"
    assert header.is_adapter


@pytest.mark.parametrize(
    ("options", "alpha"),
    [
        ({"r": 4, "lora_alpha": 8}, 8),
        ({"r": 16, "lora_alpha": 8, "use_rslora": True}, 32),
        ({"r": 4, "lora_alpha": 8, "rank_pattern": {"q_proj": 2}}, 8),
        ({"r": 4, "lora_alpha": 8, "alpha_pattern": {"q_proj": 2}}, 0),
        ({"r": 4, "lora_alpha": 8, "rank_pattern": {"q_proj": 16}, "use_rslora": True}, 0),
    ],
    ids=str,
)
def test_every_module_has_the_scale_that_peft_gave_it(
    options: dict[str, object], alpha: float, exported: FOLDER, tmp_path: Path
) -> None:
    """One alpha where one is enough; else each scale is in its matrix, and alpha 0 tells llama.cpp to add nothing."""
    path = exported(**options)
    tensors = {tensor.name: tensor.data.astype(np.float32) for tensor in gguf.GGUFReader(path).tensors}
    config, pairs = read_adapter(tmp_path / "adapter")
    written = tensors["blk.0.attn_v.weight.lora_b"]
    scale = alpha / written.shape[1] if alpha else 1

    assert read_alpha(path) == pytest.approx(alpha)
    trained = pairs["model.layers.0.self_attn.v_proj"]
    expected = 8 / (4 if "use_rslora" not in options else trained.rank**0.5)
    np.testing.assert_allclose(written * scale, trained.b * expected, rtol=2e-3, atol=1e-6)
    assert choose_scale(config, pairs)[0] == pytest.approx(alpha)


def damage(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """Change the matrices that PEFT saved."""
    path = folder / "adapter_model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)
    return folder


NAME = "base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda weights: weights[NAME].fill_(float("nan")), "NaN or infinity"),
        (lambda weights: weights[NAME].fill_(1e6), "too large for half floats"),
        (lambda weights: weights.pop(NAME), "only one matrix"),
        (lambda weights: weights.clear(), "no matrices"),
        (lambda weights: weights.update({NAME: torch.zeros(3, 4)}), "does not fit"),
        (lambda weights: weights.update({"base_model.model.lm_head.weight": torch.zeros(3, 4)}), "cannot carry"),
        (
            lambda weights: weights.update(
                {f"base_model.model.model.router.lora_{side}.weight": torch.zeros(4, 4) for side in "AB"}
            ),
            "model.router",
        ),
    ],
)
def test_a_wrong_adapter_is_refused_and_the_old_file_stays(
    change: Callable[[dict[str, torch.Tensor]], None], reason: str, tmp_path: Path, base: Header, saved: FOLDER
) -> None:
    """Each fault has its sentence, and what was there before is still there, with nothing beside it."""
    target = tmp_path / "out" / "adapter.gguf"
    target.parent.mkdir()
    target.write_text("the one before")

    with pytest.raises(LearningError, match=reason):
        export_adapter(damage(saved(), change), target, base=base, origin=ORIGIN)

    assert [path.name for path in target.parent.iterdir()] == ["adapter.gguf"]
    assert target.read_text() == "the one before"


def test_an_adapter_for_another_shape_is_refused(tmp_path: Path, base_file: Files, saved: FOLDER) -> None:
    """An adapter of one family does not become one of another."""
    with pytest.raises(LearningError, match="has no matrix"):
        export_adapter(saved("phi3"), tmp_path / "a.gguf", base=read_header(base_file("llama")), origin=ORIGIN)


def test_an_unknown_family_is_refused(tmp_path: Path, saved: FOLDER) -> None:
    """A family whose names nobody has compared with the converter's gets no adapter."""
    writer = gguf.GGUFWriter(tmp_path / "falcon.gguf", "falcon")
    writer.add_block_count(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    with pytest.raises(LearningError, match="family 'falcon'"):
        export_adapter(saved(), tmp_path / "a.gguf", base=read_header(tmp_path / "falcon.gguf"), origin=ORIGIN)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, base: Header, saved: FOLDER) -> None:
    """The sentence names the file and what to do."""
    (tmp_path / "file").write_text("")

    with pytest.raises(LearningError, match=r"file/adapter\.gguf cannot be written .* make room"):
        export_adapter(saved(), tmp_path / "file" / "adapter.gguf", base=base, origin=ORIGIN)


def test_a_full_disk_leaves_the_file_of_before(tmp_path: Path, base: Header, saved: FOLDER) -> None:
    """When writing stops in the middle, nothing has changed and nothing is left over."""
    folder, target = saved(), tmp_path / "out" / "adapter.gguf"
    target.parent.mkdir()
    target.write_text("the one before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(LearningError, match="make room"):
            export_adapter(folder, target, base=base, origin=ORIGIN)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert [path.name for path in target.parent.iterdir()] == ["adapter.gguf"]
    assert target.read_text() == "the one before"


def test_the_same_adapter_is_the_same_file(tmp_path: Path, base: Header, saved: FOLDER) -> None:
    """A run that is repeated has the same checksum, and 16-bit weights are read like others."""
    folder = saved()
    damage(folder, lambda weights: weights.update({name: data.bfloat16() for name, data in weights.items()}))
    for name in ("one", "two"):
        export_adapter(folder, tmp_path / name, base=base, origin=ORIGIN)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_header(tmp_path / "one").tensors


def test_an_unreadable_folder_is_named(tmp_path: Path, base: Header, saved: FOLDER) -> None:
    """An adapter that is not there, or not PEFT's, is one sentence."""
    with pytest.raises(LearningError, match="holds no adapter"):
        export_adapter(tmp_path / "nothing", tmp_path / "a.gguf", base=base, origin=ORIGIN)
    folder = change_config(saved(), lora_alpha=8)
    (folder / "adapter_model.safetensors").write_bytes(b"cut")
    with pytest.raises(LearningError, match="holds no adapter"):
        export_adapter(folder, tmp_path / "a.gguf", base=base, origin=ORIGIN)
