"""Delivery by signed HTTP requests to the app's own server, as Slack does without Socket Mode."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from urllib.parse import urlencode

import aiohttp

from bot.playground.clock import Clock
from bot.playground.delivery import ACK_SECONDS, Envelope, Outcome
from bot.playground.entities import Json
from bot.playground.faults import Faults

PROBE_SECONDS = 1.0
FORM = "application/x-www-form-urlencoded"


class HttpDelivery:
    """POSTs envelopes to one URL, signed with the app's signing secret."""

    def __init__(
        self, url: str, *, signing_secret: str, clock: Clock, faults: Faults, on_change: Callable[[], None]
    ) -> None:
        self._url = url
        self._secret = signing_secret.encode()
        self._clock = clock
        self._faults = faults
        self._on_change = on_change
        self._session: aiohttp.ClientSession | None = None
        self._probe: asyncio.Task[None] | None = None
        self.is_connected = False

    def start(self) -> None:
        """Begin to ask the URL for its url_verification answer until it gives it."""
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)"},
            timeout=aiohttp.ClientTimeout(total=30),
        )
        self._lost()

    async def send(self, envelope: Envelope) -> Outcome:
        """Try once, and wait for the acknowledgement for at most three seconds of the clock."""
        if self._faults.is_cut:
            return Outcome(ok=False, reason="connection_failed")
        content_type, body = _encode(envelope)
        attempt = asyncio.ensure_future(self._post(content_type, body, retries=_retry_headers(envelope)))
        try:
            return await self._clock.wait_for(attempt, seconds=ACK_SECONDS)
        except TimeoutError:
            return Outcome(ok=False, reason="http_timeout")
        except aiohttp.ClientError:
            self._lost()
            return Outcome(ok=False, reason="connection_failed")

    async def close(self) -> None:
        """Stop asking and close the connections."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _post(self, content_type: str, body: bytes, *, retries: dict[str, str]) -> Outcome:
        if self._session is None:
            return Outcome(ok=False, reason="connection_failed")
        headers = {"Content-Type": content_type, **self._sign(body), **retries}
        async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
            text = await response.text()
            no_retry = response.headers.get("X-Slack-No-Retry") == "1"
            if response.status // 100 != 2:
                return Outcome(ok=False, reason="http_error", no_retry=no_retry)
            return Outcome(ok=True, response=_parse_response(text), no_retry=no_retry)

    def _lost(self) -> None:
        """Ask for the app again, unless that is already being done."""
        if self._probe is None or self._probe.done():
            self.is_connected = False
            self._on_change()
            self._probe = asyncio.create_task(self._verify_until_answered())

    async def _verify_until_answered(self) -> None:
        challenge = hashlib.sha256(self._url.encode()).hexdigest()
        body = json.dumps({"type": "url_verification", "token": "playground", "challenge": challenge}).encode()
        while not self.is_connected:
            try:
                outcome = await self._post("application/json", body, retries={})
                self.is_connected = outcome.ok and (outcome.response or {}).get("challenge") == challenge
            except (aiohttp.ClientError, TimeoutError):
                self.is_connected = False
            if not self.is_connected:
                await asyncio.sleep(PROBE_SECONDS)
        self._on_change()

    def _sign(self, body: bytes) -> dict[str, str]:
        # The app compares with its own clock, so the signature carries the machine's time, not the driven one.
        timestamp = str(int(time.time()))
        base = b"v0:" + timestamp.encode() + b":" + body
        digest = hmac.new(self._secret, base, hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}"}


def _encode(envelope: Envelope) -> tuple[str, bytes]:
    """Encode as Slack does: events as JSON, interactions as payload=JSON, commands as form fields."""
    if envelope.kind == "events_api":
        return "application/json", json.dumps(envelope.payload).encode()
    if envelope.kind == "interactive":
        return FORM, urlencode({"payload": json.dumps(envelope.payload)}).encode()
    return FORM, urlencode({key: str(value) for key, value in envelope.payload.items()}, errors="replace").encode()


def _retry_headers(envelope: Envelope) -> dict[str, str]:
    if not envelope.retry_num:
        return {}
    return {"X-Slack-Retry-Num": str(envelope.retry_num), "X-Slack-Retry-Reason": envelope.retry_reason}


def _parse_response(text: str) -> Json | None:
    """Read a response body: JSON as it is, other text as a message's text, nothing as None."""
    if not text.strip():
        return None
    try:
        document = json.loads(text)
    except ValueError:
        return {"text": text}
    return document if isinstance(document, dict) else {"text": text}
