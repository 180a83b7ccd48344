"""The tables. Ids are ULIDs, so they sort by age; every stored text carries its audience."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import JSON, ForeignKey, Index, MetaData, String, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bot.storage.ids import Ids
from bot.storage.types import TokenIds, UtcDateTime

CURRENT = text("superseded_at IS NULL")
IDS = Ids()


class Audience(StrEnum):
    """Who could read a text where it was written; a text may only ever be shown to the same people or fewer."""

    DIRECT = "direct"
    PRIVATE = "private"
    PUBLIC = "public"
    SHARED = "shared"


class InboxState(StrEnum):
    """Where an event stands between its arrival and its visible outcome."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"


class AnswerState(StrEnum):
    """Where an answer stands."""

    WRITING = "writing"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


class Vote(StrEnum):
    """What a person thinks of an answer."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


def new_id() -> str:
    """Return a fresh ULID (26 characters), which sorts after all others."""
    return IDS.give()


def now() -> datetime:
    """Return this moment in UTC."""
    return datetime.now(UTC)


def index_current(name: str, *, is_unique: bool) -> Index:
    """Build the index of what one person says about one answer now; *is_unique* lets it be one row."""
    return Index(name, "answer_id", "user_id", unique=is_unique, sqlite_where=CURRENT, postgresql_where=CURRENT)


class Base(DeclarativeBase):
    """The root of all tables; constraints are named so that migrations can find them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: UtcDateTime, dict[str, Any]: JSON, list[str]: JSON}


class Inbox(Base):
    """An accepted event: committed before Slack hears that we have it, emptied of its text when it is done."""

    __tablename__ = "inbox"
    __table_args__ = (
        UniqueConstraint("team_id", "channel_id", "ts", "kind"),
        # What is ready is found by this index alone, however much waits in one thread.
        Index("ix_inbox_ready", "state", "team_id", "channel_id", "thread_ts", "ts"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(String(64), unique=True)
    team_id: Mapped[str] = mapped_column(String(32))
    channel_id: Mapped[str] = mapped_column(String(32))
    ts: Mapped[str] = mapped_column(String(32))
    thread_ts: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(16))
    payload: Mapped[dict[str, Any]]
    state: Mapped[InboxState] = mapped_column(String(16), default=InboxState.PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    ready_at: Mapped[datetime | None]  # until then more may come that belongs to it
    bundle_id: Mapped[int | None]  # the event whose turn brings this one to its outcome, itself included
    worker_id: Mapped[str | None] = mapped_column(String(26))  # whose turn it is, while it runs
    is_stopping: Mapped[bool] = mapped_column(default=False)  # somebody wants its answer to end
    received_at: Mapped[datetime] = mapped_column(default=now)
    done_at: Mapped[datetime | None]


class Thread(Base):
    """A conversation: one Slack thread."""

    __tablename__ = "threads"
    __table_args__ = (UniqueConstraint("team_id", "channel_id", "thread_ts"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    team_id: Mapped[str] = mapped_column(String(32))
    channel_id: Mapped[str] = mapped_column(String(32))
    thread_ts: Mapped[str] = mapped_column(String(32))
    audience: Mapped[Audience] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Message(Base):
    """What a person said to the assistant."""

    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("thread_id", "ts"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    thread_id: Mapped[str] = mapped_column(ForeignKey("threads.id", ondelete="CASCADE"))
    ts: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[str] = mapped_column(String(32), index=True)
    user_name: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    audience: Mapped[Audience] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(default=now)
    edited_at: Mapped[datetime | None]  # when its author made another question of it


class Answer(Base):
    """What the assistant said to a message, and everything needed to know why; the newest one of a message counts."""

    __tablename__ = "answers"

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    replaces_id: Mapped[str | None] = mapped_column(ForeignKey("answers.id", ondelete="SET NULL"), index=True)
    state: Mapped[AnswerState] = mapped_column(String(16), default=AnswerState.WRITING)
    text: Mapped[str] = mapped_column(Text, default="")
    audience: Mapped[Audience] = mapped_column(String(16))
    reply_ts: Mapped[list[str]] = mapped_column(default=list)
    error_id: Mapped[str | None] = mapped_column(String(26))
    model: Mapped[str] = mapped_column(String(200), default="")
    model_sha256: Mapped[str] = mapped_column(String(64), default="")
    adapter: Mapped[str | None] = mapped_column(String(200))
    prompt_name: Mapped[str] = mapped_column(String(64), default="")
    prompt_version: Mapped[str] = mapped_column(String(64), default="")
    prompt_token_ids: Mapped[Any | None] = mapped_column(TokenIds)
    completion_token_ids: Mapped[Any | None] = mapped_column(TokenIds)
    sampling: Mapped[dict[str, Any]] = mapped_column(default=dict)
    prompt_tokens: Mapped[int | None]
    cached_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    messages_used: Mapped[int | None]
    messages_total: Mapped[int | None]
    finish_reason: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(default=now)
    first_token_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Feedback(Base):
    """One vote of one person on one answer; a newer vote supersedes it, and nothing is overwritten."""

    __tablename__ = "feedback"
    __table_args__ = (index_current("uq_feedback_current", is_unique=True),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"))
    user_id: Mapped[str] = mapped_column(String(32), index=True)
    vote: Mapped[Vote] = mapped_column(String(8))
    reason: Mapped[str | None] = mapped_column(String(64))
    comment: Mapped[str] = mapped_column(Text, default="", server_default="")
    source: Mapped[str] = mapped_column(String(16), default="button", server_default="button")
    created_at: Mapped[datetime] = mapped_column(default=now)
    superseded_at: Mapped[datetime | None]


class Correction(Base):
    """What a person says the answer should have been; newer words wait beside what a reviewer approved."""

    __tablename__ = "corrections"
    __table_args__ = (index_current("ix_corrections_current", is_unique=False),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"))
    user_id: Mapped[str] = mapped_column(String(32), index=True)
    text: Mapped[str] = mapped_column(Text)
    audience: Mapped[Audience] = mapped_column(String(16))
    is_for_everyone: Mapped[bool] = mapped_column(default=False)  # its author said so, where not everybody can read it
    created_at: Mapped[datetime] = mapped_column(default=now)
    superseded_at: Mapped[datetime | None]


class PreferencePair(Base):
    """One person preferred one answer over another to the same message."""

    __tablename__ = "preference_pairs"
    __table_args__ = (UniqueConstraint("chosen_id", "rejected_id", "user_id"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    chosen_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"))
    rejected_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[str] = mapped_column(String(32), index=True)
    source: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(default=now)
