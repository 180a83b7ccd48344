"""The app manifest: what to paste at api.slack.com, with every scope that is asked for and why."""

from typing import Any

COMMAND = "/apprentice"
USAGE_HINT = "help | status | train | adapters | learn-from-me | learn-from-channel"
SUGGESTIONS = (
    ("What can you do?", "What can you do?"),
    ("Write a status update", "Help me write a short status update."),
    ("Plan a meeting", "Make an agenda for a 30 minute team meeting."),
    ("Explain a term", "What is a code review?"),
)
SCOPES = {
    "app_mentions:read": "hear when somebody mentions it",
    "assistant:write": "be shown as an agent: status line, suggested prompts, Stop",
    "channels:history": "hear the next message in a thread that it is part of, in public channels",
    "channels:read": "know whether a channel is public",
    "chat:write": "answer",
    "commands": "its slash command",
    "files:write": "put the curves of a training under its report",
    "groups:history": "the same in private channels that it was invited to",
    "groups:read": "know that a channel is private",
    "im:history": "hear direct messages to it",
    "im:read": "know its direct messages",
    "im:write": "open a direct message with you",
    "mpim:history": "hear group messages that it was added to",
    "mpim:read": "know group messages that it was added to",
    "users:read": "know people's names",
}
EVENTS = (
    "agent_session_stopped",
    "app_home_opened",
    "app_mention",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
)


def build_manifest(*, name: str, request_url: str | None) -> dict[str, Any]:
    """Build the manifest for Socket Mode, or for HTTP when *request_url* says where Slack reaches the bot."""
    url = {"request_url": f"{request_url.rstrip('/')}/slack/events"} if request_url else {}
    command = {"command": COMMAND, "description": "Help, status and learning", "usage_hint": USAGE_HINT, **_url(url)}
    return {
        "display_information": {
            "name": name,
            "description": "Your team's own assistant. It runs on your hardware and learns from your feedback.",
            "background_color": "#1f2a44",
        },
        "features": {
            "agent_view": {
                "agent_description": "Answers questions and helps with everyday work, on your own hardware.",
                "suggested_prompts": [{"title": title, "message": message} for title, message in SUGGESTIONS],
            },
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
            "slash_commands": [command],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {**url, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **url},
            "org_deploy_enabled": False,
            "socket_mode_enabled": request_url is None,
            "token_rotation_enabled": False,
        },
    }


def _url(url: dict[str, str]) -> dict[str, str]:
    return {"url": url["request_url"]} if url else {}
