"""Workspaces that know nothing of each other: what one of them taught, no other one hears, also of before."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.doctor import examine
from bot.playground.person import Person
from bot.playground.testing import Playground
from bot.storage.db import Database
from bot.storage.learning_tables import RunExample
from bot.storage.memory_tables import SourceKind
from bot.storage.preferences import let_choose, save_preferences
from bot.storage.tables import Answer, Correction
from tests.scenarios.conftest import Finished, StartBot, settings_for
from tests.scenarios.test_feedback import wait_for_rows
from tests.scenarios.test_learning import ask, teach, words
from tests.scenarios.test_learning_surfaces import keep_adapters, order
from tests.scenarios.test_memory import ALIKE, QUESTION, TAUGHT, sources
from tests.scenarios.test_workspaces import OAUTH, install

pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")  # Slack's SDK still uses it
REFUSED = "what one of them taught would answer the others"


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open two workspaces; the app is only in the first."""
    async with Playground(has_second=True) as opened:
        yield opened


async def ask_both(playground: Playground, finished: Finished, *, count: int) -> tuple[Answer, Answer]:
    """Ask in the first workspace and in the second, and return their answers; *count* are there afterwards."""
    maya, zoe = playground.maya, Person(playground.second.hub, "U0ZOE")
    await playground.wait_for_reply(maya.dm, await maya.say(maya.dm, "hello"))
    await playground.second.wait_for_reply(zoe.dm, await zoe.say(zoe.dm, "hello"))
    here, there = (await finished(count))[-2:]
    return here, there


async def test_what_a_workspace_taught_before_answers_no_other_one(
    playground: Playground, start_bot: StartBot, finished: Finished, rows: Database, tmp_path: Path
) -> None:
    """Active or chosen by somebody, it is put aside in words, nothing else is served, and it comes back when it may."""
    maya = playground.maya
    async with start_bot() as bot:
        await playground.wait_for_connection()
        await keep_adapters(rows, tmp_path, (await bot.engine.models())[0].sha256 or "")
        await order(playground, maya, "adapters promote apprentice-1")
        await teach(playground, maya, QUESTION, TAUGHT)
        assert [answer.adapter for answer in await finished(1)] == ["apprentice-1"]
        (correction,) = await wait_for_rows(rows, Correction, 1)
        async with rows.begin() as session:
            row = {"row_table": "corrections", "row_id": correction.id, "source": "correction", "split": "train"}
            session.add(RunExample(run_id=1, user_id=maya.id, weight=1.0, sha256="0" * 64, **row))
            await let_choose(session, is_allowed=True, by=maya.id)
            await save_preferences(session, "U0ZOE", adapter="apprentice-1")

    async with start_bot(**OAUTH) as bot:
        await playground.wait_for_connection()
        assert "Thank you" in await install(playground, bot)
        assert [answer.adapter for answer in await ask_both(playground, finished, count=3)] == [None, None]
        for refused in ("adapters promote apprentice-2", "adapters promote 1", "adapters compare apprentice-1: Hello?"):
            assert REFUSED in (await order(playground, maya, refused))["text"], refused
        for told in ("status", "train"):
            said = (await order(playground, maya, told))["text"]
            assert "The base model answers instead of `apprentice-1`" in said, told
            assert "(`LEARN_ACROSS_WORKSPACES`)" in said, told
        listed = (await order(playground, maya, "adapters"))["text"]
        assert "`apprentice-1` put aside (`LEARN_ACROSS_WORKSPACES`), chosen since" in listed
        assert "apprentice-1" not in (await order(playground, maya, "preferences"))["text"]
        await maya.open_home()
        await playground.wait_until(
            lambda: "training 1, whose adapter does not answer" in str(playground.home(maya.id)), what="what she taught"
        )
        found = [one async for one in examine(settings_for(playground, tmp_path, **OAUTH)) if one.topic == "Adapters"]
        assert "The base answers instead of apprentice-1" in found[0].sentence

    async with start_bot(**OAUTH, learn_across_workspaces=True):
        await playground.wait_for_connection()
        both = await ask_both(playground, finished, count=5)
        assert [answer.adapter for answer in both] == ["apprentice-1", "apprentice-1"]


async def test_a_correction_is_known_in_its_own_workspace_alone(
    playground: Playground, start_bot: StartBot, finished: Finished, rows: Database
) -> None:
    """It is shown to nobody's model elsewhere, and neither workspace's words leave in one file."""
    maya, zoe = playground.maya, Person(playground.second.hub, "U0ZOE")
    async with start_bot(**OAUTH) as bot:
        await playground.wait_for_connection()
        assert "Thank you" in await install(playground, bot)
        await teach(playground, maya, QUESTION, TAUGHT)
        await wait_for_rows(rows, Correction, 1)
        assert "6543" in words(await ask(playground, playground.tom, ALIKE))
        ts = await zoe.say("general", f"<@U0APPRENT2> {ALIKE}")
        assert "6543" not in words(await playground.second.wait_for_reply("general", ts))
        *_, here, there = await finished(3)
        assert [source.answer_id for source in await sources(rows, SourceKind.CORRECTION)] == [here.id]
        assert there.id != here.id

        assert REFUSED in (await order(playground, maya, "dataset export sft"))["text"]
        assert not [one for one in playground.messages(maya.dm) if one.get("files")]


async def test_a_no_said_while_an_adapter_is_put_aside_is_heeded(
    playground: Playground, start_bot: StartBot, finished: Finished, rows: Database, tmp_path: Path
) -> None:
    """Nobody gets it when the workspaces may mix again, also not who asks first, and every list says why."""
    maya, tom = playground.maya, playground.tom
    async with start_bot() as bot:
        await playground.wait_for_connection()
        await keep_adapters(rows, tmp_path, (await bot.engine.models())[0].sha256 or "")
        row = {"row_table": "corrections", "row_id": "x", "source": "correction", "split": "train"}
        async with rows.begin() as session:
            session.add(RunExample(run_id=2, user_id=tom.id, weight=1.0, sha256="0" * 64, **row))
        await order(playground, maya, "adapters promote apprentice-2")
    async with start_bot(**OAUTH):
        await playground.wait_for_connection()
        assert "I do not learn" in (await order(playground, tom, "learn-from-me off"))["text"]

    async with start_bot():
        await playground.wait_for_connection()
        await playground.wait_for_reply(maya.dm, await maya.say(maya.dm, "hello"))
        assert [answer.adapter for answer in await finished(1)] == [None]
        listed = (await order(playground, maya, "adapters"))["text"]
        assert "`apprentice-2` rolled back since" in listed
        assert "has said no to that since, and nobody new gets it" in listed
        assert "it answers nobody now" in (await order(playground, maya, "train"))["text"]
        assert "has said no" in (await order(playground, maya, "adapters promote apprentice-2"))["text"]
