"""What a page loads: the workspace as one person sees it, messages, and the inspector's log."""

from __future__ import annotations

from dataclasses import asdict

from bot.playground.entities import Json
from bot.playground.files import MAX_FILE
from bot.playground.hub import Hub
from bot.playground.page.request import PageRequest

MAX_TEXT = 40_000
PAGE = 50


def get_state(page: PageRequest) -> Json:
    """Return all that a page needs before it shows anything."""
    hub, me = page.hub, page.user
    workspace = hub.workspace
    channels = [channel for channel in workspace.channels.values() if workspace.can_see(me.id, channel)]
    visible = {channel.id for channel in channels}
    return {
        "team": {"id": workspace.team_id, "name": workspace.team_name, "domain": workspace.domain},
        "app": hub.app_state(),
        "users": [asdict(user) for user in workspace.users.values()],
        "me": asdict(me),
        "channels": [hub.channel_for(me.id, channel) for channel in channels],
        "sessions": [asdict(session) for session in workspace.sessions.values() if session.channel in visible],
        "prompts": [asdict(prompts) for prompts in workspace.prompts.values() if prompts.channel in visible],
        "views": [modal.to_page() for modal in hub.modals.stack(me.id)],
        **({"home": workspace.homes.get(me.id)} if hub.manifest.has_home else {}),
        "faults": hub.faults.to_json(),
        "clock": clock_state(hub),
        "limits": {"message": MAX_TEXT, "file": MAX_FILE},
    }


def get_messages(page: PageRequest) -> Json:
    """Return the latest messages of a channel or a thread before a moment, oldest first."""
    hub, channel, user = page.hub, page.channel(), page.user
    thread_ts, before = page.optional("thread_ts"), page.optional("before")
    limit = max(1, min(int(page.number("limit", default=PAGE)), 500))
    if thread_ts is not None:
        root = hub.workspace.find(channel.id, thread_ts)
        found = [*([root] if root else []), *hub.workspace.replies(channel.id, thread_ts)]
    else:
        found = hub.workspace.top_level(channel.id)
    found += [
        message
        for message in hub.ephemerals.get(channel.id, [])
        if message.ephemeral_user == user.id and message.thread_ts == thread_ts
    ]
    wanted = sorted((message for message in found if before is None or message.ts < before), key=lambda item: item.ts)
    return {"messages": [asdict(message) for message in wanted[-limit:]], "has_more": len(wanted) > limit}


def get_log(page: PageRequest) -> Json:
    """Return the inspector's entries after one of them."""
    return {"entries": page.hub.inspector.after(int(page.number("after", default=0)))}


def clock_state(hub: Hub) -> Json:
    """Return the driven clock as the page shows it."""
    return {"now": hub.clock.now(), "offset_s": hub.clock.offset}
