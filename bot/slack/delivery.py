"""An answer's way out: a native stream, else edits of a message, else one post; whatever breaks, the text arrives.

    NATIVE ──breaks──▶ EDITS ──ends──▶ one final edit or post with the whole text

Native streams are for direct messages: in a channel only the recipient sees them grow.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import suppress

from bot.slack.blocks import Block, build_stop_button
from bot.slack.calls import Calls
from bot.slack.pace import Pace
from bot.slack.posts import Posts, Target
from bot.slack.safety import StreamNeutraliser
from bot.slack.streams import NativeStream, StreamBroken


class Delivery:
    """Shows one answer while it is written; *on_reply* hears of every message that begins to carry it."""

    def __init__(
        self,
        calls: Calls,
        target: Target,
        *,
        answer_id: str,
        reply_ts: list[str],
        pace: Pace,
        on_reply: Callable[[list[str]], Awaitable[None]],
    ) -> None:
        self._calls = calls
        self._target = target
        self._answer_id = answer_id
        self._pace = pace
        self._on_reply = on_reply
        self._safe = StreamNeutraliser()
        self._text = ""
        self._changed = asyncio.Event()
        self._sending = asyncio.Lock()
        self._is_closed = False
        self._posts = Posts(calls, target, reply_ts=reply_ts, on_reply=on_reply)
        is_native = target.is_direct and not reply_ts and not calls.lacks("chat.startStream")
        self._stream = NativeStream(calls, target) if is_native else None

    async def drain(self, pieces: AsyncIterator[str], *, known_urls: Collection[str]) -> None:
        """Show *pieces* as they come; sending never holds up whoever writes them.

        A link is only shown as one when it is among *known_urls*: a model can be talked into carrying secrets out.
        """
        self._safe = StreamNeutraliser(known_urls=known_urls)
        with self._pace.one_more():
            sender = asyncio.create_task(self._send_changes())
            try:
                async for piece in pieces:
                    self._text += self._safe.push(piece)
                    self._changed.set()
            finally:
                sender.cancel()
                with suppress(asyncio.CancelledError):
                    await sender

    async def wait(self, text: str) -> None:
        """Show *text* in the message that the answer will take over, as long as there is nothing of it."""
        await _uncancelled(self._wait(text))

    async def _wait(self, text: str) -> None:
        async with self._sending:
            if not self._text.strip() and not self._is_closed:
                await self._leave_stream()
                await self._posts.show(text, build_stop_button(self._answer_id))

    async def close(self, tail: list[Block]) -> None:
        """Show the whole text with *tail* below it."""
        self._text += self._safe.flush()
        await _uncancelled(self._close(tail))

    async def _close(self, tail: list[Block]) -> None:
        async with self._sending:
            self._is_closed = True
            await self._close_now(tail)

    async def _close_now(self, tail: list[Block]) -> None:
        if self._stream is not None and self._stream.ts is None:
            await self._send_now()  # so that it is stored where the answer stands before it can be seen complete
        if self._stream is not None:
            try:
                await self._stream.close(self._text, tail)
            except StreamBroken:
                await self._leave_stream()
            else:
                return
        await self._posts.close(self._text, tail)

    async def say(self, text: str, tail: list[Block]) -> None:
        """Show *text* after what there is so far: an error, or that it was stopped."""
        self._text += self._safe.flush()
        self._text = f"{self._text.rstrip()}\n\n{text}" if self._text.strip() else text
        await self.close(tail)

    async def _send_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._text.strip():
                # A send that was begun is finished: cancelling it would leave unknown whether Slack has the words.
                await _uncancelled(self._send())
            await asyncio.sleep(self._pace.append_interval() if self._stream else self._pace.update_interval())

    async def _send(self) -> None:
        async with self._sending:
            await self._send_now()

    async def _send_now(self) -> None:
        if self._stream is not None:
            is_first = self._stream.ts is None
            try:
                await self._stream.show(self._text)
                if is_first and self._stream.ts:
                    await self._on_reply([self._stream.ts])
            except StreamBroken:
                await self._leave_stream()
            else:
                return
        await self._posts.show(self._text, build_stop_button(self._answer_id))

    async def _leave_stream(self) -> None:
        """Go on with edits of the message that the stream had begun."""
        if self._stream is None:
            return
        ts, self._stream = self._stream.ts, None
        if ts is not None:
            await self._calls.call_if_possible("chat.stopStream", channel=self._target.channel_id, ts=ts)
            self._posts = Posts(self._calls, self._target, reply_ts=[ts], on_reply=self._on_reply)


async def _uncancelled(work: Awaitable[None]) -> None:
    """Finish *work* before a cancellation takes effect."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
