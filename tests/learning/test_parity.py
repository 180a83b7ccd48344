"""From a trained adapter to a served one and back: the engine computes what torch does, and a wrong file is seen."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from bot.engine.client import EngineClient
from bot.engine.files.gguf_header import read_header
from bot.errors import EngineError, EngineUnavailable
from bot.learning.proof.adapter_file import judge_file
from bot.learning.proof.parity import is_quantized, judge_adapter, judge_base, judge_trace
from bot.learning.proof.served import score_served
from bot.learning.training.base import score
from tests.engine.conftest import serving
from tests.learning.conftest import Files
from tests.learning.night import Night, measure, spend_night
from tests.learning.tiny_models import SHAPES, build_model

GREEDY = {"temperature": 0, "ignore_eos": True, "return_token_ids": True}
RNG = np.random.default_rng(5)
TEXTS = [tuple(int(token) for token in RNG.integers(0, 270, 64)) for _ in range(4)]


@pytest.mark.parametrize("kind", SHAPES)
async def test_the_served_adapter_is_the_trained_one(kind: str, tmp_path: Path, base_file: Files) -> None:
    """Base, adapter, first choices, file and trace: all proofs hold for every family."""
    path = base_file(kind)
    night = spend_night(path, tmp_path, kind, texts=TEXTS)

    measured, after = await measure(path, night)

    checks = [
        judge_base(measured.served_base, measured.trained_base, base=night.base),
        *judge_adapter(measured),
        judge_file(night.adapter, norms=night.sizes, header=night.origin),
        judge_trace(measured.served_base, after),
    ]
    assert [check.sentence for check in checks if not check.holds] == []
    assert [check.name[:2] for check in checks] == ["P1", "P2", "P3", "P5", "P6"]
    served, trained = measured.effects()
    assert served == pytest.approx(trained, rel=0.01)
    assert trained > 1e-3


@pytest.mark.parametrize("options", [{"use_rslora": True}, {"alpha_pattern": {"q_proj": 40, "up_proj": 2}}], ids=str)
async def test_scales_that_the_converter_loses_are_served(
    options: dict[str, Any], tmp_path: Path, base_file: Files
) -> None:
    """rsLoRA and alpha_pattern have their full effect; written as upstream does, the proof says what is wrong."""
    path = base_file("qwen2")
    night = spend_night(path, tmp_path, "qwen2", r=8, **options, texts=TEXTS)

    right, _ = await measure(path, night)
    wrong, _ = await measure(path, replace(night, adapter=write_as_upstream(night.adapter, tmp_path / "wrong.gguf")))

    assert all(check.holds for check in judge_adapter(right))
    served, trained = right.effects()
    assert served / trained == pytest.approx(1, abs=0.01)
    check = judge_adapter(wrong)[0]
    assert not check.holds
    assert "of the trained one" in check.sentence


def write_as_upstream(path: Path, target: Path) -> Path:
    """Write an adapter with `lora_alpha` alone, as the converter does whatever the configuration says."""
    reader = gguf.GGUFReader(path)
    alpha = float(reader.fields["adapter.lora.alpha"].contents())
    writer = gguf.GGUFWriter(target, "qwen2")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    for tensor in reader.tensors:
        pattern = {"attn_q": 40 / 8, "ffn_up": 2 / 8}.get(tensor.name.split(".")[2], 1.0)
        folded = tensor.name.endswith("lora_b") and not alpha
        writer.add_tensor(tensor.name, tensor.data / np.float16(pattern) if folded else tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


async def test_greedy_answers_are_equal(tmp_path: Path, base_file: Files) -> None:
    """At least 99 of 100 tokens that the engine writes with the adapter are those that torch would write next."""
    path = base_file("llama-tied")
    night = spend_night(path, tmp_path, "llama-tied", strength=0.2, texts=TEXTS)
    answers: list[tuple[list[int], list[int]]] = []
    async with serving(path, n_ctx=128) as client:
        await client.load_adapter("candidate", night.adapter)
        for text in TEXTS:
            body = {"model": "candidate", "prompt": list(text[:16]), "max_tokens": 50, **GREEDY}
            answers.append((body["prompt"], (await client.complete(body))["choices"][0]["token_ids"]))

    same = []
    for prompt, written in answers:
        with torch.inference_mode():
            logits = night.adapted(input_ids=torch.tensor([prompt + written])).logits[0]
        same += (logits[len(prompt) - 1 : -1].argmax(-1) == torch.tensor(written)).tolist()
    assert len(same) > 100
    assert np.mean(same) >= 0.99


@pytest.mark.parametrize("quantized", ["F16", "Q8_0", "Q4_0"])
async def test_training_on_the_served_quantization_is_in_step(quantized: str, tmp_path: Path, base_file: Files) -> None:
    """The dequantized base differs from the served one by llama.cpp's rounding of activations and no more."""
    path = base_file("llama", quantized)
    night = spend_night(path, tmp_path, "llama", texts=TEXTS)

    measured, _ = await measure(path, night)

    assert is_quantized(night.base) == (quantized != "F16")
    checks = [judge_base(measured.served_base, measured.trained_base, base=night.base), *judge_adapter(measured)]
    assert [check.sentence for check in checks if not check.holds] == []


