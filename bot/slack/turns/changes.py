"""What people change or delete in Slack changes or goes in our memory as well, also what they delete of our own."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import aiohttp
from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncApp, AsyncBoltContext
from slack_sdk.errors import SlackApiError

from bot.slack.calls import Calls, error_code
from bot.slack.files.desk import list_files
from bot.slack.people.directory import Directory
from bot.slack.turns.answering import Answering
from bot.slack.turns.edits import Edits
from bot.slack.turns.newest_edits import NewestEdits
from bot.slack.turns.titles import Titles
from bot.storage import inbox
from bot.storage.db import Database
from bot.storage.files import drop_file, keep_files
from bot.storage.forgetting import change_message, forget_answer
from bot.storage.threads import Place

TITLED = "titled"  # in Bolt's context: a conversation whose title was made of a message that is another one now
REPLIES = "conversations.replies"
LATE_S = 5.0  # after an edit, most have come

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """A message that is no longer what it was; *message* is None when it is gone.

    *is_apps*: an app had said it, perhaps we ourselves, or Slack does not tell who.
    """

    channel_id: str
    ts: str
    message: Mapping[str, Any] | None
    is_apps: bool = False
    channel_type: str | None = None


def hear_change(event: Mapping[str, Any]) -> Change | None:
    """Read an event; None when no person's words changed, and nothing of an app is gone.

    Slack turns a deleted message that has replies into a tombstone, and calls it changed when a link unfurls.
    """
    known = event.get("previous_message")
    before = known if isinstance(known, dict) else {}  # Slack's own examples have none
    channel_id, kind = event.get("channel"), event.get("subtype")
    if not isinstance(channel_id, str):
        return None
    message, is_apps = event.get("message"), not before or bool(before.get("bot_id"))
    if kind == "message_deleted":
        ts = event.get("deleted_ts") or before.get("ts")
        return Change(channel_id, str(ts), None, is_apps) if ts else None
    if kind != "message_changed" or not isinstance(message, dict) or message.get("bot_id"):
        return None
    if message.get("subtype") == "tombstone":
        return Change(channel_id, str(before.get("ts") or message.get("ts")), None, is_apps)
    if before.get("bot_id") or _is_same(before, message):
        return None
    if not message.get("edited") and event.get("event_ts"):
        message = {**message, "edited": {"ts": str(event["event_ts"])}}
    return Change(channel_id, str(message.get("ts")), message, channel_type=event.get("channel_type"))


def _is_same(before: Mapping[str, Any], message: Mapping[str, Any]) -> bool:
    """Return whether nobody changed anything: links that unfurl add attachments, and only people take them away."""
    is_said_alike = message.get("text") == before.get("text") and inbox.edit_of(message) == inbox.edit_of(before)
    is_less_shown = len(message.get("attachments") or []) < len(before.get("attachments") or [])
    return is_said_alike and not is_less_shown and _file_ids(message) == _file_ids(before)


def _file_ids(message: Mapping[str, Any]) -> set[str]:
    return {file.slack_id for file in list_files(message)}


class Changes:
    """Follows what people edit and delete: one after the other for each person.

    Two hundred at once would hold everybody up otherwise.
    """

    def __init__(
        self,
        database: Database,
        *,
        answering: Answering,
        directory: Directory,
        edits: Edits,
        newest: NewestEdits,
        calls: Calls,
    ) -> None:
        self._database = database
        self._calls = calls
        self._answering = answering
        self._directory = directory
        self._edits = edits
        self._newest = newest
        self._titles = Titles(database, calls)
        self._one_by_one: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(self, event: Mapping[str, Any], context: AsyncBoltContext, *, is_shared: bool) -> None:
        """Let what is stored follow an event, if it tells of a change."""
        team_id = str(context.team_id or "")
        if event.get("type") == "file_deleted":
            async with self._database.begin() as session:
                await drop_file(session, team_id, str(event.get("file_id") or ""))
        change = hear_change(event) if event.get("type") == "message" else None
        if change is None or not self._is_newest(change):
            return
        async with self._one_by_one.setdefault(str(context.user_id or ""), asyncio.Lock()):
            titled = await self._titles.find(team_id, change.channel_id, change.ts)
            us = context.bot_user_id or ""
            if not await self._follow(change, team_id, bot_user_id=us, is_shared=is_shared):
                await self._edits.queue_word(event, team_id, bot_user_id=us)
        if titled is not None:
            context[TITLED] = titled

    async def entitle(self, context: AsyncBoltContext) -> None:
        """See to the title that was made of a message that says something else now."""
        if TITLED in context:
            await self._titles.follow(context[TITLED])

    def _is_newest(self, change: Change) -> bool:
        if change.message is not None:
            return self._newest.note(change.channel_id, change.ts, change.message)
        self._newest.forget(change.channel_id, change.ts)
        return True

    async def _follow(self, change: Change, team_id: str, *, bot_user_id: str, is_shared: bool) -> bool:
        if change.message is None:
            await self._forget(change, team_id)
            return False
        message = await self._read_late(change, team_id, change.message)
        place = Place(team_id, change.channel_id, str(message.get("thread_ts") or change.ts))
        if await self._edits.turn_to_order(place, change.ts, message, bot_user_id=bot_user_id):
            return True
        current = await self._directory.audience(
            change.channel_id, channel_type=change.channel_type, is_shared=is_shared
        )
        text = await self._answering.read_words(message, channel_id=change.channel_id, audience=current)
        async with self._database.begin() as session:
            await inbox.replace_waiting(session, team_id, change.channel_id, ts=change.ts, message=dict(message))
            changed = await change_message(
                session, team_id, change.channel_id, ts=change.ts, text=text, current=current
            )
            await keep_files(session, team_id, change.channel_id, ts=change.ts, left=_file_ids(message))
            if changed is not None:
                await self._edits.queue(session, change.channel_id, change.ts, changed.answer_id)
        if changed is not None or self._edits.is_unstored(change.channel_id, change.ts):
            self._edits.begin(change.channel_id, change.ts)
        return changed is not None

    async def _read_late(self, change: Change, team_id: str, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a message says now, where its edit comes late.

        Another process may have followed a newer one meanwhile, or this one before it was started anew.
        """
        at = inbox.edit_of(message)
        if not at or time.time() - float(at) < LATE_S or not self._calls.budget.has_spare(REPLIES):
            return message
        async with self._database.read() as session:
            if not await inbox.is_known(session, team_id, change.channel_id, ts=change.ts):
                return message
        try:
            found = await self._calls.call_now(REPLIES, channel=change.channel_id, ts=change.ts, limit=1)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            log.info("events: a late edit could not be compared (%s)", error_code(error))
            return message
        there = [one for one in found.get("messages") or [] if one.get("ts") == change.ts]
        return max([message, *there], key=inbox.edit_of)

    async def _forget(self, change: Change, team_id: str) -> None:
        if change.is_apps and (shown := self._answering.running_in(change.channel_id, change.ts)):
            shown.remove(change.ts)
        await self._edits.forget(team_id, change.channel_id, change.ts)
        if change.is_apps:
            async with self._database.begin() as session:
                await forget_answer(session, team_id, change.channel_id, ts=change.ts)


def register_changes(app: AsyncApp, changes: Changes) -> None:
    """Register what the assistant does about edits and deletions; they have followed before Slack hears that we know.

    Bolt acknowledges an event before it runs the listener: what a crash or a full disk loses then, is lost.
    """

    @app.middleware
    async def follow_first(
        body: dict[str, Any],
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[None]],  # noqa: A002 - Bolt's name
    ) -> BoltResponse | None:
        event = body.get("event")
        try:
            if isinstance(event, dict):
                await changes.take(event, context, is_shared=bool(body.get("is_ext_shared_channel")))
        except Exception as error:  # noqa: BLE001 - not acknowledged, so Slack sends it again
            log.warning("events: a change could not be followed (%s); Slack will tell again", type(error).__name__)
            return BoltResponse(status=503)
        await next()
        return None

    @app.event({"type": "message", "subtype": "message_changed"})
    @app.event({"type": "message", "subtype": "message_deleted"})
    @app.event("file_deleted")
    async def handle_change(context: AsyncBoltContext) -> None:
        await changes.entitle(context)
