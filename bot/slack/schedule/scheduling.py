"""Reminders and digests put together: what people order, and what says it at its time."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from bot.slack.commands.orders import Command
from bot.slack.people.directory import Directory
from bot.slack.people.rooms import Rooms
from bot.slack.schedule.commands import build_schedule_commands
from bot.slack.schedule.runner import ScheduleRunner, WriteDigest
from bot.slack.turns.duty import Duty
from bot.storage.db import Database

Job = Callable[[], Awaitable[None]]


def build_scheduling(
    database: Database,
    directory: Directory,
    rooms: Rooms,
    *,
    late_hours: float,
    add_jobs: Callable[[Job, Job], None],
    write_digest: WriteDigest,
    duty: Duty,
) -> list[Command]:
    """Build the orders, and let the clock look for what is due."""
    late = timedelta(hours=late_hours)
    runner = ScheduleRunner(database, rooms, write_digest=write_digest, late=late, duty=duty)
    add_jobs(runner.tick, runner.prune)
    return build_schedule_commands(database, directory, rooms.for_orders())
