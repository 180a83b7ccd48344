"""The tables of what people want at a certain time: reminders and digests, and each time that one was due."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Base, now


class Kind(StrEnum):
    """What happens when the time has come."""

    REMINDER = "reminder"
    DIGEST = "digest"


class OccurrenceState(StrEnum):
    """Where one due time of a schedule stands."""

    RUNNING = "running"
    DONE = "done"
    MISSED = "missed"  # it was noticed too late to be of use
    REFUSED = "refused"  # whoever wanted it may not have it any more
    FAILED = "failed"


class Schedule(Base):
    """What somebody wants, once or again and again; *cron* is read in the time zone *tz*."""

    __tablename__ = "schedules"
    __table_args__ = ({"sqlite_autoincrement": True},)  # people take one back by a number, never another's

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[str] = mapped_column(String(32), index=True)
    kind: Mapped[Kind] = mapped_column(String(16))
    channel_id: Mapped[str] = mapped_column(String(32), index=True)  # where it is said; empty: to the person alone
    thread_ts: Mapped[str] = mapped_column(String(32), default="")
    source_id: Mapped[str] = mapped_column(String(32), default="")  # the channel that a digest is about
    text: Mapped[str] = mapped_column(Text, default="")
    cron: Mapped[str] = mapped_column(String(100), default="")  # empty: once
    tz: Mapped[str] = mapped_column(String(64))
    next_at: Mapped[datetime | None] = mapped_column(index=True)  # None: it has had its last time
    created_at: Mapped[datetime] = mapped_column(default=now)
    was_shared: Mapped[bool | None]  # whether another organisation read there when it was planned; None: not noted


class Occurrence(Base):
    """One due time of a schedule; its row is what makes it happen once, whichever process is first."""

    __tablename__ = "schedule_occurrences"

    schedule_id: Mapped[int] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"), primary_key=True)
    due_at: Mapped[datetime] = mapped_column(primary_key=True)
    state: Mapped[OccurrenceState] = mapped_column(String(16), default=OccurrenceState.RUNNING)
    attempts: Mapped[int] = mapped_column(default=1)
    until: Mapped[datetime]  # for so long whoever runs it may take; then another process may try
    worker_id: Mapped[str | None] = mapped_column(String(26))  # which began it; None: nobody has it, or it is of old
    ended_at: Mapped[datetime | None]
