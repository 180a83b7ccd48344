"""The tables of those who look after the assistant: rights, limits, what waits for a reviewer, notices."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Base, new_id, now


class Right(StrEnum):
    """What an admin has decided about somebody; without a row Slack alone decides."""

    BLOCKED = "blocked"
    MEMBER = "member"  # also for a guest, or somebody of another organisation, who would get nothing otherwise
    REVIEWER = "reviewer"
    ADMIN = "admin"


class ReviewState(StrEnum):
    """Where a row stands that somebody has to look at before it may be learned from."""

    WAITING = "waiting"  # also where there is no row
    APPROVED = "approved"
    EDITED = "edited"
    REJECTED = "rejected"


APPROVED = (ReviewState.APPROVED, ReviewState.EDITED)


class UserRight(Base):
    """What somebody may do here, beside what Slack says about them."""

    __tablename__ = "user_rights"

    user_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    right: Mapped[Right] = mapped_column(String(16))
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)


class Limit(Base):
    """A number that an admin has set for a person or a channel; *kind* says of what."""

    __tablename__ = "limits"

    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    subject_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int]
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)


class ReviewRow(Base):
    """What a reviewer made of a correction; *text* is what is learned instead of what it says, empty: what it says.

    While it waits, *text* is what *by* wrote, and what nobody else has approved yet. *user_id* is who wrote *text*, and
    *id* is that of these words: they are that person's own, and go when they are forgotten, the decision with them.
    """

    __tablename__ = "reviews"

    correction_id: Mapped[str] = mapped_column(ForeignKey("corrections.id", ondelete="CASCADE"), primary_key=True)
    state: Mapped[ReviewState] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text, default="")
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)
    id: Mapped[str | None] = mapped_column(String(26))
    user_id: Mapped[str | None] = mapped_column(String(32), index=True)


class RefusedWords(Base):
    """What a reviewer refused, question and correction, as a checksum salted with *id*; it outlives both, and them."""

    __tablename__ = "refused_words"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    is_lifted: Mapped[bool]  # a reviewer thought better of it; kept, since a backup may not know it
    at: Mapped[datetime] = mapped_column(default=now)


class Notice(Base):
    """A message of the admins to everybody; *posts* are where it stands, so that it can be deleted again."""

    __tablename__ = "notices"

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    text: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)
    posts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # a message's ts by its channel
    withdrawn_at: Mapped[datetime | None]
