"""What differs between the app as it is set up at Slack and the manifest that it needs; pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.findings import Finding, ok, warning, wrong
from bot.slack.setup.manifest import COMMAND, EVENTS, SCOPES, SHORTCUTS

REINSTALL = "then Install App → Reinstall"


def compare_manifest(manifest: Mapping[str, Any], *, is_http: bool) -> list[Finding]:
    """Return a finding for each difference that matters, or one that there is none."""
    found = list(_differences(manifest, is_http=is_http))
    return found or [ok("App set-up", "as `bot manifest` prints it.")]


def _differences(manifest: Mapping[str, Any], *, is_http: bool) -> Iterator[Finding]:
    features, settings = _part(manifest, "features"), _part(manifest, "settings")
    yield from _lists(manifest, settings)
    yield from _tabs(_part(features, "app_home"), features)
    if not _part(settings, "interactivity").get("is_enabled"):
        mend = "Interactivity & Shortcuts → switch Interactivity on."
        yield wrong("Interactivity", "it is switched off, so no button works.", mend)
    if bool(settings.get("socket_mode_enabled")) == is_http:
        wanted = "off" if is_http else "on"
        mend = f"Socket Mode → switch it {wanted}, or set SLACK_TRANSPORT={'socket' if is_http else 'http'}."
        yield wrong("Transport", f"Socket Mode must be {wanted} for SLACK_TRANSPORT as it is.", mend)
    if settings.get("token_rotation_enabled"):
        mend = "create the app anew from `bot manifest`: Slack does not let rotation be switched off again."
        yield wrong("Token rotation", "it is switched on, and the token expires after 12 hours.", mend)
    commands = {item.get("command") for item in _list(features, "slash_commands")}
    if COMMAND not in commands:
        yield wrong("Slash command", f"{COMMAND} is missing.", f"add {COMMAND} at Slash Commands, {REINSTALL}.")
    shortcuts = {item.get("callback_id") for item in _list(features, "shortcuts")}
    lacking = [shortcut["name"] for shortcut in SHORTCUTS if shortcut["callback_id"] not in shortcuts]
    if lacking:
        mend = f"paste `bot manifest` at App Manifest, {REINSTALL}."
        yield warning("Shortcuts", f"missing: {', '.join(lacking)}.", mend)


def _lists(manifest: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Finding]:
    events = _part(settings, "event_subscriptions").get("bot_events") or []
    missing = [event for event in EVENTS if event not in events]
    if missing:
        reasons = "; ".join(f"{event} ({EVENTS[event]})" for event in missing)
        mend = f"subscribe to {', '.join(missing)} at Event Subscriptions → Subscribe to bot events, {REINSTALL}."
        yield wrong("Events", f"{len(missing)} missing: {reasons}.", mend)
    scopes = _part(_part(manifest, "oauth_config"), "scopes").get("bot") or []
    lacking = [scope for scope in SCOPES if scope not in scopes]
    if lacking:
        mend = f"add {', '.join(lacking)} at OAuth & Permissions → Bot Token Scopes, {REINSTALL}."
        yield wrong("App scopes", f"the app does not ask for {', '.join(lacking)}.", mend)


def _tabs(home: Mapping[str, Any], features: Mapping[str, Any]) -> Iterator[Finding]:
    if not home.get("messages_tab_enabled"):
        yield wrong("Messages tab", "it is switched off.", "App Home → Show Tabs → switch Messages Tab on.")
    elif home.get("messages_tab_read_only_enabled"):
        mend = "App Home → Messages Tab → tick “Allow users to send Slash commands and messages”."
        yield wrong("Messages tab", "it only reads: nobody can write to the assistant.", mend)
    if not home.get("home_tab_enabled"):
        yield warning("Home tab", "it is switched off.", "App Home → Show Tabs → switch Home Tab on.")
    if "agent_view" not in features:
        mend = "paste `bot manifest` at App Manifest; Slack switches the agent experience on with features.agent_view."
        yield warning("Agent", "the app is not declared an agent: no status line, no prompts, no Stop.", mend)


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}


def _list(value: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found = value.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
