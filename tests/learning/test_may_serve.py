"""May it answer somebody who did not get it before? Whoever it learned from, and whoever decided since, has a say."""

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bot.engine.client import EngineClient
from bot.errors import LearningError
from bot.learning.channels import new_since
from bot.learning.figures import Decision, RunReport
from bot.learning.mixture import mix_with_everybodys
from bot.learning.plan import ADAPTER
from bot.learning.rollout.serving import Rollout
from bot.learning.rollout.watch import Event, Watch
from bot.storage import adapters as store
from bot.storage.audit import ALLOW, FORBID, record
from bot.storage.choices import PERSON, save_choice
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState, Run
from bot.storage.runs import has_unwilling, queue_run, save_examples
from bot.storage.tables import Audience, Message, now
from tests.learning.feedback_rows import Team
from tests.learning.run_rig import Loop
from tests.learning.test_channel_rollout import ask, away
from tests.learning.test_rollout import WAITING, rows, state_of, watching
from tests.learning.test_rollout import add_adapter as add_adapter_of_run

__all__ = ["away", "rows"]  # fixtures
KNOWN = {"source": "correction", "split": "train", "weight": 1.0, "sha256": "0" * 64}
HOUR = timedelta(hours=1)
CANARY = WAITING | {"watch": {"decision": "canary"}, "canary_share": 0.5}


async def add_adapter(rows: Database, folder: Path, model: Path, number: int, **changes: Any) -> Adapter:
    """Store an adapter of a run that has begun, and ended."""
    adapter = await add_adapter_of_run(rows, folder, model, number, **changes)
    async with rows.begin() as session:
        began = {"state": "done", "started_at": now() - 2 * HOUR}
        await session.execute(update(Run).where(Run.id == adapter.run_id).values(**began))
    return adapter


async def learned_from(rows: Database, adapter: Adapter, *people: str, channel: str = "") -> None:
    """Let an adapter have learned from people, in a channel."""
    known = {"row_table": "corrections", "row_id": "x", "channel_id": channel} | KNOWN
    async with rows.begin() as session:
        found = [known | {"user_id": person} for person in people]
        await save_examples(session, adapter.run_id, found)


async def say(rows: Database, person: str, *, kind: str = PERSON, is_allowed: bool = False) -> None:
    """Let somebody say whether they, or a channel, may be learned from."""
    async with rows.begin() as session:
        await save_choice(session, kind=kind, subject_id=person, is_allowed=is_allowed, by=person)


async def let_time_pass(rows: Database, time: timedelta) -> None:
    """Let all adapters stand where they stand since a while."""
    async with rows.begin() as session:
        await session.execute(update(Adapter).values(changed_at=now() - time))


async def states(rows: Database, *numbers: int) -> list[str]:
    """Return the states of adapters."""
    return [await state_of(rows, f"apprentice-{number}") for number in numbers]


def an_hour(watch: Watch) -> Watch:
    """Return a watch that gives an hour to object."""
    watch._veto_time = HOUR
    return watch


@pytest.mark.parametrize("waits", [WAITING, CANARY])
async def test_who_says_no_while_it_waits_is_in_nothing_that_is_served(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path, waits: dict[str, Any]
) -> None:
    """A no that comes a second after the decision counts as one from before it, and the reason is told."""
    heard: list[Event] = []
    await learned_from(rows, await add_adapter(rows, tmp_path, model, 1, **waits), "U7")
    await say(rows, "U7")
    await let_time_pass(rows, HOUR)

    await an_hour(watching(rows, Rollout(rows, engine), heard)).look()

    assert await states(rows, 1) == ["rejected"]
    assert [(event.adapter, event.was_served) for event in heard] == [("apprentice-1", False)]
    assert "has said no to that since" in heard[0].reasons[0]


