"""What goes wrong with a run ends in a state and in words, with the old adapter serving."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.engine.client import EngineClient
from bot.engine.files.checksum import hash_model
from bot.errors import DeliveryError, EngineUnavailable, LearningError
from bot.learning import run as runs
from bot.learning import served_base, starts, training_extra
from bot.learning.data.policy import DataPolicy
from bot.learning.figures import Decision, RunReport
from bot.learning.plan import EXAMPLES, Outcome
from bot.learning.reporting import PAGE
from bot.learning.rollout import loading
from bot.learning.rollout.loading import TRIAL
from bot.storage.learning_tables import Adapter, AdapterState, Run
from bot.storage.tables import now
from tests.engine.conftest import serving, wait_healthy
from tests.engine.tiny_model import write_tiny_model
from tests.learning.feedback_rows import Team
from tests.learning.run_process import address
from tests.learning.run_rig import Loop, add_adapter, configure, opened, teach


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing."""
    monkeypatch.setattr(runs, "PAUSE_S", 0.0)
    monkeypatch.setattr(served_base, "PATIENCE_S", 0.1)
    monkeypatch.setattr(served_base, "LOOK_S", 0.05)
    monkeypatch.setattr(loading, "CHECK_S", 0.0)


async def end(loop: Loop, **changes: object) -> Run:
    """Let a run come to its end, which takes a few tries where something may pass."""
    run_id = await loop.queue(**changes)
    for _ in range(runs.TRIES):
        await loop.runner.work_once()
    return await loop.run(run_id)


async def served(engine: EngineClient) -> set[str]:
    """Return the adapters that the engine serves."""
    return {model.id for model in (await engine.models())[1:]}


async def check_old_serves(loop: Loop, engine: EngineClient) -> None:
    """The earlier adapter is active, and everybody gets it."""
    await loop.rollout.loaded.follow()
    assert await loop.state("apprentice-90") == "active"
    assert await loop.rollout.choose("U1", await served(engine)) == "apprentice-90"


