"""agents.*: the sessions in which the app works."""

from __future__ import annotations

from typing import cast

from bot.playground.entities import Channel, Json, SessionStatus
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.sessions import ensure_session, rename, set_status
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.chat_streams import STATUSES
from bot.playground.web_api.method import Method, require_channel, require_membership, require_thread

MAX_TITLE = 200
NO_STOP = "missing_agent_session_stopped_event_subscription"


def answer_set_status(hub: Hub, args: Arguments) -> Json:
    """Put a thread's session into a state, creating it if need be."""
    status = args.one_of("status", STATUSES)
    channel, thread_ts = _thread(hub, args)
    title, initiator = args.text("title"), args.text("initiator_user_id")
    if len(title or "") > MAX_TITLE:
        raise SlackError("title_too_long")
    if initiator is not None and initiator not in channel.members:
        raise SlackError("user_not_in_channel" if initiator in hub.workspace.users else "user_not_found")
    session = ensure_session(hub, channel.id, thread_ts, title=title, initiator=initiator)
    session.is_bridged = False
    set_status(hub, session, cast("SessionStatus", status))
    answer: Json = {"status": status, "agent_status": status, "title": session.title}
    if hub.manifest.is_subscribed("agent_session_stopped"):
        return answer
    return answer | {"warning": NO_STOP, "response_metadata": {"warnings": [NO_STOP]}}


def answer_rename(hub: Hub, args: Arguments) -> Json:
    """Give a thread's session another title."""
    channel, thread_ts = _thread(hub, args)
    title = args.required("title")
    if len(title) > MAX_TITLE:
        raise SlackError("title_too_long")
    session = hub.workspace.session(channel.id, thread_ts)
    if session is None:
        raise SlackError("session_not_found")
    rename(hub, session, title)
    return {"title": title}


def _thread(hub: Hub, args: Arguments) -> tuple[Channel, str]:
    channel = require_channel(hub, args, "channel_id")
    args.required("thread_ts")
    require_membership(hub, channel)
    return channel, str(require_thread(hub, channel, args))


METHODS = (
    Method("agents.sessions.setStatus", answer_set_status, scope="chat:write", missing="session channels"),
    Method("agents.sessions.rename", answer_rename, scope="chat:write", missing="session channels"),
)
