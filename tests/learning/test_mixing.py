"""Two adapters as one: what is served is the sum of both, and what does not belong together is refused in words."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from bot.engine.files.checksum import hash_model
from bot.errors import LearningError
from bot.learning.proof.mixing import Part, judge_mix, mix_adapters
from bot.learning.proof.scores import Scores, compare
from bot.learning.proof.served import score_served
from bot.learning.training.base import load_base, score
from tests.engine.conftest import serving
from tests.learning.conftest import Files
from tests.learning.night import Night, spend_night

RNG = np.random.default_rng(6)
TEXTS = [tuple(int(token) for token in RNG.integers(0, 270, 48)) for _ in range(3)]
SMALL = {"r": 3, "lora_alpha": 9, "target_modules": ["q_proj", "up_proj"]}


def nights(path: Path, folder: Path) -> tuple[Night, Night]:
    """Return two adapters over one base: of other ranks, alphas and modules."""
    one = spend_night(path, folder / "one", "llama", texts=TEXTS, seed=1, strength=0.2)
    other = spend_night(path, folder / "other", "llama", texts=TEXTS, seed=2, strength=0.4, **SMALL)
    return one, other


def deltas(night: Night) -> dict[str, torch.Tensor]:
    """Return what an adapter adds to each weight, as PEFT itself multiplies it out."""
    layers = night.adapted.named_modules()
    return {
        name.removeprefix("base_model.model."): layer.get_delta_weight("default")
        for name, layer in layers
        if hasattr(layer, "get_delta_weight")
    }


async def served(path: Path, adapter: Path) -> list[Scores]:
    """Return the engine's scores with an adapter."""
    async with serving(path, n_ctx=128) as client:
        await client.load_adapter("mixed", adapter, sha256=hash_model(adapter))
        return await score_served(client, TEXTS, model="mixed")


def expected(path: Path, parts: list[tuple[Night, float]]) -> list[Scores]:
    """Return torch's scores of the base with the sum of the scaled changes added to its weights."""
    model = load_base(path)
    with torch.no_grad():
        for night, scale in parts:
            for name, delta in deltas(night).items():
                model.get_submodule(name).weight += scale * delta
    return list(score(model, TEXTS))


@pytest.mark.parametrize("scales", [(1.0, 0.5), (0.7, -0.3)])
async def test_the_sum_is_served(scales: tuple[float, float], tmp_path: Path, base_file: Files) -> None:
    """Other ranks, other alphas, modules of only one: the engine computes what torch does with both changes added."""
    path = base_file("llama")
    one, other = nights(path, tmp_path)
    target = tmp_path / "mixed.gguf"

    mix_adapters([Part("own", one.adapter, scales[0]), Part("team", other.adapter, scales[1])], target)

    found = await served(path, target)
    agreement = compare(found, expected(path, [(one, scales[0]), (other, scales[1])]))
    alone = compare(found, expected(path, [(one, scales[0])]))
    assert agreement.divergence < 1e-4
    assert agreement.same_choice >= 0.99
    assert alone.divergence > 100 * agreement.divergence, "the second one is heard"
    reader = gguf.GGUFReader(target)
    said = {name: field.contents() for name, field in reader.fields.items()}
    assert {name: said[name] for name in one.origin} == one.origin
    assert [said[f"apprentice.part.{number}.name"] for number in (0, 1)] == ["own", "team"]
    ranks = {tensor.name: min(tensor.shape) for tensor in reader.tensors if tensor.name.endswith("lora_a")}
    assert ranks["blk.0.attn_q.weight.lora_a"] == 4 + 3
    assert ranks["blk.0.attn_v.weight.lora_a"] == 4


async def test_nothing_of_a_part_without_scale(tmp_path: Path, base_file: Files) -> None:
    """With the scale 0 the other part is served alone, exactly."""
    path = base_file("llama")
    one, other = nights(path, tmp_path)

    for index, night in enumerate((one, other)):
        scales = [float(index == place) for place in (0, 1)]
        target = tmp_path / f"{index}.gguf"
        mix_adapters([Part("a", one.adapter, scales[0]), Part("b", other.adapter, scales[1])], target)
        mixed, alone = await served(path, target), await served(path, night.adapter)
        found = compare(mixed, alone)
        assert found.divergence < 1e-5
        assert found.same_choice == 1
        assert index or found.largest_gap < 1e-6, "a scale of 2 loses no bit"


def test_what_does_not_belong_together(tmp_path: Path, base_file: Files) -> None:
    """Another base, no scale at all, and a file that is none are refused, and what was there stays."""
    path = base_file("llama")
    one, other = nights(path, tmp_path)
    stranger = spend_night(base_file("llama", "F16"), tmp_path / "stranger", "llama", texts=TEXTS)
    target = tmp_path / "mixed.gguf"
    target.write_bytes(b"before")
    torn = tmp_path / "torn.gguf"
    torn.write_bytes(one.adapter.read_bytes()[:100])

    for parts, said in (
        ([Part("a", one.adapter), Part("b", stranger.adapter)], "a and b were trained on different models"),
        ([Part("a", one.adapter, 0.0), Part("b", other.adapter, 0.0)], "Nothing would be left of a"),
        ([Part("a", one.adapter), Part("b", torn)], "b cannot be read"),
        ([Part("a", one.adapter), Part("b", tmp_path / "none.gguf")], "b cannot be read"),
    ):
        with pytest.raises(LearningError, match=said):
            mix_adapters(parts, target)
    assert target.read_bytes() == b"before"


def test_two_small_changes_can_be_too_large_together(tmp_path: Path, base_file: Files) -> None:
    """The change of each weight is measured in the mixed file, where both are."""
    path = base_file("llama")
    one, _ = nights(path, tmp_path)
    target = tmp_path / "mixed.gguf"
    delta = next(change.norm().item() for name, change in deltas(one).items() if name.endswith("0.mlp.down_proj"))
    norms = {"blk.0.ffn_down.weight": delta / 0.15}

    mix_adapters([Part("a", one.adapter)], target)
    assert judge_mix(target, norms=norms).holds
    mix_adapters([Part("a", one.adapter), Part("b", one.adapter)], target)
    check = judge_mix(target, norms=norms)

    assert not check.holds
    assert "by 0.300 of its size" in check.sentence
    assert "at most 0.283" in check.sentence
    assert not judge_mix(target, norms={}).holds
