"""What became of a question while nobody was there to hear of it: looked up before a later process answers it.

Slack tells again of an edit or a deletion up to five minutes later, and an answer to the old words would stand by then.
"""

import logging
from collections.abc import Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.errors import DeliveryError
from bot.slack.calls import Calls, error_code, is_passing
from bot.slack.people.directory import Directory
from bot.slack.standing import find_standing
from bot.slack.turns.answering import Answering
from bot.slack.turns.edits import Edits
from bot.slack.turns.status import end_status
from bot.slack.workspaces import own_user_id
from bot.storage import inbox
from bot.storage.db import Database
from bot.storage.forgetting import change_message
from bot.storage.tables import Inbox
from bot.storage.threads import Place

log = logging.getLogger(__name__)


class Meanwhile:
    """Lets a question that waits say what it says in Slack now."""

    def __init__(
        self,
        database: Database,
        calls: Calls,
        directory: Directory,
        answering: Answering,
        edits: Edits,
        *,
        bot_user_id: str,
    ) -> None:
        self._database = database
        self._calls = calls
        self._directory = directory
        self._answering = answering
        self._edits = edits
        self._bot_user_id = bot_user_id

    async def follow(self, row: Inbox) -> None:
        """Let *row* follow its message, and go with it; raise a passing *DeliveryError* while Slack is away."""
        place = Place(row.team_id, row.channel_id, row.thread_ts)
        try:
            message = await find_standing(self._calls.call, row.channel_id, thread_ts=row.thread_ts, ts=row.ts)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise DeliveryError(is_passing=True) from error
            log.info("turns: nobody can see what became of a question (%s)", error_code(error))
            return
        if message is None:
            await self._edits.forget(place.team_id, place.channel_id, row.ts)
            log.info("turns: a question was deleted while nobody was there")
        elif inbox.edit_of(message) <= inbox.edit_of(row.payload["event"]):
            return
        elif not await self._edits.turn_to_order(place, row.ts, message, bot_user_id=own_user_id(self._bot_user_id)):
            await self._change(place, row.ts, message)
            return
        await end_status(self._calls, place.channel_id, place.thread_ts)

    async def _change(self, place: Place, ts: str, message: Mapping[str, Any]) -> None:
        current = await self._directory.audience_now(place.channel_id)
        text = await self._answering.read_words(message, channel_id=place.channel_id, audience=current)
        async with self._database.begin() as session:
            await inbox.replace_waiting(session, place.team_id, place.channel_id, ts=ts, message=dict(message))
            await change_message(session, place.team_id, place.channel_id, ts=ts, text=text, current=current)
