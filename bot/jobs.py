"""What happens by the clock: APScheduler's triggers on plain functions; nothing else imports APScheduler."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from bot.storage.db import Database
from bot.storage.inbox import prune
from bot.storage.tables import now

KEEP_EVENTS = timedelta(days=7)


@asynccontextmanager
async def scheduled_jobs(database: Database) -> AsyncIterator[None]:
    """Run the jobs for as long as the block runs."""
    scheduler = AsyncIOScheduler(timezone="UTC")
    scheduler.add_job(
        forget_old_events,
        IntervalTrigger(hours=6, timezone="UTC"),
        args=[database],
        next_run_time=now() + timedelta(minutes=1),
        coalesce=True,
        max_instances=1,
    )
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)


async def forget_old_events(database: Database) -> None:
    """Drop the ids of events that Slack can no longer deliver again."""
    async with database.begin() as session:
        await prune(session, before=now() - KEEP_EVENTS)
