"""What people said to the assistant while nobody heard it, put into the inbox: one workspace, or one conversation."""

import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bot.slack.intake import Intake
from bot.slack.people.gating import Heard
from bot.slack.turns.past import FARTHEST, Home, Past
from bot.storage.channels import close_channel, has_public
from bot.storage.db import Database
from bot.storage.tables import now
from bot.storage.unsaid import ask_again, find_unsaid

KINDS = "public_channel,private_channel,mpim,im"
MOST_PLACES = 1000

log = logging.getLogger(__name__)


class MissedMessages:
    """Takes in what was missed; of what is older than *fresh* the newest of each thread, for a word about that."""

    def __init__(self, database: Database, past: Past, intake: Intake, *, fresh: timedelta) -> None:
        self._database = database
        self._past = past
        self._intake = intake
        self._fresh = fresh

    async def look(self, home: Home, since: datetime) -> int:
        """Take in what was missed in every conversation of a workspace; return how much."""
        return sum([await self.take_in(home, place, since) async for place in self._list_places(home)])

    async def take_in(self, home: Home, place: Mapping[str, Any], since: datetime) -> int:
        """Take in what was missed in a conversation, and what could not be answered there; return how much."""
        missed = await self._past.find_missed(home, place, since)
        late = sorted(filter(self._is_stale, missed), key=lambda heard: not heard.is_hush)  # the last one gets the word
        stale = {one.place: replace(one, is_stale=True, is_mention=one.is_mention or not one.is_hush) for one in late}
        wanted = [*(heard for heard in missed if not self._is_stale(heard)), *stale.values()]
        for heard in wanted:
            await self._intake.put(heard)
        async with self._database.read() as session:
            unsaid = await find_unsaid(session, home.team_id, str(place["id"]), since=now() - FARTHEST)
            is_open = place.get("is_private") and await has_public(session, str(place["id"]))
        if is_open:  # it has become private meanwhile
            async with self._database.begin() as session:
                await close_channel(session, str(place["id"]))
        if unsaid:
            async with self._database.begin() as session:
                await ask_again(session, unsaid)
        return len(wanted) + len(unsaid)

    def _is_stale(self, heard: Heard) -> bool:
        return time.time() - float(heard.arrival.ts) > self._fresh.total_seconds()

    async def _list_places(self, home: Home) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the conversations that the assistant is in."""
        team = {"team_id": home.team_id} if home.enterprise_id else {}
        places = self._past.pages("users.conversations", "channels", types=KINDS, exclude_archived=True, **team)
        count = 0
        async for place in places:
            yield place
            count += 1
            if count == MOST_PLACES:
                log.warning("catch-up: only the first %d conversations are read", MOST_PLACES)
                return
