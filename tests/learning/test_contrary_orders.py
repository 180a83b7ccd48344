"""Orders that contradict each other in the same moment, and a kill between two steps of one: the safe one holds."""

import asyncio
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from bot.admin.reviews import Decision as Decided
from bot.admin.reviews import decide
from bot.engine.client import EngineClient
from bot.errors import LearningError
from bot.learning import run as runs
from bot.learning import steps
from bot.learning.channels import ask_for_own
from bot.learning.data.report import DataReport
from bot.learning.figures import BeforeAfter, Decision, RunReport
from bot.learning.forgetting import forget_everywhere
from bot.learning.rollout.serving import Rollout
from bot.learning.tidying import PAGE
from bot.learning.trainer_process import LOG
from bot.storage import adapters as store
from bot.storage.admin_tables import ReviewState
from bot.storage.audit import FORBID, record
from bot.storage.choices import PERSON, save_choice
from bot.storage.db import Database
from bot.storage.feedback import save_correction
from bot.storage.learning_tables import Adapter, AdapterState, Assignment, Run, RunExample
from bot.storage.leases import wait_in_line
from bot.storage.runs import queue_run, save_examples
from bot.storage.tables import Correction, now
from tests.builders import answered, said
from tests.learning.run_rig import Loop, add_adapter
from tests.learning.test_runs import until


async def judged(loop: Loop, model: Path, decision: Decision, state: AdapterState = AdapterState.BUILT) -> int:
    """Leave a run that has decided and has not said so yet, with its adapter."""
    run_id = await loop.queue()
    report = RunReport(run_id=run_id, decision=str(decision), outcome="It is decided.", reasons=("better",))
    adapter = await add_adapter(loop, model, 91, state)
    async with loop.database.begin() as session:
        await session.execute(update(Adapter).where(Adapter.id == adapter.id).values(run_id=run_id))
        values = {"state": "judging", "report": asdict(report), "started_at": now()}
        await session.execute(update(Run).where(Run.id == run_id).values(**values))
    return run_id


async def learned_from(loop: Loop, run_id: int, user_id: str) -> None:
    """Let a run have learned from somebody."""
    known = {"source": "correction", "split": "train", "weight": 1.0, "sha256": "0" * 64}
    async with loop.database.begin() as session:
        rows = [{"row_table": "corrections", "row_id": "x", "user_id": user_id} | known]
        await save_examples(session, run_id, rows)


async def test_a_run_ends_where_whoever_forbade_it_died(loop: Loop, model: Path) -> None:
    """`train off` is two steps: killed between them, the run was brought to its end and its adapter served."""
    run_id = await judged(loop, model, Decision.PROMOTE)
    async with loop.database.begin() as session:
        record(session, FORBID, by="U1")

    await loop.runner.work_once()

    run = await loop.run(run_id)
    assert (run.state, await loop.state("apprentice-91")) == ("failed", "rejected")
    assert "switched off" in run.reason
    assert await loop.state("apprentice-90") == "active"


async def test_a_run_ends_where_the_settings_switch_learning_off(loop: Loop, model: Path) -> None:
    """It was under way, and goes on in a bot that was started anew with `TRAINING_ENABLED=false`."""
    run_id = await judged(loop, model, Decision.PROMOTE)
    off = Loop(loop.database, loop.client, replace(loop.config, off_by="TRAINING_ENABLED"))

    await off.runner.work_once()

    run = await loop.run(run_id)
    assert (run.state, await loop.state("apprentice-91")) == ("failed", "rejected")
    assert "switched off" in run.reason
    assert await loop.state("apprentice-90") == "active"


async def test_what_a_channel_queued_meanwhile_is_not_trained(loop: Loop) -> None:
    """A run that was queued while an admin said `train off` reads nobody's words."""
    await loop.learning.forbid(by="U1")
    async with loop.database.begin() as session:
        run_id = (await queue_run(session, trigger="schedule", by="the clock", channel_id="")).id

    await loop.runner.work_once()

    assert (await loop.run(run_id)).state == "failed"
    assert not (loop.folder(run_id) / "examples.jsonl").exists()


