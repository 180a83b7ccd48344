"""The tables of good manners: what each channel wants of the assistant, and how it stands in each thread."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Base, new_id, now


class Mode(StrEnum):
    """What the assistant answers in a channel; a mention is always answered, unless it is off there."""

    MENTION = "mention"  # nothing but mentions
    THREAD = "thread"  # mentions, and what is said after them in their threads
    QUESTIONS = "questions"  # the same, and questions that somebody asks outside of threads
    EVERYTHING = "everything"
    OFF = "off"


class ChannelSetting(Base):
    """What an admin has chosen for a channel; without a row it is as in every channel."""

    __tablename__ = "channel_settings"

    team_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    channel_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    mode: Mapped[Mode] = mapped_column(String(16))
    merge_ms: Mapped[int | None]  # messages that follow each other so fast are one; None: as in the settings
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)


class ThreadManners(Base):
    """How the assistant stands in a thread of a channel: whether it goes on without being mentioned."""

    __tablename__ = "thread_manners"

    team_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    channel_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    thread_ts: Mapped[str] = mapped_column(String(32), primary_key=True)
    active_ts: Mapped[str] = mapped_column(String(32), default="", index=True)  # the newest word that was for it
    is_muted: Mapped[bool] = mapped_column(default=False)
    is_talk: Mapped[bool] = mapped_column(default=False)  # people talk to each other, until they mention it again
    is_told: Mapped[bool] = mapped_column(default=False)  # and somebody was told that it stays out
    is_refused: Mapped[bool] = mapped_column(default=False)  # somebody of another organisation was told why not
    talkers: Mapped[list[str]] = mapped_column(default=list)  # who made a remark since it was mentioned, newest last


class BotWord(Base):
    """Another bot talked to the assistant; too many of these within a while are a loop."""

    __tablename__ = "bot_words"
    __table_args__ = (Index("ix_bot_words_pair", "team_id", "bot_id", "at"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    team_id: Mapped[str] = mapped_column(String(32))
    bot_id: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime] = mapped_column(default=now)
