"""auth.* and api.*: who am I, and is anybody there."""

from __future__ import annotations

from bot.playground.entities import Json
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.method import Method


def answer_test(hub: Hub, args: Arguments) -> Json:  # noqa: ARG001 - every method takes its arguments
    """Say which bot user the token belongs to."""
    return {
        "url": f"{hub.base_url}/",
        "team": hub.workspace.team_name,
        "user": hub.workspace.users[hub.app.bot_user_id].name,
        "team_id": hub.workspace.team_id,
        "user_id": hub.app.bot_user_id,
        "bot_id": hub.app.bot_id,
        "is_enterprise_install": False,
    }


def answer_api_test(hub: Hub, args: Arguments) -> Json:  # noqa: ARG001 - every method takes the hub
    """Answer, or fail with the error one asks for."""
    wanted = args.text("error")
    if wanted:
        raise SlackError(wanted, args={"error": wanted})
    return {"args": args.all()}


METHODS = (
    Method("auth.test", answer_test),
    Method("api.test", answer_api_test, token="none"),  # noqa: S106 - a kind of token, not one
)