async def test_another_base_is_seen_before_a_step_is_made(tmp_path: Path, base_file: Files) -> None:
    """A model that lost its RoPE scaling is refused with the likely cause and the mend."""
    path = base_file("llama3-rope")
    async with serving(path, n_ctx=128) as client:
        served = await score_served(client, TEXTS, model=path.stem)

    check = judge_base(served, score(build_model("llama"), TEXTS), base=read_header(path))

    assert not check.holds
    assert "RoPE scaling" in check.sentence
    assert "TRAINING_BASE" in check.sentence


async def test_an_adapter_for_another_file_is_not_even_tried(tmp_path: Path, base_file: Files) -> None:
    """The header's checksum names the base: the same shape with other weights is refused, and the base goes on."""
    night = spend_night(base_file("llama"), tmp_path, "llama", texts=TEXTS)

    with pytest.raises(EngineError, match="another model"):
        await measure(base_file("llama", "F16"), night)


def test_a_trace_is_seen() -> None:
    """One bit of difference after the adapter is gone is enough."""
    before = score(build_model("qwen2"), TEXTS[:1])
    after = [replace(before[0], given=np.nextafter(before[0].given, np.float32(0)))]

    assert judge_trace(before, before).holds
    assert not judge_trace(before, after).holds


@pytest.fixture
def finished(tmp_path: Path, base_file: Files) -> Callable[..., Night]:
    """Return a night with an adapter for the tiny llama."""
    return lambda **options: spend_night(base_file("llama"), tmp_path, "llama", texts=TEXTS, **options)


def test_a_file_that_is_not_the_trained_one_is_seen(finished: Callable[..., Night]) -> None:
    """Missing and foreign matrices, another run's header, and a change too far each have their words."""
    night = finished()
    judge = lambda norms, header: judge_file(night.adapter, norms=norms, header=header).sentence  # noqa: E731 - a table

    assert "is too much" in judge(dict(list(night.sizes.items())[1:]), night.origin)
    assert "blk.9.attn_q.weight.lora_a is missing" in judge({**night.sizes, "blk.9.attn_q.weight": 1.0}, night.origin)
    assert "apprentice.run_id is not the run's" in judge(night.sizes, {"apprentice.run_id": "another"})
    small = {name: size / 10 for name, size in night.sizes.items()}
    far = judge_file(night.adapter, norms=small, header=night.origin)
    assert not far.holds
    assert "changes most, by" in far.sentence


def test_the_change_of_a_weight_is_measured_right(finished: Callable[..., Night]) -> None:
    """The figure in the sentence is that of PEFT's own merged weight."""
    night = finished(r=2, target_modules=["down_proj"], layers_to_transform=[1])
    layer = night.adapted.base_model.model.model.layers[1].mlp.down_proj
    true = (layer.get_delta_weight("default").norm() / layer.base_layer.weight.norm()).item()

    check = judge_file(
        night.adapter, norms={"blk.1.ffn_down.weight": night.sizes["blk.1.ffn_down.weight"]}, header=night.origin
    )

    assert f"by {true:.3f} of its size" in check.sentence


async def test_an_engine_that_cannot_score_says_so(tmp_path: Path, base_file: Files) -> None:
    """An unknown model and a missing engine are errors with a sentence."""
    async with serving(base_file("llama"), n_ctx=128) as client:
        with pytest.raises(EngineError, match="nobody"):
            await score_served(client, TEXTS, model="nobody")
    async with EngineClient(socket_path=tmp_path / "no.sock") as client:
        with pytest.raises(EngineUnavailable, match="not reachable"):
            await score_served(client, TEXTS, model="nobody")
