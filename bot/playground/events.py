"""The Events API: which changes of the workspace the app is told about, and in which words."""

from __future__ import annotations

from bot.playground.entities import Channel, Json, Message
from bot.playground.hub import Hub
from bot.playground.slack_objects import CHANNEL_TYPES, message_object

SUBSCRIPTIONS = {"channel": "message.channels", "group": "message.groups", "im": "message.im", "mpim": "message.mpim"}


def publish(hub: Hub, event: Json, *, channel: Channel | None = None) -> None:
    """Send an event to the app if it subscribes to it and is in the channel it happened in."""
    if channel is not None and hub.app.bot_user_id not in channel.members:
        return
    name = SUBSCRIPTIONS[event["channel_type"]] if event["type"] == "message" else event["type"]
    if not hub.manifest.is_subscribed(name):
        return
    workspace = hub.workspace
    hub.delivery.post_event(
        name,
        {
            "token": "playground",
            "team_id": workspace.team_id,
            "context_team_id": workspace.team_id,
            "context_enterprise_id": None,
            "api_app_id": hub.app.id,
            "event": event,
            "type": "event_callback",
            "event_id": workspace.next_id("Ev"),
            "event_time": int(hub.clock.now()),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": workspace.team_id,
                    "user_id": hub.app.bot_user_id,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": channel.is_ext_shared if channel else False,
            "event_context": f"4-{workspace.next_id('Ec')}",
        },
    )


def app_removed(hub: Hub) -> None:
    """Tell that the app's token no longer works, and that the app was removed."""
    publish(hub, {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [hub.app.bot_user_id]}})
    publish(hub, {"type": "app_uninstalled"})


def event_ts(hub: Hub) -> str:
    """Return a timestamp for an event that is not a message."""
    return hub.workspace.next_ts(hub.clock.now())


def message_posted(hub: Hub, message: Message) -> None:
    """Tell of a new message, and once more if it mentions the app in a channel."""
    channel = hub.workspace.channels[message.channel]
    event = message_object(hub, message) | {
        "channel": channel.id,
        "event_ts": message.ts,
        "channel_type": CHANNEL_TYPES[channel.kind],
    }
    if message.is_reply and message.broadcast:
        event["subtype"] = "thread_broadcast"
    if channel.kind == "im" and message.bot_id is None:
        event["app_context"] = app_context(hub, message.user)
    publish(hub, event, channel=channel)
    _mention(hub, message, event)


def _mention(hub: Hub, message: Message, event: Json) -> None:
    """Tell of a message once more if it mentions the app in a channel."""
    channel = hub.workspace.channels[message.channel]
    is_mention = (
        f"<@{hub.app.bot_user_id}>" in message.text
        and message.bot_id is None
        and message.subtype in {None, "file_share"}
    )
    if is_mention and not channel.is_direct:
        mention = {key: value for key, value in event.items() if key not in {"channel_type", "subtype"}}
        publish(hub, mention | {"type": "app_mention"}, channel=channel)


def message_changed(hub: Hub, message: Message, *, before: Json) -> None:
    """Tell of a message that is no longer what *before* says; each edit of a mention is a mention again."""
    after = message_object(hub, message)
    _hidden_change(hub, message, {"subtype": "message_changed", "message": after, "previous_message": before})
    if message.edited is not None and after.get("edited") != before.get("edited"):
        _mention(hub, message, after | {"channel": message.channel, "event_ts": message.edited.ts})


def message_deleted(hub: Hub, message: Message, *, before: Json) -> None:
    """Tell of a message that is gone."""
    _hidden_change(hub, message, {"subtype": "message_deleted", "deleted_ts": message.ts, "previous_message": before})


def reaction_changed(hub: Hub, message: Message, *, user: str, name: str, is_added: bool) -> None:
    """Tell of a reaction that came or went."""
    event = {
        "type": "reaction_added" if is_added else "reaction_removed",
        "user": user,
        "reaction": name,
        "item_user": message.user,
        "item": {"type": "message", "channel": message.channel, "ts": message.ts},
        "event_ts": event_ts(hub),
    }
    publish(hub, event, channel=hub.workspace.channels[message.channel])


def member_joined(hub: Hub, channel: Channel, *, user: str, inviter: str | None) -> None:
    """Tell of somebody who is now in a channel."""
    event = {
        "type": "member_joined_channel",
        "user": user,
        "channel": channel.id,
        "channel_type": "C" if channel.kind == "public" else "G",
        "team": hub.workspace.team_id,
        "event_ts": event_ts(hub),
    }
    publish(hub, event | ({"inviter": inviter} if inviter else {}), channel=channel)


def app_home_opened(hub: Hub, channel: Channel, *, user: str, tab: str) -> None:
    """Tell that somebody opened the app's DM, or its Home tab with what is published there."""
    event: Json = {"type": "app_home_opened", "user": user, "channel": channel.id, "tab": tab}
    shown = hub.workspace.homes.get(user) if tab == "home" else None
    publish(hub, {**event, **({"view": shown} if shown else {}), "event_ts": event_ts(hub)})


def app_context_changed(hub: Hub, channel: Channel, *, user: str) -> None:
    """Tell what somebody looks at now, through their DM with the app."""
    event = {
        "type": "app_context_changed",
        "user": user,
        "channel": channel.id,
        "context": app_context(hub, user),
        "event_ts": event_ts(hub),
    }
    publish(hub, event)


def session_stopped(hub: Hub, channel: Channel, *, thread_ts: str, user: str, streams: list[str]) -> None:
    """Tell that somebody pressed Stop; what that means is the app's business."""
    event = {
        "type": "agent_session_stopped",
        "channel": channel.id,
        "thread_ts": thread_ts,
        "user": user,
        "team_id": hub.workspace.team_id,
        "streaming_message_ts": streams,
        "event_ts": event_ts(hub),
    }
    publish(hub, event, channel=channel)


def session_renamed(hub: Hub, channel: Channel, *, thread_ts: str, user: str, title: str, previous: str | None) -> None:
    """Tell that somebody gave a session another title."""
    event = {
        "type": "agent_session_title_changed",
        "channel": channel.id,
        "thread_ts": thread_ts,
        "user": user,
        "team_id": hub.workspace.team_id,
        "title": title,
        "event_ts": event_ts(hub),
    }
    publish(hub, event | ({"previous_title": previous} if previous else {}), channel=channel)


def app_context(hub: Hub, user: str) -> Json:
    """Return what a person looks at beside the app; a channel the app may not be in."""
    channel = hub.looking_at.get(user)
    if channel is None:
        return {}
    entity = {"type": "slack#/types/channel_id", "value": channel, "team_id": hub.workspace.team_id}
    return {"entities": [entity]}


def _hidden_change(hub: Hub, message: Message, change: Json) -> None:
    channel = hub.workspace.channels[message.channel]
    ts = event_ts(hub)
    event = {
        "type": "message",
        **change,
        "channel": channel.id,
        "hidden": True,
        "ts": ts,
        "event_ts": ts,
        "channel_type": CHANNEL_TYPES[channel.kind],
    }
    publish(hub, event, channel=channel)
