"""What can be asked and done about learning: one function each, for Slack's commands and buttons and for the CLI."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.learning.figures import RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningStatus:
    """How the learning is: permitted or not, what runs, what is served, what is missing for the next run."""

    is_enabled: bool  # TRAINING_ENABLED
    allowed_by: str = ""  # who acknowledged, empty: nobody has
    allowed_at: datetime | None = None
    is_paused: bool = False
    run_id: int | None = None  # the run under way
    run_state: str = ""
    phase: str = ""
    step: int = 0
    steps: int = 0
    active: str = ""  # the adapter that everybody gets; empty: the base
    canary: str = ""
    canary_share: float = 0.0
    next_run: datetime | None = None
    points: float = 0.0  # how much signal has come since the last run
    points_needed: float = 0.0
    last_run_id: int | None = None
    last_outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterLine:
    """An adapter in a list."""

    name: str
    run_id: int
    state: str
    created_at: datetime
    changed_at: datetime
    reasons: tuple[str, ...] = ()
    ups: int = 0
    downs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why an answer is as it is; the texts in it are the asker's own conversation."""

    model: str
    model_sha256: str
    adapter: str = ""
    run_id: int | None = None
    run_finished_at: datetime | None = None
    learned_from: tuple[str, ...] = ()  # what the adapter's run learned from, counts in words
    prompt_name: str = ""
    prompt_version: str = ""
    messages_used: int = 0
    messages_total: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    first_token_seconds: float | None = None
    seconds: float | None = None
    sampling: str = ""
    finish_reason: str = ""


class Learning:
    """The learning loop as people steer it. Every method that changes something writes an audit row with *by*.

    What cannot be done raises *LearningError* whose sentence says why and what to do.
    """

    async def status(self) -> LearningStatus:
        """Return how the learning is."""
        raise NotImplementedError

    async def allow(self, *, by: str) -> None:
        """Keep that an admin acknowledged what training on the workspace's conversations means."""
        raise NotImplementedError

    async def forbid(self, *, by: str) -> None:
        """Take the permission back; a run under way is cancelled."""
        raise NotImplementedError

    async def request_run(self, *, by: str, trigger: str, is_dry: bool = False) -> int:
        """Queue a run and return its number; *is_dry* builds the data set and its report only."""
        raise NotImplementedError

    async def cancel_run(self, *, by: str) -> int:
        """Cancel the run under way and return its number."""
        raise NotImplementedError

    async def pause(self, *, by: str) -> None:
        """Let no scheduled run begin, and hold the one under way still."""
        raise NotImplementedError

    async def resume(self, *, by: str) -> None:
        """Undo *pause*."""
        raise NotImplementedError

    async def adapters(self) -> Sequence[AdapterLine]:
        """Return every adapter, newest first."""
        raise NotImplementedError

    async def report(self, name: str = "") -> RunReport:
        """Return the report of the run named by its number or its adapter's name; empty: the newest ended run's."""
        raise NotImplementedError

    async def promote(self, name: str, *, by: str) -> str:
        """Serve an adapter to everybody from the next question on; return what it replaced."""
        raise NotImplementedError

    async def rollback(self, *, by: str, reason: str = "") -> tuple[str, str]:
        """Take back the canary, or else the active adapter; return what was taken back and what is served now."""
        raise NotImplementedError

    async def compare(self, question: str, names: Sequence[str] = ()) -> Sequence[tuple[str, str]]:
        """Return what the base and each named adapter (none named: the active and the canary) answer to *question*."""
        raise NotImplementedError

    async def explain(self, answer_id: str) -> Why | None:
        """Return why an answer is as it is; None when it is not known."""
        raise NotImplementedError

    async def choose(self, kind: str, subject_id: str, *, is_allowed: bool, by: str) -> None:
        """Let a `person`'s or a `channel`'s words be learned from, or not."""
        raise NotImplementedError

    async def is_chosen(self, kind: str, subject_id: str) -> bool | None:
        """Return what was chosen for a person or a channel; None when nothing was."""
        raise NotImplementedError
