"""What the clock does: when a training begins, that one begins once, and what stays of old runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tzlocal
from sqlalchemy import delete, select, update

from bot.engine.client import EngineClient
from bot.errors import ConfigError, LearningError
from bot.jobs import LATE_S, Jobs, read_cron, read_schedule, start_early, start_training
from bot.language import _ as translate
from bot.language import speak
from bot.learning.cross_validation import FOLDS
from bot.learning.rollout.watch import Watch
from bot.learning.tidying import KEEP_RUNS, tidy_runs
from bot.learning.window import Window
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState, Lease, Run
from bot.storage.tables import now
from tests.learning.run_rig import Loop, configure, teach

NIGHT, ALWAYS = Window.parse("01:00-06:00"), Window.parse("00:00-00:00")


@pytest.fixture
async def loop(database: Database, tmp_path: Path) -> AsyncIterator[Loop]:
    """Return a loop whose engine is away: it can only be asked for runs."""
    async with EngineClient(socket_path=tmp_path / "away.sock") as client:
        yield Loop(database, client, configure(tmp_path, None))


@pytest.mark.parametrize(
    ("schedule", "local"),
    [
        ("0 2 * * *", ["Sat 02:00", "Sun 02:00"]),
        ("0 2 * * 0", ["Sun 02:00", "Sun 02:00"]),
        ("30 2 * * 1-5", ["Mon 02:30", "Tue 02:30"]),
        ("0 3 * * 6,7", ["Sat 03:00", "Sun 03:00"]),
        ("0 3 * * */3", ["Sat 03:00", "Sun 03:00"]),
        ("0 3 * * mon", ["Mon 03:00", "Mon 03:00"]),
    ],
)
def test_a_schedule_is_crons_in_the_machines_time_zone(
    monkeypatch: pytest.MonkeyPatch, schedule: str, local: list[str]
) -> None:
    """Sunday is 0 or 7, as in cron, and two o'clock is two o'clock where the machine stands."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    tzlocal.reload_localzone()  # it remembers where the machine stands, for every test after this one too
    try:
        trigger = read_schedule(schedule, NIGHT)
        first = trigger.get_next_fire_time(None, datetime(2026, 11, 27, 12, tzinfo=UTC))  # a Friday, 21:00 in Tokyo
        assert first is not None
        second = trigger.get_next_fire_time(first, first + timedelta(seconds=1))
    finally:
        monkeypatch.undo()
        time.tzset()
        tzlocal.reload_localzone()

    assert [f"{moment:%a %H:%M}" for moment in (first, second) if moment] == local
    assert first.utcoffset() == timedelta(hours=9)


@pytest.mark.parametrize("schedule", ["", "night", "@daily", "0 25 * * *", "0 2 * * 5-1", "0 2 * *"])
def test_a_schedule_that_cannot_be_read_names_its_variable(schedule: str) -> None:
    """It is said at the start, not at night."""
    with pytest.raises(ConfigError, match="TRAINING_SCHEDULE"):
        read_schedule(schedule, NIGHT)


@pytest.mark.parametrize(("schedule", "why"), [("0 12 * * *", "TRAINING_WINDOW"), ("0 2 30 2 *", "no year has")])
def test_a_schedule_that_never_trains_is_refused(schedule: str, why: str) -> None:
    """One that lies outside of the window, or on no day at all, would be silent for ever."""
    with pytest.raises(ConfigError, match=rf"TRAINING_SCHEDULE.*{why}"):
        read_schedule(schedule, NIGHT)


async def runs(database: Database) -> list[str]:
    """Return what began each run."""
    async with database.read() as session:
        return list(await session.scalars(select(Run.trigger).order_by(Run.id)))


async def test_triggers_at_once_give_one_run(loop: Loop) -> None:
    """The schedule, enough signal and a person in the same moment: one run, and the others hear of it."""
    await teach(loop.database)
    asked = await asyncio.gather(
        start_training(loop.learning, "schedule", ALWAYS),
        start_early(loop.learning, ALWAYS),
        loop.queue(),
        loop.queue(trigger="slack"),
        return_exceptions=True,
    )

    assert len(await runs(loop.database)) == 1
    refused = [str(error) for error in asked if isinstance(error, LearningError)]
    assert all("under way" in words for words in refused)
    assert refused


