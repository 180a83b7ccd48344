"""The tables of files: what was shared with a message, and what of it an answer was made from. Never their bytes."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Audience, Base, new_id, now


class FileState(StrEnum):
    """Whether the text of a file is known."""

    NEW = "new"
    READ = "read"
    REFUSED = "refused"


class MessageFile(Base):
    """A file of a message, with the text that could be read in it; it goes when the message goes.

    *pages* are where each page of *text* begins; without them its parts are lines. *reason* says why it was refused.
    """

    __tablename__ = "message_files"
    __table_args__ = (UniqueConstraint("message_id", "slack_id"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"))
    slack_id: Mapped[str] = mapped_column(String(32), index=True)
    name: Mapped[str] = mapped_column(String(255))
    mimetype: Mapped[str] = mapped_column(String(100))
    size: Mapped[int]
    url: Mapped[str] = mapped_column(Text)
    permalink: Mapped[str] = mapped_column(Text)
    state: Mapped[FileState] = mapped_column(String(16), default=FileState.NEW)
    kind: Mapped[str] = mapped_column(String(16), default="")
    reason: Mapped[str] = mapped_column(String(32), default="")
    text: Mapped[str] = mapped_column(Text, default="")
    pages: Mapped[list[int]] = mapped_column(JSON, default=list)
    is_cut: Mapped[bool] = mapped_column(default=False)
    audience: Mapped[Audience] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(default=now)


class AnswerFile(Base):
    """A file that was in the context of an answer; *part* says which of its pages or lines, empty for all of it."""

    __tablename__ = "answer_files"

    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    file_id: Mapped[str] = mapped_column(
        ForeignKey("message_files.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    part: Mapped[str] = mapped_column(Text)
