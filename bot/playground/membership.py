"""Who is in which conversation: new channels, DMs, joining, inviting and leaving."""

from __future__ import annotations

import re

from bot.playground import events
from bot.playground.entities import Channel, Message
from bot.playground.errors import PageError
from bot.playground.hub import Hub
from bot.playground.messaging import post

NAME = re.compile(r"[\w-]{1,80}")


def open_direct(hub: Hub, members: list[str]) -> Channel:
    """Make a DM between *members*, who may be two or more."""
    channel = Channel(
        id=hub.workspace.next_id("D" if len(members) == 2 else "G"),
        name="" if len(members) == 2 else "mpdm-" + "--".join(hub.workspace.users[user].name for user in members),
        kind="im" if len(members) == 2 else "mpim",
        members=members,
        creator=members[0],
        created=int(hub.clock.now()),
    )
    return _keep(hub, channel)


def create_channel(hub: Hub, *, name: str, is_private: bool, creator: str) -> Channel:
    """Make a channel whose only member is its creator."""
    wanted = name.strip().removeprefix("#").lower().replace(" ", "-")
    if not NAME.fullmatch(wanted):
        raise PageError("A channel's name has up to 80 letters, digits, hyphens and underscores.")
    if hub.workspace.channel_named(wanted) is not None:
        raise PageError(f"There is already a channel named #{wanted}.")
    channel = Channel(
        id=hub.workspace.next_id("C"),
        name=wanted,
        kind="private" if is_private else "public",
        creator=creator,
        created=int(hub.clock.now()),
    )
    _keep(hub, channel)
    join(hub, channel, user=creator)
    return channel


def join(hub: Hub, channel: Channel, *, user: str, inviter: str | None = None) -> None:
    """Make somebody a member of a channel, with the line that says so."""
    if user in channel.members:
        return
    channel.members.append(user)
    events.member_joined(hub, channel, user=user, inviter=inviter)
    text = f"<@{user}> was added to #{channel.name} by <@{inviter}>" if inviter else f"<@{user}> joined #{channel.name}"
    _say(hub, channel, user=user, text=text, subtype="channel_join" if channel.kind == "public" else "group_join")


def leave(hub: Hub, channel: Channel, *, user: str) -> None:
    """End somebody's membership; who cannot see the channel any more loses it from the page."""
    if user not in channel.members:
        return
    _say(
        hub,
        channel,
        user=user,
        text=f"<@{user}> left #{channel.name}",
        subtype="channel_leave" if channel.kind == "public" else "group_leave",
    )
    channel.members.remove(user)
    hub.push_channel(channel)
    if not hub.workspace.can_see(user, channel):
        hub.live.push({"type": "channel_removed", "channel": channel.id}, {user})


def _keep(hub: Hub, channel: Channel) -> Channel:
    hub.workspace.channels[channel.id] = channel
    hub.push_channel(channel)
    return channel


def _say(hub: Hub, channel: Channel, *, user: str, text: str, subtype: str) -> None:
    ts = hub.workspace.next_ts(hub.clock.now())
    post(hub, Message(ts=ts, channel=channel.id, user=user, text=text, subtype=subtype))
