"""What a person does with conversations: look, read, join, invite, leave, start new ones."""

from __future__ import annotations

from bot.playground import events
from bot.playground.entities import Channel, Json
from bot.playground.errors import PageError
from bot.playground.hub import Hub
from bot.playground.membership import create_channel, join, leave, open_direct
from bot.playground.page.request import PageRequest


def post_open(page: PageRequest) -> Json:
    """Look at a conversation: it is read, and the app hears of its own DM and of a new context."""
    hub, channel, user = page.hub, page.channel(), page.user.id
    _mark_read(hub, channel, user=user, ts=None)
    own = hub.workspace.direct_channel({user, hub.app.bot_user_id})
    if own is not None and channel.id == own.id:
        events.app_home_opened(hub, channel, user=user, tab=page.optional("tab") or "messages")
    elif hub.looking_at.get(user) != channel.id:
        hub.looking_at[user] = channel.id
        if own is not None:
            events.app_context_changed(hub, own, user=user)
    return {"ok": True}


def post_read(page: PageRequest) -> Json:
    """Note how far the person has read."""
    _mark_read(page.hub, page.channel(), user=page.user.id, ts=page.text("ts"))
    return {"ok": True}


def post_direct(page: PageRequest) -> Json:
    """Find or make the DM with somebody."""
    hub, me, other = page.hub, page.user.id, page.person("with").id
    channel = hub.workspace.direct_channel({me, other}) or open_direct(hub, [me, other])
    return {"channel": hub.channel_for(me, channel)}


def post_channel(page: PageRequest) -> Json:
    """Make a new channel."""
    me = page.user
    if me.is_outsider:
        raise PageError("Guests and people of other companies cannot create channels.", status=403)
    channel = create_channel(page.hub, name=page.text("name"), is_private=page.value("private") is True, creator=me.id)
    return {"channel": page.hub.channel_for(me.id, channel)}


def post_join(page: PageRequest) -> Json:
    """Join a public channel."""
    channel = _joinable(page.channel())
    join(page.hub, channel, user=page.user.id)
    return {"channel": page.hub.channel_for(page.user.id, channel)}


def post_invite(page: PageRequest) -> Json:
    """Bring somebody, or the app, into a channel one is in."""
    channel = _joinable(page.membership())
    join(page.hub, channel, user=page.person("invitee").id, inviter=page.user.id)
    return {"channel": page.hub.channel_for(page.user.id, channel)}


def post_leave(page: PageRequest) -> Json:
    """Leave a channel."""
    leave(page.hub, _joinable(page.membership()), user=page.user.id)
    return {"ok": True}


def _joinable(channel: Channel) -> Channel:
    if channel.is_direct:
        raise PageError("Nobody joins or leaves a direct message.")
    return channel


def _mark_read(hub: Hub, channel: Channel, *, user: str, ts: str | None) -> None:
    latest = next(hub.workspace.newest_first(channel.id), None)
    if latest is not None:
        hub.workspace.mark_read(user, channel.id, latest.ts if ts is None else ts)
    hub.push_channel(channel, {user})
