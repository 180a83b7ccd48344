"""What the learning loop is told by the settings: plain values."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from bot.learning.data.policy import DataPolicy
from bot.learning.judging.gate import GateLimits
from bot.learning.training.recipe import Breadth
from bot.learning.window import Window

BY_CLOCK = frozenset({"schedule", "signal"})  # what began by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningConfig:
    """How one bot learns; *model_path* is None where the served file is not on this machine."""

    folder: Path  # DATA_DIR/learning
    model_path: Path | None
    training_base: Path | None = None
    off_by: str = ""  # the variable that switches learning off; empty: it is on
    needs_permission: bool = True
    window: Window
    threads: int = 1
    longest: timedelta = timedelta(hours=4)
    watts: float = 0.0
    price_per_kwh: float = 0.0
    search: int = 0
    folds: int = 0  # of a cross-validation, where few votes are held out; below two: none
    canary_share: float = 0.25
    canary_time: timedelta = timedelta(hours=24)
    canary_from_people: int = 8
    veto_time: timedelta = timedelta(0)
    shadow_answers: int = 0  # before anybody gets a new adapter
    channel_team_scale: float = 0.5  # how much of everybody's adapter is mixed into a channel's own
    policy: DataPolicy = field(default_factory=DataPolicy)
    breadth: Breadth | None = None  # in place of what the model's size asks for
    limits: GateLimits = field(default_factory=GateLimits)

    def deadline(self, started_at: datetime, *, trigger: str, queued_at: datetime | None = None) -> float:
        """Return until when a run may train: for what began by itself, the end of the window in which it did."""
        latest = started_at + self.longest
        if trigger in BY_CLOCK:
            local = (queued_at or started_at).astimezone().replace(tzinfo=None)  # its zone would be that of now
            latest = min(latest, self.window.end_after(local).astimezone())
        return latest.timestamp()

    def run_folder(self, run_id: int) -> Path:
        """Return the folder of a run."""
        return self.folder / "runs" / str(run_id)
