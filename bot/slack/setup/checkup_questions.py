"""What is known before an examination, how Slack is asked, and how a token looks."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.findings import Finding, wrong
from bot.slack.calls import error_code

KINDS = {"xoxb-": "a bot token", "xapp-": "an app-level token", "xoxp-": "a person's token", "xoxe": "another token"}


@dataclass(frozen=True, kw_only=True)
class Account:
    """What is known of the installation before Slack is asked; *sightings* are the events that ever came."""

    api_url: str
    bot_token: str
    app_token: str
    signing_secret: str
    config_token: str = ""
    is_http: bool = False
    has_oauth: bool = False  # other workspaces install it, so a token of its own is not needed
    is_running: bool = False  # then its own socket is looked at elsewhere, and opening another would take its events
    admins: Sequence[str] = ()
    admin_channel: str = ""
    sightings: frozenset[str] = frozenset()
    manifest: Mapping[str, Any] | None = None


@dataclass
class Known:
    """What Slack has told so far."""

    bot_id: str = ""
    app_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """An answer of Slack's; the names of *headers* are in small letters."""

    data: Mapping[str, Any]
    headers: Mapping[str, str]


class Refusal(Exception):  # noqa: N818 - reads as an answer
    """Slack refused to answer, or *is_away*; *code* is its word for it."""

    def __init__(self, code: str, *, is_away: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.is_away = is_away


async def ask(call: Awaitable[AsyncSlackResponse]) -> Told:
    """Return what Slack answers, or raise *Refusal*."""
    try:
        response = await call
    except SlackApiError as error:
        raise Refusal(error_code(error)) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Refusal(type(error).__name__, is_away=True) from error
    headers = {str(key).lower(): str(value) for key, value in (response.headers or {}).items()}
    return Told(response.data if isinstance(response.data, dict) else {}, headers)


def check_shape(topic: str, variable: str, token: str, prefix: str, where: str) -> Finding | None:
    """Return what is wrong with a token as it stands in the settings; None when it can be asked about."""
    copy = f"copy it from api.slack.com/apps → your app → {where}."
    if not token:
        return wrong(topic, f"{variable} is not set.", copy)
    if not token.isascii() or token.split() != [token]:
        return wrong(topic, f"{variable} has spaces or signs that no token has.", copy)
    if not token.startswith(prefix):
        kind = next((kind for start, kind in KINDS.items() if token.startswith(start)), "no token of Slack's")
        return wrong(topic, f"{variable} is {kind}; it must begin with {prefix}.", copy)
    return None