@pytest.mark.parametrize("decision", [Decision.PROMOTE, Decision.REJECT])
async def test_the_gate_overrules_nobody_who_decided_meanwhile(loop: Loop, model: Path, decision: Decision) -> None:
    """Its adapter was tainted after the gate had looked at it: it neither waits for anybody nor is it rejected."""
    await judged(loop, model, decision)
    async with loop.database.begin() as session:
        seen = await store.find_adapter(session, "apprentice-91")
        session.expunge_all()
        assert seen is not None
        fresh = await store.find_adapter(session, "apprentice-91")
        assert fresh is not None
        await store.move_adapter(session, fresh, AdapterState.TAINTED, by="U1", reasons=[])

    with pytest.raises(LearningError, match="decided about apprentice-91 meanwhile: it is tainted"):
        await loop.steps._move(seen, AdapterState.WAITING, ["better"])

    assert await loop.state("apprentice-91") == "tainted"


@pytest.mark.parametrize("way", ["undone", "rejected"])
async def test_what_was_taken_back_meanwhile_is_not_served(loop: Loop, model: Path, way: str) -> None:
    """By its author or by a reviewer, after the run had read it: the run ends, and its report does not quote it."""
    run_id = await judged(loop, model, Decision.PROMOTE)
    known = {"source": "correction", "split": "train", "weight": 1.0, "sha256": "0" * 64, "user_id": "U7"}
    async with loop.database.begin() as session:
        answer = await answered(session, await said(session, "Where is the ladder?", user="U7"), "I do not know.")
        await save_correction(session, answer, user_id="U7", text="In zanzibar.")
        row_id = await session.scalar(select(Correction.id).where(Correction.answer_id == answer.id))
        await save_examples(session, run_id, [{"row_table": "corrections", "row_id": row_id} | known])
        run = await session.get_one(Run, run_id)
        quoted = BeforeAfter("Where?", "In zanzibar.", "?", "In zanzibar.", is_right=True, row=f"corrections:{row_id}")
        run.report = run.report | {"before_after": [asdict(quoted)]}
        if way == "undone":
            await save_correction(session, answer, user_id="U7", text="")
    if way == "rejected":
        await decide(loop.database, str(row_id), ReviewState.REJECTED, by="U8")

    await loop.runner.work_once()

    run = await loop.run(run_id)
    assert (run.state, await loop.state("apprentice-91")) == ("failed", "rejected")
    assert "taken back, changed or rejected" in run.reason
    assert "zanzibar" not in str((run.report, loop.heard))
    assert await loop.state("apprentice-90") == "active"


