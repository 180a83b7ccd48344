"""This machine's clock beside the one that all bots on a database share: where they differ, somebody has to be told."""

import logging
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from bot.findings import Finding, ok, warning
from bot.storage.db import Database
from bot.storage.leases import read_shared_clock
from bot.storage.tables import now

NOTICED = timedelta(seconds=30)
MEND = "let NTP set the clock of this machine, and of the database's: timedatectl set-ntp true."

log = logging.getLogger(__name__)


async def find_skew(session: AsyncSession) -> timedelta:
    """Return by how much this machine's clock is ahead of the one that all share, or behind it where that is negative.

    At least by so much: how long the question was under way is not counted.
    """
    before = now()
    shared = await read_shared_clock(session)
    return max(before - shared, min(now() - shared, timedelta(0)))


async def check_clock(database: Database) -> Finding:
    """Compare the clock of this machine with that of a database which several bots may share."""
    async with database.read() as session:
        skew = await find_skew(session)
        here = now()
    side = "ahead of" if skew > timedelta(0) else "behind"
    sentence = f"this machine's clock is {abs(skew).total_seconds():.0f} s {side} the one of {database.place()}"
    if abs(skew) <= NOTICED:
        return ok("Database clock", f"{sentence}.")
    return warning("Database clock", f"{sentence} ({here:%H:%M:%S} here, {here - skew:%H:%M:%S} there, UTC).", MEND)


async def watch_clock(database: Database) -> None:
    """Say in the log where the two clocks differ: what goes by this machine's comes at another time than elsewhere."""
    finding = await check_clock(database)
    if finding.mend:
        log.warning("clocks: %s Mend: %s", finding.sentence, finding.mend)
