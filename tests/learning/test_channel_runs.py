"""A channel's own run from end to end: its rows alone, mixed with everybody's, judged beside that, told to few."""

import asyncio
from dataclasses import replace
from pathlib import Path

import gguf
import pytest
from sqlalchemy import select

from bot.engine.files.checksum import hash_model
from bot.errors import LearningError
from bot.jobs import start_training
from bot.learning.channels import go_to_all
from bot.learning.examples import Example, Source, Split, Use, write_examples
from bot.learning.figures import BeforeAfter, Decision, Role, RunReport, Verdict
from bot.learning.plan import EXAMPLES
from bot.learning.reporting import report_of
from bot.storage import adapters as store
from bot.storage.choices import OWN_ADAPTER
from bot.storage.learning_tables import AdapterState, AuditRow, Evaluation, Run, RunExample, RunState
from bot.storage.tables import Audience
from tests.engine.conftest import serving
from tests.engine.tiny_adapter import write_tiny_adapter
from tests.learning.feedback_rows import PLAIN, Team
from tests.learning.run_rig import Loop, add_adapter, configure, opened, teach, write_brief_model

SECRET = "Xochimilco"


async def teach_in(loop: Loop, channel: str, count: int = 4) -> set[str]:
    """Let two people correct answers in a private channel; return the ids of their corrections."""
    team = Team()
    for number in range(count):
        person, other = ("ada", "bo") if number % 2 else ("bo", "ada")
        answer = team.ask(
            person, f"Where is box {number}?", "I do not know.", channel=channel, audience=Audience.PRIVATE
        )
        team.correct(other, answer, f"Box {number} is in {SECRET}.", is_for_everyone=True)
    await team.save(loop.database)
    return {row.id for row in team.rows if hasattr(row, "is_for_everyone")}


async def write_what_everybody_knows(loop: Loop) -> int:
    """Leave in the folder of the adapter that is served what it was taught; return how many questions test it."""
    async with loop.database.read() as session:
        (active,) = await store.served_adapters(session)
    examples = [
        Example(
            id=f"sft:fact:{number}:1",
            use=Use.SFT,
            source=Source.PHRASING,
            split=Split.TEST if number else Split.TRAIN,
            group=f"fact:{number}",
            prompt_ids=(20 + number, 21, 22),
            completion_ids=(23,),
            question=f"Where is key {number}?",
            answer=f"Key {number} hangs in room Birch.",
        )
        for number in range(3)
    ]
    await asyncio.to_thread(write_examples, loop.folder(active.run_id) / EXAMPLES, examples)
    return 2


async def test_a_channels_run(tmp_path: Path) -> None:
    """It learns from the channel alone, is mixed, compared with what answered there, and its words stay there."""
    model = write_brief_model(tmp_path / "tiny.gguf")
    async with serving(model, n_ctx=512) as client, opened(f"sqlite+aiosqlite:///{tmp_path}/rows.db") as database:
        loop = Loop(database, client, configure(tmp_path, model))
        small = write_tiny_adapter(
            tmp_path / "small.gguf", metadata={"apprentice.base_sha256": hash_model(model)}, strength=0.01
        )
        await add_adapter(loop, model, 90, AdapterState.ACTIVE, path=str(small), sha256=hash_model(small))
        earlier = await write_what_everybody_knows(loop)
        await teach(database, 3)
        taught = await teach_in(loop, "G1")
        with pytest.raises(LearningError, match="no adapter of its own"):
            await loop.queue(channel_id="G1")
        await loop.learning.choose_own("G1", is_wanted=True, by="U1")

        run_id = await loop.queue(channel_id="G1")
        await loop.runner.work_once()

        async with database.read() as session:
            run = await session.get_one(Run, run_id)
            adapter = await store.adapter_of_run(session, run_id)
            rows = await session.scalars(select(RunExample.row_id).where(RunExample.row_table == "corrections"))
            learned = set(rows)
            incumbents = set(await session.scalars(select(Evaluation.incumbent)))
            shared = await session.scalar(select(Evaluation).filter_by(metric="shared_facts"))
        assert run.state == RunState.DONE, run.reason
        assert learned == taught
        assert adapter is not None
        assert (adapter.channel_id, adapter.mixed_with) == ("G1", "apprentice-90")
        assert all(holds for _, holds, _ in loop.heard[-1].proofs), loop.heard[-1].proofs
        assert incumbents == {"apprentice-90"}
        assert shared is not None
        assert (shared.role, shared.n) == (Role.GUARD, earlier), "what everybody was taught is asked there as well"
        said = {field.name: field.contents() for field in gguf.GGUFReader(adapter.path).fields.values()}
        assert (said["apprentice.run_id"], said["apprentice.part.1.name"]) == (str(run_id), "apprentice-90")
        assert said["apprentice.part.1.scale"] == 0.5

        report = loop.heard[-1]
        assert report.is_private
        assert SECRET in str(report.before_after)
        assert SECRET not in str(report.for_reader_in("C1"))
        assert SECRET not in await asyncio.to_thread(Path(report.page).read_text)
        assert "P5 mix" in [name for name, _, _ in report.proofs]
        lines = {line.name: line.channel_id for line in await loop.learning.adapters()}
        assert lines == {adapter.name: "G1", "apprentice-90": ""}
        with pytest.raises(LearningError, match="in its own channel only"):
            await loop.learning.compare("Where is box 1?", [adapter.name], channel_id="C1")
        there = await loop.learning.compare("Where is box 1?", [adapter.name], channel_id="G1")
        assert [name for name, _ in there] == ["the base", adapter.name]


