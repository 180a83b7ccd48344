"""What people who steer the learning see of it: plain data for Slack's commands and the CLI."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.errors import LearningError
from bot.language import _
from bot.storage import adapters as store
from bot.storage.db import Session
from bot.storage.learning_tables import Adapter

ACROSS = "LEARN_ACROSS_WORKSPACES"


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningStatus:
    """How the learning is: permitted or not, what runs, what is served, what is missing for the next run."""

    off_by: str = ""  # the variable that switches it off; empty: it is on
    allowed_by: str = ""  # who acknowledged, empty: nobody has
    allowed_at: datetime | None = None
    is_paused: bool = False
    run_id: int | None = None  # the run under way
    run_state: str = ""
    run_channel: str = ""  # whose own adapter it makes; empty: everybody's
    is_run_dry: bool = False  # it only looks
    phase: str = ""
    step: int = 0
    steps: int = 0
    active: str = ""  # the adapter that everybody gets; empty: the base
    canary: str = ""
    canary_share: float = 0.0
    put_aside: tuple[str, ...] = ()  # what would answer, if what one workspace taught might answer the others
    next_run: datetime | None = None
    points: float = 0.0  # how much signal has come since the last run
    points_needed: float = 0.0
    last_run_id: int | None = None
    is_last_dry: bool = False
    last_outcome: str = ""
    last_mend: str = ""  # what can be done where it failed
    last_ended_at: datetime | None = None
    agreed: int | None = None  # how many channels an admin has turned on; None: that is not needed here
    channels: Mapping[str, str] = field(default_factory=dict)  # that want their own, with what answers there now


def tell_off(variable: str) -> str:
    """Say that a variable switches learning off, and what to do about it."""
    if variable == ACROSS:
        return _(
            "Training is off where several workspaces are served: what one of them taught would answer the others. "
            "Only where they may know of each other, set LEARN_ACROSS_WORKSPACES=true and start the bot again."
        )
    return _("Training is switched off here: set {variable}=true and start the bot again.").format(variable=variable)


def check_on(off_by: str) -> None:
    """Raise *LearningError* if a variable switches learning off; empty: none does."""
    if off_by:
        raise LearningError(tell_off(off_by))


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
    channel_id: str = ""  # whose own it is; empty: everybody's
    is_put_aside: bool = False  # it answers nobody while the workspaces must not mix
    is_held: bool = False  # it waits, and for a person alone since training was switched off

    @property
    def shown(self) -> str:
        """What people are told that it is."""
        return store.HELD if self.is_held else self.state

    def is_called(self, name: str) -> bool:
        """Return whether people mean this one by *name*, which may be its run's number."""
        return name == self.name or (name.isdecimal() and name.lstrip("0") == str(self.run_id))


async def list_adapters(session: Session, *, puts_aside: Callable[[Adapter], bool]) -> Sequence[AdapterLine]:
    """Return every adapter, newest first; *puts_aside* says of what is served whether it answers nobody for now."""
    lines = []
    for adapter in await store.all_adapters(session):
        ups, downs = await store.count_votes(session, adapter.name)
        line = AdapterLine(
            name=adapter.name,
            run_id=adapter.run_id,
            state=str(adapter.state),
            created_at=adapter.created_at,
            changed_at=adapter.changed_at,
            reasons=await store.last_reasons(session, adapter.id),
            ups=ups,
            downs=downs,
            channel_id=adapter.channel_id,
            is_put_aside=adapter.state in store.SERVED and puts_aside(adapter),
            is_held=await store.find_shown_state(session, adapter) == store.HELD,
        )
        lines.append(line)
    return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why an answer is as it is; the texts in it are the asker's own conversation."""

    model: str
    model_sha256: str
    adapter: str = ""
    is_chosen: bool = False  # whoever asked chose that this answers them
    run_id: int | None = None
    run_finished_at: datetime | None = None
    learned_from: Mapping[str, int] = field(default_factory=dict)  # what the adapter's run learned from
    prompt_name: str = ""
    prompt_version: str = ""
    other_prompts: tuple[tuple[str, str], ...] = ()  # that told of corrections and summaries, with their versions
    messages_used: int = 0
    messages_total: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    queued_seconds: float | None = None
    first_token_seconds: float | None = None
    seconds: float | None = None
    sampling: str = ""
    finish_reason: str = ""
    is_stopped: bool = False
    certainty: float | None = None  # the geometric mean of the probabilities of its tokens
    unsure: tuple[tuple[str, float], ...] = ()  # its least certain words, in its order
