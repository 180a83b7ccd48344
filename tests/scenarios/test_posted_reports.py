"""The report of a run says what its adapter is, whoever decided so, and where: a button, a command, a terminal."""

import asyncio
from pathlib import Path

from sqlalchemy import select, update

from bot.learning.rollout.serving import Rollout
from bot.learning.sentences import BETTER_AND_WAITS
from bot.playground.testing import Playground
from bot.storage.admin_tables import Right
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, Run
from bot.storage.rights import set_right
from tests.scenarios.conftest import StartBot
from tests.scenarios.test_channel_adapters import ADMINS, keep
from tests.scenarios.test_learning_surfaces import COMMAND, buttons_of, order

BUTTONS = {"active": ["learning_rollback"], "rejected": ["learning_promote"], "rolled_back": []}
WORDS = {"active": "better and answers everybody now", "rejected": "it answers nobody now"}


async def test_a_report_follows_whoever_decides(
    start_bot: StartBot, playground: Playground, rows: Database, tmp_path: Path
) -> None:
    """A typed order, somebody at a terminal, and two admins at once of whom one presses Veto."""
    maya, priya = playground.maya, playground.priya
    async with start_bot(admin_channel_id=ADMINS) as bot:
        await playground.wait_for_connection()
        await keep(rows, tmp_path, (await bot.engine.models())[0].sha256 or "", 1)
        async with rows.begin() as session:
            await set_right(session, "U0PRIYA", Right.ADMIN, by="U0MAYA")
            await session.execute(update(Adapter).values(state="waiting"))
            await session.execute(update(Run).values(reported_at=None))
        (told,) = await playground.wait_until(lambda: playground.messages(ADMINS), what="the report")
        ts = told["ts"]

        async def follows(*, state: str = "") -> None:
            async with rows.read() as session:
                state = state or str(await session.scalar(select(Adapter.state)))
            await playground.wait_until(lambda: buttons_of(playground, ADMINS, ts) == BUTTONS[state], what=state)
            assert WORDS.get(state, "it answers nobody now") in playground.message(ADMINS, ts)["text"]

        assert buttons_of(playground, ADMINS, ts) == ["learning_promote", "learning_veto"]
        await asyncio.gather(
            maya.click(playground.message(ADMINS, ts), "learning_veto"),
            priya.command(COMMAND, "adapters promote apprentice-1", channel=priya.dm),
        )
        await playground.wait_until(lambda: maya.ephemerals(ADMINS) and priya.ephemerals(priya.dm), what="two replies")
        await follows()

        await order(playground, priya, "adapters rollback apprentice-1")
        await order(playground, priya, "adapters promote apprentice-1")
        await follows(state="active")
        terminal = Rollout(rows, bot.engine)
        await terminal.roll_back(by="cli:priya", reasons=["It is rude."], name="apprentice-1")
        await follows(state="rolled_back")
        assert "it answers nobody now" in (await order(playground, priya, "train"))["text"]


async def test_what_waits_says_that_training_was_switched_off(
    start_bot: StartBot, playground: Playground, rows: Database, tmp_path: Path
) -> None:
    """Nothing names the minutes any more, the buttons of the report work, and so does what an admin types."""
    maya = playground.maya
    report = {"run_id": 1, "adapter": "apprentice-1", "decision": "promote", "reasons": ["It is better."]}
    outcome = BETTER_AND_WAITS.format(minutes=30)
    async with start_bot(admin_channel_id=ADMINS) as bot:
        await playground.wait_for_connection()
        await keep(rows, tmp_path, (await bot.engine.models())[0].sha256 or "", 1)
        async with rows.begin() as session:
            await session.execute(update(Adapter).values(state="waiting"))
            await session.execute(
                update(Run).values(reported_at=None, reason=outcome, report=report | {"outcome": outcome})
            )
        (told,) = await playground.wait_until(lambda: playground.messages(ADMINS), what="the report")
        ts = told["ts"]
        orders = ("train", "adapters show apprentice-1")
        for said in [str(await order(playground, maya, one)) for one in orders] + [told["text"]]:
            assert "it is served in 30 minutes unless somebody objects" in said

        assert "waits for somebody to promote it" in (await order(playground, maya, "train off"))["text"]
        await playground.wait_until(lambda: "switched off" in playground.message(ADMINS, ts)["text"], what="the report")
        assert buttons_of(playground, ADMINS, ts) == ["learning_promote", "learning_veto"]
        for said in [str(await order(playground, maya, one)) for one in orders]:
            assert "it waits until somebody promotes it" in said
            assert "30 minutes" not in said
        listed = (await order(playground, maya, "adapters"))["text"]
        assert "`apprentice-1` waits until somebody promotes it (training was switched off) since" in listed

        await maya.click(playground.message(ADMINS, ts), "learning_promote")
        await playground.wait_until(
            lambda: WORDS["active"] in playground.message(ADMINS, ts)["text"], what="that it answers"
        )
