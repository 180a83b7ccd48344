"""The connection to Slack: one client for all calls, who its token is, and how long it may take."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ConfigError
from bot.slack.calls import UNREADABLE, error_code, is_locked_out, is_passing

TIMEOUT_S = 30

log = logging.getLogger(__name__)


@asynccontextmanager
async def slack_client(token: str, base_url: str) -> AsyncIterator[AsyncWebClient]:
    """Open one client with kept-alive connections; tries again are our own business, for the SDK would post twice."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
        yield AsyncWebClient(
            token=token or None, base_url=base_url, session=session, retry_handlers=[], timeout=TIMEOUT_S
        )


async def log_in(client: AsyncWebClient) -> AuthorizeResult:
    """Return who the token is; wait for a Slack that is away, refuse a token that is wrong.

    Without a token nobody is known yet: workspaces install the app by themselves.
    """
    if not client.token:
        return AuthorizeResult(enterprise_id=None, team_id=None)
    delay = 0.1
    while True:
        try:
            who = await client.auth_test()
            if who.get("user_id"):
                return AuthorizeResult(
                    enterprise_id=who.get("enterprise_id"),
                    team_id=who.get("team_id"),
                    bot_user_id=who["user_id"],
                    bot_id=who.get("bot_id"),
                    bot_token=client.token,
                )
            reason = UNREADABLE
        except SlackApiError as error:
            if is_locked_out(error) or not is_passing(error):
                raise ConfigError(
                    f"SLACK_BOT_TOKEN: Slack refuses it ({error_code(error)}). Copy the Bot User OAuth Token again, or "
                    "see what `bot doctor` says."
                ) from error
            reason = error_code(error)
        except (AttributeError, UnicodeDecodeError, RecursionError):  # the SDK takes whatever comes for JSON
            reason = UNREADABLE
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = type(error).__name__
        if delay > 1:
            log.warning("slack: %s cannot be reached (%s); trying again", client.base_url, reason)
        await asyncio.sleep(delay)
        delay = min(30, delay * 1.6)