async def test_a_night_that_was_slept_through_is_made_up_for_within_the_window(loop: Loop, database: Database) -> None:
    """A machine that wakes up an hour late trains then; one that wakes up in the day waits for the next night."""
    closed = Window((now() + timedelta(hours=2)).astimezone().time(), (now() + timedelta(hours=3)).astimezone().time())
    for window, expected in ((closed, []), (ALWAYS, ["schedule"])):
        jobs = Jobs(database)
        watch = Watch(
            database, loop.rollout, canary_time=timedelta(1), veto_time=timedelta(0), tell=lambda _: asyncio.sleep(0)
        )
        jobs.add_learning(loop.learning, watch, schedule="* * * * *", window=window)
        async with jobs.running():
            job = jobs._scheduler.get_job("training")
            job.modify(next_run_time=now() - timedelta(hours=1))
            for _ in range(100):
                await asyncio.sleep(0.02)
                if await runs(database):
                    break
        assert await runs(database) == expected
        async with database.begin() as session:  # a minute later
            await session.execute(delete(Lease))


@pytest.mark.parametrize("schedule", ["0 2 * * *", "0 2 * * 1", "0 2,14 * * *"])
async def test_bots_whose_clocks_differ_train_once_in_a_night(loop: Loop, database: Database, schedule: str) -> None:
    """The clock of one comes to the hour when the run of the other has ended; by another schedule it may begin."""
    for number, (line, expected) in enumerate([(schedule, 1), (schedule, 1), ("30 3 * * *", 2)]):
        jobs = Jobs(database)
        watch = Watch(
            database, loop.rollout, canary_time=timedelta(1), veto_time=timedelta(0), tell=lambda _: asyncio.sleep(0)
        )
        jobs.add_learning(loop.learning, watch, schedule=line, window=ALWAYS)
        async with jobs.running():
            jobs._scheduler.get_job("training").modify(next_run_time=now())
            for _ in range(25 if number == 1 else 200):
                await asyncio.sleep(0.02)
                if number != 1 and len(await runs(database)) == expected:
                    break
        assert len(await runs(database)) == expected
        async with database.begin() as session:
            await session.execute(update(Run).values(state="done", finished_at=now()))
            for lease in await session.scalars(select(Lease)):  # two hours later
                lease.until -= timedelta(hours=2)


async def test_old_run_folders_keep_no_words(loop: Loop, database: Database, tmp_path: Path) -> None:
    """After their time, examples and checkpoints go; pages stay, and adapters that may be served again."""
    states = {1: AdapterState.RETIRED, 2: AdapterState.REJECTED, 3: AdapterState.ACTIVE}
    names = ("examples.jsonl", "manifest.jsonl", "trainer.log", "report.html", "adapter.gguf", "checkpoints/sft/x")
    async with database.begin() as session:
        for number in range(1, KEEP_RUNS + 6):
            ended = now() - timedelta(days=1 if number == 4 else 30)
            state = "training" if number == 5 else "done"
            run = Run(id=number, trigger="cli", state=state, finished_at=None if number == 5 else ended)
            session.add(run)
            await session.flush()
            folder = loop.folder(number)
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text("words")
            if number in states:
                values = {"path": str(folder), "sha256": "a", "base_sha256": "b", "state": states[number], "watch": {}}
                session.add(Adapter(run_id=number, name=f"apprentice-{number}", **values))

    for number in (4, 5):  # of a bot that was killed as it ended the run, and of one that goes on
        (loop.folder(number) / FOLDS).mkdir()
    await tidy_runs(database, loop.config.folder)
    await tidy_runs(database, loop.config.folder)
    (loop.folder(5) / FOLDS).rmdir()

    def left(number: int) -> set[str]:
        return {path.name for path in loop.folder(number).iterdir()}

    everything = {name.split("/")[0] for name in names}
    assert left(1) == left(3) == {"report.html", "adapter.gguf"}
    assert left(2) == {"report.html"}
    assert [left(number) == everything for number in range(4, KEEP_RUNS + 6)] == [True] * (KEEP_RUNS + 2)


