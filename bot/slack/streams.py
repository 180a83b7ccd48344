"""Slack's native text stream: start, append, stop. Whoever uses it must be ready for it to break."""

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.slack.blocks import Block
from bot.slack.calls import Calls, error_code
from bot.slack.posts import Target

STREAM_LIMIT = 11_000  # Slack takes 12,000 characters of Markdown


class StreamBroken(Exception):  # noqa: N818 - reads as a state
    """The stream cannot go on; the whole text must be shown in another way."""


class NativeStream:
    """One streamed message; `ts` is known once the first text was shown."""

    def __init__(self, calls: Calls, target: Target) -> None:
        self._calls = calls
        self._target = target
        self._sent = 0
        self.ts: str | None = None

    async def show(self, text: str) -> None:
        """Show *text*, of which an earlier call has shown the beginning."""
        if len(text) <= self._sent:
            return
        if len(text) > STREAM_LIMIT:
            raise StreamBroken
        fresh = text[self._sent :]
        if self.ts is None:
            answer = await self._call(
                "chat.startStream",
                thread_ts=self._target.thread_ts,
                recipient_user_id=self._target.user_id,
                recipient_team_id=self._target.team_id,
                markdown_text=fresh,
            )
            self.ts = str(answer["ts"])
        else:
            await self._call("chat.appendStream", ts=self.ts, markdown_text=fresh)
        self._sent = len(text)

    async def close(self, text: str, blocks: list[Block]) -> None:
        """Show the rest of *text*, then *blocks* below it, and end the stream."""
        if len(text) > STREAM_LIMIT or self.ts is None:
            raise StreamBroken
        rest = {"markdown_text": text[self._sent :]} if len(text) > self._sent else {}
        await self._call("chat.stopStream", ts=self.ts, blocks=blocks, **rest)

    async def _call(self, method: str, **arguments: object) -> dict[str, object]:
        try:
            return dict(await self._calls.call(method, channel=self._target.channel_id, **arguments))
        except (SlackApiError, aiohttp.ClientError, TimeoutError, KeyError) as error:
            raise StreamBroken(error_code(error)) from error
