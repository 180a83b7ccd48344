"""What was said while nobody heard it: read from Slack's history once, and answered, or called too old with a word.

Until when all was heard is written down every few seconds, but not while a message may have been lost. Once that is
some time ago every conversation is read from there: a direct message, a mention, an order in a thread or a wish for
quiet there that is not in the inbox was missed, and goes the way of every other, so that Slack's own redelivery of it
is recognised. One conversation is read when we come into it. What could not be said is asked again where it can be.

Workspaces are read beside each other. One that cannot be read is named in the log once and tried again at a slow pace,
and the others go on without it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltContext
from slack_bolt.authorization import AuthorizeResult

from bot.signals import rest
from bot.slack.calls import Calls, is_locked_out
from bot.slack.intake import Intake
from bot.slack.turns.behind import Behind
from bot.slack.turns.earlier import Earlier
from bot.slack.turns.missed_changes import MissedChanges
from bot.slack.turns.missed_messages import MissedMessages
from bot.slack.turns.past import FARTHEST, OPENED, Home, Past
from bot.slack.workspaces import Workspaces, serving
from bot.storage.db import Database
from bot.storage.installations import list_teams
from bot.storage.tables import now
from bot.storage.workers import heard_until, note_heard

LOOK_S = 10.0
GAP = timedelta(seconds=45)  # many losses that follow each other closely are looked for once
SILENT_GAP = timedelta(minutes=30)  # where nobody tells that no event comes through: how often is looked for them
LONG_GAP = timedelta(seconds=90)  # what people change and is lost in shorter ones comes again with Slack's next tries
OVERLAP = timedelta(minutes=2)
AT_ONCE = 8  # workspaces that are read beside each other

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
        past = Past(database, calls, intake)
        self._messages = MissedMessages(database, past, intake, fresh=fresh)
        self._identity = identity
        self._workspaces = workspaces
        self._wake = wake
        self._behind = Behind(identity.team_id or "")
        self._readers = asyncio.Semaphore(AT_ONCE)
        self._heard: datetime | None = None  # until when all that are not held were heard, where one is
        self.doubt, self._standstill = intake.doubt, intake.standstill
        self.earlier = Earlier(database, past, intake, calls=calls, identity=identity, workspaces=workspaces)

    async def begin(self) -> None:
        """Doubt, for a while, whether all that was said to the process before this one was heard."""
        async with self._database.read() as session:
            until = await heard_until(session)
        if until is not None:  # one to come is from before the clock was set back: nobody knows how long ago that was
            self.doubt.begin(until if until <= now() else now() - FARTHEST)

    @asynccontextmanager
    async def running(self, is_hearing: Callable[[], bool] | None) -> AsyncIterator[None]:
        """Look every few seconds whether Slack is heard, for as long as the block runs; None: nobody can tell."""
        tasks = [*map(asyncio.create_task, (self._work(is_hearing), self._work_behind(), self._standstill.watch()))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, is_hearing: Callable[[], bool] | None) -> None:
        while True:
            if is_hearing is None or is_hearing():
                try:
                    found = await self.look(gap=SILENT_GAP if is_hearing is None else GAP)
                    is_sure = is_hearing is not None or found is not None
                    if is_sure and self.doubt.since is None:
                        await self._note_heard()
                except Exception as error:  # noqa: BLE001 - database or Slack are away: the next look makes up for it
                    log.warning("catch-up: not now (%s); trying again", type(error).__name__)
            await rest(LOOK_S)

    async def _note_heard(self) -> None:
        self._heard = now() if self._behind.is_held() else None
        if self._heard is None:
            async with self._database.begin() as session:
                await note_heard(session)

    async def look(self, *, gap: timedelta = GAP) -> int | None:
        """Take in what may have been missed; return how many messages were, None where it is too early to look.

        It is once *gap* has passed since all was heard, and sooner where something may have been lost.
        """
        async with self._database.read() as session:
            written = await heard_until(session)
            teams = [] if self._workspaces is None else await list_teams(session)
        until, lost = self._heard or written, self.doubt.since
        first = min((moment for moment in (until, lost) if moment is not None), default=None)
        if first is None:  # never heard before: what was said until now was not for it
            return 0
        if now() - first < (gap if lost is None else GAP):
            return None
        async with self._database.begin() as session:
            await note_heard(session, until=written or first)  # what cannot be stored need not be read
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

    async def _look_everywhere(self, teams: Sequence[str], first: datetime) -> int:
        """Read every workspace, and put off those that cannot be read; raise where none can, for Slack is away."""
        oldest = max(first - OVERLAP, now() - FARTHEST)
        places = dict.fromkeys(team_id for team_id in (self._identity.team_id, *teams) if team_id)
        since = {team_id: self._behind.since(team_id, oldest) for team_id in places}
        outcomes = await self._read_each(since)
        away = [error for error in outcomes.values() if isinstance(error, BaseException) and not is_locked_out(error)]
        if away and not any(isinstance(outcome, int) for outcome in outcomes.values()):
            raise away[0]
        return self._settle(outcomes, since)

    async def _work_behind(self) -> None:
        """Read the workspaces that could not be read, once it is time for that, for as long as it takes."""
        while True:
            await rest(LOOK_S)
            due = self._behind.due()
            if found := self._settle(await self._read_each(due), due):
                log.info("catch-up: %d missed messages where nothing could be read", found)

    async def _read_each(self, since: Mapping[str, datetime]) -> dict[str, int | BaseException]:
        """Read some workspaces, each since its own moment and in a task of its own, which serves it."""
        reading = [asyncio.create_task(self._look_in(*one)) for one in since.items()]
        return dict(zip(since, await asyncio.gather(*reading, return_exceptions=True), strict=True))

    def _settle(self, outcomes: Mapping[str, int | BaseException], since: Mapping[str, datetime]) -> int:
        """Keep in mind which workspaces are still to be read; return how much was found in the others."""
        for team_id, outcome in outcomes.items():
            if isinstance(outcome, int):
                self._behind.drop(team_id)
            elif isinstance(outcome, Exception):
                self._behind.put_off(team_id, since[team_id], outcome)
            else:
                raise outcome
        return sum(outcome for outcome in outcomes.values() if isinstance(outcome, int))

    async def _look_in(self, team_id: str, since: datetime) -> int:
        home = await self.earlier.find_home(team_id)
        if home is None:
            return 0
        there = serving()
        if self._workspaces is not None and there is not None and await self._calls.is_removed():
            await self._workspaces.drop(there)
            log.warning("the app was removed from %s unheard; its token is forgotten", team_id)
            return 0
        async with self._readers:
            return await self._read(home, since)

    async def _read(self, home: Home, since: datetime) -> int:
        """Take in what was missed in a workspace, and what became of older messages."""
        is_long = now() - since > OVERLAP + LONG_GAP
        found = await self._messages.look(home, since)
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
        found = await self._messages.take_in(home, told.get("channel") or {"id": channel_id}, now() - FARTHEST)
        log.info("catch-up: %d unanswered messages where the app came in", found)
        if found:
            self._wake()


def register_coming_in(app: AsyncApp, catch_up: CatchUp) -> None:
    """Register what happens when the app is added to a channel, perhaps once more, or one is opened again."""

    @app.event("member_joined_channel")
    async def handle_joined(event: dict[str, Any], context: AsyncBoltContext) -> None:
        if event.get("user") == context.bot_user_id:
            await catch_up.come_in(str(context.team_id or ""), str(event.get("channel")))

    @app.event({"type": "message", "subtype": OPENED[0]})
    @app.event({"type": "message", "subtype": OPENED[1]})
    async def handle_opened(event: dict[str, Any], context: AsyncBoltContext) -> None:
        await catch_up.come_in(str(context.team_id or ""), str(event.get("channel")))