async def test_whoever_is_forgotten_while_a_run_collects_is_named_by_nobody(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process forgets them, and this one has not heard of it when it has read everything."""
    build = steps.build_dataset

    async def build_and_forget(*places: Any, **options: Any) -> DataReport:
        data = await build(*places, **options)
        await forget_everywhere(loop.database, "ada", by="ada", folder=loop.config.folder / "of another process")
        return data

    monkeypatch.setattr(steps, "build_dataset", build_and_forget)
    run_id = await loop.queue()
    await loop.runner.work_once()

    assert (await loop.run(run_id)).state == "cancelled"
    async with loop.database.read() as session:
        assert list(await session.scalars(select(RunExample.user_id))) == []


async def test_a_cancelled_run_says_what_it_had_decided(loop: Loop, model: Path) -> None:
    """“Nothing of it will be served” was said of an adapter that answered everybody."""
    await judged(loop, model, Decision.PROMOTE, AdapterState.ACTIVE)

    with pytest.raises(LearningError, match="decided already: apprentice-91 is active now"):
        await loop.learning.cancel_run(by="U1")


async def in_line(loop: Loop) -> tuple[int, int]:
    """Queue everybody's run and a channel's own behind it, as the clock does."""
    async with loop.database.begin() as session:
        await ask_for_own(session, "G1", by="U1")
        first = await queue_run(session, trigger="schedule", by="the clock")
        return first.id, (await queue_run(session, trigger="schedule", by="the clock", channel_id="G1")).id


async def test_two_who_cancel_at_once_mean_one_run(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second cancelled the channel's run that was queued behind it; whoever means that one says so again."""
    first, second = await in_line(loop)
    orders = [loop.learning.cancel_run(by=user) for user in ("U1", "U2")]
    done = await asyncio.gather(*orders, return_exceptions=True)

    assert first in done
    (refused,) = [one for one in done if isinstance(one, LearningError)]
    assert f"cancelled run {first} a moment ago; run {second} came after it and goes on" in str(refused)
    assert [(await loop.run(run_id)).state for run_id in (first, second)] == ["cancelled", "queued"]
    monkeypatch.setattr(runs, "MOMENT", timedelta(0))
    assert await loop.learning.cancel_run(by="U2") == second


@pytest.mark.parametrize("state", ["queued", "collecting"])
async def test_whoever_is_forgotten_ends_the_run_that_may_have_read_them(loop: Loop, state: str) -> None:
    """And no other: one that waits in line reads when they are gone; the one that ends says why."""
    first, second = await in_line(loop)
    async with loop.database.begin() as session:
        await session.execute(update(Run).where(Run.id == first).values(state=state, started_at=now()))

    await loop.learning.forget("ada", by="ada")

    told = "Somebody was forgotten while it ran."
    ended = ("queued", "") if state == "queued" else ("cancelled", told)
    found = [await loop.run(run_id) for run_id in (first, second)]
    assert [(str(run.state), run.reason) for run in found] == [ended, ("queued", "")]


@pytest.mark.parametrize(
    "state", [AdapterState.WAITING, AdapterState.REJECTED, AdapterState.CANARY, AdapterState.RETIRED]
)
async def test_nobody_gets_what_learned_from_a_rejected_correction(
    loop: Loop, model: Path, state: AdapterState
) -> None:
    """A reviewer said no after the run: neither an admin nor the clock serves it, and what is served goes on.

    The reviewer hears what knows it and goes on answering.
    """
    run_id = await judged(loop, model, Decision.PROMOTE, state)
    async with loop.database.begin() as session:
        await session.execute(update(Run).where(Run.id == run_id).values(state="done"))
    decision = await learn_and_reject(loop, run_id)
    assert ("apprentice-91 learned it, and will go on" in decision.tell_known()) is (state == AdapterState.CANARY)
    with pytest.raises(LearningError, match="rejected since, and nobody new gets it"):
        await loop.learning.promote("apprentice-91", by="U1")
    assert await loop.state("apprentice-90") == "active"


async def learn_and_reject(loop: Loop, run_id: int) -> Decided:
    """Let a reviewer reject a correction that a run has learned."""
    async with loop.database.begin() as session:
        correction = await session.scalar(select(Correction).limit(1))
        assert correction is not None
        known = {"source": "correction", "split": "train", "weight": 1.0, "sha256": "0" * 64}
        row = {"row_table": "corrections", "row_id": correction.id, "user_id": correction.user_id}
        await save_examples(session, run_id, [row | known])
    return await decide(loop.database, correction.id, ReviewState.REJECTED, by="U2")


async def test_no_rollback_brings_back_what_learned_from_a_rejected_correction(loop: Loop, model: Path) -> None:
    """It answered before, and the reviewer heard of nothing that knows it: nobody answers with it again."""
    async with loop.database.read() as session:
        earlier = await store.find_adapter(session, "apprentice-90")
    assert earlier is not None
    await add_adapter(loop, model, 91, AdapterState.RETIRED)
    await loop.learning.promote("apprentice-91", by="U1")
    decision = await learn_and_reject(loop, earlier.run_id)

    assert decision.tell_known() == ""
    async with loop.database.begin() as session:  # in a circle
        await session.execute(
            update(Adapter).filter_by(name="apprentice-90").values(watch={"replaced": "apprentice-90"})
        )
    assert await loop.learning.rollback(by="U1") == ("apprentice-91", "")
    assert await loop.state("apprentice-90") == "retired"


async def test_nobody_promotes_what_is_not_judged(loop: Loop, model: Path) -> None:
    """A proof that fails afterwards, or a person who says no, would not take it back."""
    run_id = await judged(loop, model, Decision.REJECT)
    with pytest.raises(LearningError, match="apprentice-91 is not judged yet"):
        await loop.learning.promote(str(run_id), by="U1")

    await loop.runner.work_once()

    assert await loop.learning.promote("apprentice-91", by="U1") == "apprentice-90"


async def test_nothing_comes_back_that_learned_from_whoever_says_no(loop: Loop, model: Path) -> None:
    """They were told that it goes with the next training: no rollback and no order brings it back."""
    async with loop.database.read() as session:
        earlier = await store.find_adapter(session, "apprentice-90")
    assert earlier is not None
    await learned_from(loop, earlier.run_id, "U7")
    async with loop.database.begin() as session:
        await session.execute(update(Run).where(Run.id == earlier.run_id).values(started_at=now()))
    await add_adapter(loop, model, 91, AdapterState.RETIRED)
    await loop.learning.promote("apprentice-91", by="U1")
    async with loop.database.begin() as session:
        await save_choice(session, kind=PERSON, subject_id="U7", is_allowed=False, by="U7")

    assert await loop.learning.rollback(by="U1") == ("apprentice-91", "")
    with pytest.raises(LearningError, match="has said no to that since"):
        await loop.learning.promote("apprentice-90", by="U1")
    async with loop.database.begin() as session:
        await save_choice(session, kind=PERSON, subject_id="U7", is_allowed=True, by="U7")
    await loop.learning.promote("apprentice-90", by="U1")


async def add_row(database: Database, state: AdapterState) -> Adapter:
    """Store an adapter whose file nobody needs."""
    async with database.begin() as session:
        run = await queue_run(session, trigger="cli", by="test")
        run.state = "done"
        known = {"source": "liked", "split": "train", "weight": 1.0, "sha256": "0" * 64, "user_id": "U7"}
        await save_examples(session, run.id, [{"row_table": "messages", "row_id": "x"} | known])
        adapter = Adapter(run_id=run.id, name="apprentice-1", path="", sha256="", base_sha256="", state=state)
        adapter.canary_share, adapter.watch = 0.5, {}
        session.add(adapter)
    return adapter


async def test_nobody_promotes_what_is_forgotten_in_that_moment(database: Database, tmp_path: Path) -> None:
    """Forgetting waits for whoever decides about adapters: otherwise the later word would be that it is served."""
    await add_row(database, AdapterState.RETIRED)
    async with database.begin() as session:
        await wait_in_line(session, store.QUEUE)
        found = await store.find_adapter(session, "apprentice-1")
        assert found is not None
        forgetting = asyncio.create_task(forget_everywhere(database, "U7", by="U7", folder=tmp_path))
        await asyncio.wait({forgetting}, timeout=1.0)
        await store.move_adapter(session, found, AdapterState.ACTIVE, by="U1", reasons=[])
    assert (await forgetting).adapters == ("apprentice-1",)

    async with database.read() as session:
        found = await store.find_adapter(session, "apprentice-1")
    assert found is not None
    assert found.state == "tainted"


async def test_a_person_is_drawn_once_whatever_they_ask_at_once(database: Database, tmp_path: Path) -> None:
    """Their first questions come together, to several bots maybe: each is answered by the same."""
    canary = await add_row(database, AdapterState.CANARY)
    async with EngineClient(socket_path=tmp_path / "no.sock") as away:
        rollout = Rollout(database, away)
        drawn = await asyncio.gather(*(rollout._gets_canary(canary, "U7") for _ in range(8)))

    assert len(set(drawn)) == 1
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Assignment)) == 1


async def test_a_run_leaves_nothing_of_whoever_is_forgotten_meanwhile(loop: Loop) -> None:
    """A trainer that is told to end writes a checkpoint, and did so after the run's folder had been emptied."""
    run_id = await loop.queue()
    working = asyncio.create_task(loop.runner.work_once())

    async def is_trained() -> bool:
        run = await loop.run(run_id)
        return run.state == "training" and run.progress.get("step", 0) > 0

    await until(is_trained)

    await loop.learning.forget("ada", by="ada")
    await working

    assert (await loop.run(run_id)).state == "cancelled"
    assert {path.name for path in loop.folder(run_id).iterdir()} <= PAGE | {LOG}
