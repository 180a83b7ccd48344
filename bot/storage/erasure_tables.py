"""The table of words that are gone: what was deleted or changed, by its id and checksum, and never the words."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Base, now


class Cause(StrEnum):
    """Why words are gone."""

    MESSAGE = "message"  # their message, or the one that carried an answer, was deleted in Slack
    EDIT = "edit"  # their message says something else now: its row is there, with other words
    FILE = "file"  # their file was deleted in Slack, or taken out of its message
    PERSON = "person"  # somebody was forgotten
    AGE = "age"  # their channel keeps nothing for so long


class Erasure(Base):
    """A row whose words are gone; nothing that is stored, served, trained on or restored may have them again."""

    __tablename__ = "erasures"

    row_table: Mapped[str] = mapped_column(String(32), primary_key=True)
    row_id: Mapped[str] = mapped_column(String(26), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))  # of the row as it was last
    cause: Mapped[Cause] = mapped_column(String(16))
    scope: Mapped[str] = mapped_column(String(128), default="")  # of the engine's memory of the thread
    at: Mapped[datetime] = mapped_column(default=now, index=True)
