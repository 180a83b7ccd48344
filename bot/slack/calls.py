"""Calls to Slack as this workspace takes them: what it lacks is remembered, what it throttles is waited for."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

LACKING = {
    "unknown_method",
    "missing_scope",
    "not_authorized",
    "not_allowed_token_type",
    "method_not_supported_for_channel_type",
    "method_deprecated",
    "deprecated_endpoint",
    "feature_not_enabled",
    "access_denied",
    "team_not_eligible",
}
THROTTLED = {"ratelimited", "rate_limited"}
UNREPEATABLE = {"chat.appendStream", "chat.stopStream"}  # a second try would say the same words twice
TRIES = 4
SERVER_ERROR = 500

log = logging.getLogger(__name__)


class Calls:
    """Slack's Web API for one workspace; every method takes the arguments that Slack's documentation names."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._lacking: set[str] = set()

    def lacks(self, method: str) -> bool:
        """Return whether the workspace has said that it does not have *method*."""
        return method in self._lacking

    async def call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """Call *method*, waiting as Slack asks when it is too much; raise *SlackApiError* for any other refusal."""
        for tries_left in reversed(range(TRIES)):
            try:
                response = await getattr(self._client, method.replace(".", "_"))(**arguments)
                return dict(response.data)
            except SlackApiError as error:
                delay = _retry_delay(error, attempt=TRIES - tries_left)
                if is_server_error(error) and method in UNREPEATABLE:
                    delay = None
                if error_code(error) in LACKING:
                    self._lacking.add(method)
                if delay is None or not tries_left:
                    raise
            except (aiohttp.ClientError, TimeoutError) as error:
                was_sent = not isinstance(error, aiohttp.ClientConnectorError)
                if not tries_left or (was_sent and method in UNREPEATABLE):
                    raise
                delay = 0.25 * (TRIES - tries_left)
            log.debug("slack: %s again in %.2f s", method, delay)
            await asyncio.sleep(delay)
        raise AssertionError("unreachable: the last try returns or raises")

    async def call_if_possible(self, method: str, **arguments: Any) -> Mapping[str, Any] | None:
        """Call *method* where an answer does not depend on it; None when it did not work."""
        if self.lacks(method):
            return None
        try:
            return await self.call(method, **arguments)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            log.info("slack: %s did not work (%s)", method, error_code(error))
            return None


def error_code(error: Exception) -> str:
    """Return Slack's word for what went wrong; never a text of a message."""
    if isinstance(error, SlackApiError):
        data = getattr(error.response, "data", error.response)
        return str(data.get("error", "unknown")) if isinstance(data, dict) else "unreadable_response"
    return type(error).__name__


def _retry_delay(error: SlackApiError, *, attempt: int) -> float | None:
    """Return how long to wait before another try; None when another try cannot help."""
    headers = {str(key).lower(): value for key, value in (getattr(error.response, "headers", None) or {}).items()}
    if error_code(error) in THROTTLED or "retry-after" in headers:
        try:
            return float(headers.get("retry-after", 1))
        except ValueError:
            return 1.0
    return 0.25 * attempt if is_server_error(error) else None


def is_server_error(error: SlackApiError) -> bool:
    """Return whether it is Slack that has the trouble."""
    return bool(getattr(error.response, "status_code", 200) >= SERVER_ERROR)


def is_passing(error: BaseException | None) -> bool:
    """Return whether the same call can work later: Slack is away, in trouble, or has had too much."""
    if isinstance(error, SlackApiError):
        return is_server_error(error) or error_code(error) in THROTTLED
    return isinstance(error, aiohttp.ClientError | TimeoutError)
