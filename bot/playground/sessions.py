"""Agent sessions and the legacy status: what the app says it is doing in a thread."""

from __future__ import annotations

from dataclasses import asdict

from bot.playground.entities import Session, SessionStatus
from bot.playground.hub import Hub

PROCESSING_SECONDS = 3600.0  # Slack gives up on an app that never says it is done
LEGACY_STATUS_SECONDS = 120.0


def ensure_session(
    hub: Hub, channel: str, thread_ts: str, *, title: str | None = None, initiator: str | None = None
) -> Session:
    """Return the thread's session; title and initiator only count when it is created here."""
    session = hub.workspace.session(channel, thread_ts)
    if session is None:
        session = Session(channel=channel, thread_ts=thread_ts, title=title, initiator=initiator)
        hub.workspace.keep_session(session)
    return session


def set_status(hub: Hub, session: Session, status: SessionStatus) -> None:
    """Put a session into a state; processing ends by itself after an hour."""
    session.status = status
    if status == "processing":
        hub.set_timer(_timer("session", session), PROCESSING_SECONDS, lambda: set_status(hub, session, "active"))
    else:
        hub.cancel_timer(_timer("session", session))
    push_session(hub, session)


def set_legacy_status(hub: Hub, session: Session, text: str, *, loading_messages: list[str]) -> None:
    """Show or clear a line of free text; it goes by itself after two minutes or when the app posts."""
    session.status_text = text or None
    session.loading_messages = loading_messages if text else []
    if text:
        hub.set_timer(_timer("status", session), LEGACY_STATUS_SECONDS, lambda: clear_legacy_status(hub, session))
        if session.status != "processing":
            session.is_bridged = True
            set_status(hub, session, "processing")
            return
    else:
        hub.cancel_timer(_timer("status", session))
        if session.is_bridged:
            session.is_bridged = False
            set_status(hub, session, "active")
            return
    push_session(hub, session)


def clear_legacy_status(hub: Hub, session: Session | None) -> None:
    """Take away the free text, if there is any."""
    if session is not None and session.status_text:
        set_legacy_status(hub, session, "", loading_messages=[])


def rename(hub: Hub, session: Session, title: str) -> None:
    """Give a session another title."""
    session.title = title
    push_session(hub, session)


def push_session(hub: Hub, session: Session) -> None:
    """Show a session's present state to those who may see its channel."""
    channel = hub.workspace.channels[session.channel]
    hub.live.push({"type": "session", "session": asdict(session)}, hub.workspace.viewers(channel))
    hub.changed()


def _timer(kind: str, session: Session) -> str:
    return f"{kind}:{session.channel}:{session.thread_ts}"
