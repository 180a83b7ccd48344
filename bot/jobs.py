"""What happens by the clock: APScheduler's triggers on plain functions; nothing else imports APScheduler."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from bot.errors import ConfigError, EngineError, LearningError
from bot.learning.control import Learning
from bot.learning.rollout.watch import Watch
from bot.learning.window import Window
from bot.storage.db import Database
from bot.storage.inbox import prune
from bot.storage.tables import now

KEEP_EVENTS = timedelta(days=7)
TRAINING = "training"
REST = timedelta(hours=20)  # between a run that ended and one that begins before its time
LATE_S = 6 * 3600  # a training that the machine slept through is made up for until then

log = logging.getLogger(__name__)


class Jobs:
    """The jobs of one bot; every time of day is the machine's own."""

    def __init__(self, database: Database) -> None:
        self._scheduler = AsyncIOScheduler(job_defaults={"coalesce": True, "max_instances": 1})
        self._scheduler.add_job(
            forget_old_events,
            IntervalTrigger(hours=6, timezone="UTC"),
            args=[database],
            next_run_time=now() + timedelta(minutes=1),
        )

    def add_learning(self, learning: Learning, watch: Watch, *, schedule: str, window: Window) -> None:
        """Train on *schedule*, or earlier in *window* when enough was said; look at what is served every minute."""
        try:
            trigger = CronTrigger.from_crontab(schedule)
        except ValueError as error:
            raise ConfigError(
                f"TRAINING_SCHEDULE is {schedule!r}: write it as cron does, 0 2 * * * ({error})."
            ) from error
        self._scheduler.add_job(
            start_training, trigger, args=[learning, "schedule"], id=TRAINING, misfire_grace_time=LATE_S
        )
        self._scheduler.add_job(start_early, IntervalTrigger(hours=1), args=[learning, window])
        self._scheduler.add_job(watch_adapters, IntervalTrigger(minutes=1), args=[watch])

    def next_training(self) -> datetime | None:
        """Return when the clock starts the next training."""
        job = self._scheduler.get_job(TRAINING)
        return getattr(job, "next_run_time", None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the jobs for as long as the block runs."""
        self._scheduler.start()
        try:
            yield
        finally:
            self._scheduler.shutdown(wait=False)


async def forget_old_events(database: Database) -> None:
    """Drop the ids of events that Slack can no longer deliver again."""
    async with database.begin() as session:
        await prune(session, before=now() - KEEP_EVENTS)


async def start_training(learning: Learning, trigger: str) -> None:
    """Queue a run for everybody, and one for each channel with enough for its own; none tonight is no error."""
    status = await learning.status()
    if status.is_paused or not status.allowed_by:
        return
    try:
        await learning.request_run(by="the clock", trigger=trigger)
        await learning.queue_channels(by="the clock", trigger=trigger)
    except LearningError as error:
        log.info("learning: no run now: %s", error)


async def start_early(learning: Learning, window: Window) -> None:
    """Queue a run within the window as soon as enough was said since the last one."""
    if window.is_open(now().astimezone()):
        status = await learning.status()
        is_rested = status.last_ended_at is None or now() - status.last_ended_at > REST
        if status.points >= status.points_needed and is_rested:
            await start_training(learning, "signal")


async def watch_adapters(watch: Watch) -> None:
    """Look at what people say to the adapters that are served."""
    try:
        await watch.look()
    except EngineError as error:
        log.info("learning: the watch waits for the engine: %s", error)
