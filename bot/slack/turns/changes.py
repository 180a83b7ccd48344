"""What people change or delete in Slack changes or goes in our memory as well."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot.slack.commands.asking import read_question
from bot.slack.files.desk import list_files
from bot.slack.people.directory import Directory
from bot.slack.text import mentioned_users, parse_message
from bot.slack.turns.answering import Answering
from bot.slack.turns.edits import Edits
from bot.slack.turns.newest_edits import NewestEdits
from bot.storage import inbox
from bot.storage.db import Database
from bot.storage.files import drop_file, keep_files
from bot.storage.forgetting import change_message, forget_message


@dataclass(frozen=True)
class Change:
    """A message that is no longer what it was; *message* is None when it is gone."""

    channel_id: str
    ts: str
    message: Mapping[str, Any] | None


def hear_change(event: Mapping[str, Any]) -> Change | None:
    """Read an event; None when no person's words changed.

    Slack turns a deleted message that has replies into a tombstone, and calls it changed when a link unfurls.
    """
    before = event.get("previous_message")
    channel_id, kind = event.get("channel"), event.get("subtype")
    if not isinstance(before, dict) or not isinstance(channel_id, str) or before.get("bot_id"):
        return None
    message = event.get("message")
    if kind == "message_deleted":
        return Change(channel_id, str(event.get("deleted_ts") or before.get("ts")), None)
    if kind != "message_changed" or not isinstance(message, dict):
        return None
    if message.get("subtype") == "tombstone":
        return Change(channel_id, str(before.get("ts")), None)
    if message.get("text") == before.get("text") and _file_ids(message) == _file_ids(before):
        return None
    if not message.get("edited") and event.get("event_ts"):
        message = {**message, "edited": {"ts": str(event["event_ts"])}}
    return Change(channel_id, str(message.get("ts")), message)


def _file_ids(message: Mapping[str, Any]) -> set[str]:
    return {file.slack_id for file in list_files(message)}


def register_changes(
    app: AsyncApp,
    *,
    database: Database,
    answering: Answering,
    directory: Directory,
    edits: Edits,
    newest: NewestEdits,
) -> None:
    """Register what the assistant does about edits and deletions: one after the other for each person.

    Two hundred at once would hold everybody up otherwise.
    """
    one_by_one: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def handle_change(event: dict[str, Any], context: AsyncBoltContext) -> None:
        change = hear_change(event)
        if change is None or not is_newest(change):
            return
        async with one_by_one.setdefault(str(context.user_id or ""), asyncio.Lock()):
            await follow(change, context)

    def is_newest(change: Change) -> bool:
        if change.message is not None:
            return newest.note(change.channel_id, change.ts, change.message)
        newest.forget(change.channel_id, change.ts)
        return True

    async def follow(change: Change, context: AsyncBoltContext) -> None:
        team_id = str(context.team_id or "")
        if change.message is None:
            await forget(change, team_id)
            return
        bot_user_id = context.bot_user_id or ""
        names = await directory.names({bot_user_id, *mentioned_users(change.message)})
        text = read_question(parse_message(change.message, bot_user_id=bot_user_id, names=names)).question
        async with database.begin() as session:
            await inbox.replace_waiting(session, team_id, change.channel_id, ts=change.ts, message=dict(change.message))
            changed = await change_message(session, team_id, change.channel_id, ts=change.ts, text=text)
            await keep_files(session, team_id, change.channel_id, ts=change.ts, left=_file_ids(change.message))
        if changed is not None:
            await edits.follow(change.channel_id, change.ts, changed.answer_id)

    async def forget(change: Change, team_id: str) -> None:
        draft = answering.running_question(change.channel_id, change.ts)
        if draft is not None:
            draft.stop.set()
        async with database.begin() as session:
            await inbox.drop_waiting(session, team_id, change.channel_id, ts=change.ts)
            await forget_message(session, team_id, change.channel_id, ts=change.ts)

    @app.event("file_deleted")
    async def handle_file_deleted(event: dict[str, Any], context: AsyncBoltContext) -> None:
        async with database.begin() as session:
            await drop_file(session, str(context.team_id or ""), str(event.get("file_id") or ""))

    app.event({"type": "message", "subtype": "message_changed"})(handle_change)
    app.event({"type": "message", "subtype": "message_deleted"})(handle_change)
