"""How a training stops, holds and goes on: pauses, the window's end, signals, kills, losses gone wrong, a full disk."""

import json
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.errors import LearningError
from bot.learning.plan import ADAPTER, CHECKPOINTS, PAUSE, STEPS, Plan, Progress
from bot.learning.training.energy import Meter
from bot.learning.training.fine_tuning import train
from bot.learning.training.trainer import explain
from bot.learning.training.watching import Watch
from tests.learning.conftest import Files
from tests.learning.training_folder import LONG, SMALL, fill_folder, make_answers, steps, wait_for

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT and TRL speak of what they would do with a model's folder
Fill = Callable[..., Plan]


@pytest.fixture
def fill(tmp_path: Path, base_file: Files) -> Fill:
    """Return what fills the test's folder as the bot does."""
    return lambda folder=tmp_path, count=30, **changes: fill_folder(
        folder, base_file("llama"), make_answers(count), **changes
    )


def run(plan: Plan, folder: Path, **changes: Any) -> Any:
    """Train in this process."""
    return train(plan, Watch(folder, changes.get("deadline", plan.deadline), Meter()))


def test_a_signal_saves_a_checkpoint_and_ends(tmp_path: Path, fill: Fill) -> None:
    """On SIGTERM the step under way is kept where the next start finds it, and no outcome is claimed."""
    plan = fill(recipe=LONG)
    watch = Watch(tmp_path, 0.0, Meter())
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    watch.listen()

    def send() -> None:
        wait_for(lambda: len(steps(tmp_path)) >= 2)
        os.kill(os.getpid(), signal.SIGTERM)

    helper = threading.Thread(target=send)
    helper.start()
    outcome = train(plan, watch)
    helper.join()
    for number, handler in handlers.items():
        signal.signal(number, handler)

    assert outcome is None
    assert list((tmp_path / CHECKPOINTS / "sft").glob(f"checkpoint-{len(steps(tmp_path))}/trainer_state.json"))


def test_a_pause_holds_between_two_steps(tmp_path: Path, fill: Fill) -> None:
    """While the pause file is there nothing is trained and the progress says so; then it goes on."""
    plan = fill(count=10)
    (tmp_path / PAUSE).touch()

    def end_pause() -> None:
        wait_for(lambda: (found := Progress.read(tmp_path)) and found.is_paused)
        assert steps(tmp_path) == []
        (tmp_path / PAUSE).unlink()

    helper = threading.Thread(target=end_pause)
    helper.start()
    outcome = run(plan, tmp_path)
    helper.join()

    assert outcome.is_done
    assert not Progress.read(tmp_path).is_paused


def test_the_windows_end_keeps_what_there_is(tmp_path: Path, fill: Fill) -> None:
    """A deadline in the middle leaves an adapter that says so; one before the first step leaves words."""
    plan = fill(recipe=LONG)
    watch = Watch(tmp_path, 0.0, Meter())

    def end_window() -> None:
        wait_for(lambda: len(steps(tmp_path)) >= 3)
        watch.deadline = time.time()

    helper = threading.Thread(target=end_window)
    helper.start()
    outcome = train(plan, watch)
    helper.join()

    assert outcome.is_done
    assert outcome.ended_by == "deadline"
    assert 3 <= outcome.steps < 48
    assert (tmp_path / ADAPTER).exists()

    with pytest.raises(LearningError, match="over before the first step"):
        run(fill(tmp_path / "late"), tmp_path / "late", deadline=time.time())


def test_it_stops_when_the_validation_loss_rises(tmp_path: Path, fill: Fill) -> None:
    """Learning by heart is ended by patience, and the best checkpoint is what is kept."""
    outcome = run(fill(recipe=replace(SMALL, sft_rate=2e-2, epochs=60.0, patience=1)), tmp_path)

    held_out = [json.loads(line).get("validation_loss") for line in (tmp_path / STEPS).read_text().splitlines()]
    assert outcome.ended_by == "early"
    assert outcome.steps < 360
    assert outcome.validation_loss == min(loss for loss in held_out[1:] if loss is not None)


def test_a_loss_that_is_no_number_ends_in_words(tmp_path: Path, fill: Fill) -> None:
    """A rate far too high is named, and no adapter is left."""
    with pytest.raises(LearningError, match=r"no longer a number at step \d+.*TRAINING_SEARCH"):
        run(fill(recipe=replace(SMALL, sft_rate=1e20, warmup=0.0)), tmp_path)

    assert not (tmp_path / "adapter.gguf").exists()


def test_a_full_disk_is_named(tmp_path: Path, fill: Fill) -> None:
    """A checkpoint that cannot be written ends in a sentence with the folder and the mend."""
    plan = fill(count=10)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises((OSError, RuntimeError)) as caught:
            run(plan, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    assert "make room" in explain(caught.value, tmp_path)
