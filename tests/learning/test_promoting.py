"""Who lets an adapter answer, and who may object: orders, the clock, and those who said no."""

from pathlib import Path
from typing import Any

import pytest

from bot.engine.client import EngineClient
from bot.learning.permission import take_back_permission
from bot.learning.rollout.serving import Rollout
from bot.learning.rollout.watch import Event
from bot.storage.audit import FORBID, record
from bot.storage.db import Database
from bot.storage.learning_tables import AdapterState
from bot.storage.tables import now
from tests.learning.test_channel_rollout import away
from tests.learning.test_may_serve import CANARY, HOUR, an_hour, states
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
