"""The table of what Slack shows about a thread beside its messages: that somebody works in it, and its title."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Base, now


class AgentSession(Base):
    """One thread; *shown_by* is the method by which Slack says that we work there, empty when it does not."""

    __tablename__ = "agent_sessions"

    team_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    channel_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    thread_ts: Mapped[str] = mapped_column(String(32), primary_key=True)
    is_renamed: Mapped[bool] = mapped_column(default=False)
    shown_by: Mapped[str] = mapped_column(String(64), default="", index=True)
    at: Mapped[datetime] = mapped_column(default=now)
