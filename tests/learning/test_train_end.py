"""The trainer as a process, from a plan to an adapter that proves itself."""

import json
from pathlib import Path

import numpy as np

from bot.engine.files.gguf_header import read_header
from bot.learning.plan import ADAPTER, ADAPTER_SCORES, BASE_SCORES, STEPS, Outcome, Progress
from bot.learning.proof.scores import load_scores
from tests.learning.conftest import Files
from tests.learning.training_folder import fill_folder, make_answers, run_trainer


def test_a_plan_becomes_an_adapter(tmp_path: Path, base_file: Files) -> None:
    """With almost no environment, a run folder gets all that bot, engine and report need."""
    fill_folder(tmp_path, base_file("llama"), make_answers(30), watts=50.0)

    assert run_trainer(tmp_path) == 0

    outcome = Outcome.read(tmp_path)
    assert outcome
    assert outcome.is_done, outcome.reason
    assert outcome.steps == 12
    assert outcome.ended_by == "end"
    assert outcome.last_loss < outcome.first_loss
    assert outcome.tokens_per_second > 0
    assert outcome.energy_source == "50 watts, as stated"
    assert set(outcome.weight_norms) == {name.removesuffix(".lora_a") for name in tensors(tmp_path) if "lora_a" in name}
    assert read_header(tmp_path / ADAPTER).metadata["apprentice.run_id"] == "7"
    base, adapted = (load_scores(tmp_path / name) for name in (BASE_SCORES, ADAPTER_SCORES))
    assert [text.tokens for text in base] == [text.tokens for text in adapted]
    assert not np.allclose(base[0].given, adapted[0].given)
    entries = [json.loads(line) for line in (tmp_path / STEPS).read_text().splitlines()]
    assert [entry["step"] for entry in entries if "loss" in entry] == list(range(1, 13))
    assert any("validation_loss" in entry for entry in entries)
    assert Progress.read(tmp_path).phase == "exporting"
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


def tensors(folder: Path) -> set[str]:
    """Return the names of the matrices in the adapter's file."""
    return {tensor.name for tensor in read_header(folder / ADAPTER).tensors}
