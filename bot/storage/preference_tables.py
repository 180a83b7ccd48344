"""The table of what each person wants of the assistant."""

from datetime import datetime

from sqlalchemy import String, true
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Base, now

NAMED, ANONYMOUS, PRIVATE = "named", "anonymous", "private"  # how words beside a 👎 are shown; empty is named


class Preference(Base):
    """What one person has chosen; an empty word leaves it to the assistant."""

    __tablename__ = "preferences"

    user_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    language: Mapped[str] = mapped_column(String(16), default="")
    length: Mapped[str] = mapped_column(String(8), default="")
    streams: Mapped[bool] = mapped_column(default=True)
    adapter: Mapped[str] = mapped_column(String(64), default="", server_default="")
    shown: Mapped[str] = mapped_column(String(16), default="", server_default="")  # what those who run it see of mine
    has_hints: Mapped[bool] = mapped_column(default=True, server_default=true())
    hinted_at: Mapped[datetime | None]
    at: Mapped[datetime] = mapped_column(default=now)
