"""oauth.*: an app's installation in the second workspace."""

from __future__ import annotations

from bot.playground.entities import Json
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.method import Method


def answer_access(hub: Hub, args: Arguments) -> Json:
    """Exchange a code, which works once, for the token of the workspace that it was given out for."""
    options, second = hub.options, hub.second
    if args.text("client_id") != options.client_id:
        raise SlackError("invalid_client_id")
    if args.text("client_secret") != options.client_secret:
        raise SlackError("bad_client_secret")
    code = args.text("code") or ""
    if second is None or code not in second.codes:
        raise SlackError("invalid_code")
    second.codes.discard(code)
    second.install()
    return {
        "app_id": hub.app.id,
        "authed_user": {"id": "U0ZOE"},
        "scope": ",".join(sorted(hub.manifest.scopes or ())),
        "token_type": "bot",
        "access_token": second.options.bot_token,
        "bot_user_id": second.app.bot_user_id,
        "team": {"id": second.workspace.team_id, "name": second.workspace.team_name},
        "enterprise": None,
        "is_enterprise_install": False,
    }


METHODS = (Method("oauth.v2.access", answer_access, token="none"),)  # noqa: S106 - a kind of token, not one
