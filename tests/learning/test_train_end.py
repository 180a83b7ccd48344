"""The trainer as a process, from a plan to an adapter; killed on the way, it ends as if nothing had been."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bot.engine.files.gguf_header import read_header
from bot.learning.plan import ADAPTER, ADAPTER_SCORES, BASE_SCORES, OUTCOME, PEFT_FOLDER, Outcome, Progress
from bot.learning.proof.scores import load_scores
from bot.learning.training.energy import Meter
from bot.learning.training.fine_tuning import leave_picture, train
from bot.learning.training.watching import Watch
from tests.learning.conftest import Files
from tests.learning.training_folder import (
    LONG,
    fill_folder,
    make_answers,
    make_rehearsal,
    run_trainer,
    start_trainer,
    steps,
    wait_for,
)

AUTOGROUP = Path("/proc/self/autogroup")


@pytest.mark.filterwarnings("ignore")  # PEFT and TRL speak of what they would do with a model's folder
@pytest.mark.parametrize("changes", [{}, {"shelter": 0.01, "soft_rehearsal": 1.0}], ids=["plain", "sheltered"])
def test_a_killed_trainer_ends_as_one_left_in_peace(
    tmp_path: Path, base_file: Files, changes: dict[str, float]
) -> None:
    """After kill -9 the same command gives the very adapter that the same data and seed give without it."""
    killed, peaceful = tmp_path / "killed", tmp_path / "peaceful"
    for folder in (killed, peaceful):
        rows = [*make_answers(20), *make_rehearsal(8)]  # 16 and 8 are trained on
        plan = fill_folder(folder, base_file("llama"), rows, recipe=replace(LONG, **changes), watts=50.0)
    process = start_trainer(killed)
    wait_for(lambda: len(steps(killed)) >= 13)
    process.kill()
    process.communicate()
    assert not (killed / OUTCOME).exists()

    assert run_trainer(killed) == 0
    outcome, alone = Outcome.read(killed), train(plan, Watch(peaceful, 0.0, Meter()))

    check_folder(killed, outcome)
    assert read_adapter(killed) == read_adapter(peaceful)
    assert [entry["loss"] for entry in steps(killed)] == [entry["loss"] for entry in steps(peaceful)]
    assert outcome.validation_loss == alone.validation_loss
    assert run_trainer(killed) == 0  # what has ended is not trained again
    assert Outcome.read(killed) == outcome


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel does not share time out by session")
def test_a_trainers_session_goes_last(tmp_path: Path, base_file: Files) -> None:
    """Where Linux shares time out by session, the trainer's has the least weight, and nobody else's changes."""
    fill_folder(tmp_path, base_file("llama"), make_answers(20), recipe=LONG)
    ours = AUTOGROUP.read_text()
    process = start_trainer(tmp_path, start_new_session=True)
    wait_for(lambda: process.poll() is not None or steps(tmp_path))
    theirs = Path(f"/proc/{process.pid}/autogroup").read_text()
    process.kill()
    process.communicate()

    assert theirs.endswith(" nice 19\n")
    assert AUTOGROUP.read_text() == ours


def check_folder(folder: Path, outcome: Outcome | None) -> None:
    """A run folder has all that bot, engine and report need."""
    assert outcome
    assert outcome.is_done, outcome.reason
    assert (outcome.steps, outcome.ended_by) == (48, "end")
    assert outcome.last_loss < outcome.first_loss
    assert outcome.tokens_per_second > 0
    assert outcome.energy_source == "50 watts, as stated"
    header = read_header(folder / ADAPTER)
    adapted = {tensor.name.removesuffix(".lora_a") for tensor in header.tensors if tensor.name.endswith("lora_a")}
    assert set(outcome.weight_norms) == adapted
    assert header.metadata["apprentice.run_id"] == "7"
    base, trained = (load_scores(folder / name) for name in (BASE_SCORES, ADAPTER_SCORES))
    assert [text.tokens for text in base] == [text.tokens for text in trained]
    assert not np.allclose(base[0].given, trained[0].given)
    assert [entry["step"] for entry in steps(folder)] == list(range(1, 49))
    assert Progress.read(folder).phase == "exporting"
    assert (folder / "curves.png").read_bytes()[:4] == b"\x89PNG"


def read_adapter(folder: Path) -> bytes:
    """Return the adapter's own bytes."""
    return (folder / PEFT_FOLDER / "adapter_model.safetensors").read_bytes()


def test_a_picture_that_the_disk_does_not_take_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was trained all night counts without it, and says so."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    watch = Watch(tmp_path, 0.0, Meter())
    watch.journal.path.write_text('{"phase": "sft", "step": 1, "loss": 2.0}\n')
    monkeypatch.setattr(os, "fsync", refuse)

    assert "No space left" in leave_picture(watch, tmp_path / "curves.png")[0]
    assert not list(tmp_path.glob("*curves*"))
