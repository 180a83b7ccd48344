"""What was said while nobody heard it: read from Slack's history once, and answered, or called too old with a word.

Until when all was heard is written down every few seconds, but not while a message may have been lost. Once that is
some time ago every conversation is read from there: a direct message or a mention that is not in the inbox was missed,
and goes the way of every other, so that Slack's own redelivery of it is recognised.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from slack_bolt.authorization import AuthorizeResult

from bot.signals import rest
from bot.slack.calls import Calls
from bot.slack.intake import Intake
from bot.slack.people.gating import Heard
from bot.slack.turns.earlier import Earlier
from bot.slack.turns.missed_changes import MissedChanges, Read
from bot.slack.turns.past import Home, Past
from bot.slack.workspaces import Workspaces, serving
from bot.storage.answers import find_reply_times
from bot.storage.db import Database
from bot.storage.inbox import find_known, list_threads
from bot.storage.installations import list_teams
from bot.storage.tables import now
from bot.storage.workers import heard_until, note_heard

LOOK_S = 10.0
GAP = timedelta(seconds=45)  # many losses that follow each other closely are looked for once
SILENT_GAP = timedelta(minutes=30)  # where nobody tells that no event comes through: how often is looked for them
LONG_GAP = timedelta(seconds=90)  # edits and deletions that are lost in shorter ones come again with Slack's next tries
OVERLAP = timedelta(minutes=2)
FARTHEST = timedelta(hours=24)
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
        read: Read,
        fresh: timedelta,
    ) -> None:
        self._database = database
        self._calls = calls
        self._changes = MissedChanges(database, calls, read)
        self._intake = intake
        self._past = Past(calls, intake)
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
        return await self._read(Home(team_id, enterprise_id, there.bot_user_id, there.bot_id), since)

    async def _read(self, home: Home, since: datetime) -> int:
        """Put what was missed in a workspace into the inbox; of too old ones the newest of each thread."""
        found, is_long = 0, now() - since > OVERLAP + LONG_GAP
        async for place in self._list_places(home):
            missed = await self._find_missed(home, place, since)
            stale = {heard.place: replace(heard, is_stale=True) for heard in missed if self._is_stale(heard)}
            for heard in [*(heard for heard in missed if not self._is_stale(heard)), *stale.values()]:
                await self._intake.put(heard)
                found += 1
        if found:
            self._wake()  # whoever waits for an answer comes before what else there is to read
        if is_long:
            far = since - FARTHEST
            changed = await self._changes.look(home.team_id, bot_user_id=home.bot_user_id, since=far)
            log.info("catch-up: %d messages were changed or deleted meanwhile", changed)
        return found

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

    async def _find_missed(self, home: Home, place: Mapping[str, Any], since: datetime) -> Sequence[Heard]:
        """Return what people said to the assistant in a conversation since then and nobody took in, oldest first."""
        channel_id, oldest = str(place["id"]), f"{since.timestamp():.6f}"
        async with self._database.read() as session:
            known = await find_known(session, home.team_id, channel_id, since_ts=oldest)
            threads = await list_threads(session, home.team_id, channel_id)
            own = await find_reply_times(session, home.team_id, channel_id, since=since - FARTHEST)
        said = await self._read_place(channel_id, since, threads)
        answered: dict[str, float] = {}
        for message in said:  # by whom nothing is stored of: before a backup was put back
            if message.get("user") == home.bot_user_id and message["ts"] not in own:
                thread_ts = str(message.get("thread_ts") or message["ts"])
                answered[thread_ts] = max(answered.get(thread_ts, 0.0), float(message["ts"]))
        missed: dict[str, Heard] = {}
        for message in said:
            heard = self._past.hear(message, home, place)
            is_new = heard is not None and heard.arrival.ts not in known
            if heard is not None and is_new and float(heard.arrival.ts) > answered.get(heard.place.thread_ts, 0.0):
                missed[heard.arrival.ts] = heard
        return [missed[ts] for ts in sorted(missed, key=float)]

    async def _read_place(
        self, channel_id: str, since: datetime, threads: Sequence[str]
    ) -> Sequence[Mapping[str, Any]]:
        """Return what was said since then in a conversation: in itself, in its young threads, and in some *threads*."""
        oldest, far = since.timestamp(), f"{(since - FARTHEST).timestamp():.6f}"
        pages = self._past.pages("conversations.history", "messages", channel=channel_id, oldest=far)
        roots = {str(root["ts"]): root async for root in pages}
        busy = {ts for ts, root in roots.items() if float(root.get("latest_reply") or 0) > oldest}
        said = [root for root in roots.values() if float(root["ts"]) > oldest]
        for thread_ts in busy | {ts for ts in threads if ts not in roots}:
            replies = {"channel": channel_id, "ts": thread_ts, "oldest": f"{oldest:.6f}"}
            pages = self._past.pages("conversations.replies", "messages", **replies)
            said += [reply async for reply in pages if float(reply["ts"]) > oldest]
        return said
