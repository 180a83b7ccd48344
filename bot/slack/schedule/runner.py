"""What is due: said once, by one process, to those who may have it; late ones with a word, too late ones told of."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.conversation.when import When, next_times, previous_time
from bot.errors import ApprenticeError, DeliveryError
from bot.slack.calls import error_code, is_passing
from bot.slack.people.rooms import Rooms
from bot.slack.schedule.commands import read_zone
from bot.slack.schedule.words import tell_ended, tell_failed, tell_late, tell_missed, tell_reminder
from bot.slack.sent import build_metadata
from bot.slack.turns.duty import Duty
from bot.storage.clocks import find_skew
from bot.storage.db import Database
from bot.storage.hold import Released, holding
from bot.storage.schedule_tables import Kind, OccurrenceState, Schedule
from bot.storage.schedules import (
    IN_ONE_PLACE,
    MAX_ATTEMPTS,
    Due,
    claim_due,
    claim_stale,
    end_occurrence,
    end_schedule,
    first_due,
    has_due,
    is_of_before_a_loss,
    last_done,
    prune_schedules,
    put_off,
)
from bot.storage.tables import new_id, now
from bot.storage.workers import was_there

AT_ONCE = 20
NOT_LATE = timedelta(minutes=2)
PAUSE = timedelta(seconds=60)
LONGEST_DIGEST = timedelta(days=31)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DigestOrder:
    """A digest to write: of *source_id* since *since*, for the people of *channel_id*, empty for *user_id* alone."""

    team_id: str
    user_id: str
    source_id: str
    channel_id: str
    since: datetime
    until: datetime


class WriteDigest(Protocol):
    """Writes a digest as arguments of chat.postMessage; raises a passing *DeliveryError* while Slack is away."""

    async def __call__(self, order: DigestOrder) -> dict[str, Any]:
        """Return what is to be posted."""
        ...


class ScheduleRunner:
    """Says what is due."""

    def __init__(
        self,
        database: Database,
        rooms: Rooms,
        *,
        write_digest: WriteDigest,
        late: timedelta,
        duty: Duty,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._calls = rooms.calls
        self._rooms = rooms
        self._write_digest = write_digest
        self._late = late
        self._duty = duty
        self._clock = clock
        self._skew = timedelta(0)  # by how much this machine's clock is ahead of the one that all bots share
        self._tasks: dict[asyncio.Task[None], str] = {}  # and where what each brings is said

    async def tick(self) -> None:
        """Begin everything that is due; a long digest holds nobody up.

        It is this process's own until another takes it for dead, which goes on with it at once.
        """
        hold = self._duty.hold
        with suppress(Released), holding(hold):
            for due in await self._claim(hold.worker_id):
                task = asyncio.create_task(self._take(due))
                self._tasks[task] = due.place
                task.add_done_callback(self._tasks.pop)
                self._duty.under_way.add(task)
                task.add_done_callback(self._duty.under_way.discard)

    async def finish(self) -> None:
        """Wait until everything that was begun has ended."""
        await asyncio.gather(*self._tasks)

    async def prune(self) -> None:
        """Forget what was done long ago."""
        async with self._database.begin() as session:
            await prune_schedules(session, moment=self._now())

    def _now(self) -> datetime:
        """Return this moment by the clock that all bots share, as it was looked at last."""
        return self._clock() - self._skew

    async def _claim(self, worker_id: str) -> list[Due]:
        free = AT_ONCE - len(self._tasks)
        if free <= 0 or not worker_id:
            return []
        async with self._database.read() as session:
            self._skew = await find_skew(session)
            moment = self._now()
            if not await has_due(session, moment=moment):
                return []
        full = [place for place, count in Counter(self._tasks.values()).items() if count >= IN_ONE_PLACE]
        async with self._database.begin() as session:
            how: dict[str, Any] = {"moment": moment, "limit": free, "worker_id": worker_id, "full": full}
            stale = await claim_stale(session, **how)
            return [*stale, *await claim_due(session, find_next=self._find_next, **how)]

    def _find_next(self, schedule: Schedule) -> datetime | None:
        """Return when a schedule is due after this moment: what was missed meanwhile is made up for once.

        Where that is too late for the first of what was missed, it is not for the last.
        """
        if not schedule.cron:
            return None
        here = self._now().astimezone(read_zone(schedule.tz))
        missed, last = schedule.next_at, previous_time(schedule.cron, before=here)
        if missed and last and here - missed > self._late >= here - last and last > missed:
            return last
        return next(iter(next_times(When(cron=schedule.cron), after=here, count=1)), None)

    async def _take(self, due: Due) -> None:
        """Bring one due time to its end; what Slack or the database prevent is tried again by whoever is there."""
        moment = self._now()
        if not await self._rooms.enter(due.schedule.team_id, due.schedule.user_id):
            await self._end(lambda session: end_schedule(session, due))
            await self._end(lambda session: end_occurrence(session, due, state=OccurrenceState.REFUSED, moment=moment))
            return
        try:
            state = await self._bring(due, moment)
        except DeliveryError as error:
            if error.is_passing:
                await self._end(lambda session: put_off(session, due, until=moment + PAUSE))
                return
            state = await self._fail(due, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, its author hears of it
            state = await self._fail(due, error)
        await self._end(lambda session: end_occurrence(session, due, state=state, moment=moment))

    async def _fail(self, due: Due, error: Exception) -> OccurrenceState:
        """Tell the author that one time did not work; the next one may."""
        error_id = new_id()
        is_known = isinstance(error, ApprenticeError)  # a server of models may quote in it what it was asked
        number, trace = due.schedule.id, None if is_known else error
        log.warning("schedules: error %s, number %d (%s)", error_id, number, type(error).__name__, exc_info=trace)
        await self._tell(due.schedule, tell_failed(due.schedule, error_id=error_id))
        return OccurrenceState.FAILED

    async def _end(self, write: Callable[[Any], Awaitable[None]]) -> None:
        async with self._database.begin() as session:
            await write(session)

    async def _bring(self, due: Due, moment: datetime) -> OccurrenceState:
        schedule = due.schedule
        async with self._database.read() as session:
            is_unknown, was_running = await is_of_before_a_loss(session, due), await was_there(session, due.due_at)
        delay = self._now() - due.due_at
        # What was put off counts as no attempt, and may have been taken by a Slack that did not say so.
        if (due.attempts > 1 or is_unknown or delay >= PAUSE) and await self._was_said(due):
            return OccurrenceState.DONE
        if due.attempts > MAX_ATTEMPTS:
            await self._tell(schedule, tell_failed(schedule, error_id=new_id()))
            return OccurrenceState.FAILED
        if delay > self._late or is_unknown:
            await self._tell(schedule, tell_missed(schedule, self._local(due), was_there=was_running))
            return OccurrenceState.MISSED
        late = tell_late(self._local(due), was_there=was_running) if delay > NOT_LATE else ""
        refusal, message = await self._rooms.find_refusal(schedule), {"text": tell_reminder(schedule, late=late)}
        if schedule.kind == Kind.DIGEST and not refusal:
            message = await self._write_digest(await self._order(due, until=moment))
            refusal = await self._rooms.find_refusal(schedule)  # writing takes minutes where others are answered first
        if refusal:
            await self._tell(schedule, tell_ended(schedule, refusal))
            await self._end(lambda session: end_schedule(session, due))
            return OccurrenceState.REFUSED
        await self._say(due, message, late=late)
        return OccurrenceState.DONE

    async def _say(self, due: Due, message: dict[str, Any], *, late: str) -> None:
        schedule = due.schedule
        async with self._database.read() as session:
            if await session.get(Schedule, schedule.id) is None:
                return  # somebody took it back while a digest was written, or Slack was away
        if schedule.kind == Kind.DIGEST and late:
            await self._post(schedule, {"text": late}, key="")
        await self._post(schedule, message, key=due.key)

    async def _order(self, due: Due, *, until: datetime) -> DigestOrder:
        """Order what was said since the last one that was said: others may have failed, or been missed, since.

        Where none was ever said, since the time before the first that was due.
        """
        schedule = due.schedule
        local = self._local(due)
        async with self._database.read() as session:
            since, first = await last_done(session, schedule.id), await first_due(session, schedule.id) or local
        if since is None and schedule.cron:
            since = previous_time(schedule.cron, before=first.astimezone(local.tzinfo))
        return DigestOrder(
            team_id=schedule.team_id,
            user_id=schedule.user_id,
            source_id=schedule.source_id,
            channel_id=schedule.channel_id,
            since=max(since or local - timedelta(days=1), local - LONGEST_DIGEST),
            until=until,
        )

    def _local(self, due: Due) -> datetime:
        return due.due_at.astimezone(read_zone(due.schedule.tz))

    async def _post(self, schedule: Schedule, message: dict[str, Any], *, key: str) -> None:
        """Post in the channel or to the person; the key lets a later attempt see that it was said."""
        metadata = {"metadata": build_metadata(key)} if key else {}
        thread = {"thread_ts": schedule.thread_ts} if schedule.thread_ts else {}
        channel = await self._find_channel(schedule)
        quiet = {"unfurl_links": False, "unfurl_media": False}
        try:
            # Not one that waits for long: another try would begin beside it, and both would say it in the end.
            await self._calls.call_soon("chat.postMessage", channel=channel, **message, **metadata, **thread, **quiet)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            log.warning("schedules: number %d could not be said (%s)", schedule.id, error_code(error))
            raise DeliveryError(is_passing=is_passing(error)) from error

    async def _find_channel(self, schedule: Schedule) -> str:
        if schedule.channel_id:
            return schedule.channel_id
        opened = await self._calls.call_if_possible("conversations.open", users=schedule.user_id)
        return str(((opened or {}).get("channel") or {}).get("id") or schedule.user_id)

    async def _was_said(self, due: Due) -> bool:
        """Return whether an attempt before a crash came as far as Slack; if that cannot be known, it is said again."""
        channel = await self._find_channel(due.schedule)
        try:
            sent = await self._calls.read_sent(channel, due.schedule.thread_ts or "")
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            if is_passing(error):
                raise DeliveryError(is_passing=True) from error
            return False
        return any(message.key == due.key for message in sent)

    async def _tell(self, schedule: Schedule, text: str) -> None:
        """Tell whoever wanted it, and nobody else."""
        answer = await self._calls.call_if_possible("chat.postMessage", channel=schedule.user_id, text=text)
        if answer is None:
            log.warning("schedules: nobody could be told about number %d", schedule.id)
