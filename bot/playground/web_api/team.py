"""team.*: facts about the workspace."""

from __future__ import annotations

from bot.playground.entities import Json
from bot.playground.errors import SlackError
from bot.playground.hub import Hub
from bot.playground.web_api.arguments import Arguments
from bot.playground.web_api.method import Method


def answer_info(hub: Hub, args: Arguments) -> Json:
    """Describe the workspace; there is no other."""
    workspace = hub.workspace
    if args.text("team") not in {None, workspace.team_id}:
        raise SlackError("team_not_found")
    return {
        "team": {
            "id": workspace.team_id,
            "name": workspace.team_name,
            "domain": workspace.domain,
            "url": f"{hub.base_url}/",
            "email_domain": "",
            "icon": {"image_default": True},
        }
    }


METHODS = (Method("team.info", answer_info, scope="team:read"),)
