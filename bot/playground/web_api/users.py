"""users.*: people and bots."""

from __future__ import annotations

from bot.playground.entities import Json
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.slack_objects import user_object
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.method import Method, paginate


def answer_info(hub: Hub, args: Arguments) -> Json:
    """Describe one user."""
    user = hub.workspace.users.get(args.required("user"))
    if user is None:
        raise SlackError("user_not_found")
    return {"user": user_object(hub, user, include_locale=args.boolean("include_locale"))}


def answer_list(hub: Hub, args: Arguments) -> Json:
    """Describe all users, a page at a time."""
    locale = args.boolean("include_locale")
    members = [user_object(hub, user, include_locale=locale) for user in hub.workspace.users.values()]
    page, metadata = paginate(members, args, default=1000, highest=1000)
    return {"members": page, "cache_ts": int(hub.clock.now()), "response_metadata": metadata}


METHODS = (
    Method("users.info", answer_info, scope="users:read", missing="email and image fields of the profile"),
    Method("users.list", answer_list, scope="users:read", missing="email and image fields of the profile"),
)
