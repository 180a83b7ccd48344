"""What people see and steer of the learning in Slack: permission, choices, adapters, Home, why an answer is so."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from sqlalchemy import select, update

from bot.app import RunningBot
from bot.playground.testing import Person, Playground
from bot.settings import STARTER_MODEL
from bot.slack.calls import Calls
from bot.slack.learning.report import post_report
from bot.slack.setup.manifest import build_manifest
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState, AuditRow, Run, RunState, TrainingChoice
from bot.storage.tables import Correction, now
from tests.playground.conftest import build_client
from tests.scenarios.conftest import Finished
from tests.scenarios.test_feedback import BOT, ask, wait_for_rows
from tests.slack.test_learning_blocks import report

COMMAND = "/apprentice"
REAL_LOOKING = "127.0.0.2"  # this machine as well, but no address that the bot takes for a playground


@pytest.fixture
async def playground(request: pytest.FixtureRequest) -> AsyncIterator[Playground]:
    """Open a workspace that grants what the manifest asks for and nothing else; a test can choose its address."""
    manifest = build_manifest(name="Apprentice", request_url=None)
    async with Playground(manifest=manifest, host=getattr(request, "param", "127.0.0.1")) as opened:
        yield opened
        assert [entry["name"] for entry in opened.log("api") if entry["status"] == "missing_scope"] == []


async def order(playground: Playground, person: Person, text: str, *, channel: str | None = None) -> dict[str, Any]:
    """Give the command and return what only this person is told."""
    where = channel or person.dm
    before = len(person.ephemerals(where))
    await person.command(COMMAND, text, channel=where)
    return (await playground.wait_until(lambda: person.ephemerals(where)[before:], what=f"the answer to {text}"))[0]


async def choices(rows: Database) -> list[tuple[str, str, bool]]:
    """Return what was chosen, oldest first."""
    async with rows.begin() as session:
        found = await session.scalars(select(TrainingChoice).order_by(TrainingChoice.at))
        return [(row.kind, row.subject_id, row.is_allowed) for row in found]


@pytest.mark.parametrize("playground", [REAL_LOOKING], indirect=True)
async def test_nothing_is_learned_before_an_admin_allows_it(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Others are refused; the admin reads what it means, presses the button, and can take it back."""
    maya, tom = playground.maya, playground.tom
    assert "off until an admin allows it" in (await order(playground, tom, "status"))["text"]
    assert "Only the admins" in (await order(playground, tom, "train on"))["text"]
    assert "Nobody has allowed training" in (await order(playground, maya, "train dry"))["text"]
    question = await order(playground, maya, "train on")
    assert "no legal advice" in str(question["blocks"])
    async with rows.begin() as session:
        assert (await session.scalars(select(AuditRow))).all() == []

    await maya.click(question, "learning_allow")
    await playground.wait_until(
        lambda: "Training is allowed" in str([message["text"] for message in maya.ephemerals(maya.dm)]), what="thanks"
    )
    assert "Training was allowed by <@U0MAYA>" in (await order(playground, tom, "train"))["text"]
    assert "on already" in (await order(playground, maya, "train on"))["text"]
    assert "Training is off" in (await order(playground, maya, "train off"))["text"]
    assert "off until an admin allows it" in (await order(playground, tom, "train"))["text"]
    async with rows.begin() as session:
        found = (await session.scalars(select(AuditRow).order_by(AuditRow.at))).all()
        assert [(row.action, row.actor) for row in found] == [
            ("training.allow", "U0MAYA"),
            ("training.forbid", "U0MAYA"),
        ]


