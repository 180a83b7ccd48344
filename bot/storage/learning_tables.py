"""The tables of the learning loop: permission, runs, what each learned from, adapters, figures, decisions.

Nothing here holds a text of the team but a run's report. It has what everybody could read, or for a channel's own run
what that channel could.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Base, new_id, now


class RunState(StrEnum):
    """Where a run stands; the last three are ends."""

    QUEUED = "queued"
    COLLECTING = "collecting"
    TRAINING = "training"
    PROVING = "proving"
    JUDGING = "judging"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)


class AdapterState(StrEnum):
    """Where an adapter stands; at most one is active and one a canary for everybody, and one active for a channel."""

    BUILT = "built"
    WAITING = "waiting"  # judged well, and held for a veto or for somebody to promote it
    CANARY = "canary"
    ACTIVE = "active"
    RETIRED = "retired"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    TAINTED = "tainted"


class Lease(Base):
    """Who may do what only one process may do; *fence* grows with each owner, so that a late one is found out."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(64))
    fence: Mapped[int]
    until: Mapped[datetime]


class AuditRow(Base):
    """What somebody with more rights than others did; rows are only added, and each seals the one before it."""

    __tablename__ = "audit"
    __table_args__ = (UniqueConstraint("number"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    at: Mapped[datetime] = mapped_column(default=now)
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64), index=True)
    target: Mapped[str] = mapped_column(String(200), default="")
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    number: Mapped[int]  # 1, 2, 3 … without a gap
    seal: Mapped[str] = mapped_column(String(64))  # over this row and the seal before it


class TrainingChoice(Base):
    """Whether a person's or a channel's words may be learned from; the newest row of a subject counts."""

    __tablename__ = "training_choices"
    __table_args__ = (Index("ix_training_choices_subject", "kind", "subject_id", "id"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(16))  # person, channel, or what else somebody chooses
    subject_id: Mapped[str] = mapped_column(String(32))
    is_allowed: Mapped[bool]
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)


class Run(Base):
    """One training, from the first look at the data to the decision."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[RunState] = mapped_column(String(16), default=RunState.QUEUED, index=True)
    trigger: Mapped[str] = mapped_column(String(16))  # schedule, signal, cli or slack
    requested_by: Mapped[str] = mapped_column(String(64), default="")
    channel_id: Mapped[str] = mapped_column(String(32), default="")  # whose adapter it makes; empty: everybody's
    is_dry: Mapped[bool] = mapped_column(default=False)
    base_sha256: Mapped[str] = mapped_column(String(64), default="")
    template_sha256: Mapped[str] = mapped_column(String(64), default="")
    dataset_sha256: Mapped[str] = mapped_column(String(64), default="")
    seed: Mapped[int] = mapped_column(default=1)
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[str] = mapped_column(Text, default="")
    mend: Mapped[str] = mapped_column(Text, default="")
    report: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    reported_at: Mapped[datetime | None]
    picture_id: Mapped[str] = mapped_column(String(32), default="", server_default="")  # of its curves in Slack


class ReportPost(Base):
    """Where the report of a run stands in Slack, and which state of its adapter it shows."""

    __tablename__ = "report_posts"
    __table_args__ = (UniqueConstraint("channel_id", "ts"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    reader_id: Mapped[str] = mapped_column(String(32))  # the channel, or the person in whose direct message it is
    channel_id: Mapped[str] = mapped_column(String(32))
    ts: Mapped[str] = mapped_column(String(32))
    picture_id: Mapped[str] = mapped_column(String(32))  # of the picture in it
    shown: Mapped[str] = mapped_column(String(32))  # a state, or a mark of whoever is changing what it shows


class RunExample(Base):
    """A row that a run learned from, or held out: the way from a person's words to every adapter that has them."""

    __tablename__ = "run_examples"
    __table_args__ = (Index("ix_run_examples_row", "row_table", "row_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    row_table: Mapped[str] = mapped_column(String(32))
    row_id: Mapped[str] = mapped_column(String(26))
    user_id: Mapped[str] = mapped_column(String(32), index=True)
    source: Mapped[str] = mapped_column(String(16))
    split: Mapped[str] = mapped_column(String(16))
    weight: Mapped[float]
    sha256: Mapped[str] = mapped_column(String(64))  # of the example as it was written down
    told_at: Mapped[datetime | None]  # when the author of a correction heard what became of it
    channel_id: Mapped[str] = mapped_column(String(32), default="", server_default="")  # of a message


class Adapter(Base):
    """A trained adapter; its name is what the engine serves it as."""

    __tablename__ = "adapters"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    base_sha256: Mapped[str] = mapped_column(String(64))
    channel_id: Mapped[str] = mapped_column(String(32), default="")  # who is served it; empty: everybody
    mixed_with: Mapped[str] = mapped_column(String(64), default="")  # the adapter for everybody that is in its file
    state: Mapped[AdapterState] = mapped_column(String(16), default=AdapterState.BUILT, index=True)
    canary_share: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    changed_at: Mapped[datetime] = mapped_column(default=now)
    watch: Mapped[dict[str, Any]] = mapped_column(default=dict)  # the rate it is compared with, and the evidence so far

    @property
    def is_of_one_channel(self) -> bool:
        """Return whether it learned from one channel alone, and so from one workspace."""
        return bool(self.channel_id) and not self.mixed_with


class Evaluation(Base):
    """One figure of a candidate beside what was served then."""

    __tablename__ = "evaluations"

    id: Mapped[int] = mapped_column(primary_key=True)
    adapter_id: Mapped[int] = mapped_column(ForeignKey("adapters.id", ondelete="CASCADE"), index=True)
    incumbent: Mapped[str] = mapped_column(String(64), default="")  # an adapter's name; empty: the base
    metric: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    candidate_value: Mapped[float]
    incumbent_value: Mapped[float]
    low: Mapped[float | None]
    high: Mapped[float | None]
    n: Mapped[int]


class DecisionRow(Base):
    """Why an adapter's state changed, and who or what changed it."""

    __tablename__ = "decisions"

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    adapter_id: Mapped[int] = mapped_column(ForeignKey("adapters.id", ondelete="CASCADE"), index=True)
    from_state: Mapped[str] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    by: Mapped[str] = mapped_column(String(64))  # gate, watch, or a person's id
    reasons: Mapped[list[str]] = mapped_column(default=list)
    at: Mapped[datetime] = mapped_column(default=now)


class Assignment(Base):
    """Whether a person gets the canary; sticks for as long as the canary lives."""

    __tablename__ = "assignments"
    __table_args__ = (UniqueConstraint("adapter_id", "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    adapter_id: Mapped[int] = mapped_column(ForeignKey("adapters.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[str] = mapped_column(String(32))
    is_canary: Mapped[bool]
    at: Mapped[datetime] = mapped_column(default=now)
