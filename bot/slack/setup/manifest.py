"""The app manifest: what to paste at api.slack.com, with every scope and event that is asked for and why."""

import json
from collections.abc import Mapping
from typing import Any

from bot.language import ENGLISH, _, speaking

COMMAND = "/apprentice"
# The playground completes words by this, and Slack shows it; `a | b [c|d]` names what may follow b.
USAGE_HINT = " | ".join(
    (
        "ask [--short|--long|--no-history|-n 2|--private] QUESTION",
        "status",
        "preferences",
        "help NAME",
        "remind WHAT",
        "digest WHAT",
        "schedule [list|remove]",
        "summarise",
        "actions",
        "translate [to LANGUAGE]",
        "explain",
        "persona NAME",
        "channel",
        "mute",
        "follow",
        "stop",
        "retry",
        "train",
        "learn-from-me [on|off]",
        "budget",
        "my-data",
        "forget-me",
    )
)
EVENTS_PATH = "/slack/events"
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"
SCOPES = {
    "app_mentions:read": "hear when somebody mentions it",
    "assistant:write": "be shown as an agent: status line, suggested prompts, Stop",
    "channels:history": "hear the next message in a thread that it is part of, in public channels",
    "channels:read": "know whether a channel is public",
    "chat:write": "answer",
    "commands": "its slash command",
    "files:read": "read the files that people share with it",
    "files:write": "put the curves of a training under its report, and a long answer into a file",
    "groups:history": "the same in private channels that it was invited to",
    "groups:read": "know that a channel is private",
    "im:history": "hear direct messages to it",
    "im:read": "know its direct messages",
    "im:write": "open the direct message in which it reminds somebody",
    "mpim:history": "hear group messages that it was added to",
    "mpim:read": "know group messages that it was added to",
    "reactions:read": "take a 👍 or 👎 on an answer for what the buttons below it say",
    "reactions:write": "show that it heard a wish for quiet",
    "users:read": "know people's names and time zones",
}
EVENTS = {
    "agent_session_stopped": "stop at once when somebody presses Slack's own Stop",
    "app_context_changed": "know which conversation you look at beside it, to suggest what fits",
    "app_home_opened": "fill its Home tab and suggest prompts",
    "app_uninstalled": "forget a workspace's token when it removes the app",
    "app_mention": "answer whoever mentions it",
    "file_deleted": "forget what a file said when somebody deletes it",
    "member_joined_channel": "answer what was asked in a channel before it was invited, perhaps back",
    "message.channels": "answer the next messages of a thread; without it people must mention it every time",
    "message.groups": "the same in private channels",
    "message.im": "answer direct messages",
    "message.mpim": "answer in group messages",
    "reaction_added": "count a 👍 or 👎 on an answer as a vote",
    "reaction_removed": "take that vote back",
    "tokens_revoked": "forget a token that no longer works",
}
SUMMARISE_THREAD, EXPLAIN, TRANSLATE = "summarise_thread", "explain_message", "translate_message"
DRAFT_REPLY, TEACH = "draft_reply", "teach"
SHORTCUTS: tuple[Mapping[str, str], ...] = tuple(
    {"name": name, "type": "message", "callback_id": callback_id, "description": description}
    for callback_id, name, description in (
        (SUMMARISE_THREAD, "Summarise thread", "What was decided and what is open, for you alone"),
        (EXPLAIN, "Explain this", "The message in plain words, for you alone"),
        (TRANSLATE, "Translate this", "The message in the language of your Slack, for you alone"),
        (DRAFT_REPLY, "Draft a reply", "What you could answer, for you alone"),
        (TEACH, "Teach the assistant", "Correct its answer, or have it learn a message if its author agrees"),
    )
)


def build_manifest(
    *, name: str, request_url: str | None, install_url: str | None = None, is_for_org: bool = False
) -> dict[str, Any]:
    """Build the manifest for Socket Mode, or for HTTP when *request_url* says where Slack reaches the bot.

    *install_url* is where people's browsers reach it, if other workspaces shall install it; *is_for_org* lets a whole
    organisation do so at once.
    """
    with speaking(ENGLISH):  # Slack keeps one manifest for everybody
        suggestions = list_suggestions()
    url = {"request_url": f"{request_url.rstrip('/')}{EVENTS_PATH}"} if request_url else {}
    command: dict[str, Any] = {"command": COMMAND, "description": "Help, status and learning", "usage_hint": USAGE_HINT}
    command |= {"should_escape": True, **_url(url)}  # people and channels arrive as ids
    redirect = {"redirect_urls": [f"{install_url.rstrip('/')}{REDIRECT_PATH}"]} if install_url else {}
    return {
        "display_information": {
            "name": name,
            "description": "Your team's own assistant. It runs on your hardware and learns from your feedback.",
            "background_color": "#1f2a44",
        },
        "features": {
            "agent_view": {
                "agent_description": "Answers questions and helps with everyday work, on your own hardware.",
                "suggested_prompts": suggestions,
            },
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
            **({"shortcuts": [dict(shortcut) for shortcut in SHORTCUTS]} if SHORTCUTS else {}),
            "slash_commands": [command],
        },
        "oauth_config": {**redirect, "scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {**url, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **url},
            "org_deploy_enabled": is_for_org,
            "socket_mode_enabled": request_url is None,
            "token_rotation_enabled": False,
        },
    }


def list_suggestions() -> list[dict[str, str]]:
    """List what a new conversation offers to ask, in the language that is spoken."""
    suggestions = {
        _("What can you do?"): _("What can you do?"),
        _("Write a status update"): _("Help me write a short status update."),
        _("Plan a meeting"): _("Make an agenda for a 30 minute team meeting."),
        _("Explain a term"): _("What is a code review?"),
    }
    return [{"title": title, "message": message} for title, message in suggestions.items()]


def render_json(manifest: Mapping[str, Any]) -> str:
    """Write a manifest as JSON, which has no room for reasons."""
    return json.dumps(manifest, indent=2, ensure_ascii=False)


def render_yaml(manifest: Mapping[str, Any]) -> str:
    """Write a manifest as YAML, with the reason behind every scope and event."""
    import yaml

    reasons = {**SCOPES, **EVENTS}
    lines = []
    for line in yaml.safe_dump(dict(manifest), sort_keys=False, allow_unicode=True, width=1000).splitlines():
        item = line.strip().removeprefix("- ")
        reason = reasons.get(item) if line.strip().startswith("- ") else None
        lines.append(f"{line}  # {reason}" if reason else line)
    return "\n".join(lines)


def explain() -> str:
    """Say for every scope and event what it is for."""
    width = max(map(len, [*SCOPES, *EVENTS]))
    scopes = [f"  {name:{width}}  {reason}" for name, reason in SCOPES.items()]
    events = [f"  {name:{width}}  {reason}" for name, reason in EVENTS.items()]
    return "\n".join(["Scopes: what it may do", *scopes, "", "Events: what it hears", *events])


def _url(url: dict[str, str]) -> dict[str, str]:
    return {"url": url["request_url"]} if url else {}
