"""Users, channels and messages in the JSON that Slack's API and events use."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

from bot.playground.entities import Channel, File, Json, Message, User
from bot.playground.hub import Hub

MOST_NAMED = 50  # Slack does not say how many
CHANNEL_TYPES = {"public": "channel", "private": "group", "im": "im", "mpim": "mpim"}


def user_object(hub: Hub, user: User, *, include_locale: bool = False) -> Json:
    """Render a user as users.info does."""
    zone = datetime.fromtimestamp(hub.clock.now(), ZoneInfo(user.tz))
    offset = zone.utcoffset()
    names = {"real_name": user.real_name, "display_name": user.display_name}
    team = user.team or hub.workspace.team_id
    document: Json = {
        "id": user.id,
        "team_id": team,
        "name": user.name,
        "deleted": False,
        "color": user.color,
        "real_name": user.real_name,
        "tz": user.tz,
        "tz_label": zone.tzname(),
        "tz_offset": int(offset.total_seconds()) if offset else 0,
        "profile": {
            **names,
            **{f"{key}_normalized": name for key, name in names.items()},
            "team": team,
        },
        "is_admin": user.is_admin,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": user.is_guest,
        "is_ultra_restricted": user.is_single_channel,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "updated": 0,
    }
    if user.is_bot:
        document["profile"] |= {"bot_id": hub.app.bot_id, "api_app_id": hub.app.id}
    if user.team:
        document["is_stranger"] = not _shares_a_channel(hub, user)
    if include_locale:
        document["locale"] = user.locale
    return document


def _shares_a_channel(hub: Hub, user: User) -> bool:
    app = hub.app.bot_user_id
    return any({user.id, app} <= set(channel.members) for channel in hub.workspace.channels.values())


def channel_object(hub: Hub, channel: Channel) -> Json:
    """Render a conversation as conversations.info does for the app."""
    document: Json = {
        "id": channel.id,
        "created": channel.created,
        "creator": channel.creator,
        "is_archived": False,
        "is_channel": channel.kind == "public",
        "is_group": channel.kind == "private",
        "is_im": channel.kind == "im",
        "is_mpim": channel.kind == "mpim",
        "is_private": channel.kind != "public",
        "is_shared": channel.is_ext_shared,
        "is_ext_shared": channel.is_ext_shared,
        "is_org_shared": False,
        "context_team_id": hub.workspace.team_id,
    }
    if channel.kind == "im":
        others = [member for member in channel.members if member != hub.app.bot_user_id]
        return document | {"user": others[0] if others else hub.app.bot_user_id, "is_open": True}
    return document | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_member": hub.app.bot_user_id in channel.members,
        "is_general": channel.name == "general",
        "topic": {"value": channel.topic, "creator": channel.creator, "last_set": channel.created},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "num_members": len(channel.members),
    }


def message_object(hub: Hub, message: Message, *, is_full: bool = False) -> Json:
    """Render a message as conversations.history does, which names some of many who put the same emoji, unless full."""
    known, author = hub.workspace.files, hub.workspace.users.get(message.user)
    document: Json = {
        "type": "message",
        "user": message.user,
        "ts": message.ts,
        "text": message.markdown_text if message.markdown_text is not None else message.text,
        "team": (author.team if author else "") or hub.workspace.team_id,
    }
    if author and hub.workspace.channels[message.channel].is_ext_shared:
        document |= {"user_team": document["team"], "source_team": document["team"]}
    optional = {
        "subtype": message.subtype,
        "bot_id": message.bot_id,
        "app_id": message.app_id,
        "blocks": all_blocks(message),
        "attachments": message.attachments,
        "metadata": message.metadata,
        "username": message.username,
        "thread_ts": message.thread_ts,
        "files": [file_object(hub, known[file["id"]]) for file in message.files if file["id"] in known],
    }
    document |= {key: value for key, value in optional.items() if value}
    if message.bot_id:
        document["bot_profile"] = bot_profile(hub)
    if message.edited:
        document["edited"] = {"user": message.edited.user, "ts": message.edited.ts}
    if message.reactions:
        most = None if is_full else MOST_NAMED
        document["reactions"] = [
            {"name": item.name, "users": item.users[:most], "count": len(item.users)} for item in message.reactions
        ]
    if message.streaming:
        document["streaming_state"] = "in_progress"
    return document | _thread_fields(hub, message)


def all_blocks(message: Message) -> list[Json]:
    """Return a message's blocks, its markdown text first as a block of its own."""
    if not message.markdown_text:
        return message.blocks
    return [{"type": "markdown", "block_id": "markdown", "text": message.markdown_text}, *message.blocks]


def file_permalink(hub: Hub, file: File) -> str:
    """Return the address under which the page shows where a file was shared first; empty while it is not."""
    shared = next(((channel, shown[0]) for channel, shown in file.shares.items() if shown), None)
    return f"{hub.base_url}/archives/{shared[0]}/p{shared[1].replace('.', '')}" if shared else ""


def file_object(hub: Hub, file: File) -> Json:
    """Render a file as files.info does; what it is shows once it has been processed."""
    mimetype = file.mimetype if hub.clock.now() >= file.ready_at else ""
    address = f"{hub.base_url}/files-pri/{hub.workspace.team_id}-{file.id}"
    channels = {channel: hub.workspace.channels[channel].kind for channel in file.shares}
    return {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title,
        "mimetype": mimetype,
        "filetype": file.name.rpartition(".")[2].lower() if mimetype else "",
        "user": file.user,
        "user_team": hub.workspace.team_id,
        "mode": "hosted",
        "editable": False,
        "is_external": False,
        "size": file.size,
        "url_private": f"{address}/{quote(file.name)}",
        "url_private_download": f"{address}/download/{quote(file.name)}",
        "permalink": file_permalink(hub, file),
        "is_public": "public" in channels.values(),
        "public_url_shared": False,
        "channels": [channel for channel, kind in channels.items() if kind == "public"],
        "groups": [channel for channel, kind in channels.items() if kind in {"private", "mpim"}],
        "ims": [channel for channel, kind in channels.items() if kind == "im"],
        "shares": {
            name: found
            for name, is_public in (("public", True), ("private", False))
            if (
                found := {
                    channel: [{"ts": ts} for ts in shown]
                    for channel, shown in file.shares.items()
                    if (channels[channel] == "public") is is_public
                }
            )
        },
        "file_access": "visible",
    }


def bot_profile(hub: Hub) -> Json:
    """Render the app's bot as it accompanies its messages."""
    return {
        "id": hub.app.bot_id,
        "app_id": hub.app.id,
        "name": hub.app.name,
        "deleted": False,
        "updated": 0,
        "icons": {},
        "team_id": hub.workspace.team_id,
    }


def _thread_fields(hub: Hub, message: Message) -> Json:
    if message.is_reply:
        root = hub.workspace.root_of(message)
        return {"parent_user_id": root.user} if root else {}
    if not message.reply_count:
        return {}
    return {
        "reply_count": message.reply_count,
        "reply_users_count": len(message.reply_users),
        "reply_users": list(message.reply_users),
        "latest_reply": message.latest_reply,
        "subscribed": False,
    }
