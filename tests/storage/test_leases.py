"""Leases: one holder at a time, and a late one is found out."""

import asyncio
from datetime import timedelta

import pytest

from bot.storage.db import Database
from bot.storage.learning_tables import Lease
from bot.storage.leases import drop_lease, renew_lease, take_lease
from bot.storage.tables import now


async def take(database: Database, owner: str, seconds: float = 60) -> int | None:
    """Take the lease in a transaction of its own."""
    async with database.begin() as session:
        return await take_lease(session, "learning", owner=owner, seconds=seconds)


async def test_one_holder_at_a_time(database: Database) -> None:
    """Of many who want it at once, one gets it; the next gets it when it is given back."""
    fences = await asyncio.gather(*(take(database, f"bot-{number}") for number in range(6)))
    held = [fence for fence in fences if fence is not None]

    assert len(held) == 1
    async with database.begin() as session:
        await drop_lease(session, "learning", fence=held[0])
    assert await take(database, "another") == held[0] + 1


async def test_a_holder_that_was_overtaken_hears_of_it(database: Database) -> None:
    """A lease that ran out goes to the next one, and the old fence no longer counts."""
    old = await take(database, "slow", seconds=-1)
    new = await take(database, "quick")

    assert old is not None
    assert new == old + 1
    async with database.begin() as session:
        assert not await renew_lease(session, "learning", fence=old, seconds=60)
        assert await renew_lease(session, "learning", fence=new, seconds=60)
        await drop_lease(session, "learning", fence=old)
    assert await take(database, "third") is None


@pytest.mark.parametrize("owner", ["", "killed"])
async def test_none_outlasts_a_clock_that_was_set_back(database: Database, owner: str) -> None:
    """An hour ago it was an hour later: what was given back or left then is free now, and not in an hour."""
    async with database.begin() as session:
        session.add(Lease(name="learning", owner=owner, fence=7, until=now() + timedelta(hours=1)))

    assert await take(database, "next") == 8
    assert await take(database, "another") is None
    async with database.begin() as session:
        await drop_lease(session, "learning", fence=8)
        found = await session.get_one(Lease, "learning")
        assert found.until < now() - timedelta(days=365), "it is free whatever the clock will say"
