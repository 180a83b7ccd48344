"""Who lets an adapter answer, and who may object: orders, the clock, and those who said no."""

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.engine.client import EngineClient
from bot.errors import LearningError
from bot.learning.figures import RunReport
from bot.learning.permission import take_back_permission
from bot.learning.rollout.serving import Rollout
from bot.learning.rollout.watch import Event
from bot.storage.audit import FORBID, record
from bot.storage.choices import CHANNEL, save_choice
from bot.storage.db import Database
from bot.storage.learning_tables import AdapterState, AuditRow, Run, RunState
from bot.storage.person_data import forget_old
from bot.storage.runs import has_unwilling, queue_run, save_examples
from bot.storage.tables import Audience, Message, now
from tests.builders import answered, said
from tests.learning.feedback_rows import Team
from tests.learning.run_rig import Loop
from tests.learning.run_rig import add_adapter as add_earlier
from tests.learning.test_channel_rollout import ask, away
from tests.learning.test_may_serve import CANARY, HOUR, KNOWN, an_hour, let_time_pass, states
from tests.learning.test_rollout import WAITING, add_adapter, rows, watching

__all__ = ["away", "rows"]  # fixtures
OTHER_MODEL = "f" * 64


@pytest.mark.parametrize("waits", [WAITING, CANARY])
async def test_training_is_switched_off_while_the_watch_serves_what_waited(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path, waits: dict[str, Any]
) -> None:
    """It looked at what waits; shadow answers and loading take their time. It goes on waiting, for a person."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    adapter = await add_adapter(rows, tmp_path, model, 1, **waits)
    adapter.changed_at = now() - 2 * HOUR
    async with rows.begin() as session:
        await take_back_permission(session, by="U1")

    await an_hour(watching(rows, rollout, heard))._wait_with(adapter)

    assert (await states(rows, 1), heard) == (["waiting"], [])
    await rollout.promote("apprentice-1", by="U1", reasons=[])
    assert await states(rows, 1) == ["active"]


async def test_training_is_switched_off_while_a_canary_grows(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path
) -> None:
    """It stays one, as it would have a moment later."""
    rollout = Rollout(rows, away)
    canary = await add_adapter(rows, tmp_path, model, 1)
    await rollout.start_canary(canary, share=0.5, by="gate", reasons=[])
    async with rows.begin() as session:
        record(session, FORBID, by="U1")
    canary.state = AdapterState.CANARY  # as the watch has read it

    await watching(rows, rollout, [])._promote(canary, "Nobody disliked it.")

    assert await states(rows, 1) == ["canary"]


@pytest.mark.parametrize("is_aged", [False, True])
@pytest.mark.parametrize("way", ["off", "own"])
async def test_a_channels_no_outlives_its_messages(database: Database, way: str, is_aged: bool) -> None:
    """`data retention` deletes what was said there, and nothing of what was learned from it."""
    team, is_private = Team(), way == "own"
    audience = Audience.PRIVATE if is_private else Audience.PUBLIC
    team.ask("uma", "Where is the safe?", "No idea.", audience=audience, channel="G1")
    await team.save(database)
    messages = [row for row in team.rows if isinstance(row, Message)]
    async with database.begin() as session:
        run, other = [await queue_run(session, trigger="cli", by="test") for _ in range(2)]
        run.started_at = other.started_at = now() - HOUR
        found = [{"row_table": "messages", "row_id": row.id, "user_id": row.user_id} | KNOWN for row in messages]
        await save_examples(session, run.id, found)
        await save_examples(session, other.id, [found[0] | {"row_id": "x"}])
        if is_aged:
            assert await forget_old(session, before=now() + timedelta(days=1), without=()) == len(messages)

    if is_private:
        await ask(database, "G1")
    else:
        async with database.begin() as session:
            await save_choice(session, kind=CHANNEL, subject_id="G1", is_allowed=False, by="U1")

    async with database.read() as session:
        assert [await has_unwilling(session, one.id) for one in (run, other)] == [True, False]


async def test_the_time_to_object_begins_when_people_are_told(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Slack was away, or the bot down, for the hour: nobody could have objected."""
    heard: list[Event] = []
    adapter = await add_adapter(rows, tmp_path, model, 1, **WAITING)
    await let_time_pass(rows, 2 * HOUR)
    watch = an_hour(watching(rows, Rollout(rows, engine), heard))

    for reported_at in (None, now() - HOUR / 2):
        async with rows.begin() as session:
            await session.execute(update(Run).where(Run.id == adapter.run_id).values(reported_at=reported_at))
        await watch.look()
        assert await states(rows, 1) == ["waiting"]

    async with rows.begin() as session:
        await session.execute(update(Run).where(Run.id == adapter.run_id).values(reported_at=now() - HOUR))
    await watch.look()
    assert await states(rows, 1) == ["active"]


