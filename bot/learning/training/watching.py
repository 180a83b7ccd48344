"""What looks on while TRL trains: progress, the journal, pauses, the end of the window, signals, and losses gone wrong.

It only watches and says stop; whatever touches a weight is TRL's.
"""

import signal
import time
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]
from transformers import TrainerCallback

from bot.errors import LearningError
from bot.learning.plan import PAUSE, Progress
from bot.learning.training.energy import Meter
from bot.learning.training.journal import Journal

WRITES = 0.5  # seconds between two words about the progress
LOOKS = 0.2  # seconds between two looks at the pause file


@dataclass(slots=True)
class Watch:
    """One run of the trainer as seen from outside, over all its phases."""

    folder: Path
    deadline: float
    meter: Meter
    journal: Journal = field(init=False)
    is_shown: bool = False  # in a terminal
    steps: int = 0  # of all phases together, once they are known
    tokens: int = 0
    seconds: float = 0.0
    is_late: bool = False
    is_stopped: bool = False  # by a signal: a later start goes on

    def __post_init__(self) -> None:
        self.journal = Journal(self.folder)

    def listen(self) -> None:
        """Let SIGTERM and SIGINT end the training after the step under way, with a checkpoint."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.is_stopped = True

    def hold(self, progress: Progress) -> None:
        """Hold still while the pause file is there; the window's end and a signal still count."""
        if not (self.folder / PAUSE).exists():
            return
        while (self.folder / PAUSE).exists() and not self.must_end():
            replace(progress, is_paused=True, at=time.time()).write(self.folder)
            time.sleep(LOOKS)
        progress.write(self.folder)

    def must_end(self) -> bool:
        """Whether the window is over or a signal came."""
        self.is_late = self.is_late or 0 < self.deadline <= time.time()
        return self.is_late or self.is_stopped

    def tokens_per_second(self) -> float:
        """Return how fast the steps were, without pauses and evaluations."""
        return self.tokens / self.seconds if self.seconds else 0.0


class StepWatcher(TrainerCallback):  # type: ignore[misc]
    """Watches one phase for *watch*; *before* is how many steps earlier phases took."""

    def __init__(self, watch: Watch, *, phase: str, before: int) -> None:
        self._watch, self._phase, self._before = watch, phase, before
        self._progress = Progress(phase=phase, step=before, steps=watch.steps)
        self._began = self._spent = 0.0
        self._counted = 0
        self._said_at = 0.0
        self._bar = tqdm(total=watch.steps, initial=before, desc=phase, unit="step", disable=not watch.is_shown)

    def on_step_begin(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Hold before a step if someone asks for it."""
        self._watch.hold(self._progress)
        self._began = time.monotonic()

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> Any:
        """Stop with what there is when the time is over, and keep it where a later start finds it."""
        self._spent = time.monotonic() - self._began
        self._watch.meter.read()
        if self._watch.must_end():
            control.should_training_stop = control.should_save = True
            control.should_evaluate = control.should_evaluate or self._watch.is_late
        return control

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Show where a training that goes on stands."""
        self._bar.update(state.global_step)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Leave the terminal to what comes next."""
        self._bar.close()

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Write down a step or an evaluation."""
        logs = logs or {}
        step = self._before + state.global_step
        if "grad_norm" in logs:
            self._check(step, loss=logs["loss"], norm=logs["grad_norm"])
            self._note_step(step, logs)
        elif "eval_loss" in logs:
            self._watch.journal.add({"step": step, "phase": self._phase, "validation_loss": logs["eval_loss"]})

    def _note_step(self, step: int, logs: dict[str, float]) -> None:
        watch = self._watch
        tokens = int(logs.get("num_tokens", 0)) - self._counted
        self._counted += tokens
        watch.tokens += tokens
        watch.seconds += self._spent
        watch.journal.add(
            {
                "step": step,
                "phase": self._phase,
                "loss": logs["loss"],
                "lr": logs["learning_rate"],
                "grad_norm": logs["grad_norm"],
                "tokens": tokens,
                "seconds": round(self._spent, 4),
            }
        )
        self._bar.update()
        self._bar.set_postfix(loss=f"{logs['loss']:.3f}", rate=f"{watch.tokens_per_second():.0f} tok/s")
        now = time.time()
        self._progress = Progress(
            phase=self._phase,
            step=step,
            steps=watch.steps,
            loss=logs["loss"],
            tokens_per_second=watch.tokens_per_second(),
            at=now,
        )
        if now - self._said_at >= WRITES:
            self._said_at = now
            self._progress.write(watch.folder)

    @staticmethod
    def _check(step: int, *, loss: float, norm: float) -> None:
        """Raise *LearningError* when the training has gone astray: what follows would only be noise."""
        if not isfinite(loss) or not isfinite(norm):
            what = "loss" if not isfinite(loss) else "gradient"
            raise LearningError(
                f"The {what} is no longer a number at step {step}, so the training was given up: the rate is too high "
                "for this model, or a row is broken. Set TRAINING_SEARCH=4 so that lower rates are tried, or look at "
                "the newest rows in the data report."
            )
