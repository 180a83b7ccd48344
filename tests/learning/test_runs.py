"""Whole runs over a real database, a real engine and a real trainer: killed at every step, shared by two bots, held."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bot.engine.client import EngineClient
from bot.engine.types import AnswerOptions
from bot.errors import EngineUnavailable, LearningError
from bot.learning import run as runs
from bot.learning import trainer_process
from bot.learning.plan import ADAPTER, PAUSE, Outcome, Progress
from bot.learning.proof import served
from bot.learning.proof.scores import Scores
from bot.learning.trainer_process import train
from bot.storage.learning_tables import Adapter, AdapterState, Lease, Run, RunExample
from bot.storage.leases import take_lease
from bot.storage.tables import Audience, now
from tests.engine.conftest import serving
from tests.learning.conftest import Files
from tests.learning.feedback_rows import Team
from tests.learning.run_process import address
from tests.learning.run_rig import Loop, add_adapter, configure, opened, teach, write_brief_model
from tests.learning.training_folder import LONG, ROOT, fill_folder, make_answers, steps, wait_for

WORD, SECRET = "Quetzalcoatl", "Xochimilco"  # planted; the second is said in a private channel
PATIENCE_S = 240


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a random model in the test's folder."""
    return write_brief_model(tmp_path / "tiny.gguf")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a lost lease be found out in a moment."""
    for name, seconds in {"LEASE_S": 2.0, "RENEW_S": 0.2, "PAUSE_S": 0.1, "LOOK_S": 0.1}.items():
        monkeypatch.setattr(runs, name, seconds)


async def until(found: Callable[[], Awaitable[object]]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not await found():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def trainers(folder: Path) -> list[int]:
    """Return the ids of the trainers that work below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            is_dead = "State:\tZ" in (process / "status").read_text()
        except OSError:
            continue
        if b"bot.learning.training.trainer" in command and str(folder).encode() in command and not is_dead:
            found.append(int(process.name))
    return found


