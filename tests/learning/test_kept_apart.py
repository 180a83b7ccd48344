"""What is put aside while several workspaces must not mix: by rows alone, whatever the engine has at hand."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot.admin.reviews import decide
from bot.engine.client import EngineClient
from bot.errors import LearningError
from bot.learning.rollout import apart as apart_module
from bot.learning.rollout.serving import Rollout
from bot.learning.rollout.watch import Event
from bot.storage import adapters as store
from bot.storage.admin_tables import ReviewState
from bot.storage.choices import CHANNEL, PERSON
from bot.storage.db import Database
from bot.storage.feedback import save_correction
from bot.storage.learning_tables import Adapter, AdapterState
from bot.storage.runs import save_examples
from bot.storage.tables import Correction
from tests.builders import answered, said
from tests.learning.test_channel_rollout import ask, away
from tests.learning.test_may_serve import KNOWN, add_adapter, an_hour, learned_from, let_time_pass, say, states
from tests.learning.test_rollout import WAITING, rows, watching

__all__ = ["away", "rows"]  # fixtures
APART = "what one of them taught would answer the others"
ACTIVE, CANARY = {"state": AdapterState.ACTIVE}, {"state": AdapterState.CANARY, "canary_share": 1.0}


async def test_only_what_learned_from_one_channel_answers(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Everybody's, its canary and what has everybody's mixed into it answer nobody, chosen or not, until they may."""
    await ask(rows, "G1", "G2")
    await add_adapter(rows, tmp_path, model, 1, **ACTIVE)
    await add_adapter(rows, tmp_path, model, 2, **CANARY)
    await add_adapter(rows, tmp_path, model, 3, channel_id="G1", **ACTIVE)
    await add_adapter(rows, tmp_path, model, 4, channel_id="G2", mixed_with="apprentice-1", **ACTIVE)
    names = {f"apprentice-{number}" for number in range(1, 5)}

    async def answers(rollout: Rollout) -> list[str]:
        return [(await rollout.choose_for("U1", names, channel))[0] for channel in ("", "G1", "G2")]

    apart = Rollout(rows, away, keeps_apart=True)
    assert await answers(apart) == ["", "apprentice-3", ""]
    assert await apart.choose_for("U1", names, "", "apprentice-1") == ("", False)
    assert await answers(Rollout(rows, away)) == ["apprentice-2", "apprentice-3", "apprentice-4"]
    assert await apart.roll_back(by="U0", reasons=["worse"], name="apprentice-3") == ("apprentice-3", "")


