"""Carries out `!NAME …`: once for each message, answered in its thread, to the person alone unless it is for all."""

import logging
import math
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.errors import DeliveryError
from bot.language import _
from bot.slack.calls import Calls, error_code, is_passing
from bot.slack.commands.orders import BANG, SILENCE, Call, Reply
from bot.slack.commands.table import Desk
from bot.slack.standing import find_standing
from bot.slack.turns.whisper import tell_untaken
from bot.storage.db import Database
from bot.storage.inbox import is_gone
from bot.storage.tables import Inbox, new_id

LATE_S = 5.0  # after it was written, most have come
MOST_DONE = 1000

log = logging.getLogger(__name__)


class ThreadOrders:
    """Takes orders from the inbox; a reply that Slack did not take is said again, the order is not given again."""

    def __init__(self, desk: Desk, calls: Calls, database: Database) -> None:
        self._desk = desk
        self._calls = calls
        self._database = database
        self._replies: dict[int, Reply] = {}
        self._done: deque[int] = deque(maxlen=MOST_DONE)  # a database that is away may not have heard of it yet

    async def take(self, row: Inbox) -> None:
        """Bring an order to its outcome; raise a passing *DeliveryError* while Slack is away."""
        if row.id in self._done:
            return
        call = self._read(row)
        if row.attempts == 1 and row.id not in self._replies and await self._is_taken_back(row):
            log.info("orders: one was deleted before it was begun")
            return
        if row.id not in self._replies:
            was_begun = row.attempts > 1  # by a process that ended meanwhile: nobody knows how far it came
            reply = (
                Reply(tell_interrupted(call)) if was_begun else await self._desk.take(str(row.payload["order"]), call)
            )
            self._replies[row.id] = reply
        try:
            await self._show(row, call)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise DeliveryError(is_passing=True) from error
            log.warning("orders: a reply could not be shown (%s)", error_code(error))
            await call.tell(Reply(tell_untaken(error_code(error))))
        self._replies.pop(row.id, None)
        self._done.append(row.id)

    async def _show(self, row: Inbox, call: Call) -> None:
        """Say what came of an order; where its message is gone, to its person alone and none of what was written of it.

        What was posted in the moment in which the message went is taken away again.
        """
        reply, key, looks_first = self._replies[row.id], f"{row.event_id}/order", row.attempts > 1
        if not reply.text and not reply.blocks:
            return
        is_written, is_posted = not self.is_decided(row), reply.is_for_all or call.channel_id.startswith("D")
        if is_posted and await self._is_taken_back(row, late_s=LATE_S if is_written else math.inf):
            log.info("orders: one was deleted while it was carried out")
            if not is_written:  # it is done, and whoever wanted it is to know
                await self._whisper(call, reply)
            return
        sent = await self._say(call, reply, key=key, looks_first=looks_first)
        self._replies[row.id] = SILENCE  # whatever comes now, it is said
        if not is_written or "ts" not in sent:
            return
        with suppress(DeliveryError):  # while Slack is away
            if await self._is_taken_back(row, late_s=0):
                await self._calls.call_if_possible("chat.delete", channel=call.channel_id, ts=sent["ts"])

    async def _is_taken_back(self, row: Inbox, *, late_s: float | None = None) -> bool:
        """Return whether the message of an order that comes late may be gone, and is; raise while Slack is away."""
        async with self._database.read() as session:
            if await is_gone(session, row.team_id, row.channel_id, ts=row.ts):
                return True
        if time.time() - float(row.ts) < (LATE_S if late_s is None else late_s):
            return False
        thread_ts = row.payload.get("thread_ts") or row.ts
        try:
            call = self._calls.call_soon
            return await find_standing(call, row.channel_id, thread_ts=thread_ts, ts=row.ts) is None
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise DeliveryError(is_passing=True) from error
            return False

    def is_decided(self, row: Inbox) -> bool:
        """Return whether an order says how its person wants to be treated from there on, or is done at once anyway."""
        name, *_words = str(row.payload.get("order") or "").split(maxsplit=1) or [""]
        command = self._desk.commands.find(name)
        return command is not None and not command.is_written

    def _read(self, row: Inbox) -> Call:
        call = Call(
            user_id=str(row.payload["user_id"]),
            team_id=row.team_id,
            channel_id=row.channel_id,
            words="",
            thread_ts=row.payload.get("thread_ts"),
            lead=BANG,
            ts=row.ts,
            files=row.payload.get("files") or (),
        )

        async def whisper(reply: Reply) -> None:
            try:
                await self._say(call, reply, key=new_id())
            except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
                log.info("orders: a word on the way was not shown (%s)", error_code(error))

        return call.whispering(whisper)

    async def _say(self, call: Call, reply: Reply, *, key: str, looks_first: bool = False) -> Mapping[str, Any]:
        """Say something where it belongs; return what Slack answers to a message that it keeps."""
        if not reply.is_for_all and not call.channel_id.startswith("D"):
            await self._whisper(call, reply)
            return {}
        content = {**_show_as(reply), "channel": call.channel_id, "thread_ts": call.thread_ts or call.ts}
        return await self._calls.post(key, looks_first=looks_first, **content)

    async def _whisper(self, call: Call, reply: Reply) -> None:
        # In a thread that does not exist yet nobody would see it.
        thread = {"thread_ts": call.thread_ts} if call.thread_ts else {}
        where = {"channel": call.channel_id, "user": call.user_id, **thread}
        await self._calls.call("chat.postEphemeral", **_show_as(reply), **where)


def _show_as(reply: Reply) -> dict[str, Any]:
    return {"text": reply.text, **({"blocks": reply.blocks} if reply.blocks else {})}


def tell_interrupted(call: Call) -> str:
    """Say that an order may have been carried out or not."""
    said = _("I was interrupted while I did this. Please see whether it is done, and order it again if not.")
    return said + " " + _("All of them: {help}").format(help=call.written("help"))
