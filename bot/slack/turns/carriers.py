"""Finds again the messages that carry an answer, where a crash or a lost answer of Slack kept us from noting them."""

from collections.abc import Awaitable, Callable, Collection

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.conversation.draft import Draft
from bot.errors import DeliveryError
from bot.slack.calls import Calls, is_passing
from bot.slack.sent import Sent


class Carriers:
    """Knows what in the thread of one answer carries it; *load_known* returns what carries any answer there."""

    def __init__(self, calls: Calls, draft: Draft, *, load_known: Callable[[], Awaitable[Collection[str]]]) -> None:
        self._calls = calls
        self._draft = draft
        self._load_known = load_known

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
            return await self._calls.read_sent(place.channel_id, place.thread_ts)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise DeliveryError(is_passing=True) from error
            return None  # it may not be read, or is gone: then what the database knows must do