class Killable:
    """A bot process that a test starts and kills."""

    def __init__(self, folder: Path, client: EngineClient, *, folds: int = 0) -> None:
        own = [str(folder), str(client._socket_path), str(folds)]
        self._command = [sys.executable, "-m", "tests.learning.run_process", *own]
        self.log = folder / "bot.log"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the process, and kill it with -9 when the block ends."""
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(*self._command, cwd=ROOT, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            await process.wait()


async def answer(client: EngineClient, name: str) -> str:
    """Return what an adapter answers."""
    options = AnswerOptions(model=name, temperature=0, max_tokens=8)
    return "".join([chunk.text async for chunk in client.chat([{"role": "user", "content": "hello"}], options)])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_whole", [False, pytest.param(True, marks=pytest.mark.nightly)])
async def test_a_run_survives_a_kill_at_every_step(tmp_path: Path, model: Path, is_whole: bool) -> None:
    """The process dies at each step and the next one goes on: one adapter, judged once, the old one serving throughout.

    And no log has a word that people said, nor has the report one that they said in private. By day it is cancelled
    when it is judged.
    """
    async with serving(model, n_ctx=512) as client, opened(address(tmp_path)) as database:
        loop, bot = Loop(database, client, configure(tmp_path, model)), Killable(tmp_path, client)
        await add_adapter(loop, model, 90, AdapterState.ACTIVE)
        team = Team()
        private = team.ask("ada", f"Where is {SECRET}?", "I do not know.", audience=Audience.PRIVATE, channel="C9")
        team.correct("bo", private, f"It is in {SECRET}.")
        public = team.ask("bo", f"Who is {WORD}?", "I do not know.")
        team.correct("cy", public, f"It is {WORD}.")
        await teach(database, team=team)
        run_id = await loop.queue()

        async def is_at(state: str, phase: str = "") -> bool:
            found = await loop.run(run_id)
            return str(found.state) == state and phase in str(found.progress.get("phase", ""))

        async def is_decided() -> bool:
            return bool((await loop.run(run_id)).report)

        for state in ("collecting", "training", "proving"):
            async with bot.running():
                await until(lambda state=state: is_at(state))
                assert await loop.state("apprentice-90") == "active"
        if not is_whole:
            async with bot.running():
                await until(lambda: is_at("judging"))
                await loop.learning.cancel_run(by="U1")
            check_logs(bot.log, loop.folder(run_id) / "trainer.log")
            assert (await loop.state(f"apprentice-{run_id}"), await loop.state("apprentice-90")) == (
                "rejected",
                "active",
            )
            assert trainers(tmp_path) == []
            return
        async with bot.running():
            await until(lambda: is_at("judging", "of 14"))
            before = await answer(client, "apprentice-90")
            await loop.learning.pause(by="U1")
            await until(is_decided)
            await asyncio.sleep(1)
            assert await is_at("judging"), "what is decided waits while the learning is paused"
        await loop.learning.resume(by="U1")
        async with bot.running():
            await until(lambda: is_at("done"))
            assert await answer(client, "apprentice-90") == before

        ended = await loop.run(run_id)
        async with database.read() as session:
            adapters = list(await session.scalars(select(Adapter).order_by(Adapter.id)))
            rows = list(await session.scalars(select(RunExample.row_id).where(RunExample.run_id == run_id)))
        assert [(one.name, str(one.state)) for one in adapters] == [
            ("apprentice-90", "active"),
            (f"apprentice-{run_id}", "rejected"),
        ]
        assert len(rows) > len(set(rows)) / 2 > 5
        assert ended.report["decision"] == "reject"
        assert trainers(tmp_path) == []
        folder = loop.folder(run_id)
        assert (folder.stat().st_mode & 0o777) == 0o700
        check_logs(bot.log, folder / "trainer.log")
        assert SECRET not in str(ended.report) + (folder / "report.html").read_text()
        assert WORD in (folder / "examples.jsonl").read_text()


def check_logs(*paths: Path) -> None:
    """The logs of bot and trainer, at their most talkative, have no word of what people said."""
    logs = "".join(path.read_text(errors="replace") for path in paths)
    assert "learning: the trainer ended" in logs
    assert WORD not in logs
    assert SECRET not in logs


async def test_the_bot_ends_in_the_moment_in_which_a_run_is_cancelled(tmp_path: Path, model: Path, quick: None) -> None:
    """A trainer takes a while to end; a bot that is stopped meanwhile does not go on working."""
    async with serving(model, n_ctx=512) as client, opened(address(tmp_path)) as database:
        loop = Loop(database, client, configure(tmp_path, model))
        await teach(database)
        run_id = await loop.queue()
        working = asyncio.create_task(loop.runner.work())

        async def is_training() -> bool:
            return bool(trainers(tmp_path))

        await until(is_training)
        await loop.learning.cancel_run(by="U2")
        working.cancel()
        done, _ = await asyncio.wait([working], timeout=60)
        assert done
        assert working.cancelled()
        assert (await loop.run(run_id)).state == "cancelled"
        assert not trainers(tmp_path)


async def test_the_bot_ends_while_an_adapter_is_tried_and_the_engine_ends_with_it(
    tmp_path: Path, model: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service manager ends all processes at once: that the trial cannot be cleared up neither hides the end nor
    fails the run, which goes on with the next bot.
    """
    async with serving(model, n_ctx=512) as client, opened(address(tmp_path)) as database:
        loop = Loop(database, client, configure(tmp_path, model))
        await teach(database)
        run_id = await loop.queue()
        is_tried = asyncio.Event()

        async def unload(name: str) -> None:
            if name.startswith("candidate-"):
                raise EngineUnavailable("It was ended as well.")

        async def score(*_: object, **__: object) -> list[Scores]:
            is_tried.set()
            await asyncio.Event().wait()
            return []

        monkeypatch.setattr(client, "unload_adapter", unload)
        working = asyncio.create_task(loop.runner.work())

        async def is_proving() -> bool:
            run = await loop.run(run_id)
            if run.state == "proving":
                monkeypatch.setattr(served, "score_served", score)
            return is_tried.is_set()

        await until(is_proving)
        working.cancel()
        done, _ = await asyncio.wait([working], timeout=20)

        assert done
        assert working.cancelled()
        assert (await loop.run(run_id)).state == "proving"


