"""What is put aside while several workspaces must not mix: by rows alone, whatever the engine has at hand."""

from datetime import timedelta
from pathlib import Path

import pytest

from bot.engine.client import EngineClient
from bot.errors import LearningError
from bot.learning.rollout.serving import Rollout
from bot.learning.rollout.watch import Event
from bot.storage.db import Database
from bot.storage.learning_tables import AdapterState
from tests.learning.test_channel_rollout import ask, away
from tests.learning.test_may_serve import an_hour, let_time_pass, states
from tests.learning.test_rollout import WAITING, add_adapter, rows, watching

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
