"""What happens by the clock, as plain functions; nothing else imports APScheduler.

What has its time of day, or comes a few times a day, is APScheduler's, by the machine's clock. What comes more often
goes by the monotonic one: APScheduler goes through every time that a clock which is set right leaves behind.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from bot.admin.backup import back_up_by_the_clock, rotate_by_the_clock, sweep_killed
from bot.admin.data import forget_expired
from bot.errors import ConfigError, EngineError, LearningError
from bot.learning.control import Learning
from bot.learning.erasing import Erasing
from bot.learning.rollout.watch import Watch
from bot.learning.tidying import tidy_runs
from bot.learning.window import Window
from bot.signals import is_ending, rest
from bot.storage.clocks import watch_clock
from bot.storage.db import Database
from bot.storage.erasures import prune_erasures
from bot.storage.inbox import prune
from bot.storage.leases import take_lease
from bot.storage.lessons import PATIENCE, forget_waited
from bot.storage.requests import prune_requests
from bot.storage.tables import new_id, now
from bot.storage.thread_manners import prune_manners

KEEP_EVENTS = timedelta(days=7)
KEEP_REQUESTS = timedelta(hours=1)
KEEP_ERASURES = timedelta(days=400)  # longer than anybody should keep a backup
KEEP_THREADS = timedelta(days=90)  # how it stands in a thread, after the last word that was for it
SCHEDULES_S = 3
REPORTS_S = 5
MINUTELY_S = 60
HOURLY_S = 3600
TRAINING = "training"
REST = timedelta(hours=20)  # between a run that ended and one that begins before its time
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MOST_TIMES = 2000  # of a schedule are compared with the window
MOST_GAPS, MINUTE_S = 20, 50.0  # what comes every minute is begun once in almost one
CLOCK_S, SET_S = 5.0, 2.0  # how often the clock is looked at, and what it is corrected by without a word
COMPARE_S = 180.0  # how often it is compared with the one of a database that several bots share
LATE_S = 6 * 3600  # a training that the machine slept through is made up for until then

log = logging.getLogger(__name__)
Job = Callable[[], Awaitable[None]]


class _Cron(CronTrigger):  # type: ignore[misc]  # APScheduler has no types
    """The times of a cron line; of those that are over, only what may still be made up for."""

    def get_next_fire_time(self, previous: datetime | None, moment: datetime) -> datetime | None:
        """Return the time after *previous*: APScheduler asks for each one until *moment*, and may have years to go."""
        if previous is not None:  # compared in UTC: in the hour that the clock shows twice it would go round and round
            latest = max(previous.astimezone(UTC), moment.astimezone(UTC) - timedelta(seconds=LATE_S))
            previous = latest.astimezone(self.timezone)
        coming: datetime | None = super().get_next_fire_time(previous, moment)
        return coming


class Jobs:
    """The jobs of one bot; every time of day is the machine's own."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._often: list[tuple[str, float, Job]] = []
        self._scheduler = AsyncIOScheduler(
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._scheduler.add_job(
            forget_old_events,
            IntervalTrigger(hours=6, timezone="UTC"),
            args=[database],
            next_run_time=now() + timedelta(minutes=1),
        )
        if not database.is_sqlite:
            self._scheduler.add_job(watch_clock, args=[database])
            self._often.append(("clock", COMPARE_S, lambda: watch_clock(database)))

    def add_learning(self, learning: Learning, watch: Watch, *, schedule: str, window: Window) -> None:
        """Train on *schedule*, or earlier in *window* when enough was said; look at what is served every minute."""
        trigger = read_schedule(schedule, window)
        # Of bots whose clocks differ one may come after the other's run has ended; another schedule is a new wish.
        nightly = self._once(
            f"training:{schedule}"[:60], _half_gap(trigger), lambda: start_training(learning, "schedule", window)
        )
        self._scheduler.add_job(nightly, trigger, id=TRAINING, misfire_grace_time=LATE_S)
        early = self._once("early-training", 1800, lambda: start_early(learning, window))
        self._often.append(("early training", HOURLY_S, early))
        self._often.append(("watch", MINUTELY_S, self._once("watch", 50, lambda: watch_adapters(watch))))

    def add_news(self, tell: Job) -> None:
        """Let *tell* say every minute what has become news."""
        self._often.append(("news", MINUTELY_S, self._once("news", 50, tell)))

    def add_reports(self, follow: Job) -> None:
        """Let *follow* keep reports every few seconds to what people decide, wherever they say so."""
        self._often.append(("reports", REPORTS_S, follow))

    def add_tidying(
        self, database: Database, folder: Path, forget: Callable[[Collection[str]], Awaitable[None]]
    ) -> None:
        """Empty old run folders once a day; follow every minute what people delete, the engine's memory included."""
        soon = now() + timedelta(minutes=5)
        self._scheduler.add_job(tidy_runs, IntervalTrigger(days=1), args=[database, folder], next_run_time=soon)
        erasing = Erasing(database, forget, folder)
        self._often.append(("erasing", MINUTELY_S, lambda: look_for_erased(database, erasing)))

    def add_retention(self, database: Database, days: int) -> None:
        """Delete each day what is older than its channel, or else the settings, keep it."""
        soon = now() + timedelta(minutes=10)
        self._scheduler.add_job(forget_expired, IntervalTrigger(days=1), args=[database, days], next_run_time=soon)

    def add_backups(self, url: str, folder: Path, schedule: str, keep: int) -> None:
        """Back up the database at *url* and *folder* on *schedule*, if there is one, and let the oldest go each day."""
        args = [url, folder, keep]
        self._scheduler.add_job(sweep_killed, args=[url, folder])
        if schedule:
            trigger = read_cron("BACKUP_SCHEDULE", schedule)
            self._scheduler.add_job(back_up_by_the_clock, trigger, args=args, misfire_grace_time=LATE_S)
        soon = now() + timedelta(minutes=15)
        self._scheduler.add_job(rotate_by_the_clock, IntervalTrigger(days=1), args=args, next_run_time=soon)

    def add_schedules(self, look: Job, prune: Job) -> None:
        """Let *look* see every few seconds what people wanted for this moment, and *prune* forget what is over."""
        self._often.append(("schedules", SCHEDULES_S, look))
        self._scheduler.add_job(prune, IntervalTrigger(days=1), next_run_time=now() + timedelta(minutes=5))

    def _once(self, name: str, seconds: float, job: Job) -> Job:
        """Return *job* as one that does nothing where another process has begun it within some seconds."""

        async def run() -> None:
            async with self._database.begin() as session:
                is_ours = await take_lease(session, f"job:{name}", owner=new_id(), seconds=seconds) is not None
            if is_ours:
                await job()

        return run

    def next_training(self) -> datetime | None:
        """Return when the clock starts the next training."""
        job = self._scheduler.get_job(TRAINING)
        return getattr(job, "next_run_time", None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the jobs for as long as the block runs."""
        self._scheduler.start()
        tasks = [asyncio.create_task(_repeat(*each)) for each in self._often]
        tasks.append(asyncio.create_task(self._follow_clock()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            self._scheduler.shutdown(wait=False)
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow_clock(self) -> None:
        """Let the scheduler look at the machine's clock again and again: its own timer sleeps on where that is set.

        Where the clock is set back, every job would stand still until it is as late again.
        """
        before = self._clock() - time.monotonic()
        while True:
            await asyncio.sleep(CLOCK_S)
            offset = self._clock() - time.monotonic()
            if offset < before - SET_S:
                log.warning("jobs: the machine's clock was set back by %.0f s", before - offset)
                self._bring_forward()
            elif offset > before + SET_S:
                log.info("jobs: the machine's clock was set ahead by %.0f s, or it slept", offset - before)
            self._scheduler.wakeup()
            before = offset

    def _bring_forward(self) -> None:
        """Let each job come as soon as it would if it were added now."""
        moment = now()
        for job in self._scheduler.get_jobs():
            trigger, coming = job.trigger, job.next_run_time
            is_regular = isinstance(trigger, IntervalTrigger)
            due = moment + trigger.interval if is_regular else trigger.get_next_fire_time(None, moment)
            if coming is not None and due is not None and due < coming:
                job.modify(next_run_time=due)


async def _repeat(name: str, seconds: float, job: Job) -> None:
    """Run *job* again and again, first after *seconds* and then so long after it ended, until cancelled."""
    while True:
        await rest(seconds)
        try:
            await asyncio.ensure_future(job())  # a task of its own: the language that it speaks ends with it
        except (Exception, asyncio.CancelledError):
            if is_ending():
                raise
            log.exception("jobs: %s failed; trying again later", name)


async def forget_old_events(database: Database) -> None:
    """Drop the ids of events that Slack can no longer deliver again."""
    async with database.begin() as session:
        await prune(session, before=now() - KEEP_EVENTS)
        await prune_requests(session, before=now() - KEEP_REQUESTS)
        await prune_manners(session, before=now() - KEEP_THREADS)
        await forget_waited(session, before=now() - PATIENCE)
        await prune_erasures(session, before=now() - KEEP_ERASURES)


def read_cron(name: str, line: str) -> CronTrigger:
    """Return a trigger at the times of a cron line, in the machine's time zone; *name* is the variable that has it."""
    try:
        *others, days = line.split()
        trigger = _Cron.from_crontab(" ".join([*others, _name_days(days)]))
    except ValueError as error:
        raise ConfigError(f"{name} is {line!r}: write it as cron does, 0 2 * * * ({error}).") from error
    if trigger.get_next_fire_time(None, now()) is None:
        raise ConfigError(f"{name} is {line!r}, a day that no year has: write one that comes, such as 0 2 * * *.")
    return trigger


def read_schedule(schedule: str, window: Window) -> CronTrigger:
    """Return a trigger at the times of a cron line, in the machine's time zone; *ConfigError* where it never trains."""
    trigger = read_cron("TRAINING_SCHEDULE", schedule)
    moment = trigger.get_next_fire_time(None, now())
    for _ in range(MOST_TIMES):
        if moment is None or window.is_open(moment):
            break
        moment = trigger.get_next_fire_time(moment, moment)
    else:
        moment = None
    if moment is None:
        raise ConfigError(
            f"TRAINING_SCHEDULE is {schedule!r}, which never comes within TRAINING_WINDOW "
            f"({window.opens:%H:%M}-{window.closes:%H:%M}): set them so that they meet."
        )
    return trigger


def _half_gap(trigger: CronTrigger) -> float:
    """Return half of the seconds between two times of a trigger, of the closest of those to come."""
    gaps, moment = [], trigger.get_next_fire_time(None, now())
    for _ in range(MOST_GAPS):
        following = None if moment is None else trigger.get_next_fire_time(moment, moment)
        if moment is None or following is None:
            break
        gaps.append((following - moment).total_seconds())
        moment = following
    return max(MINUTE_S, min(gaps, default=0.0) / 2)


def _name_days(field: str) -> str:
    """Return a cron line's days of the week by their names: cron's 0 and 7 are Sunday, APScheduler's 0 is Monday."""
    parts: list[str] = []
    for part in field.split(","):
        found = re.fullmatch(r"(?:([0-7])(?:-([0-7]))?|(\*)(?=/))(?:/([1-7]))?", part)
        if found is None:
            parts.append(part)
            continue
        first, last = (0, 6) if found[3] else (int(found[1]), int(found[2] or found[1]))
        parts += [DAYS[day % 7] for day in range(first, last + 1, int(found[4] or 1))] or [part]
    return ",".join(dict.fromkeys(parts))


async def start_training(learning: Learning, trigger: str, window: Window) -> None:
    """Queue a run for everybody, and one for each channel with enough for its own; none tonight is no error."""
    if not window.is_open(now().astimezone()):
        log.info("learning: no run outside of TRAINING_WINDOW")
        return
    status = await learning.status()
    if status.is_paused or not status.allowed_by or status.off_by:
        return
    try:
        await learning.request_run(by="the clock", trigger=trigger)
        await learning.queue_channels(by="the clock", trigger=trigger)
    except LearningError as error:
        log.info("learning: no run now: %s", error)


async def start_early(learning: Learning, window: Window) -> None:
    """Queue a run within the window as soon as enough was said since the last one, or what it made was taken back."""
    if window.is_open(now().astimezone()):
        status = await learning.status()
        is_rested = status.last_ended_at is None or now() - status.last_ended_at > REST
        is_due = status.points >= status.points_needed or await learning.owes_training()
        if is_due and is_rested:
            await start_training(learning, "signal", window)


async def look_for_erased(database: Database, erasing: Erasing) -> None:
    """Follow what people deleted, also into the database's files; whatever is away now is asked again in a minute."""
    with suppress(EngineError):  # it has said so
        await erasing.look()
    await database.empty_log()


async def watch_adapters(watch: Watch) -> None:
    """Look at what people say to the adapters that are served."""
    try:
        await watch.look()
    except EngineError as error:
        log.info("learning: the watch waits for the engine: %s", error)
    except LearningError as error:  # another bot's watch may have been faster
        log.info("learning: the watch did nothing: %s", error)