async def test_the_night_has_a_run_for_each_channel_that_said_enough(tmp_path: Path) -> None:
    """After everybody's run one for each; none for a channel that said too little, or does not want one any more."""
    model = write_brief_model(tmp_path / "tiny.gguf")
    async with serving(model, n_ctx=512) as client, opened(f"sqlite+aiosqlite:///{tmp_path}/rows.db") as database:
        policy = replace(PLAIN, least_points=5)
        loop = Loop(database, client, configure(tmp_path, model, policy=policy))
        await teach_in(loop, "G1")
        await teach_in(loop, "G2", count=1)
        for channel in ("G1", "G2"):
            await loop.learning.choose_own(channel, is_wanted=True, by="U1")

        await start_training(loop.learning, "schedule", loop.config.window)

        async with database.read() as session:
            runs = list(await session.scalars(select(Run).order_by(Run.id)))
        assert [(run.channel_id, run.trigger) for run in runs] == [("", "schedule"), ("G1", "schedule")]
        status = await loop.learning.status()
        assert (status.run_id, status.run_channel, status.channels) == (runs[0].id, "", {"G1": "", "G2": ""})

        await loop.learning.choose("channel", "G1", is_allowed=False, by="U1")
        assert await loop.learning.is_chosen(OWN_ADAPTER, "G1") is False
        for _ in runs:
            await loop.runner.work_once()
        ended = [await loop.run(run.id) for run in runs]
        assert [run.state for run in ended] == [RunState.CANCELLED, RunState.FAILED]
        assert "not enough signal yet: 0 of 5" in ended[0].reason, "what is private teaches nobody else"
        assert "no adapter of its own" in ended[1].reason
        assert [report_of(run).channel_id for run in ended] == ["", "G1"]

        await loop.learning.choose_own("G2", is_wanted=False, by="U1")
        assert (await loop.learning.status()).channels == {}
        await start_training(loop.learning, "schedule", loop.config.window)
        await loop.learning.forbid(by="U1")
        async with database.read() as session:
            left = list(await session.scalars(select(Run).where(Run.state == RunState.QUEUED)))
            actions = set(await session.scalars(select(AuditRow.action)))
        assert left == []
        assert {"training.own-adapter", "training.choice", "training.run"} <= actions


def test_who_may_read_a_report() -> None:
    """A public channel's words are everybody's; a private one's are its own."""
    words = BeforeAfter("Where is box 1?", SECRET, "?", SECRET, is_right=True)
    private = RunReport(run_id=1, channel_id="G1", is_private=True, before_after=(words,))

    assert private.for_reader_in("G1").before_after == (words,)
    for reader in ("", "C1", "D1"):
        assert private.for_reader_in(reader).before_after == ()
    assert replace(private, is_private=False).for_reader_in("C1").before_after == (words,)


def test_a_channel_gets_its_own_as_a_whole() -> None:
    """Nobody tries for others what the channel asked for; what is not good enough stays away from it too."""
    canary = Verdict(Decision.CANARY, ("Better: facts.", "A part of the people gets it first."))

    verdict = go_to_all(canary)

    assert verdict.decision is Decision.PROMOTE
    assert verdict.reasons[0] == "Better: facts."
    assert "all its people get it at once" in verdict.reasons[1]
    rejected = Verdict(Decision.REJECT, ("Worse.",))
    assert go_to_all(rejected) == rejected
