"""conversations.*: channels, DMs, and what was said in them."""

from __future__ import annotations

from bot.playground.entities import Channel, Json, Message
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.membership import open_direct
from bot.playground.slack_objects import CHANNEL_TYPES, channel_object, message_object
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.method import Method, paginate, require_channel, require_membership

TYPES = {"public_channel": "public", "private_channel": "private", "im": "im", "mpim": "mpim"}
READ_SCOPES = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}


def answer_list(hub: Hub, args: Arguments) -> Json:
    """List public channels and the others that the app is in."""
    types = args.words("types") or ["public_channel"]
    if not set(types) <= set(TYPES):
        raise SlackError("invalid_types")
    kinds = {TYPES[name] for name in types}
    channels = [
        channel_object(hub, channel)
        for channel in hub.workspace.channels.values()
        if channel.kind in kinds and (channel.kind == "public" or hub.app.bot_user_id in channel.members)
    ]
    page, metadata = paginate(channels, args, default=100, highest=1000)
    return {"channels": page, "response_metadata": metadata}


def answer_own(hub: Hub, args: Arguments) -> Json:
    """List what the app is in."""
    document = answer_list(hub, args)
    return {**document, "channels": [one for one in document["channels"] if one["is_im"] or one.get("is_member")]}


def answer_info(hub: Hub, args: Arguments) -> Json:
    """Describe one conversation."""
    channel = require_channel(hub, args)
    _require_scope(hub, channel, "read")
    document = channel_object(hub, channel)
    if args.boolean("include_num_members") is False:
        document.pop("num_members", None)
    return {"channel": document}


def answer_members(hub: Hub, args: Arguments) -> Json:
    """List who is in a conversation."""
    channel = require_channel(hub, args)
    _require_scope(hub, channel, "read")
    page, metadata = paginate([{"id": member} for member in channel.members], args, default=100, highest=1000)
    return {"members": [item["id"] for item in page], "response_metadata": metadata}


def answer_history(hub: Hub, args: Arguments) -> Json:
    """Return a conversation's own messages, newest first."""
    channel = require_channel(hub, args)
    _require_scope(hub, channel, "history")
    require_membership(hub, channel)
    wanted = _within(hub.workspace.top_level(channel.id)[::-1], args)
    page, metadata = paginate([message_object(hub, item) for item in wanted], args, default=100, highest=999)
    return _page_of_messages(page, metadata) | {"pin_count": 0}


def answer_replies(hub: Hub, args: Arguments) -> Json:
    """Return a thread, its root first and then oldest first."""
    channel = require_channel(hub, args)
    _require_scope(hub, channel, "history")
    require_membership(hub, channel)
    asked = hub.workspace.find(channel.id, args.required("ts"))
    if asked is None:
        raise SlackError("thread_not_found")
    if asked.is_reply:
        return _page_of_messages([message_object(hub, asked)], {"next_cursor": ""})
    wanted = [asked, *_within(hub.workspace.replies(channel.id, asked.ts), args)]
    page, metadata = paginate([message_object(hub, item) for item in wanted], args, default=1000, highest=1000)
    return _page_of_messages(page, metadata)


def answer_open(hub: Hub, args: Arguments) -> Json:
    """Find or make the DM with some people."""
    known = args.text("channel")
    if known is not None:
        channel = require_channel(hub, args)
        if not channel.is_direct:
            raise SlackError("method_not_supported_for_channel_type")
        return _opened(hub, channel, args, is_new=False)
    people = args.words("users")
    if not people:
        raise SlackError("users_list_not_supplied")
    if not set(people) <= set(hub.workspace.users):
        raise SlackError("user_not_found")
    members = [*dict.fromkeys(people), hub.app.bot_user_id]
    if len(members) > 9:
        raise SlackError("too_many_users")
    existing = hub.workspace.direct_channel(members)
    if args.boolean("prevent_creation") and existing is None:
        raise SlackError("channel_not_found")
    return _opened(hub, existing or open_direct(hub, members), args, is_new=existing is None)


def _opened(hub: Hub, channel: Channel, args: Arguments, *, is_new: bool) -> Json:
    document = channel_object(hub, channel) if args.boolean("return_im") else {"id": channel.id}
    return {"channel": document} if is_new else {"channel": document, "no_op": True, "already_open": True}


def _within(messages: list[Message], args: Arguments) -> list[Message]:
    oldest, latest = args.text("oldest") or "0", args.text("latest") or "9" * 10
    inclusive = args.boolean("inclusive")
    try:
        low, high = float(oldest), float(latest)
    except ValueError:
        raise SlackError("invalid_ts_oldest" if args.text("oldest") else "invalid_ts_latest") from None
    return [
        message
        for message in messages
        if low < float(message.ts) < high or (inclusive and message.ts in {oldest, latest})
    ]


def _page_of_messages(messages: list[Json], metadata: Json) -> Json:
    has_more = bool(metadata["next_cursor"])
    return {"messages": messages, "has_more": has_more} | ({"response_metadata": metadata} if has_more else {})


def _require_scope(hub: Hub, channel: Channel, right: str) -> None:
    scope = f"{READ_SCOPES[CHANNEL_TYPES[channel.kind]]}:{right}"
    if not hub.manifest.has_scope(scope):
        raise SlackError("missing_scope", needed=scope, provided=",".join(sorted(hub.manifest.scopes or ())))


METHODS = (
    Method("conversations.list", answer_list, missing="archived channels"),
    Method("users.conversations", answer_own, missing="other users' conversations and archived channels"),
    Method("conversations.info", answer_info),
    Method("conversations.members", answer_members),
    Method("conversations.history", answer_history),
    Method("conversations.replies", answer_replies),
    Method("conversations.open", answer_open, scope="im:write"),
)
