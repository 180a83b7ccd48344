"""The tables of who works: the processes that answer from one inbox, and until when somebody heard Slack."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Base, new_id, now


class Worker(Base):
    """A process that answers; its id is the token without which nothing it began can be written.

    *beats* grows for as long as it lives. *place* is where it runs: only one process at a time can be there.
    """

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    place: Mapped[str] = mapped_column(String(255))
    beats: Mapped[int] = mapped_column(default=0)
    began_at: Mapped[datetime] = mapped_column(default=now)


class HeardUntil(Base):
    """Until when Slack was heard, in whichever process; what was said later may have been missed."""

    __tablename__ = "heard_until"

    name: Mapped[str] = mapped_column(String(16), primary_key=True)
    at: Mapped[datetime]
