"""The table of what people did about answers without a word; kept only where the settings ask for it."""

from datetime import datetime

from sqlalchemy import Double, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Base, new_id, now


class ImplicitSignal(Base):
    """What somebody did about an answer: *weight* says how much it speaks against it, of what a thumb down does."""

    __tablename__ = "implicit_signals"
    __table_args__ = (UniqueConstraint("answer_id", "user_id", "source"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"))
    user_id: Mapped[str] = mapped_column(String(32), index=True)
    source: Mapped[str] = mapped_column(String(16))
    weight: Mapped[float] = mapped_column(Double)
    created_at: Mapped[datetime] = mapped_column(default=now)
