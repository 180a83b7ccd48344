"""The tables of what people show without saying it, of what they may teach of each other, and of what got better."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Audience, Base, Vote, new_id, now


class Sign(StrEnum):
    """What somebody did that may mean that an answer was bad."""

    STOPPED = "stopped"
    REGENERATED = "regenerated"
    REPHRASED = "rephrased"  # asked nearly the same again at once
    TAKEN_OVER = "taken_over"  # another person answered right after the assistant


class ImplicitSignal(Base):
    """What somebody did after an answer; nobody's vote, and never counted as one. Kept only where an admin wants it."""

    __tablename__ = "implicit_signals"
    __table_args__ = (UniqueConstraint("answer_id", "user_id", "source"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"))
    user_id: Mapped[str] = mapped_column(String(32), index=True)
    source: Mapped[Sign] = mapped_column(String(16))
    weight: Mapped[float]  # how much it says, beside a person's own vote, which says 1
    created_at: Mapped[datetime] = mapped_column(default=now)


class LessonState(StrEnum):
    """Where a lesson stands; one that is refused or waited in vain keeps none of its words."""

    WAITING = "waiting"
    TAUGHT = "taught"
    REFUSED = "refused"


class Lesson(Base):
    """What one person wrote and another wants the assistant to learn; its author is asked first.

    *user_id* is the author. The texts are there only while it waits.
    """

    __tablename__ = "lessons"
    __table_args__ = (UniqueConstraint("team_id", "channel_id", "ts"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    team_id: Mapped[str] = mapped_column(String(32))
    channel_id: Mapped[str] = mapped_column(String(32))
    ts: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[str] = mapped_column(String(32), index=True)
    asked_by: Mapped[str] = mapped_column(String(32))
    audience: Mapped[Audience] = mapped_column(String(16))
    question: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    state: Mapped[LessonState] = mapped_column(String(16), default=LessonState.WAITING)
    correction_id: Mapped[str | None] = mapped_column(ForeignKey("corrections.id", ondelete="CASCADE"), index=True)
    asked_at: Mapped[datetime] = mapped_column(default=now)


class Verdict(Base):
    """Whether the author of a correction finds better what is answered since it was learned; said once."""

    __tablename__ = "verdicts"

    correction_id: Mapped[str] = mapped_column(ForeignKey("corrections.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(32), index=True)
    vote: Mapped[Vote] = mapped_column(String(8))
    adapter: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(default=now)