async def test_nothing_that_is_put_aside_gets_further(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Neither a person nor the clock serves it; a channel's own is served all the same, and the rest when it may."""
    heard: list[Event] = []
    await ask(rows, "G1")
    built = await add_adapter(rows, tmp_path, model, 1)
    await add_adapter(rows, tmp_path, model, 2, **WAITING)
    await add_adapter(rows, tmp_path, model, 3, channel_id="G1", **WAITING)
    await let_time_pass(rows, timedelta(days=1))
    apart = Rollout(rows, engine, keeps_apart=True)

    with pytest.raises(LearningError, match=APART):
        await apart.promote("apprentice-1", by="U0", reasons=[])
    with pytest.raises(LearningError, match=APART):
        await apart.start_canary(built, share=0.5, by="gate", reasons=[])
    await an_hour(watching(rows, apart, heard)).look()
    assert await states(rows, 1, 2, 3) == ["built", "waiting", "active"]

    await an_hour(watching(rows, Rollout(rows, engine), heard)).look()
    assert await states(rows, 2) == ["active"]


async def come_back(rows: Database, away: EngineClient) -> Rollout:
    """Start a bot after the workspaces may mix."""
    rollout = Rollout(rows, away)
    await rollout.begin()
    return rollout


async def reject(rows: Database, adapter: Adapter) -> None:
    """Let a reviewer say no to a correction that an adapter learned from."""
    async with rows.begin() as session:
        answer = await answered(session, await said(session, "Where is the ladder?", user="U7"), "I do not know.")
        await save_correction(session, answer, user_id="U7", text="In the shed.")
        row_id = await session.scalar(select(Correction.id).where(Correction.answer_id == answer.id))
        row = {"row_table": "corrections", "row_id": row_id, "user_id": "U7"}
        await save_examples(session, adapter.run_id, [row | KNOWN])
    await decide(rows, str(row_id), ReviewState.REJECTED, by="U8")


@pytest.mark.parametrize("served", [ACTIVE, CANARY])
@pytest.mark.parametrize("way", ["person", "channel", "rejected", "yes again", "nobody"])
async def test_a_no_is_heeded_when_what_was_put_aside_comes_back(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path, *, served: dict[str, Any], way: str
) -> None:
    """It answered nobody when it was said: whoever asks first gets the base, and the reason is told once."""
    heard: list[Event] = []
    adapter = await add_adapter(rows, tmp_path, model, 1, **served)
    await learned_from(rows, adapter, "U7", channel="C7")
    await Rollout(rows, away, keeps_apart=True).begin()
    if way == "rejected":
        await reject(rows, adapter)
    elif way != "nobody":
        await say(rows, "C7" if way == "channel" else "U7", kind=CHANNEL if way == "channel" else PERSON)
    if way == "yes again":
        await say(rows, "U7", is_allowed=True)

    rollout = await come_back(rows, away)

    is_back = way in {"yes again", "nobody"}
    assert await rollout.choose("U1", {"apprentice-1"}) == ("apprentice-1" if is_back else "")
    assert await states(rows, 1) == [served["state"] if is_back else "rolled_back"]
    await watching(rows, rollout, heard).look()
    await watching(rows, rollout, heard).look()
    assert [(event.adapter, event.serves_now) for event in heard] == ([] if is_back else [("apprentice-1", "")])
    assert all("nobody new gets it" in event.reasons[0] for event in heard)


async def test_what_goes_with_an_adapter_that_does_not_come_back(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path
) -> None:
    """What has it mixed in goes too; what it replaced comes if nothing speaks against that; a channel's own stays."""
    await ask(rows, "G1", "G2")
    made = []
    for number, state in enumerate((AdapterState.RETIRED, AdapterState.RETIRED, AdapterState.ACTIVE), 1):
        watch = {"replaced": f"apprentice-{number - 1}"}
        made.append(await add_adapter(rows, tmp_path, model, number, state=state, watch=watch))
        await learned_from(rows, made[-1], f"U{number}")
    await add_adapter(rows, tmp_path, model, 4, channel_id="G1", mixed_with="apprentice-3", **ACTIVE)
    own = await add_adapter(rows, tmp_path, model, 5, channel_id="G2", **ACTIVE)
    await learned_from(rows, own, "U3")
    await Rollout(rows, away, keeps_apart=True).begin()
    await say(rows, "U3")
    await reject(rows, made[1])

    await come_back(rows, away)

    assert await states(rows, 1, 2, 3, 4, 5) == ["active", "retired", "rolled_back", "rolled_back", "active"]


async def test_a_no_is_heeded_however_bots_start(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two on one database either may start first, again, or with other settings; one that dies has done nothing."""
    apart = Rollout(rows, away, keeps_apart=True)
    await learned_from(rows, await add_adapter(rows, tmp_path, model, 1, **ACTIVE), "U7")
    await apart.begin()
    await come_back(rows, away)  # one that may mix them, beside the other
    await apart.stay_apart()
    await say(rows, "U7")
    with monkeypatch.context() as patch:
        patch.setattr(apart_module, "record", None)  # killed when the adapter is taken back and nothing says so
        with pytest.raises(TypeError):
            await come_back(rows, away)
    assert await states(rows, 1) == ["active"]

    await asyncio.gather(come_back(rows, away), come_back(rows, away))

    assert await states(rows, 1) == ["rolled_back"]
    async with rows.read() as session:
        adapter = await store.find_adapter(session, "apprentice-1")
        assert adapter is not None
        assert len(await store.decisions_of(session, adapter.id)) == 1


async def test_what_was_never_put_aside_goes_on(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path
) -> None:
    """What is served goes on until it is replaced, over any number of starts, and after it came back once."""
    adapter = await add_adapter(rows, tmp_path, model, 1, **ACTIVE)
    await learned_from(rows, adapter, "U7")
    for is_apart in (False, True):
        if is_apart:
            await say(rows, "U7", is_allowed=True)
            await Rollout(rows, away, keeps_apart=True).begin()
            await come_back(rows, away)
        await say(rows, "U7")
        await come_back(rows, away)
        assert await states(rows, 1) == ["active"]