async def test_no_training_extra(loop: Loop, engine: EngineClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for, it is refused with the command to run; gone meanwhile, the run says the same. A dry one works."""
    run_id = await loop.queue()
    monkeypatch.setattr(training_extra, "PACKAGES", ("torch", "unheard_of"))
    await loop.runner.work_once()
    run = await loop.run(run_id)

    assert run.state == "failed"
    assert "(unheard_of): run pip install 'apprentice[train]'" in run.reason
    with pytest.raises(LearningError, match="unheard_of"):
        await loop.queue()
    assert (await end(loop, is_dry=True)).state == "done"
    await check_old_serves(loop, engine)
    assert [report.outcome for report in loop.heard if report.decision == "failed"] == [run.reason]


async def test_a_folder_that_cannot_be_written(loop: Loop, engine: EngineClient) -> None:
    """The sentence names the place, and the mend is to make room or to give the right to write."""
    loop.config.folder.mkdir(parents=True, exist_ok=True)
    (loop.config.folder / "runs").write_text("in the way")

    run = await end(loop)

    assert run.state == "failed"
    assert str(loop.config.folder / "runs") in run.reason
    assert "right to write there" in run.mend
    await check_old_serves(loop, engine)


async def test_a_disk_that_takes_no_more(loop: Loop, engine: EngineClient) -> None:
    """A file of the run that cannot be written is named, with the mend; here a folder stands where it should be."""
    run_id = await loop.queue()
    (loop.folder(run_id) / starts.STARTS).mkdir(parents=True)
    await loop.runner.work_once()
    second = await loop.queue()
    made(loop.folder(second))
    (loop.folder(second) / EXAMPLES).symlink_to("/dev/full")
    (loop.folder(second) / f".{EXAMPLES}.{os.getpid()}.draft").symlink_to("/dev/full")
    await loop.runner.work_once()

    first, full = await loop.run(run_id), await loop.run(second)
    assert (first.state, full.state) == ("failed", "failed")
    assert "starts.json cannot be written" in first.reason
    assert "examples.jsonl cannot be written (No space left on device): make room" in full.reason
    await check_old_serves(loop, engine)


async def test_a_page_that_cannot_be_written_ends_no_run(loop: Loop) -> None:
    """What was decided counts, and is told; only the page is not there."""
    run_id = await loop.queue(is_dry=True)
    (loop.folder(run_id) / PAGE).mkdir(parents=True)
    await loop.runner.work_once()

    run = await loop.run(run_id)
    assert (run.state, run.report["page"]) == ("done", "")
    assert loop.heard[-1].run_id == run_id


async def test_nothing_and_one_sided_data(tmp_path: Path, model: Path, engine: EngineClient) -> None:
    """Too little ends in how much is missing; dislikes alone say what else is needed. Nobody is told of the clock's."""
    async with opened(address(tmp_path)) as database:
        loop = Loop(database, engine, configure(tmp_path, model, policy=DataPolicy()))
        empty = await end(loop, trigger="schedule")
        team = Team()
        for number in range(60):
            asked = team.ask(
                "abcdef"[number % 6] * 2, f"What is {'abcdefghij'[number % 10] * 5} {number}?", f"No {number}."
            )
            team.vote("ghijkl"[number % 6] * 2, asked, up=False)
        await team.save(database)
        loop.steps._config = replace(loop.config, policy=replace(DataPolicy(), least_points=5))
        one_sided = await end(loop)

        assert (empty.state, one_sided.state) == ("cancelled", "cancelled")
        assert "not enough signal yet: 0 of 50" in empty.reason
        assert "👎" in one_sided.reason
        assert [report.run_id for report in loop.heard] == [one_sided.id]
        assert await loop.learning.adapters() == []


async def test_a_template_without_a_place_for_answers(tmp_path: Path) -> None:
    """Nobody could tell what the assistant is to learn, and the run says so."""
    template = "{% for message in messages %}{{ loop.revindex }}{{ message.content }}<|im_end|>{% endfor %}"
    model = write_tiny_model(tmp_path / "odd.gguf", template=template)
    async with serving(model) as client, opened(address(tmp_path)) as database:
        await teach(database)
        run = await end(Loop(database, client, configure(tmp_path, model)))

    assert run.state == "failed"
    assert "chat template has no clear place where an answer begins" in run.reason


async def test_another_file_than_the_served_one(loop: Loop, engine: EngineClient, tmp_path: Path) -> None:
    """A MODEL_PATH that the engine does not serve, one that is gone, and none at all each have their own sentence."""
    other = write_tiny_model(tmp_path / "other.gguf", seed=9)
    cases = {other: "not the file that MODEL_PATH names now", tmp_path / "gone.gguf": "is there no more"}
    for path, words in {**cases, None: "unset ENGINE_URL"}.items():
        loop.steps._config = replace(loop.config, model_path=path)
        run = await end(loop)
        assert run.state == "failed"
        assert words in run.reason
    await check_old_serves(loop, engine)


async def test_the_base_changes_in_the_middle(loop: Loop, engine: EngineClient) -> None:
    """What was collected for one model is not trained on another."""
    run_id = await loop.queue()
    async with loop.database.begin() as session:
        await session.execute(update(Run).where(Run.id == run_id).values(base_sha256="b" * 64, state="training"))
    await loop.runner.work_once()

    run = await loop.run(run_id)
    assert run.state == "failed"
    assert "Another model is served now" in run.reason
    assert "start a new run" in run.reason
    await check_old_serves(loop, engine)


@pytest.mark.parametrize(
    "reason", ["The loss is no longer a number at step 3.", "There is too little memory for this training."]
)
async def test_what_the_trainer_gives_up_for(loop: Loop, engine: EngineClient, reason: str) -> None:
    """A loss that is no number or too little memory: the trainer's own sentence is the run's."""
    run_id = await loop.queue()
    Outcome(is_done=False, reason=reason).write(made(loop.folder(run_id)))
    await loop.runner.work_once()

    run = await loop.run(run_id)
    assert (run.state, run.reason) == ("failed", reason)
    await check_old_serves(loop, engine)


def made(folder: Path) -> Path:
    """Return a folder that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.nightly
async def test_a_training_base_that_is_no_model(loop: Loop, engine: EngineClient, tmp_path: Path) -> None:
    """The variable and what is missing are named."""
    loop.steps._config = replace(loop.config, training_base=made(tmp_path / "empty"))
    run = await end(loop)

    assert run.state == "failed"
    assert "TRAINING_BASE" in run.reason
    assert "config.json" in run.reason
    await check_old_serves(loop, engine)


async def test_an_engine_that_is_away(tmp_path: Path, model: Path) -> None:
    """The run waits, says so, is tried a few times, and ends in words; it neither hangs nor fails at once."""
    async with EngineClient(socket_path=tmp_path / "no.sock") as client, opened(address(tmp_path)) as database:
        loop = Loop(database, client, configure(tmp_path, model))
        run_id = await loop.queue()
        await loop.runner.work_once()
        first = await loop.run(run_id)
        for _ in range(runs.TRIES - 1):
            await loop.runner.work_once()

        run = await loop.run(run_id)
        assert first.state == "queued"
        assert first.progress["phase"] == "waiting for the engine"
        assert run.state == "failed"
        assert "not reachable" in run.reason
        assert "log" in run.mend


async def test_a_run_that_meets_what_nobody_foresaw(
    loop: Loop, engine: EngineClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried a few times and then ended, so that it does not stand in the way for ever; so is a lasting crash."""
    spoilt = await loop.queue()
    (made(loop.folder(spoilt)) / "data.json").write_text("[]")
    await loop.runner.work_once()
    run_id = await loop.queue()
    with monkeypatch.context() as patched:
        patched.setattr("bot.learning.steps.read_report", lambda _folder: json.loads("{ torn"))
        for _ in range(runs.TRIES):
            await loop.runner.work_once()
    crashing = await loop.queue()
    (made(loop.folder(crashing)) / starts.STARTS).write_text(str(starts.MOST))
    await loop.runner.work_once()

    torn, crashed = await loop.run(run_id), await loop.run(crashing)
    assert "data.json is not what was written there" in (await loop.run(spoilt)).reason
    assert torn.state == "failed"
    assert "JSONDecodeError" in torn.reason
    assert torn.mend
    assert crashed.state == "failed"
    assert f"begun {starts.MOST} times" in crashed.reason
    await check_old_serves(loop, engine)


async def decided(loop: Loop, model: Path, decision: Decision, state: AdapterState) -> int:
    """Leave what a crash leaves behind a decision: a report in the run's row, and an adapter."""
    run_id = await loop.queue()
    report = RunReport(run_id=run_id, decision=str(decision), outcome="It is decided.", reasons=("better",))
    adapter = await add_adapter(loop, model, 91, state)
    async with loop.database.begin() as session:
        await session.execute(update(Adapter).where(Adapter.id == adapter.id).values(run_id=run_id))
        await session.execute(update(Run).where(Run.id == run_id).values(state="judging", report=asdict(report)))
    return run_id


@pytest.mark.parametrize(
    ("decision", "state", "expected"),
    [
        (Decision.PROMOTE, AdapterState.BUILT, ("active", "retired")),
        (Decision.PROMOTE, AdapterState.ACTIVE, ("active", "active")),  # promoted before the crash: nothing is undone
        (Decision.CANARY, AdapterState.BUILT, ("canary", "active")),
        (Decision.REJECT, AdapterState.BUILT, ("rejected", "active")),
    ],
)
async def test_a_crash_at_the_decision(
    loop: Loop, model: Path, decision: Decision, state: AdapterState, expected: tuple[str, str]
) -> None:
    """What was decided is done once, and not judged again beside itself."""
    run_id = await decided(loop, model, decision, state)

    await loop.runner.work_once()

    assert (await loop.run(run_id)).state == "done"
    assert (await loop.state("apprentice-91"), await loop.state("apprentice-90")) == expected


async def test_a_damaged_file_at_the_decision(loop: Loop, model: Path, engine: EngineClient) -> None:
    """The engine refuses it: the run failed, its adapter is rejected with the reason, and the old one serves."""
    run_id = await decided(loop, model, Decision.PROMOTE, AdapterState.BUILT)
    damage(loop, 91)

    await loop.runner.work_once()

    run = await loop.run(run_id)
    assert run.state == "failed"
    assert "SHA-256" in run.reason
    assert await loop.state("apprentice-91") == "rejected"
    reasons = {line.name: line.reasons for line in await loop.learning.adapters()}
    assert "SHA-256" in reasons["apprentice-91"][0]
    assert loop.heard[-1].decision == "failed"
    assert "SHA-256" in loop.heard[-1].outcome
    await check_old_serves(loop, engine)


def damage(loop: Loop, number: int) -> None:
    """Change a weight in an adapter's file."""
    path = loop.config.folder / f"earlier-{number}.gguf"
    data = bytearray(path.read_bytes())
    data[-5] ^= 64
    path.write_bytes(data)


async def test_a_damaged_file_is_promoted_by_nobody(
    loop: Loop, model: Path, engine: EngineClient, tmp_path: Path
) -> None:
    """Without an engine at hand, as in `bot adapters promote`, the file is looked at all the same."""
    await add_adapter(loop, model, 91, AdapterState.RETIRED)
    damage(loop, 91)
    async with EngineClient(socket_path=tmp_path / "no.sock") as nowhere:
        away = Loop(loop.database, nowhere, loop.config)
        with pytest.raises(LearningError, match="was changed since"):
            await away.learning.promote("apprentice-91", by="U1")
        (loop.config.folder / "earlier-91.gguf").unlink()
        with pytest.raises(LearningError, match="is there no more"):
            await away.learning.promote("apprentice-91", by="U1")
    await check_old_serves(loop, engine)


async def test_what_the_engine_refuses_gives_way_to_what_was_there(
    loop: Loop, model: Path, engine: EngineClient
) -> None:
    """An active adapter whose file breaks is taken back with the reason, and its predecessor answers again."""
    await add_adapter(loop, model, 91, AdapterState.BUILT)
    await loop.rollout.promote("apprentice-91", by="U1", reasons=[])
    await engine.unload_adapter("apprentice-91")
    damage(loop, 91)

    await loop.rollout.loaded.follow()

    assert await loop.state("apprentice-91") == "rolled_back"
    await check_old_serves(loop, engine)


async def test_a_full_engine_makes_room(tmp_path: Path, model: Path) -> None:
    """What is only kept at hand, and what a killed trial left, gives way to what is served, judged or compared."""
    async with serving(model, max_adapters=2) as client, opened(address(tmp_path)) as database:
        loop = Loop(database, client, configure(tmp_path, model))
        for number in (1, 2, 3):
            await add_adapter(loop, model, number, AdapterState.RETIRED)
        await loop.rollout.promote("apprentice-1", by="U1", reasons=[])
        await loop.rollout.promote("apprentice-2", by="U1", reasons=[])
        assert await served(client) == {"apprentice-1", "apprentice-2"}
        answers = dict(await loop.learning.compare("hello", ["apprentice-3", "apprentice-2"]))
        assert set(answers) == {"the base", "apprentice-3", "apprentice-2"}
        await loop.rollout.promote("apprentice-3", by="U1", reasons=[])
        assert "apprentice-3" in await served(client)

        await client.unload_adapter(min(await served(client) - {"apprentice-3"}, default="apprentice-3"))
        path = loop.config.folder / "earlier-1.gguf"
        await client.load_adapter(f"{TRIAL}0", path, sha256=hash_model(path))
        await loop.rollout.loaded.make_room()
        assert await served(client) == {"apprentice-3"}


async def test_a_candidate_is_not_unloaded_while_it_is_judged(loop: Loop, model: Path, engine: EngineClient) -> None:
    """What else happens to adapters meanwhile does not touch it."""
    await add_adapter(loop, model, 91, AdapterState.RETIRED)
    judged = await add_adapter(loop, model, 92, AdapterState.BUILT)
    await loop.rollout.loaded.ensure_loaded(judged)
    async with loop.database.begin() as session:
        await session.execute(update(Adapter).values(changed_at=now() - timedelta(hours=1)))

    await loop.rollout.promote("apprentice-91", by="U1", reasons=[])

    assert {"apprentice-91", "apprentice-92"} <= await served(engine)


async def test_an_engine_that_was_replaced_gets_its_adapters_again(tmp_path: Path, model: Path) -> None:
    """Kill -9 the engine, start one that knows nothing: answers come with the adapter again within a look."""
    socket = tmp_path / "engine.sock"
    command = [sys.executable, "-m", "bot", "engine", "--model", str(model), "--socket", str(socket), "--threads", "1"]

    async def start() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
        await wait_healthy(client)
        return process

    async with EngineClient(socket_path=socket) as client, opened(address(tmp_path)) as database:
        process = await start()
        loop = Loop(database, client, configure(tmp_path, model))
        await add_adapter(loop, model, 90, AdapterState.ACTIVE)
        await loop.rollout.loaded.follow()
        await check_old_serves(loop, client)
        process.kill()
        await process.wait()
        with pytest.raises(EngineUnavailable):
            await loop.rollout.loaded.follow()
        process = await start()
        assert await served(client) == set()

        await check_old_serves(loop, client)
        process.terminate()
        await process.wait()


async def test_a_report_is_told_once_whatever_becomes_of_it(loop: Loop) -> None:
    """A Slack that is away is asked again; an error after the post is not, for the report stands there already."""
    heard: list[int] = []

    async def hear(report: RunReport) -> None:
        heard.append(report.run_id)
        if len(heard) == 1:
            raise DeliveryError("Slack is away.", is_passing=True)
        raise KeyError("somebody who left")

    loop.runner._hear = hear
    run_id = await loop.queue(is_dry=True)
    async with loop.database.begin() as session:
        await session.execute(update(Run).where(Run.id != run_id).values(reported_at=Run.created_at))
    with pytest.raises(DeliveryError):
        await loop.runner.work_once()
    for _ in range(3):
        await loop.runner.work_once()

    assert heard == [run_id, run_id]


async def test_the_list_explains_what_failed(loop: Loop) -> None:
    """After a failure the status has the reason, and the report has it too."""
    loop.steps._config = replace(loop.config, model_path=None)
    run = await end(loop)
    status = await loop.learning.status()

    assert run.state == "failed"
    assert (status.last_run_id, status.last_outcome) == (run.id, run.reason)
    assert (await loop.learning.report()).outcome == run.reason
