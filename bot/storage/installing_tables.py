"""The tables of where the assistant is installed and how it speaks there."""

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.tables import Base, now


class ChannelPersona(Base):
    """The persona of one channel; who changed it before stands in the audit."""

    __tablename__ = "channel_personas"

    team_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    channel_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    persona: Mapped[str] = mapped_column(String(32))
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)


class Installation(Base):
    """A workspace, or a whole organisation where *team_id* is empty, that installed the app; its token is encrypted."""

    __tablename__ = "installations"

    enterprise_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    team_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    app_id: Mapped[str] = mapped_column(String(32))
    bot_id: Mapped[str] = mapped_column(String(32))
    bot_user_id: Mapped[str] = mapped_column(String(32))
    token: Mapped[str] = mapped_column(Text)
    scopes: Mapped[str] = mapped_column(Text)
    installed_by: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime] = mapped_column(default=now)


class EventSighting(Base):
    """When an event of a kind came last: what never comes was never subscribed to."""

    __tablename__ = "event_sightings"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)


class OrgTeam(Base):
    """Which organisation a workspace belongs to, where the organisation has installed the app for all of them."""

    __tablename__ = "org_teams"

    team_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    enterprise_id: Mapped[str] = mapped_column(String(32))