async def test_a_no_is_heeded_and_told_when_an_adapters_model_is_served_again(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """It was put away, with its model, when it was said: the list names the no, and not a model that is served."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    await learned_from(rows, await add_adapter(rows, tmp_path, model, 1), "U7")
    await rollout.promote("apprentice-1", by="U1", reasons=[])
    async with rows.begin() as session:
        adapter = await store.find_adapter(session, "apprentice-1")
        assert adapter is not None
        await store.move_adapter(session, adapter, AdapterState.RETIRED, by=store.BY_ENGINE, reasons=["Another model."])
    await say(rows, "U7")

    for _ in range(2):
        await watching(rows, rollout, heard).look()

    assert await states(rows, 1) == ["rolled_back"]
    assert [event.adapter for event in heard] == ["apprentice-1"]
    assert "has said no to that since" in heard[0].reasons[0]
    async with rows.read() as session:
        assert await store.last_reasons(session, adapter.id) == heard[0].reasons


async def test_a_canary_gets_to_nobody_else_after_a_no(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path
) -> None:
    """It answers whom it answered, until it is replaced; neither the clock nor an admin lets it grow."""
    rollout = Rollout(rows, away)
    canary = await add_adapter(rows, tmp_path, model, 1)
    await learned_from(rows, canary, "U7")
    await rollout.start_canary(canary, share=1.0, by="gate", reasons=[])
    assert await rollout.choose("U1", {"apprentice-1"}) == "apprentice-1"
    await say(rows, "U7")

    assert [await rollout.choose(person, {"apprentice-1"}) for person in ("U1", "U2")] == ["apprentice-1", ""]
    for by in ("watch", "U1"):
        with pytest.raises(LearningError, match="has said no to that since, and nobody new gets it"):
            await rollout.promote("apprentice-1", by=by, reasons=[])
    assert await states(rows, 1) == ["canary"]

    await say(rows, "U7", is_allowed=True)
    await rollout.promote("apprentice-1", by="U1", reasons=[])
    await say(rows, "U7")
    with pytest.raises(LearningError, match="served to everybody already"):
        await rollout.promote("apprentice-1", by="U1", reasons=[])
    assert await states(rows, 1) == ["active"], "what is served goes on until it is replaced"


@pytest.mark.parametrize("order", ["promote", "rollback"])
async def test_what_waits_does_not_replace_what_somebody_chose_since(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path, order: str
) -> None:
    """It was judged beside another adapter than answers now: the clock leaves it to people, and says so."""
    heard: list[Event] = []
    await ask(rows, "G1")
    rollout = Rollout(rows, engine)
    for number in (1, 3):
        await add_adapter(rows, tmp_path, model, number)
    await rollout.promote("apprentice-1", by="gate", reasons=[])
    await rollout.promote("apprentice-3", by="gate", reasons=[])
    await add_adapter(rows, tmp_path, model, 2, **WAITING)
    await add_adapter(rows, tmp_path, model, 4, channel_id="G1", **WAITING)
    if order == "promote":
        await rollout.promote("apprentice-1", by="gate", reasons=[])
        assert await states(rows, 2) == ["waiting"], "no person decided"
        await rollout.promote("apprentice-3", by="U1", reasons=[])
    else:
        await rollout.roll_back(by="cli:maya", reasons=["worse"], name="apprentice-3")
    await let_time_pass(rows, 2 * HOUR)
    served_then = 3 if order == "promote" else 1
    await an_hour(watching(rows, rollout, heard)).look()

    assert await states(rows, served_then, 2, 4) == ["active", "rejected", "active"]
    told = {event.adapter: event for event in heard}
    assert told["apprentice-2"].serves_now == f"apprentice-{served_then}"
    assert "decided since what answers" in told["apprentice-2"].reasons[0]
    assert sorted(told) == ["apprentice-2", "apprentice-4"], "of the other channel's nobody has decided"
    await rollout.promote("apprentice-2", by="U1", reasons=[])


async def test_what_waited_when_training_was_off_waits_for_a_person(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Weeks later nobody thinks of it: it has no time to object any more, and answers nothing in shadow."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    await add_adapter(rows, tmp_path, model, 1, **WAITING)
    await let_time_pass(rows, timedelta(days=21))
    watch = an_hour(watching(rows, rollout, heard, shadow_answers=5))
    async with rows.begin() as session:
        record(session, FORBID, by="U1")
    await watch.look()
    async with rows.begin() as session:
        record(session, ALLOW, by="U2")
    await watch.look()

    assert (await states(rows, 1), heard) == (["waiting"], [])
    await rollout.promote("apprentice-1", by="U1", reasons=[])
    assert await states(rows, 1) == ["active"]


async def mixed(rows: Database, folder: Path, model: Path, rollout: Rollout) -> Adapter:
    """Serve G1 an adapter of its own, 2, with everybody's, 1, in it, which has learned from U7; return everybody's."""
    await ask(rows, "G1")
    everybodys = await add_adapter(rows, folder, model, 1)
    await learned_from(rows, everybodys, "U7")
    await add_adapter(rows, folder, model, 2, channel_id="G1", mixed_with="apprentice-1")
    for number in (1, 2):
        await rollout.promote(f"apprentice-{number}", by="gate", reasons=[])
    return everybodys


async def test_a_no_reaches_a_mixture_with_the_next_training(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path
) -> None:
    """The next adapter for everybody has nothing of theirs: the mixture goes with the one in it, and is made anew."""
    rollout = Rollout(rows, away)
    await mixed(rows, tmp_path, model, rollout)
    for number in (3, 4):
        await add_adapter(rows, tmp_path, model, number)
    await rollout.promote("apprentice-3", by="gate", reasons=[])
    assert await states(rows, 1, 2) == ["retired", "active"], "nobody said no yet"
    await say(rows, "U7")
    assert await states(rows, 2) == ["active"], "what is served goes on until it is replaced"

    await rollout.promote("apprentice-4", by="gate", reasons=[])

    assert await states(rows, 2, 3, 4) == ["rolled_back", "retired", "active"]
    heard: list[Event] = []
    await watching(rows, rollout, heard).look()
    assert [(event.adapter, event.channel_id, event.serves_now) for event in heard] == [
        ("apprentice-2", "G1", "apprentice-4")
    ]
    assert "said no to that since" in heard[0].reasons[0]
    async with rows.read() as session:
        assert await new_since(session, "G1") is None


async def test_no_mixture_comes_back_that_has_learned_from_whoever_says_no(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Neither by a rollback in its channel nor by an order, as if it had learned from them itself."""
    rollout = Rollout(rows, away)
    await mixed(rows, tmp_path, model, rollout)
    await add_adapter(rows, tmp_path, model, 3, channel_id="G1")
    await rollout.promote("apprentice-3", by="gate", reasons=[])
    await say(rows, "U7")

    assert await rollout.roll_back(by="U1", reasons=[], name="apprentice-3") == ("apprentice-3", "apprentice-1")
    with pytest.raises(LearningError, match="apprentice-2 learned from has said no"):
        await rollout.promote("apprentice-2", by="U1", reasons=[])


async def test_nothing_is_mixed_with_what_learned_from_whoever_says_no(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path
) -> None:
    """A channel's run in the night after a no has its own alone, and one that ended in a no can be tried again."""
    everybodys = await mixed(rows, tmp_path, model, Rollout(rows, away))
    await say(rows, "U7")
    folder = tmp_path / "runs" / "9"

    made = await mix_with_everybodys(rows, folder, name="a", base_sha256=everybodys.base_sha256, scale=0.5)

    assert (made.path, made.mixed_with) == (folder / ADAPTER, "")
    await add_adapter(rows, tmp_path, model, 3, channel_id="G1", mixed_with="apprentice-1", state=AdapterState.REJECTED)
    async with rows.read() as session:
        assert await new_since(session, "G1") is None


@pytest.mark.parametrize("audience", [Audience.PRIVATE, Audience.PUBLIC])
async def test_a_private_channels_own_adapter_ends_everybodys_run(
    loop: Loop, model: Path, tmp_path: Path, audience: Audience
) -> None:
    """Nothing of it goes into what everybody gets from then on, not even what was read before; a public one's may."""
    team = Team()
    answer = team.ask("uma", "What is the code of the safe?", "I do not know.", audience=audience, channel="G1")
    team.correct("uma", answer, "The code of the safe is ZEBRAFISH.", is_for_everyone=True)
    await team.save(loop.database)
    run_id = await loop.queue(is_dry=True)
    await loop.runner.work_once()
    assert "ZEBRAFISH" in (loop.folder(run_id) / "examples.jsonl").read_text()
    made = await add_adapter_of_run(loop.database, tmp_path, model, 7)
    report = RunReport(run_id=run_id, decision=str(Decision.PROMOTE), outcome="Better.", reasons=("better",))
    decided = {"state": "judging", "is_dry": False, "report": asdict(report), "finished_at": None}
    async with loop.database.begin() as session:
        await session.execute(update(Adapter).where(Adapter.id == made.id).values(run_id=run_id))
        await session.execute(update(Run).where(Run.id == run_id).values(**decided))

    await loop.learning.choose_own("G1", is_wanted=True, by="U1")
    await loop.runner.work_once()

    is_private = audience is Audience.PRIVATE
    ends = ("failed", "rejected") if is_private else ("done", "active")
    assert ((await loop.run(run_id)).state, await loop.state("apprentice-7")) == ends
    async with loop.database.begin() as session:
        assert await has_unwilling(session, run_id) is is_private
        await session.execute(update(Run).where(Run.id == run_id).values(channel_id="G1"))
        assert not await has_unwilling(session, run_id), "its own may learn from it"


@pytest.mark.parametrize(("place", "is_no"), [("G1", True), ("C1", False), ("G2", False)])
async def test_which_channels_say_no_by_asking_for_their_own(database: Database, place: str, is_no: bool) -> None:
    """Those that are private and that the run has learned from; on either database."""
    team = Team()
    team.ask("uma", "Where is the safe?", "No idea.", audience=Audience.PRIVATE, channel="G1")
    team.ask("bo", "Where is the van?", "No idea.", channel="C1")
    await team.save(database)
    messages = [row for row in team.rows if isinstance(row, Message)]
    async with database.begin() as session:
        run = await queue_run(session, trigger="cli", by="test")
        run.started_at = now() - HOUR
        found = [{"row_table": "messages", "row_id": row.id, "user_id": row.user_id} | KNOWN for row in messages]
        await save_examples(session, run.id, found)
    await ask(database, place)

    async with database.read() as session:
        assert await has_unwilling(session, run.id) is is_no
