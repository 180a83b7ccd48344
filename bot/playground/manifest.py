"""An app manifest as the playground reads it: commands, events, scopes, the bot's name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.playground.errors import PlaygroundError


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command as people see it in the composer."""

    command: str
    description: str = ""
    usage_hint: str = ""


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A shortcut as people see it in the menu of a message (type message) or of the workspace (global)."""

    name: str
    type: str
    callback_id: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the app is allowed: None for events or scopes means everything."""

    name: str | None
    commands: tuple[Command, ...]
    events: frozenset[str] | None
    scopes: frozenset[str] | None
    has_home: bool = True
    has_messages: bool = True  # whether its Messages tab is there
    takes_messages: bool = True  # whether people can write there
    document: Mapping[str, Any] | None = None
    shortcuts: tuple[Shortcut, ...] = ()

    def is_subscribed(self, event: str) -> bool:
        """Say whether the app gets *event*, such as message.channels or app_mention."""
        return self.events is None or event in self.events

    def has_scope(self, scope: str | None) -> bool:
        """Say whether the app's bot token carries *scope*."""
        return scope is None or self.scopes is None or scope in self.scopes


WITHOUT_MANIFEST = Manifest(
    name=None,
    commands=(Command(command="/apprentice", description="Talk to the app", usage_hint="[help]"),),
    events=None,
    scopes=None,
)


def read_manifest(source: Path | Mapping[str, Any] | None) -> Manifest:
    """Read a manifest from a file or from parsed JSON; without one, everything is allowed."""
    if source is None:
        return WITHOUT_MANIFEST
    if isinstance(source, Path):
        return parse_manifest(_load(source), origin=str(source))
    return parse_manifest(source, origin="the manifest")


def parse_manifest(document: Mapping[str, Any], *, origin: str) -> Manifest:
    """Turn a manifest's JSON into what the playground enforces."""
    try:
        features = document.get("features", {})
        home = features.get("app_home", {})
        scopes = document.get("oauth_config", {}).get("scopes", {})
        events = document.get("settings", {}).get("event_subscriptions", {}).get("bot_events")
        return Manifest(
            name=features.get("bot_user", {}).get("display_name")
            or document.get("display_information", {}).get("name"),
            commands=tuple(_parse_command(item) for item in features.get("slash_commands", [])),
            events=frozenset(events or ()),
            scopes=frozenset([*scopes["bot"], *scopes.get("bot_optional", [])]) if "bot" in scopes else None,
            has_home=bool(home.get("home_tab_enabled")),
            has_messages=bool(home.get("messages_tab_enabled", True)),
            takes_messages=not home.get("messages_tab_read_only_enabled", False),
            document=document,
            shortcuts=tuple(_parse_shortcut(item) for item in features.get("shortcuts", [])),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise PlaygroundError(f"{origin} is not an app manifest as `bot manifest` writes it ({error!r}).") from error


def _parse_command(item: Mapping[str, Any]) -> Command:
    return Command(
        command=item["command"],
        description=item.get("description", ""),
        usage_hint=item.get("usage_hint", ""),
    )


def _parse_shortcut(item: Mapping[str, Any]) -> Shortcut:
    return Shortcut(item["name"], item["type"], item["callback_id"], item.get("description", ""))


def _load(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlaygroundError(f"The manifest {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise PlaygroundError(f"The manifest {path} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise PlaygroundError(f"The manifest {path} must be a JSON object.")
    return document
