"""The table of what the model computed beside answers: it counts in the same budgets."""

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Base, now


class Spending(Base):
    """Tokens that a digest, a summary or another tool took; *channel_id* is empty in direct messages.

    Also of answers that were stopped, or are gone since (under a name that hides who asked), and what one person pays
    for another (of whom as much is taken off).
    """

    __tablename__ = "spending"
    __table_args__ = (Index("ix_spending_user", "user_id", "at"), Index("ix_spending_channel", "channel_id", "at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(String(32))
    channel_id: Mapped[str] = mapped_column(String(32))
    tokens: Mapped[int]
    at: Mapped[datetime] = mapped_column(default=now)
