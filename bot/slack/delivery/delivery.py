"""An answer's way out: a native stream, else edits of a message, else one post; whatever breaks, the text arrives.

    NATIVE ──grows old or long──▶ NATIVE, another message
       └──breaks, or Slack has no room──▶ EDITS, as many as it has room for ──ends──▶ one final edit or post

Native streams are for direct messages: in a channel only the recipient sees them grow.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import suppress

from bot.slack.blocks import Block, build_stop_button
from bot.slack.calls import Calls
from bot.slack.delivery.pace import Pace
from bot.slack.delivery.posts import Posts, Target
from bot.slack.delivery.rotation import find_cut
from bot.slack.delivery.safety import StreamNeutraliser
from bot.slack.delivery.streams import STREAM_LIMIT, FindStream, NativeStream, StreamBroken, find_no_stream


class Delivery:
    """Shows one answer; *on_reply* hears of each message that carries it, *on_removed* of one that somebody deletes.

    *is_resumed* says that an earlier attempt may have shown something of it in *reply_ts* already.
    """

    def __init__(
        self,
        calls: Calls,
        target: Target,
        *,
        answer_id: str,
        reply_ts: list[str],
        pace: Pace,
        on_reply: Callable[[list[str]], Awaitable[None]],
        on_removed: Callable[[str], None] = lambda _ts: None,
        is_resumed: bool = False,
        find_lost: FindStream = find_no_stream,
    ) -> None:
        self._calls = calls
        self._target = target
        self._answer_id = answer_id
        self._pace = pace
        self._on_reply = on_reply
        self._on_removed = on_removed
        self._safe = StreamNeutraliser()
        self._text = ""
        self._changed = asyncio.Event()
        self._sending = asyncio.Lock()
        self._is_closed = False
        self._is_touched = bool(reply_ts) and is_resumed
        self._done: list[str] = []  # the messages of streams that ended, when another goes on
        self._begin = 0  # where in the text the present message begins, and what opens the code that is open there
        self._opening = ""
        self._find_lost = find_lost
        self.says_working = False  # a stream that broke may have left a status behind
        self._reply_ts = reply_ts
        self._posts = self._new_posts(answer_id)
        is_native = target.is_direct and target.streams and not reply_ts and not calls.lacks("chat.startStream")
        self._stream = self._new_stream() if is_native else None

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
                self._is_touched = True
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
        await self._turn_over(is_last=True)
        if self._stream is not None:
            try:
                await self._stream.close(self._current(), tail)
            except StreamBroken:
                await self._leave_stream()
            else:
                return
        await self._posts.close(self._current(), tail)

    async def say(self, text: str, tail: list[Block]) -> None:
        """Show *text* after what there is so far: an error, or that it was stopped."""
        self._text += self._safe.flush()
        self._text = f"{self._text.rstrip()}\n\n{text}" if self._text.strip() else text
        await self.close(tail)

    async def abandon(self) -> None:
        """Show nothing more."""
        async with self._sending:
            self._is_closed = True
            await self._leave_stream()
            self._posts.let_go()

    async def put_back(self, text: str, tail: list[Block], *, key: str) -> None:
        """Show what stood there before, by its own *key*, where this attempt or an earlier one showed something."""
        await self.abandon()
        if self._is_touched:
            await _uncancelled(self._new_posts(key).close(text, tail))

    async def _send_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not self._text.strip() or not self._target.streams:
                continue  # a first piece may be held back as a part of something; the next one need not wait for that
            # A send that was begun is finished: cancelling it would leave unknown whether Slack has the words.
            await _uncancelled(self._send())
            interval = self._pace.append_interval() if self._stream else self._pace.update_interval()
            await self._calls.clock.sleep(interval)

    async def _send(self) -> None:
        async with self._sending:
            await self._send_now()

    async def _send_now(self) -> None:
        await self._turn_over()
        if self._stream is not None and await self._stream_on(self._stream, self._current()):
            return
        await self._posts.show(self._current(), build_stop_button(self._answer_id))

    async def _stream_on(self, stream: NativeStream, text: str) -> bool:
        """Show *text* in the stream; False when it broke and was left."""
        is_first = stream.ts is None
        try:
            await stream.show(text)
        except StreamBroken:
            await self._leave_stream()
            return False
        if is_first and stream.ts:
            await self._on_reply([*self._done, stream.ts])
        return True

    async def _turn_over(self, *, is_last: bool = False) -> None:
        """Go on in another message where the present stream has grown old or long; at the last only if it must."""
        while self._stream is not None:
            stream, text = self._stream, self._current()
            if len(text) <= STREAM_LIMIT if is_last else not stream.is_due(text):
                return
            after = max(stream.sent, len(self._opening))
            cut = find_cut(text, after=after, most=STREAM_LIMIT - 100, is_urgent=stream.is_overdue(text))
            if cut is None:
                return
            head = text[: cut.position] + cut.closing
            if stream.ts is None and not await self._stream_on(stream, head):
                return
            try:
                await stream.close(head, [], goes_on=True)
            except StreamBroken:
                await self._leave_stream()
                return
            self._done.append(str(stream.ts))
            self._begin += cut.position - len(self._opening)
            self._opening = cut.opening
            self._stream = self._new_stream()

    def _new_posts(self, key: str) -> Posts:
        return Posts(
            self._calls,
            self._target,
            key=key,
            reply_ts=self._reply_ts,
            on_reply=self._on_reply,
            on_removed=self._on_removed,
            is_again=bool(self._reply_ts),
        )

    def _new_stream(self) -> NativeStream:
        key = f"{self._answer_id}/{len(self._done)}"
        return NativeStream(self._calls, self._target, key=key, find_lost=self._find_lost)

    def _current(self) -> str:
        """Return what the present message is to show."""
        return self._opening + self._text[self._begin :]

    async def _leave_stream(self) -> None:
        """Go on with edits of the message that the stream had begun."""
        if self._stream is None:
            return
        stream, self._stream = self._stream, None
        self.says_working = not await stream.abandon()
        done = list(self._done)
        self._posts.let_go()
        self._posts = Posts(
            self._calls,
            self._target,
            key=self._answer_id,
            reply_ts=[stream.ts] if stream.ts else [],
            on_reply=lambda ts: self._on_reply([*done, *ts]),
            on_removed=self._on_removed,
            before=len(done),
        )


async def _uncancelled(work: Awaitable[None]) -> None:
    """Finish *work* before a cancellation takes effect."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
