"""What was said while nobody heard it: read from Slack's history once, and answered, or called too old with a word.

Until when all was heard is written down every few seconds, but not while a message may have been lost. Once that is
some time ago every conversation is read from there: a direct message, a mention, an order in a thread or a wish for
quiet there that is not in the inbox was missed, and goes the way of every other, so that Slack's own redelivery of it
is recognised. One conversation is read when we come into it. What was answered and could not be said is asked again
where it may be said by now.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltContext
from slack_bolt.authorization import AuthorizeResult

from bot.signals import rest
from bot.slack.calls import Calls
from bot.slack.intake import Intake
from bot.slack.people.gating import Heard
from bot.slack.turns.earlier import Earlier
from bot.slack.turns.missed_changes import MissedChanges
from bot.slack.turns.past import FARTHEST, Home, Past
from bot.slack.workspaces import Workspaces, serving
from bot.storage.channels import close_channel, has_public
from bot.storage.db import Database
from bot.storage.installations import list_teams
from bot.storage.tables import now
from bot.storage.unsaid import ask_again, find_unsaid
from bot.storage.workers import heard_until, note_heard

LOOK_S = 10.0
GAP = timedelta(seconds=45)  # many losses that follow each other closely are looked for once
SILENT_GAP = timedelta(minutes=30)  # where nobody tells that no event comes through: how often is looked for them
LONG_GAP = timedelta(seconds=90)  # what people change and is lost in shorter ones comes again with Slack's next tries
OVERLAP = timedelta(minutes=2)
KINDS = "public_channel,private_channel,mpim,im"
MOST_PLACES = 1000

log = logging.getLogger(__name__)


class CatchUp:
    """Keeps in mind until when Slack was heard, and makes up for what was missed."""

    def __init__(
        self,
        database: Database,
        calls: Calls,
        intake: Intake,
        *,
        identity: AuthorizeResult,
        workspaces: Workspaces | None,
        wake: Callable[[], None],
        changes: MissedChanges,
        fresh: timedelta,
    ) -> None:
        self._database = database
        self._calls = calls
        self._changes = changes
        self._intake = intake
        self._past = Past(database, calls, intake)
        self._identity = identity
        self._workspaces = workspaces
        self._wake = wake
        self._fresh = fresh
        self.doubt = intake.doubt
        self.earlier = Earlier(database, self._past, intake, calls=calls, identity=identity, workspaces=workspaces)

    async def begin(self) -> None:
        """Doubt, for a while, whether all that was said to the process before this one was heard."""
        async with self._database.read() as session:
            until = await heard_until(session)
        if until is not None:  # one to come is from before the clock was set back: nobody knows how long ago that was
            self.doubt.begin(until if until <= now() else now() - FARTHEST)

    @asynccontextmanager
    async def running(self, is_hearing: Callable[[], bool] | None) -> AsyncIterator[None]:
        """Look every few seconds whether Slack is heard, for as long as the block runs; None: nobody can tell."""
        task = asyncio.create_task(self._work(is_hearing))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _work(self, is_hearing: Callable[[], bool] | None) -> None:
        while True:
            if is_hearing is None or is_hearing():
                try:
                    found = await self.look(gap=SILENT_GAP if is_hearing is None else GAP)
                    is_sure = is_hearing is not None or found is not None
                    if is_sure and self.doubt.since is None:
                        async with self._database.begin() as session:
                            await note_heard(session)
                except Exception as error:  # noqa: BLE001 - database or Slack are away: the next look makes up for it
                    log.warning("catch-up: not now (%s); trying again", type(error).__name__)
            await rest(LOOK_S)

    async def look(self, *, gap: timedelta = GAP) -> int | None:
        """Take in what may have been missed; return how many messages were, None where it is too early to look.

        It is once *gap* has passed since all was heard, and sooner where something may have been lost.
        """
        async with self._database.read() as session:
            until = await heard_until(session)
            teams = [] if self._workspaces is None else await list_teams(session)
        lost = self.doubt.since
        first = min((moment for moment in (until, lost) if moment is not None), default=None)
        if first is None:  # never heard before: what was said until now was not for it
            return 0
        if now() - first < (gap if lost is None else GAP):
            return None
        async with self._database.begin() as session:
            await note_heard(session, until=until or first)  # what cannot be stored need not be read
        self.doubt.since = None  # what gets lost from here on is for the next look
        try:
            found = await self._look_everywhere(teams, first)
        except BaseException:
            self.doubt.since = first
            raise
        log.info("catch-up: %d missed messages since %s", found, first.isoformat(timespec="seconds"))
        if found:
            self._wake()
        return found

    async def _look_everywhere(self, teams: Sequence[tuple[str, str]], first: datetime) -> int:
        since = max(first - OVERLAP, now() - FARTHEST)
        found = await self._look_home(since)
        for team_id, enterprise_id in teams:
            found += await asyncio.create_task(self._look_in(team_id, enterprise_id, since))
        return found

    async def _look_home(self, since: datetime) -> int:
        own = self._identity
        if not own.team_id:
            return 0
        home = Home(own.team_id, own.enterprise_id or "", own.bot_user_id or "", own.bot_id or "")
        return await self._read(home, since)

    async def _look_in(self, team_id: str, enterprise_id: str, since: datetime) -> int:
        if self._workspaces is None or await self._workspaces.enter(team_id, enterprise_id) is None:
            return 0
        there = serving()
        if there is None:  # the workspace of the settings, which is read already
            return 0
        if await self._calls.is_removed():
            await self._workspaces.drop(there)
            log.warning("the app was removed from %s unheard; its token is forgotten", team_id)
            return 0
        return await self._read(Home(team_id, enterprise_id, there.bot_user_id, there.bot_id), since)

    async def _read(self, home: Home, since: datetime) -> int:
        """Put what was missed in a workspace into the inbox; of too old ones the newest of each thread."""
        found, is_long = 0, now() - since > OVERLAP + LONG_GAP
        async for place in self._list_places(home):
            found += await self._take_in(home, place, since)
        if found:
            self._wake()  # whoever waits for an answer comes before what else there is to read
        if is_long:
            far = since - FARTHEST
            changed = await self._changes.look(home.team_id, bot_user_id=home.bot_user_id, since=far)
            log.info("catch-up: %d edits, deletions and reactions were missed", changed)
        return found

    async def come_in(self, team_id: str, channel_id: str) -> None:
        """Take in what was asked within a day in a conversation that we come into, perhaps after we were taken out."""
        home = await self.earlier.find_home(team_id)
        told = await self._calls.call_if_possible("conversations.info", channel=channel_id)
        if home is None or told is None:
            return
        found = await self._take_in(home, told.get("channel") or {"id": channel_id}, now() - FARTHEST)
        log.info("catch-up: %d unanswered messages where the app came in", found)
        if found:
            self._wake()

    async def _take_in(self, home: Home, place: Mapping[str, Any], since: datetime) -> int:
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
        if is_open or unsaid:
            async with self._database.begin() as session:
                if is_open:  # it has become private meanwhile
                    await close_channel(session, str(place["id"]))
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


def register_coming_in(app: AsyncApp, catch_up: CatchUp) -> None:
    """Register what happens when the app is added to a channel, perhaps once more."""

    @app.event("member_joined_channel")
    async def handle_joined(event: dict[str, Any], context: AsyncBoltContext) -> None:
        if event.get("user") == context.bot_user_id:
            await catch_up.come_in(str(context.team_id or ""), str(event.get("channel")))
