"""What a playground can be told when it starts; knows nothing about how it is served."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bot.playground.errors import PlaygroundError


@dataclass(frozen=True, slots=True)
class PlaygroundOptions:
    """Everything a playground is started with; port 0 takes any free port."""

    host: str = "127.0.0.1"
    port: int = 3010
    events_url: str | None = None
    app_name: str | None = None
    manifest: Path | Mapping[str, Any] | None = None
    data: Path | None = None
    bot_token: str = "xoxb-playground"  # noqa: S105 - known to everyone, opens nothing
    app_token: str = "xapp-playground"  # noqa: S105 - see above
    config_token: str = "xoxe.xoxp-playground"  # noqa: S105 - see above
    signing_secret: str = "playground-signing-secret"  # noqa: S105 - see above
    client_id: str = "111.222"
    client_secret: str = "playground-client-secret"  # noqa: S105 - see above
    has_second: bool = False  # whether there is a second workspace, in which the app can be installed by OAuth
    faults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def check_options(options: PlaygroundOptions) -> None:
    """Refuse what would open the playground to others or could never work."""
    if not is_loopback(options.host):
        raise PlaygroundError(
            f"--host {options.host} is not a loopback address; the playground has no log-in, so use 127.0.0.1."
        )
    if options.events_url is not None:
        parts = urlsplit(options.events_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise PlaygroundError(
                f"--events-url {options.events_url} is not an http(s) URL; "
                "give something like http://127.0.0.1:3000/slack/events."
            )


def is_loopback(host: str) -> bool:
    """Say whether *host* can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
