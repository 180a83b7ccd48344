"""A private channel with an adapter of its own, as its people, its admin and everybody else see it."""

import asyncio
import hashlib
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import update

from bot.learning.figures import BeforeAfter
from bot.playground.testing import Person, Playground
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState, Run, RunState
from bot.storage.tables import now
from tests.scenarios.conftest import Finished, StartBot
from tests.scenarios.test_feedback import BOT
from tests.scenarios.test_learning_surfaces import COMMAND, order, write_adapter
from tests.slack.test_learning_blocks import report

SECRET = "The merger is called Xochimilco."
LEADS, ADMINS = "C0LEADS", "C0SUPPORT"


async def keep(rows: Database, folder: Path, base_sha256: str, number: int, *, channel_id: str = "") -> None:
    """Keep a run that ended, of which nobody has been told, and its adapter."""
    path = await asyncio.to_thread(write_adapter, folder / f"{number}.gguf", seed=number)
    sha256 = hashlib.sha256(await asyncio.to_thread(path.read_bytes)).hexdigest()
    name = f"apprentice-{number}"
    words = BeforeAfter("What is the merger called?", SECRET, "?", SECRET, is_right=True)
    told = report(
        run_id=number,
        adapter=name,
        channel_id=channel_id,
        is_private=bool(channel_id),
        before_after=(words,) if channel_id else (),
    )
    async with rows.begin() as session:
        values = {"started_at": now(), "finished_at": now(), "reported_at": now(), "channel_id": channel_id}
        session.add(Run(id=number, state=RunState.DONE, trigger="cli", report=asdict(told), **values))
        await session.flush()
        session.add(
            Adapter(
                run_id=number,
                name=name,
                path=str(path),
                sha256=sha256,
                base_sha256=base_sha256,
                channel_id=channel_id,
                state=AdapterState.BUILT,
                watch={},
            )
        )


async def ask_in(playground: Playground, person: Person, channel: str) -> None:
    """Ask something in a channel and wait for the answer."""
    ts = await person.say(channel, f"{BOT} hello")
    await playground.wait_for_reply(channel, ts)


def said_in(playground: Playground, channel: str) -> str:
    """Return everything that stands in a channel."""
    return str(playground.messages(channel))


async def test_a_private_channel_has_its_own(
    start_bot: StartBot, playground: Playground, rows: Database, finished: Finished, tmp_path: Path
) -> None:
    """Asked for in the channel and told to all there; it answers there alone, and its words are shown there alone."""
    maya = playground.maya
    await maya.invite(LEADS, "U0APPRENTICE")
    async with start_bot(admin_channel_id=ADMINS) as bot:
        await playground.wait_for_connection()
        assert (
            "Only the admins"
            in (await order(playground, playground.priya, "learn-from-channel own", channel=LEADS))["text"]
        )
        await maya.command(COMMAND, "learn-from-channel own", channel=LEADS)
        await playground.wait_until(
            lambda: "adapter of its own" in said_in(playground, LEADS), what="a word to all who are read there"
        )
        await maya.command(COMMAND, "learn-from-channel own", channel="random")
        await playground.wait_until(lambda: "adapter of its own" in said_in(playground, "random"), what="the second")
        third = await order(playground, maya, "learn-from-channel own", channel="general")
        assert "no room for more" in third["text"]

        base = (await bot.engine.models())[0].sha256 or ""
        await keep(rows, tmp_path, base, 1, channel_id=LEADS)
        await keep(rows, tmp_path, base, 2)
        said = (await order(playground, maya, "adapters promote apprentice-1"))["text"]
        assert "`apprentice-1` answers everybody in <#C0LEADS> from the next question on" in said
        await order(playground, maya, "adapters promote apprentice-2")
        await ask_in(playground, playground.priya, LEADS)
        await ask_in(playground, playground.priya, "general")
        assert [answer.adapter for answer in await finished(2)] == ["apprentice-1", "apprentice-2"]

        listed = (await order(playground, maya, "adapters"))["text"]
        assert "`apprentice-1` for <#C0LEADS>, answers there, since" in listed
        assert (
            "<#C0LEADS> has an adapter of its own: `apprentice-1` answers there."
            in (await order(playground, maya, "train"))["text"]
        )
        assert SECRET not in str(await order(playground, maya, "adapters show apprentice-1"))
        assert SECRET in str(await order(playground, maya, "adapters show apprentice-1", channel=LEADS))
        refused = await order(playground, maya, "adapters compare apprentice-1: What is the merger called?")
        assert "answers in its own channel only" in refused["text"]

        async with rows.begin() as session:
            await session.execute(update(Run).where(Run.id == 1).values(reported_at=None))
        await playground.wait_until(lambda: "Rollback" in said_in(playground, ADMINS), what="the report for the admins")
        assert SECRET in said_in(playground, LEADS)
        assert SECRET not in said_in(playground, ADMINS)
        assert "92%" in said_in(playground, ADMINS), "its figures are no secret"

        back = (await order(playground, maya, "adapters rollback apprentice-1 it talks too much"))["text"]
        assert "`apprentice-1` is taken back; `apprentice-2` answers" in back
        await maya.command(COMMAND, "learn-from-channel shared", channel=LEADS)
        await playground.wait_until(lambda: "gets what everybody gets" in said_in(playground, LEADS), what="the end")
        await ask_in(playground, playground.priya, LEADS)
        assert (await finished(3))[2].adapter == "apprentice-2"


async def test_what_all_taught_is_for_those_who_may_read_all(
    start_bot: StartBot, playground: Playground, rows: Database, finished: Finished, tmp_path: Path
) -> None:
    """Where another organisation or a guest reads along, the base answers; elsewhere the adapter does."""
    maya = playground.maya
    await maya.invite("random", "U0SAM")
    async with start_bot() as bot:
        await playground.wait_for_connection()
        await keep(rows, tmp_path, (await bot.engine.models())[0].sha256 or "", 1)
        await order(playground, maya, "adapters promote apprentice-1")
        for channel in ("general", "northwind", "random", "support"):
            await ask_in(playground, maya, channel)

        assert [answer.adapter for answer in await finished(4)] == ["apprentice-1", None, None, "apprentice-1"]


async def test_a_mistyped_name_takes_nothing_back(
    start_bot: StartBot, playground: Playground, rows: Database, tmp_path: Path
) -> None:
    """A rollback of an adapter that does not exist is no reason to take back the one that does; numbers are named."""
    maya = playground.maya
    async with start_bot() as bot:
        await playground.wait_for_connection()
        await keep(rows, tmp_path, (await bot.engine.models())[0].sha256 or "", 1)
        said = (await order(playground, maya, "adapters promote 1"))["text"]
        assert "`apprentice-1` answers everybody" in said
        for words in ("apprentice-11", "apprentice-11 it is rude", "Apprentice-1: it is rude", "11"):
            said = (await order(playground, maya, f"adapters rollback {words}"))["text"]
            assert "There is no adapter" in said, said
        assert "There is no adapter" in (await order(playground, maya, f"adapters promote {'9' * 20}"))["text"]

        said = (await order(playground, maya, "adapters rollback it is rude"))["text"]
        assert "`apprentice-1` is taken back" in said

        async with rows.begin() as session:
            await session.execute(update(Adapter).values(state=AdapterState.TAINTED))
        said = (await order(playground, maya, "adapters compare apprentice-1: What is the merger called?"))["text"]
        assert "learned from words that were deleted" in said, "the engine may have it at hand for a while"