async def test_everybody_decides_for_themselves_and_admins_for_channels(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """The playground needs no permission; a typing error shows how it is written."""
    maya, tom = playground.maya, playground.tom
    assert "Training was allowed by the playground" in (await order(playground, tom, "train"))["text"]
    assert "Nothing was chosen" in (await order(playground, tom, "learn-from-me"))["text"]
    assert "I do not learn from what you say" in (await order(playground, tom, "learn-from-me off"))["text"]
    assert "Only the admins" in (await order(playground, tom, "learn-from-channel off", channel="support"))["text"]
    said = await order(playground, maya, "learn-from-channel off", channel="support")
    assert "I do not learn from what is said to me in this channel" in said["text"]
    assert "Write this in the channel that you mean" in (await order(playground, maya, "learn-from-channel on"))["text"]
    assert "`/apprentice learn-from-me [on|off]`" in (await order(playground, tom, "learn-from-me yes"))["text"]
    assert "`/apprentice learn-from-me [on|off]`" in str((await order(playground, tom, "help"))["blocks"])
    assert "learn-from-channel" not in str((await order(playground, tom, "help"))["blocks"])
    assert "learn-from-channel [on|off|own|shared]" in str((await order(playground, maya, "help"))["blocks"])
    assert await choices(rows) == [("person", "U0TOM", False), ("channel", "C0SUPPORT", False)]


async def test_whoever_wants_nothing_stored_hears_that_nothing_is_learned(
    playground: Playground, bot: RunningBot
) -> None:
    """However they allow it, by command or in their Home, until they change that."""
    tom = playground.tom
    await order(playground, tom, "preferences privacy unstored")
    assert "there is nothing new to learn from" not in (await order(playground, tom, "learn-from-me"))["text"]
    for words in ("learn-from-me on", "learn-from-me"):
        assert "there is nothing new to learn from" in (await order(playground, tom, words))["text"]
    await tom.open_home()
    await playground.wait_until(lambda: "nothing new to learn from" in str(playground.home(tom.id)), what="the Home")
    await order(playground, tom, "preferences privacy normal")
    assert "nothing new" not in (await order(playground, tom, "learn-from-me"))["text"]


async def test_a_correction_is_for_everyone_if_its_author_says_so(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Where not everybody can read it there is a box to tick; in public a line says that everybody learns."""
    tom = playground.tom
    await tom.click(await ask(playground, tom), "feedback", "negative_button")
    view = await playground.wait_for_view(tom.id)
    assert "Teach this to everyone" in str(view)
    await tom.submit_view({"correction": "Priya owns it.", "everyone": ["everyone"]})
    ts = await tom.say("general", f"{BOT} What is a code review?")
    await tom.click(await playground.wait_for_reply("general", ts), "feedback", "negative_button")
    view = await playground.wait_for_view(tom.id)
    assert "Teach this to everyone" not in str(view)
    assert "everybody can learn from your correction" in str(view)
    await tom.submit_view({"correction": "A second pair of eyes."})

    found = await wait_for_rows(rows, Correction, 2)
    kept = {(row.text, row.is_for_everyone, str(row.audience)) for row in found}
    assert kept == {("Priya owns it.", True, "direct"), ("A second pair of eyes.", False, "public")}


@pytest.mark.parametrize(
    ("privacy", "told"), [("unlearned", "nobody learns from this"), ("unstored", "none of your words")]
)
async def test_whoever_is_not_learned_from_is_told_so_in_the_form(
    playground: Playground, bot: RunningBot, rows: Database, *, privacy: str, told: str
) -> None:
    """It does not say that everybody learns; and what they write anyway is for nobody else."""
    maya, tom = playground.maya, playground.tom
    await order(playground, tom, f"preferences privacy {privacy}")
    reply = await playground.wait_for_reply("general", await maya.say("general", f"{BOT} What is a code review?"))
    await tom.click(reply, "feedback", "negative_button")
    view = await playground.wait_for_view(tom.id)
    assert told in str(view)
    assert "learn from" not in str(view).replace("I do not learn from it", "")
    await tom.submit_view({"correction": "A second pair of eyes."})
    if privacy == "unlearned":
        (kept,) = await wait_for_rows(rows, Correction, 1)
        assert kept.audience == "direct"


async def test_only_ones_own_question_can_be_taught_to_everyone(
    playground: Playground, bot: RunningBot, rows: Database
) -> None:
    """Another's stays among those who can read it, and the form says so and offers nothing else."""
    maya, tom = playground.maya, playground.tom
    for member in ("U0APPRENTICE", tom.id):
        await maya.invite("leads", member)
    reply = await playground.wait_for_reply("leads", await maya.say("leads", f"{BOT} Who owns the billing service?"))
    for person in (maya, tom):
        await person.click(reply, "feedback", "negative_button")
        view = await playground.wait_for_view(person.id)
        assert ("Teach this to everyone" in str(view)) is (person is maya)
        assert ("Only your own questions" in str(view)) is (person is tom)
        await person.submit_view({"correction": "Priya owns it."})
    found = await wait_for_rows(rows, Correction, 2)
    assert {(str(row.audience), row.is_for_everyone) for row in found} == {("private", False)}


async def test_why_is_told_to_those_who_see_the_answer(
    playground: Playground, bot: RunningBot, finished: Finished
) -> None:
    """Model, instructions, messages, tokens and times; a button moved to another message says nothing."""
    maya, tom = playground.maya, playground.tom
    reply = await ask(playground, maya)
    await finished(1)
    await maya.click(reply, "why")
    view = await playground.wait_until(
        lambda: next((view for view in playground.views(maya.id) if "Tokens" in str(view)), None), what="the reasons"
    )
    said = str(view["blocks"])
    assert "the base model answered" in said
    assert "`system`" in said
    assert "starter" in said

    other = await ask(playground, tom)
    playground.hub.workspace.find(tom.dm, other["ts"]).blocks = reply["blocks"]
    await tom.click({**other, "blocks": reply["blocks"]}, "why")
    await playground.wait_until(lambda: "not from here" in str(playground.views(tom.id)), what="a refusal")


async def test_the_home_tab_shows_and_switches(playground: Playground, bot: RunningBot, rows: Database) -> None:
    """Everybody sees what is learned and chooses; the admin's part pauses, and what was pressed is said at the top."""
    maya, tom = playground.maya, playground.tom
    await tom.open_home()
    await playground.wait_until(lambda: playground.home(tom.id), what="Tom's Home")
    assert "For admins" not in str(playground.home(tom.id))
    await tom.act_in_home("home:learn")
    await playground.wait_until(lambda: "'Learn from me'" in str(playground.home(tom.id)), what="the other choice")
    await tom.act_in_home("home:news", "preferences news off")
    await playground.wait_until(lambda: ": *no*" in str(playground.home(tom.id)), what="silence")
    assert await choices(rows) == [("person", "U0TOM", False), ("news", "U0TOM", False)]

    await maya.open_home()
    await playground.wait_until(lambda: "For admins" in str(playground.home(maya.id)), what="Maya's Home")
    await maya.act_in_home("home:pause")
    await playground.wait_until(lambda: "Training is paused" in str(playground.home(maya.id)), what="the pause")
    assert "training is paused" in (await order(playground, tom, "train"))["text"]
    await maya.act_in_home("home:pause")
    await playground.wait_until(lambda: "goes on as planned" in str(playground.home(maya.id)), what="going on")


def write_adapter(path: Path, *, seed: int) -> Path:
    """Write a small random adapter for the starter model."""
    base = {tensor.name: tensor for tensor in gguf.GGUFReader(STARTER_MODEL).tensors}
    writer, random = gguf.GGUFWriter(path, "llama"), np.random.default_rng(seed)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 4.0)
    for name in ("blk.0.attn_v.weight", "blk.1.attn_v.weight"):
        columns, rows = (int(size) for size in base[name].shape)
        writer.add_tensor(f"{name}.lora_a", random.standard_normal((4, columns)).astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", (random.standard_normal((rows, 4)) * 0.01).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


async def keep_adapters(rows: Database, folder: Path, base_sha256: str) -> None:
    """Keep two runs that ended well, each with its adapter."""
    report = {"outcome": "It is better.", "learned_from": {"corrections": 50}, "decision": "promote"}
    async with rows.begin() as session:
        for number in (1, 2):
            path = await asyncio.to_thread(write_adapter, folder / f"{number}.gguf", seed=number)
            sha256 = hashlib.sha256(await asyncio.to_thread(path.read_bytes)).hexdigest()
            ended = now() - timedelta(days=3 - number)
            values = {"started_at": ended, "finished_at": ended, "reported_at": ended}
            own = {**report, "run_id": number, "adapter": f"apprentice-{number}"}
            session.add(Run(id=number, state=RunState.DONE, trigger="cli", report=own, **values))
            await session.flush()
            session.add(
                Adapter(
                    run_id=number,
                    name=f"apprentice-{number}",
                    path=str(path),
                    sha256=sha256,
                    base_sha256=base_sha256,
                    state=AdapterState.BUILT,
                    watch={},
                )
            )


async def test_adapters_are_promoted_compared_and_taken_back_from_slack(
    playground: Playground, bot: RunningBot, rows: Database, finished: Finished, tmp_path: Path
) -> None:
    """The next question is answered by it, why says so, an old report's button takes nothing newer back."""
    maya, tom = playground.maya, playground.tom
    await keep_adapters(rows, tmp_path, (await bot.engine.models())[0].sha256 or "")
    assert "Only the admins" in (await order(playground, tom, "adapters"))["text"]
    assert "`apprentice-2` built" in (await order(playground, maya, "adapters"))["text"]
    said = (await order(playground, maya, "adapters promote apprentice-1"))["text"]
    assert "`apprentice-1` answers everybody from the next question on, instead of the base model" in said
    old_report = await order(playground, maya, "adapters show apprentice-1")

    reply = await ask(playground, tom, "hello")
    assert [answer.adapter for answer in await finished(1)] == ["apprentice-1"]
    await tom.click(reply, "why")
    await playground.wait_until(lambda: "50 corrections" in str(playground.views(tom.id)), what="what it learned from")
    compared = await order(playground, maya, "adapters compare apprentice-2: What is a code review?")
    assert "*apprentice-2*" in str(compared["blocks"])
    assert "instead of `apprentice-1`" in (await order(playground, maya, "adapters promote apprentice-2"))["text"]

    await maya.click(old_report, "learning_rollback")
    await playground.wait_until(
        lambda: "nothing was taken back" in str([one["text"] for one in maya.ephemerals(maya.dm)]), what="a refusal"
    )
    await maya.open_home()
    await playground.wait_until(lambda: "`apprentice-2` answers" in str(playground.home(maya.id)), what="Maya's Home")
    await maya.act_in_home("home:rollback")
    await playground.wait_until(
        lambda: "`apprentice-2` is taken back; `apprentice-1` answers" in str(playground.home(maya.id)), what="the old"
    )
    calls = Calls(build_client(playground))
    ts = (await post_report(calls, channel_id="C0GENERAL", report=report(adapter="apprentice-1"), picture=None)).ts
    posted = playground.message("general", ts)
    await tom.click(posted, "learning_rollback")
    await playground.wait_until(lambda: "Only the admins" in str(tom.ephemerals("general")), what="a refusal")
    await maya.click(posted, "learning_rollback")
    await playground.wait_until(lambda: playground.messages("general", ts)[1:], what="a line for all")
    said = playground.messages("general", ts)[1]["text"]
    assert said == "<@U0MAYA>: `apprentice-1` is taken back; the base model answers from the next question on."
    assert "is taken back" in str(maya.ephemerals("general"))
    await playground.wait_until(lambda: buttons_of(playground, "general", ts) == [], what="a report without buttons")
    await ask(playground, tom, "hello again")
    assert (await finished(2))[1].adapter is None
    assert "no adapter to take back" in (await order(playground, maya, "adapters rollback"))["text"]


async def test_a_report_shows_what_can_still_be_done(
    playground: Playground, bot: RunningBot, rows: Database, tmp_path: Path
) -> None:
    """Once somebody has promoted what the gate refused, its report says so and offers to take it back.

    A button from before somebody decided does nothing but show what it is now.
    """
    maya = playground.maya
    await keep_adapters(rows, tmp_path, (await bot.engine.models())[0].sha256 or "")
    async with rows.begin() as session:
        refused = await session.get_one(Run, 2)
        refused.report = {**refused.report, "decision": "reject"}
        for name, state in (("apprentice-1", "waiting"), ("apprentice-2", "rejected")):
            await session.execute(update(Adapter).where(Adapter.name == name).values(state=state))
    said = (await order(playground, maya, "adapters rollback apprentice-1 too early"))["text"]
    assert said == "`apprentice-1` will not be served."
    calls = Calls(build_client(playground))
    told = report(adapter="apprentice-2", decision="reject")
    ts = (await post_report(calls, channel_id="C0GENERAL", report=told, picture=b"no picture", state="waiting")).ts
    await maya.click(playground.message("general", ts), "learning_promote")
    await playground.wait_until(lambda: "it is rejected now" in str(maya.ephemerals("general")), what="a refusal")
    await playground.wait_until(lambda: len(buttons_of(playground, "general", ts)) == 1, what="what it is now")
    assert buttons_of(playground, "general", ts) == ["learning_promote"]
    await maya.click(playground.message("general", ts), "learning_promote")
    await playground.wait_until(
        lambda: buttons_of(playground, "general", ts) == ["learning_rollback"], what="what can be done now"
    )
    said = str(playground.message("general", ts)["blocks"])
    assert "It answers all the same, because somebody promoted it." in said
    assert "Promote anyway" not in said


def buttons_of(playground: Playground, channel: str, ts: str) -> list[str]:
    """Return what can be pressed below a message."""
    rows_of = [block["elements"] for block in playground.message(channel, ts)["blocks"] if block["type"] == "actions"]
    return [element["action_id"] for elements in rows_of for element in elements]
