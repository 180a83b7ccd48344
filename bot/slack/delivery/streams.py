"""Slack's native text stream: start, append, stop. Whoever uses it must be ready for it to break."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.slack.blocks import Block
from bot.slack.calls import Calls, error_code, is_throttled, is_unclear
from bot.slack.delivery.posts import Target
from bot.slack.sent import build_metadata

STREAM_LIMIT = 11_000  # Slack takes 12,000 characters of Markdown
LONG = 9_000  # from then on a stream goes over into another message
START, APPEND, STOP = "chat.startStream", "chat.appendStream", "chat.stopStream"


class StreamBroken(Exception):  # noqa: N818 - reads as a state
    """The stream cannot go on; the whole text must be shown in another way."""


FindStream = Callable[[], Awaitable[str | None]]


async def find_no_stream() -> str | None:
    """Find nothing: for those who cannot look."""
    return None


class NativeStream:
    """One streamed message; `ts` is known once the first text was shown, `sent` is how much of it stands there.

    It gets its *key* when it ends; *find_lost* returns a stream that was begun although we were not told.
    """

    def __init__(self, calls: Calls, target: Target, *, key: str, find_lost: FindStream = find_no_stream) -> None:
        self._calls = calls
        self._target = target
        self._key = key
        self._find_lost = find_lost
        self._began_at = 0.0
        self.sent = 0
        self.ts: str | None = None

    def is_due(self, text: str) -> bool:
        """Return whether it should end soon, so that another goes on with *text*: it grows old, or long."""
        return self._is_older(self._calls.budget.rates.stream_s) or len(text) > LONG

    def is_overdue(self, text: str) -> bool:
        """Return whether it must end now."""
        return self._is_older(self._calls.budget.rates.longest_stream_s) or len(text) > STREAM_LIMIT

    async def show(self, text: str) -> None:
        """Show *text*, of which an earlier call has shown the beginning, or leave it for later when Slack is busy."""
        if len(text) <= self.sent or not text.strip():
            return
        if len(text) > STREAM_LIMIT:
            raise StreamBroken
        if self.ts is None:
            await self._start(text)
        elif self._calls.budget.room(APPEND) < 1:
            return
        else:
            try:
                await self._call(APPEND, waits=False, ts=self.ts, markdown_text=text[self.sent :])
            except _Later:
                return
        self.sent = len(text)

    async def close(self, text: str, blocks: list[Block], *, goes_on: bool = False) -> None:
        """Show the rest of *text*, then *blocks* below it, and end the stream; the answer may go on in another."""
        if len(text) > STREAM_LIMIT or self.ts is None:
            raise StreamBroken
        rest: dict[str, Any] = {"markdown_text": text[self.sent :]} if len(text) > self.sent else {}
        rest |= {"session_status": "processing"} if goes_on else {}
        self._calls.budget.redeem(STOP)
        await self._call(STOP, ts=self.ts, blocks=blocks, metadata=build_metadata(self._key), **rest)

    async def abandon(self) -> bool:
        """End the stream as it is, so that its message can be edited; return whether Slack took that.

        If not, as where it has ended the stream itself, the session that the stream began says on that we work.
        """
        if self.ts is None:
            return True
        self._calls.budget.redeem(STOP)
        return await self._calls.call_if_possible(STOP, channel=self._target.channel_id, ts=self.ts) is not None

    async def _start(self, text: str) -> None:
        """Begin, where Slack has room for the beginning and for the end; others go another way."""
        budget = self._calls.budget
        if budget.room(START) < 1 or budget.room(STOP) < 1:
            raise StreamBroken("no room")
        budget.promise(STOP)
        self._began_at = self._calls.clock.now()
        try:
            answer = await self._call(
                START,
                waits=False,
                thread_ts=self._target.thread_ts,
                recipient_user_id=self._target.user_id,
                recipient_team_id=self._target.team_id,
                markdown_text=text,
            )
            self.ts = str(answer["ts"])
        except _Later as error:
            raise StreamBroken("no room") from error
        except StreamBroken as error:
            self.ts = await self._find_lost() if is_unclear(error.__cause__) else None
            if self.ts is None:
                raise
        except KeyError as error:
            raise StreamBroken("no ts") from error
        finally:
            if self.ts is None:
                budget.redeem(STOP)

    def _is_older(self, seconds: float) -> bool:
        return self.ts is not None and self._calls.clock.now() - self._began_at >= seconds

    async def _call(self, method: str, *, waits: bool = True, **arguments: object) -> dict[str, object]:
        try:
            call = self._calls.call if waits else self._calls.call_now
            return dict(await call(method, channel=self._target.channel_id, **arguments))
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if not waits and is_throttled(error):
                raise _Later from error
            raise StreamBroken(error_code(error)) from error


class _Later(Exception):  # noqa: N818 - reads as an answer
    """Slack has taken nothing of it, and will later."""
