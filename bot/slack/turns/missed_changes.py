"""What people edited, deleted or reacted to while nobody heard it: what is stored is compared with what Slack has."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from slack_sdk.errors import SlackApiError

from bot.slack.calls import Calls, error_code, is_passing
from bot.slack.feedback.missed_reactions import MissedReactions
from bot.slack.files.desk import list_files
from bot.slack.people.directory import Directory
from bot.slack.turns.edits import Edits
from bot.slack.turns.titles import Titles
from bot.storage import inbox
from bot.storage.answers import list_carriers
from bot.storage.db import Database
from bot.storage.files import keep_files, list_file_ids
from bot.storage.forgetting import StillWritten, change_message, forget_answer
from bot.storage.lessons import list_lessons
from bot.storage.threads import Place, list_said

MOST_MESSAGES, PAGE = 300, 200  # Slack allows some fifty threads a minute
GONE = "thread_not_found"
ReadWords = Callable[..., Awaitable[str]]  # returns what a message asks, as all who read where it stands may read it


class MissedChanges:
    """Follows edits, deletions and reactions that no event told of."""

    def __init__(
        self, database: Database, calls: Calls, read: ReadWords, reactions: MissedReactions, edits: Edits
    ) -> None:
        self._database = database
        self._reactions = reactions
        self._edits = edits
        self._read_words = read
        self._calls = calls
        self._directory = Directory(calls, database)
        self._titles = Titles(database, calls)

    async def look(self, team_id: str, *, bot_user_id: str, since: datetime) -> int:
        """Follow what became of the messages since a moment, the newest of them; return how much was missed."""
        async with self._database.read() as session:
            stored = await list_said(session, team_id, since=since, most=MOST_MESSAGES)
            taught = await list_lessons(session, team_id, since=since, most=MOST_MESSAGES)
            carriers = await list_carriers(session, team_id, since=since, most=MOST_MESSAGES)
        for channel_id, ts in taught:  # by its own ts Slack tells of a message wherever it stands
            stored.setdefault(Place(team_id, channel_id, ts), [ts])
        self._reactions.begin()
        count = 0
        for place in {**stored, **carriers}:
            there = await self._read(place)
            if there is None:
                continue
            # Before what was edited is: nobody can say that somebody who reacted meanwhile had read the new words.
            count += await self._reactions.follow(place, there, bot_user_id=bot_user_id)
            for ts in stored.get(place, ()):
                titled = await self._titles.find(team_id, place.channel_id, ts)
                is_followed = await self._follow(place, ts, there.get(ts), bot_user_id=bot_user_id)
                if titled is not None and is_followed:
                    await self._titles.follow(titled)
                count += is_followed
            for ts in carriers.get(place, ()):
                count += _is_gone(there.get(ts)) and await self._forget_answer(place, ts)
        return count

    async def _read(self, place: Place) -> Mapping[str, Mapping[str, Any]] | None:
        """Return a thread's messages by their ts, none where it is gone; None where it may not be read to its end."""
        found: dict[str, Mapping[str, Any]] = {}
        cursor: dict[str, str] = {}
        while True:
            try:
                answer = await self._calls.call(
                    "conversations.replies", channel=place.channel_id, ts=place.thread_ts, limit=PAGE, **cursor
                )
            except SlackApiError as error:
                if is_passing(error):
                    raise
                return {} if error_code(error) == GONE else None
            found |= {str(message["ts"]): message for message in answer.get("messages") or []}
            after = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not after:
                return found
            cursor = {"cursor": after}

    async def _follow(self, place: Place, ts: str, message: Mapping[str, Any] | None, *, bot_user_id: str) -> bool:
        if message is None or _is_gone(message):
            await self._edits.forget(place.team_id, place.channel_id, ts)
            return True
        await self._keep_files(place, ts, message)
        if not message.get("edited"):
            return False
        if await self._edits.turn_to_order(place, ts, message, bot_user_id=bot_user_id):
            return True
        current = await self._directory.audience(place.channel_id, channel_type=None, is_shared=False)
        text = await self._read_words(message, channel_id=place.channel_id, audience=current)
        async with self._database.begin() as session:
            await inbox.replace_waiting(session, place.team_id, place.channel_id, ts=ts, message=dict(message))
            changed = await change_message(session, place.team_id, place.channel_id, ts=ts, text=text, current=current)
            if changed is not None:
                await self._edits.queue(session, place.channel_id, ts, changed.answer_id)
        if changed is not None:
            self._edits.begin(place.channel_id, ts)
        return changed is not None

    async def _keep_files(self, place: Place, ts: str, message: Mapping[str, Any]) -> None:
        """Drop the files that were deleted, or taken out of a message."""
        left = {file.slack_id for file in list_files(message)}
        async with self._database.read() as session:
            stored = await list_file_ids(session, place.team_id, place.channel_id, ts=ts)
        if stored - left:
            async with self._database.begin() as session:
                await keep_files(session, place.team_id, place.channel_id, ts=ts, left=left)

    async def _forget_answer(self, place: Place, ts: str) -> bool:
        try:
            async with self._database.begin() as session:
                return await forget_answer(session, place.team_id, place.channel_id, ts=ts)
        except StillWritten:  # what carries it is made anew
            return False


def _is_gone(message: Mapping[str, Any] | None) -> bool:
    return message is None or message.get("subtype") == "tombstone"
