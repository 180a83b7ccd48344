"""This machine's clock beside the database's: what goes by one of them comes at another time by the other."""

import asyncio
from datetime import timedelta

import pytest

from bot.findings import Verdict
from bot.jobs import Jobs
from bot.storage.clocks import check_clock, find_skew
from bot.storage.db import Database
from bot.storage.tables import now


@pytest.fixture
def seven_minutes_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine's clock be wrong."""
    monkeypatch.setattr("bot.storage.clocks.now", lambda: now() + timedelta(minutes=7))


async def test_one_that_is_right_is_found_so(database: Database) -> None:
    """How long the question takes is not counted, and of a database that nobody shares the clock is our own."""
    async with database.read() as session:
        assert abs(await find_skew(session)) < timedelta(seconds=1)
    assert (await check_clock(database)).verdict is Verdict.OK


@pytest.mark.usefixtures("seven_minutes_ahead")
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_one_that_is_wrong_is_named(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """With both, the difference and the mend, by the doctor, and in the log as soon as a bot starts."""
    finding = await check_clock(database)
    async with Jobs(database).running():
        for _ in range(100):
            if "Mend" in caplog.text:
                break
            await asyncio.sleep(0.05)

    assert (finding.verdict, finding.topic) == (Verdict.WARNING, "Database clock")
    assert f"420 s ahead of the one of {database.place()}" in finding.sentence.replace("419", "420")
    assert "timedatectl" in finding.mend
    assert finding.mend in caplog.text
