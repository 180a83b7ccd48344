"""The tables of questions that were put in a way of their own, and of several answers to choose from."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Base

PRIVATE = "ask-"  # begins the time of a thread that is none: what is asked there only its asker sees


class Asking(Base):
    """How a question was put, where not in the usual way.

    The answer to a private one is seen by nobody but whoever asked, until they share it: then *shared_ts* is the
    message that everybody sees, or since when it is being posted.
    """

    __tablename__ = "askings"

    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    length: Mapped[str] = mapped_column(String(8), default="")
    keeps_history: Mapped[bool] = mapped_column(default=True)
    candidates: Mapped[int] = mapped_column(default=1)
    is_private: Mapped[bool] = mapped_column(default=False)
    shared_ts: Mapped[str | None] = mapped_column(String(32))


class Candidate(Base):
    """One of several answers that were shown to choose from; the one that *stands* is what the thread goes on from."""

    __tablename__ = "candidates"

    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    number: Mapped[int]
    stands: Mapped[bool] = mapped_column(default=False)
    chosen_at: Mapped[datetime | None]
