"""Finds again the messages that carry an answer, where a crash or a lost answer of Slack kept us from noting them."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.conversation.draft import Draft
from bot.errors import DeliveryError
from bot.slack.calls import Calls, error_code, is_passing
from bot.slack.commands.bang import STOP, read_bang
from bot.slack.sent import Sent, pick_own, read_thread


class Carriers:
    """Knows what in the thread of one answer carries it; *load_known* returns what carries any answer there."""

    def __init__(
        self, calls: Calls, draft: Draft, *, own_user_id: str, load_known: Callable[[], Awaitable[Collection[str]]]
    ) -> None:
        self._calls = calls
        self._draft = draft
        self._own_user_id = own_user_id
        self._load_known = load_known
        self._thread: list[Mapping[str, Any]] = []  # as it was read last

    async def find(self) -> list[str]:
        """Return every message that carries the answer so far; raise a passing *DeliveryError* while Slack is away.

        One that somebody has deleted since a try that was cut off removes the answer; another answer's may be gone.
        """
        read = await self._read()
        sent = read or []
        gone = {*self._draft.reply_ts} - {message.ts for message in sent}
        if read is not None and gone and not self._draft.is_again:
            self._draft.remove(gone.pop())
        posted = {message.ts for message in sent if message.key.startswith(f"{self._draft.answer_id}/")}
        return sorted({*self._draft.reply_ts, *posted, *await self._find_streams(sent)}, key=float)

    async def find_stream(self) -> str | None:
        """Return the stream that was begun last and that nobody knows of."""
        return max(await self._find_streams(await self._read() or []), key=float, default=None)

    async def was_stopped(self) -> bool:
        """Return whether whoever asked has stopped the answer while nobody heard of it, as far as one can see.

        A word below the question tells it, as *find* has read it, and Slack of a stream that it ended; of its button
        elsewhere the event alone tells, which comes when Slack sends it again.
        """
        if self._draft.is_again:
            return False
        asked = self._draft.question
        for message in self._thread:
            if message.get("user") == asked.user_id and float(message["ts"]) > float(asked.ts):
                order = read_bang(str(message.get("text") or ""), bot_user_id=self._own_user_id)
                if order is not None and order[0] == STOP:
                    return True
        if asked.is_group or not self._draft.reply_ts:
            return False
        try:  # what it shows is written anew in any case
            place = {"channel": asked.place.channel_id, "ts": self._draft.reply_ts[-1]}
            await self._calls.call_now("chat.appendStream", markdown_text=" ", **place)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            return error_code(error) == "stopped_by_user"
        return False

    async def _find_streams(self, sent: list[Sent]) -> list[str]:
        """Return our messages below the question that neither carry a key nor are known: a stream gets it at its end.

        They are this answer's, for nothing else is written in the thread meanwhile. Only direct messages have streams.
        """
        if self._draft.question.is_group:
            return []
        since = float(self._draft.question.ts)
        bare = [
            message.ts for message in sent if not message.key and not message.has_files and float(message.ts) > since
        ]
        known = await self._load_known() if bare else ()
        return [ts for ts in bare if ts not in known]

    async def _read(self) -> list[Sent] | None:
        place = self._draft.question.place
        try:
            self._thread = await read_thread(self._calls.call, place.channel_id, place.thread_ts)
            return pick_own(self._thread, place.channel_id, own_user_id=self._own_user_id)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise DeliveryError(is_passing=True) from error
            return None  # it may not be read, or is gone: then what the database knows must do
