"""bots.*: facts about the app's bot."""

from __future__ import annotations

from bot.playground.entities import Json
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.slack_objects import bot_profile
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.method import Method


def answer_info(hub: Hub, args: Arguments) -> Json:
    """Describe the app's bot; there is no other."""
    if args.text("bot") not in {None, hub.app.bot_id}:
        raise SlackError("bot_not_found")
    return {"bot": bot_profile(hub) | {"user_id": hub.app.bot_user_id}}


METHODS = (Method("bots.info", answer_info, scope="users:read"),)