async def test_what_waits_is_told_of_however_late(loop: Loop, model: Path) -> None:
    """A bot that was down for days says nothing of old runs, but of one to which somebody may still object."""
    runs = {}
    for number, state in ((1, AdapterState.WAITING), (2, AdapterState.REJECTED)):
        adapter = await add_earlier(loop, model, number, state)
        async with loop.database.begin() as session:
            values = {"finished_at": now() - timedelta(days=9), "report": asdict(RunReport(run_id=adapter.run_id))}
            await session.execute(update(Run).where(Run.id == adapter.run_id).values(**values))
        runs[state] = adapter.run_id

    await loop.runner.work_once()

    told = [report.run_id for report in loop.heard if report.run_id in runs.values()]
    assert told == [runs[AdapterState.WAITING]]


async def test_nobody_promotes_what_was_never_judged(loop: Loop, model: Path) -> None:
    """Its run ended while it proved: nobody knows what it is. One that was judged before its run failed is known."""
    for number, decision in ((1, ""), (2, "canary")):
        made = await add_earlier(loop, model, number, AdapterState.BUILT)
        report = asdict(RunReport(run_id=made.run_id, decision=decision)) if decision else {}
        async with loop.database.begin() as session:
            values = {"state": RunState.PROVING, "report": report}
            await session.execute(update(Run).where(Run.id == made.run_id).values(**values))
        await loop.runner._end(made.run_id, RunState.FAILED, "The engine does not answer.")
        assert await loop.state(f"apprentice-{number}") == "rejected"

    with pytest.raises(LearningError, match="apprentice-1 was never judged"):
        await loop.learning.promote("apprentice-1", by="U1")
    await loop.learning.promote("apprentice-2", by="U1")


async def test_nobody_promotes_what_computes_something_else_than_was_trained(loop: Loop, model: Path) -> None:
    """The button is not there, and the order refuses it as well."""
    bad = await add_earlier(loop, model, 1, AdapterState.REJECTED)
    proofs = (("P1 base", True, "Alike."), ("P2 adapter", False, "It computes something else."))
    report = RunReport(run_id=bad.run_id, decision="reject", proofs=proofs)
    async with loop.database.begin() as session:
        await session.execute(update(Run).where(Run.id == bad.run_id).values(report=asdict(report)))

    with pytest.raises(LearningError, match=r"apprentice-1 .* It computes something else\."):
        await loop.learning.promote(str(bad.run_id), by="U1")
    assert await loop.state("apprentice-1") == "rejected"


async def test_a_button_promotes_only_what_it_was_shown_for(loop: Loop, model: Path) -> None:
    """*Promote it?* was open while another admin objected, who was told that it will not be served."""
    await add_earlier(loop, model, 1, AdapterState.WAITING)
    await loop.learning.veto("apprentice-1", by="U2")

    with pytest.raises(LearningError, match="decided about apprentice-1 meanwhile: it is rejected now"):
        await loop.learning.promote("apprentice-1", by="U1", seen="waiting")
    await loop.learning.promote("apprentice-1", by="U1", seen="rejected")
    assert await loop.state("apprentice-1") == "active"


@pytest.mark.parametrize("known_by", ["adapter", "answer"])
async def test_what_is_for_another_model_is_refused_without_an_engine_too(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path, known_by: str
) -> None:
    """A terminal has none: what answers, or answered last, tells which model is served."""
    rollout = Rollout(rows, away)
    one = await add_adapter(rows, tmp_path, model, 1)
    await add_adapter(rows, tmp_path, model, 2, base_sha256=OTHER_MODEL, state=AdapterState.RETIRED)
    if known_by == "adapter":
        await rollout.promote("apprentice-1", by="U1", reasons=[])
    else:
        async with rows.begin() as session:
            question = await said(session, "Hello?")
            await answered(session, question, "Hello.", model_sha256=one.base_sha256)

    with pytest.raises(LearningError, match="apprentice-2 was trained on another model"):
        await rollout.promote("apprentice-2", by="cli:root", reasons=[])

    assert await states(rows, 2) == ["retired"]
    if known_by == "answer":
        await rollout.promote("apprentice-1", by="cli:root", reasons=[])


async def test_taking_back_what_waits_by_name_is_an_objection(loop: Loop, model: Path) -> None:
    """The report with its button may be lost; the order says it in Slack and at the terminal."""
    for number in (1, 2):
        await add_earlier(loop, model, number, AdapterState.WAITING)

    assert await loop.learning.rollback(by="U1", name="apprentice-1") == ("apprentice-1", "apprentice-90")

    found = [await loop.state(f"apprentice-{number}") for number in (1, 2, 90)]
    assert found == ["rejected", "waiting", "active"]
    async with loop.database.read() as session:
        actions = set(await session.scalars(select(AuditRow.action).where(AuditRow.target == "apprentice-1")))
    assert actions == {"adapter.veto"}
    with pytest.raises(LearningError, match="is not served any more"):
        await loop.learning.rollback(by="U1", name="apprentice-1")