async def test_no_job_stands_still_when_the_clock_is_set_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was to come today, or tonight, would come when the clock is as late again: in a month."""
    monkeypatch.setattr("bot.jobs.CLOCK_S", 0.01)
    ahead = [timedelta(days=30).total_seconds()]
    jobs = Jobs(database, clock=lambda: time.time() + ahead[0])

    jobs.add_backups("sqlite+aiosqlite://", Path("nowhere"), "0 2 * * *", 7)
    async with jobs.running():
        for job in jobs._scheduler.get_jobs():
            job.modify(next_run_time=now() + timedelta(days=30))
        await asyncio.sleep(0.05)
        ahead[0] = 0.0
        await asyncio.sleep(0.1)
        quarter, day = timedelta(hours=6), timedelta(days=1)
        coming = sorted(job.next_run_time - now() for job in jobs._scheduler.get_jobs())
    assert [coming[0] <= quarter, *(each <= day for each in coming)] == [True] * 4, coming


@pytest.mark.timeout(60)  # without an end it would take more and more memory
async def test_a_clock_that_is_set_right_by_decades_holds_nobody_up(
    loop: Loop,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    clock_ahead: list[timedelta],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A board without a battery begins in 1970; of all that it missed, each job comes once, and nobody waits."""
    monkeypatch.setattr("bot.jobs.CLOCK_S", 0.01)
    monkeypatch.setattr("bot.jobs.SCHEDULES_S", 0.02)
    caplog.set_level("INFO", logger="bot.jobs")
    ticks = pruned = 0

    async def tick() -> None:
        nonlocal ticks
        ticks += 1

    async def prune() -> None:
        nonlocal pruned
        pruned += 1

    jobs = Jobs(database)
    watch = Watch(
        database, loop.rollout, canary_time=timedelta(1), veto_time=timedelta(0), tell=lambda _: asyncio.sleep(0)
    )
    closed = Window((now() + timedelta(hours=2)).astimezone().time(), (now() + timedelta(hours=3)).astimezone().time())
    jobs.add_learning(loop.learning, watch, schedule="* * * * *", window=closed)
    jobs.add_schedules(tick, prune)
    jobs.add_reports(tick)
    jobs.add_news(tick)
    async with jobs.running():
        await asyncio.sleep(0.1)
        before, spent = ticks, time.thread_time()
        clock_ahead[0] = timedelta(days=365 * 56)
        for _ in range(500):
            await asyncio.sleep(0.02)
            if "no run outside" in caplog.text and pruned and ticks > before + 3:
                break
        spent = time.thread_time() - spent
    assert (pruned, caplog.text.count("no run outside"), ticks > before + 3) == (1, 1, True)
    assert spent < 1.0


async def test_no_time_is_asked_for_twice_where_the_clock_shows_an_hour_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a day that was slept through, the last hours are gone through once, forward, also in that night."""
    monkeypatch.setattr("apscheduler.triggers.cron.get_localzone", lambda: ZoneInfo("Europe/Berlin"))
    trigger, moment = read_cron("BACKUP_SCHEDULE", "* * * * *"), datetime(2026, 10, 25, 7, 10, tzinfo=UTC)
    for hours in range(10):
        here = (moment - timedelta(hours=hours)).astimezone(ZoneInfo("Europe/Berlin"))
        times = [here - timedelta(days=1)]
        while times[-1].astimezone(UTC) <= here.astimezone(UTC) and len(times) < 1000:
            times.append(trigger.get_next_fire_time(times[-1], here))
        gaps = {later.astimezone(UTC) - earlier.astimezone(UTC) for earlier, later in pairwise(times[1:])}
        assert (gaps, len(times)) == ({timedelta(minutes=1)}, LATE_S // 60 + 2), here


async def test_what_comes_often_goes_on_after_an_error_and_ends_with_the_bot(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One at a time; an error is logged, a cancelled call too, and what it said of its language is not left behind."""
    monkeypatch.setattr("bot.jobs.SCHEDULES_S", 0.01)
    spoken, running, most, ended, never = [], 0, 0, asyncio.Event(), asyncio.Event()

    async def look() -> None:
        nonlocal running, most
        spoken.append(translate("Sunday"))
        speak("zh")
        running, most = running + 1, max(most, running + 1)
        try:
            if len(spoken) == 1:
                raise ValueError("once")
            if len(spoken) == 2:
                asyncio.current_task().cancel()  # by whatever it waits for
            await (asyncio.sleep(0.05) if len(spoken) < 5 else never.wait())
        except asyncio.CancelledError:
            ended.set()
            raise
        finally:
            running -= 1

    async def prune() -> None:
        """Forget nothing."""

    jobs = Jobs(database)
    jobs.add_schedules(look, prune)
    async with jobs.running():
        for _ in range(500):
            await asyncio.sleep(0.02)
            if len(spoken) == 5:
                break
        ended.clear()
    assert (spoken, most, running, ended.is_set()) == (["Sunday"] * 5, 1, 0, True)
    assert caplog.text.count("jobs: schedules failed") == 2
