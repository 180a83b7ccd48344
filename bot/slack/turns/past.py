"""What stands in Slack's history, read as if it had come as events."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from slack_sdk.errors import SlackApiError

from bot.slack.calls import Calls, error_code, is_passing
from bot.slack.commands.bang import ORDER
from bot.slack.intake import MISSED, Intake
from bot.slack.people.gating import Heard
from bot.storage.answers import find_reply_times
from bot.storage.db import Database
from bot.storage.inbox import find_known, list_threads
from bot.storage.waiting import find_refused
from bot.storage.workers import heard_since

FARTHEST, MINUTE = timedelta(hours=24), timedelta(minutes=1)
MOST_PAGES, PAGE = 5, 200
OPENED = ("channel_unarchive", "group_unarchive")  # the subtypes that tell of a channel that is archived no more
FLAGS = (("is_im", "im"), ("is_mpim", "mpim"), ("is_private", "group"))

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Home:
    """The workspace whose history is read, and who the assistant is there."""

    team_id: str
    enterprise_id: str
    bot_user_id: str
    bot_id: str


class Past:
    """Reads the history of conversations."""

    def __init__(self, database: Database, calls: Calls, intake: Intake) -> None:
        self._database = database
        self._calls = calls
        self._intake = intake

    def hear(self, message: Mapping[str, Any], home: Home, place: Mapping[str, Any]) -> Heard | None:
        """Read a message of a history as if it had come as an event; None when it was not meant for the assistant."""
        channel_id = str(place["id"])
        event = {**message, "type": "message", "channel": channel_id, "channel_type": _find_kind(place)}
        team = {"team_id": home.team_id, "enterprise_id": home.enterprise_id or None}
        body = {
            "event": event,
            "event_id": f"{MISSED}{channel_id}:{message['ts']}",
            "authorizations": [{**team, "user_id": home.bot_user_id, "is_bot": True}],
            "is_ext_shared_channel": bool(place.get("is_ext_shared")),
            **team,
        }
        heard = self._intake.hear(body, bot_user_id=home.bot_user_id, bot_id=home.bot_id)
        is_for_us = heard is not None and not heard.bot_id and (_is_to_us(heard) or _is_order(heard))
        return heard if is_for_us else None

    async def pages(self, method: str, key: str, **arguments: Any) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the items of some pages of a list; nothing more where Slack tells nothing, or too much."""
        cursor = ""
        for _ in range(MOST_PAGES):
            page = {"cursor": cursor} if cursor else {}
            try:
                answer = await self._calls.call(method, limit=PAGE, **arguments, **page)
            except SlackApiError as error:
                if is_passing(error):
                    raise
                log.info("catch-up: %s tells nothing (%s)", method, error_code(error))
                return
            for item in answer.get(key) or []:
                yield item
            cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return

    async def find_missed(self, home: Home, place: Mapping[str, Any], since: datetime) -> Sequence[Heard]:
        """Return what people said to the assistant in a conversation since then and nobody took in, oldest first."""
        channel_id, oldest = str(place["id"]), f"{since.timestamp():.6f}"
        async with self._database.read() as session:
            known = await find_known(session, home.team_id, channel_id, since_ts=oldest)
            threads = await list_threads(session, home.team_id, channel_id)
            since_when = await heard_since(session, home.team_id, channel_id)
            own = await find_reply_times(session, home.team_id, channel_id, since=since - FARTHEST)
            refused = await find_refused(session, home.team_id, since_ts=f"{(since - MINUTE).timestamp():.6f}")
        said = await self._read_place(channel_id, since, threads)
        answered: dict[str, float] = {}
        for message in said:  # by whom nothing is stored of: before a backup was put back
            if message.get("user") == home.bot_user_id and message["ts"] not in own:
                thread_ts = str(message.get("thread_ts") or message["ts"])
                answered[thread_ts] = max(answered.get(thread_ts, 0.0), float(message["ts"]))
        missed: dict[str, Heard] = {}
        for message in said:
            heard = self.hear(message, home, place)
            if heard is None or heard.arrival.ts in known or _was_refused(heard, refused):
                continue
            was_there = since_when is not None and float(heard.arrival.ts) > since_when.timestamp()
            if not (was_there or _is_to_us(heard)):
                continue  # an order from before it came in may be for another app
            if float(heard.arrival.ts) > answered.get(heard.place.thread_ts, 0.0):
                missed[heard.arrival.ts] = heard
        return [missed[ts] for ts in sorted(missed, key=float)]

    async def _read_place(
        self, channel_id: str, since: datetime, threads: Sequence[str]
    ) -> Sequence[Mapping[str, Any]]:
        """Return what was said since then in a conversation: in itself, in its young threads, and in some *threads*."""
        oldest, far = since.timestamp(), f"{(since - FARTHEST).timestamp():.6f}"
        pages = self.pages("conversations.history", "messages", channel=channel_id, oldest=far)
        roots = {str(root["ts"]): root async for root in pages}
        busy = {ts for ts, root in roots.items() if float(root.get("latest_reply") or 0) > oldest}
        said = [root for root in roots.values() if float(root["ts"]) > oldest]
        for thread_ts in busy | {ts for ts in threads if ts not in roots}:
            replies = {"channel": channel_id, "ts": thread_ts, "oldest": f"{oldest:.6f}"}
            pages = self.pages("conversations.replies", "messages", **replies)
            said += [reply async for reply in pages if float(reply["ts"]) > oldest]
        return said


def _was_refused(heard: Heard, refused: Sequence[tuple[str, float, float]]) -> bool:
    """Return whether somebody knows that what they wrote then is not answered."""
    at = float(heard.arrival.ts)
    return heard.arrival.kind != ORDER and any(
        user_id == heard.user_id and begin <= at <= end for user_id, begin, end in refused
    )


def _is_to_us(heard: Heard) -> bool:
    return heard.is_direct or heard.is_mention


def _is_order(heard: Heard) -> bool:
    """Return whether a message needs no mention in a thread: for whom a question is nobody can say so much later."""
    return heard.is_reply and (heard.arrival.kind == ORDER or heard.is_hush)


def _find_kind(place: Mapping[str, Any]) -> str:
    return next((kind for flag, kind in FLAGS if place.get(flag)), "channel")