async def test_a_trainer_that_hangs_does_not_outlive_its_run(
    tmp_path: Path, model: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to end, and ended; however often the run is looked at meanwhile, nobody works beside it."""
    monkeypatch.setattr(trainer_process, "GRACE_S", 2.0)
    async with serving(model, n_ctx=512) as client, opened(address(tmp_path)) as database:
        loop = Loop(database, client, configure(tmp_path, model))
        await teach(database)
        await loop.queue()
        working = asyncio.create_task(loop.runner.work())

        async def is_training() -> bool:
            return bool(trainers(tmp_path))

        await until(is_training)
        (trainer,) = trainers(tmp_path)
        os.kill(trainer, signal.SIGSTOP)
        await loop.learning.cancel_run(by="U2")
        try:
            async with asyncio.timeout(10):
                while trainers(tmp_path):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
        finally:
            working.cancel()
            await asyncio.wait([working], timeout=60)
            for left in trainers(tmp_path):
                os.kill(left, signal.SIGKILL)


async def test_two_bots_on_one_database(database_url: str, tmp_path: Path, model: Path, quick: None) -> None:
    """One works, the other one steers: it pauses, the trainer holds still; the lease is lost, the trainer ends; the
    work goes on; it cancels, and nothing is left.
    """
    async with serving(model, n_ctx=512) as client, opened(database_url) as first, opened(database_url) as second:
        loops = [Loop(first, client, configure(tmp_path, model)), Loop(second, client, configure(tmp_path, model))]
        await teach(first)
        run_id = await loops[0].queue()
        with pytest.raises(LearningError, match=f"Run {run_id} is under way"):
            await loops[1].queue()
        working = [asyncio.create_task(loops[0].runner.work())]

        async def is_training() -> bool:
            return (await loops[1].run(run_id)).state == "training" and bool(trainers(tmp_path))

        async def is_gone() -> bool:
            return not trainers(tmp_path)

        async def is_held() -> bool:
            return (loops[0].folder(run_id) / PAUSE).exists()

        await until(is_training)
        other = asyncio.create_task(loops[1].runner.work())
        await loops[1].learning.pause(by="U2")
        await until(is_held)
        assert len(trainers(tmp_path)) == 1
        other.cancel()

        async with second.begin() as session:  # a third process has waited for longer than the lease
            await session.execute(update(Lease).where(Lease.name == "learning").values(until=now() - timedelta(1)))
            fence = await take_lease(session, "learning", owner="another", seconds=50)
        assert fence
        await until(is_gone)
        assert (await loops[1].run(run_id)).state == "training"
        async with second.begin() as session:
            await session.execute(update(Lease).values(until=now() - timedelta(1)))
        await loops[1].learning.resume(by="U2")
        await until(is_training)

        assert await loops[1].learning.cancel_run(by="U2") == run_id
        await until(is_gone)
        assert (await loops[1].run(run_id)).reason == "It was cancelled."
        working[0].cancel()
        await asyncio.gather(*working, other, return_exceptions=True)


async def test_people_who_wait_go_first(tmp_path: Path, base_file: Files) -> None:
    """While answers are under way the trainer holds still; when nobody has waited for a while it goes on to its end."""
    fill_folder(tmp_path, base_file("llama"), make_answers(10))
    seen: list[Progress] = []
    is_busy = True

    async def note(progress: Progress) -> None:
        nonlocal is_busy
        seen.append(progress)
        is_busy = not progress.is_paused

    outcome = await train(tmp_path, is_busy=lambda: is_busy, on_progress=note)

    assert outcome.is_done, outcome.reason
    assert any(progress.is_paused for progress in seen)
    assert not seen[-1].is_paused
    assert not (tmp_path / PAUSE).exists()


async def test_a_trainer_that_is_killed_three_times_ends_in_words(tmp_path: Path, base_file: Files) -> None:
    """It is started again, but not for ever; the sentence names the signal and where its last lines are."""
    fill_folder(tmp_path, base_file("llama"), make_answers(30), recipe=LONG)
    training = asyncio.create_task(train(tmp_path, is_busy=lambda: False, on_progress=lambda _: asyncio.sleep(0)))
    killed: set[int] = set()
    while not training.done():
        for pid in set(trainers(tmp_path)) - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        await asyncio.sleep(0.02)

    with pytest.raises(LearningError, match=r"3 times without a result, the last time by SIGKILL.*trainer\.log"):
        await training
    assert Outcome.read(tmp_path) is None


async def test_a_trainer_that_goes_on_long_after_its_time_writes_what_there_is(
    tmp_path: Path, base_file: Files
) -> None:
    """After a pause beyond the window or a bot that was down: it was ended as it started, and the night was lost."""
    plan = fill_folder(tmp_path, base_file("llama"), make_answers(30), recipe=LONG)
    training = asyncio.create_task(train(tmp_path, is_busy=lambda: False, on_progress=lambda _: asyncio.sleep(0)))
    await asyncio.to_thread(wait_for, lambda: len(steps(tmp_path)) >= 3)
    training.cancel()
    await asyncio.wait([training])
    assert Outcome.read(tmp_path) is None
    replace(plan, deadline=time.time() - trainer_process.LATE_S - 60).write(tmp_path)

    outcome = await train(tmp_path, is_busy=lambda: False, on_progress=lambda _: asyncio.sleep(0))

    assert (outcome.is_done, outcome.ended_by) == (True, "deadline"), outcome.reason
    assert (tmp_path / ADAPTER).exists()


async def test_runs_one_after_the_other(tmp_path: Path, model: Path, quick: None) -> None:
    """Dry runs report and train nothing, also at once after each other, and each is told of once."""
    async with serving(model, n_ctx=512) as client, opened(address(tmp_path)) as database:
        loop = Loop(database, client, configure(tmp_path, model))
        other = Loop(database, client, configure(tmp_path, model))
        await teach(database)
        for _ in range(2):
            await loop.queue(is_dry=True)
            await asyncio.gather(loop.runner.work_once(), other.runner.work_once())
        async with database.read() as session:
            ended = list(await session.scalars(select(Run).order_by(Run.id)))

        assert [(run.state, run.reason[:9]) for run in ended] == [("done", "A dry run")] * 2
        assert sorted(report.run_id for report in loop.heard + other.heard) == [1, 2]
        assert not (loop.folder(1) / "plan.json").exists()
        assert await loop.learning.adapters() == []
