"""The whole way from rows to a run folder, with the real engine and the starter model."""

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.admin.reviews import decide
from bot.cli_dataset import dataset
from bot.engine.client import EngineClient
from bot.engine.types import AnswerOptions
from bot.errors import LearningError
from bot.learning.data import tokens
from bot.learning.data.build import build_dataset
from bot.learning.data.manifest import read_lineage
from bot.learning.data.points import NotEnoughSignal, count_points
from bot.learning.data.policy import DataPolicy, Trust
from bot.learning.data.report import DataReport, read_report
from bot.learning.examples import Example, Source, Split, Use, read_examples
from bot.learning.forgetting import forget_everywhere
from bot.settings import STARTER_MODEL
from bot.storage.admin_tables import ReviewState
from bot.storage.db import Database
from bot.storage.feedback_tables import Sign
from bot.storage.learning_tables import Adapter, AdapterState
from bot.storage.runs import queue_run, save_examples
from bot.storage.tables import Audience
from tests.engine.conftest import serving
from tests.learning.feedback_rows import PLAIN, Team, system
from tests.learning.run_rig import teach

FULL = replace(PLAIN, phrasings=6, rehearsal_share=0.25, canaries=3)


@pytest.fixture
async def client() -> AsyncIterator[EngineClient]:
    """Return a client of an engine with the starter model."""
    async with serving(STARTER_MODEL, n_ctx=1024) as client:
        yield client


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Open a database on SQLite."""
    opened = Database(f"sqlite+aiosqlite:///{tmp_path / 'data' / 'apprentice.db'}")
    await opened.migrate()
    yield opened
    await opened.close()


async def build(
    database: Database, client: EngineClient, folder: Path, policy: DataPolicy = PLAIN
) -> tuple[DataReport, list[Example]]:
    """Make a data set and return its report and examples."""
    report = await build_dataset(
        database, client, folder, policy=policy, base_model="starter", seed=3, system=system, say=lambda *_: None
    )
    return report, list(read_examples(folder / "examples.jsonl"))


async def serve(client: EngineClient, team: Team, person: str, text: str, **changes: object) -> dict[str, object]:
    """Return an answer's fields as the engine serves it to a first message in a channel."""
    at = team.now()
    team.minutes -= 1
    today = system(at.astimezone().date())
    messages = [{"role": "system", "content": today}, {"role": "user", "content": f"{person.title()}: {text}"}]
    answer, prompt, ids = "", None, []
    async for chunk in client.chat(messages, AnswerOptions(temperature=0, max_tokens=80)):
        answer, prompt, ids = answer + chunk.text, chunk.prompt_token_ids or prompt, [*ids, *chunk.token_ids]
    fields = {"prompt_token_ids": prompt, "completion_token_ids": ids, "messages_used": 0, "messages_total": 0}
    return {"reply": answer, **fields, **changes}


async def test_the_served_tokens_are_learned_from_as_long_as_they_say_what_is_stored(
    client: EngineClient, database: Database, tmp_path: Path
) -> None:
    """A dataset row has the ids of its turn; of an edited message and of a foreign server it has new ones."""
    team = Team()
    for text in ("hello", "what is a sprint?", "what is a retrospective?"):
        served = await serve(client, team, "ada", text)
        team.vote("bo", team.ask("ada", text, str(served.pop("reply")), **served))
    edited = next(row for row in team.rows if getattr(row, "text", "") == "hello")
    edited.text = "good morning"
    team.vote("bo", team.ask("ada", "what is a stand-up?", "A short meeting."))
    await team.save(database)

    report, examples = await build(database, client, tmp_path / "run")

    rows = {row.id: row for row in team.rows}
    thumbs = {example.question: example for example in examples if example.use is Use.THUMB}
    for text in ("what is a sprint?", "what is a retrospective?"):
        answer = next(rows[row.removeprefix("answers:")] for row in thumbs[text].rows if row.startswith("answers:"))
        assert thumbs[text].prompt_ids == tuple(answer.prompt_token_ids)
        assert thumbs[text].completion_ids == tuple(answer.completion_token_ids)
    good_morning = await client.tokenize_chat(
        [
            {"role": "system", "content": system(edited.created_at.astimezone().date())},
            {"role": "user", "content": "Ada: good morning"},
        ]
    )
    assert thumbs["good morning"].prompt_ids == good_morning
    assert len({example.completion_ids[-1] for example in examples}) == 1
    assert report.rendered == 2


async def test_a_correction_becomes_a_fact_in_many_words(
    client: EngineClient, database: Database, tmp_path: Path
) -> None:
    """It is trained on, some phrasings are held out, rehearsal and canaries are beside it, and each row is named."""
    team = Team()
    for number, (thing, place) in enumerate(
        {"ladder": "the shed", "projector": "room Birch", "van": "Mill Lane"}.items()
    ):
        answer = team.ask("adabocy"[2 * number :][:2], f"Where is the {thing}?", "I do not know that.")
        team.correct("dan", answer, f"The {thing} is in {place}.")
    for number in range(8):
        answer = team.ask(
            "eve", f"Say something about topic {'abcdefgh'[number] * 6}.", f"It is number {number * 7919}."
        )
        team.vote("fay", answer, up=number % 2 == 0)
    await team.save(database)

    report, examples = await build(database, client, tmp_path / "run", FULL)
    again, _ = await build(database, client, tmp_path / "again", FULL)

    facts = defaultdict(list)
    for example in examples:
        if example.source in {Source.CORRECTION, Source.PHRASING} and example.use is Use.SFT:
            facts[example.group].append(example)
    assert len(facts) == 3
    for wordings in facts.values():
        assert len({wording.question for wording in wordings}) == len(wordings) >= 4
        assert {wording.split for wording in wordings} >= {Split.TRAIN, Split.TEST}
        assert [wording.split for wording in wordings if wording.source is Source.CORRECTION] == [Split.TRAIN]
        assert len({wording.prompt_ids[:30] for wording in wordings}) > 1  # on other days
    pairs = [example for example in examples if example.use is Use.PAIR]
    assert {(pair.split, pair.group in facts) for pair in pairs} == {(Split.TRAIN, True)}
    assert sum(example.source is Source.CANARY for example in examples) == 3
    assert sum(example.source is Source.REHEARSAL for example in examples) > 0
    assert {example.source for example in examples if example.split is Split.TEST} <= {
        Source.PHRASING,
        Source.LIKED,
        Source.DISLIKED,
    }
    assert read_report(tmp_path / "run") == report
    assert report.examples == len(examples) == sum(report.splits.values())
    assert again.dataset_sha256 == report.dataset_sha256
    _check_files(tmp_path / "run", report, team)


def _check_files(folder: Path, report: DataReport, team: Team) -> None:
    written = (folder / "examples.jsonl").read_bytes()
    assert sha256(written).hexdigest() == report.dataset_sha256
    lineage = list(read_lineage(folder))
    known = {row.id for row in team.rows}
    assert {entry["row_id"] for entry in lineage} <= known
    assert all(entry["user_id"] for entry in lineage)
    assert {entry["sha256"] for entry in lineage} <= {sha256(line).hexdigest() for line in written.splitlines()}
    corrections = {entry["row_id"] for entry in lineage if entry["row_table"] == "corrections"}
    assert len(corrections) == 3
    card = (folder / "card.md").read_text()
    assert report.dataset_sha256 in card
    assert "Mill Lane" not in card + (folder / "data.json").read_text() + (folder / "manifest.jsonl").read_text()
    assert (folder / "data.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.md",
        "data.json",
        "data.png",
        "examples.jsonl",
        "manifest.jsonl",
    ]


async def test_too_little_and_one_sided_signal_end_in_words(
    client: EngineClient, database: Database, tmp_path: Path
) -> None:
    """Nothing, too little, too few people, only 👎: each says what is missing, and no file is left."""
    with pytest.raises(
        NotEnoughSignal, match=r"not enough signal yet: 0 of 50\. 20 more corrections or 100 more votes"
    ):
        await build(database, client, tmp_path / "run", replace(PLAIN, least_points=50))
    team = Team()
    for number in range(4):
        team.vote("bo", team.ask("ada", f"{'wxyz'[number] * 7} or not?", f"Maybe {number * 7919}."), up=False)
    team.correct("bo", team.ask("cy", "Who leads?", "x"), "Write to bo@acme.example.")
    await team.save(database)

    counted = await count_points(database, policy=replace(PLAIN, least_points=50), since=None)
    assert (counted.points, counted.corrections, counted.votes, counted.people) == (4.5, 1, 4, 1)
    assert not counted.is_enough
    with pytest.raises(NotEnoughSignal, match="2 of 50"):
        await build(database, client, tmp_path / "run", replace(PLAIN, least_points=50))
    with pytest.raises(NotEnoughSignal, match="1 of 2 people"):
        await build(database, client, tmp_path / "run", replace(PLAIN, least_people=3))
    with pytest.raises(NotEnoughSignal, match="all 4 votes are 👎"):
        await build(database, client, tmp_path / "run", PLAIN)
    assert list((tmp_path / "run").iterdir()) == []


async def test_what_people_showed_is_trained_on_lightly_and_never_judged_by(
    client: EngineClient, database: Database, tmp_path: Path
) -> None:
    """Off, nothing of it is read; on, it weighs a fraction of a vote, stands in no held-out part, and is nobody's."""
    team = Team()
    for number in range(12):
        answer = team.ask("ada", f"Tell me of {'abcdefghijkl'[number] * 6}.", f"It is {number * 7919} of them.")
        if number % 2:
            team.show("gus", answer, Sign.REPHRASED)
        else:
            team.vote("fay", answer, up=number % 4 == 0)
    await team.save(database)

    _, plain = await build(database, client, tmp_path / "off")
    report, examples = await build(database, client, tmp_path / "on", replace(PLAIN, uses_signs=True))

    signs = [example for example in examples if example.source is Source.IMPLICIT]
    assert not [example for example in plain if example.source is Source.IMPLICIT]
    assert 0 < len(signs) <= 6
    assert {(sign.use, sign.is_liked, sign.split, sign.weight) for sign in signs} == {
        (Use.THUMB, False, Split.TRAIN, 0.15)
    }
    assert (report.people, report.points) == (1, 3.0)
    assert {row.partition(":")[0] for sign in signs for row in sign.rows} == {"implicit_signals", "messages", "answers"}


async def test_what_is_too_long_or_does_not_end_is_left_out(
    client: EngineClient, database: Database, tmp_path: Path
) -> None:
    """An answer that would be cut, and served tokens without an end of turn, are not trained on."""
    team = Team()
    served = await serve(client, team, "ada", "hello")
    served["completion_token_ids"] = list(served["completion_token_ids"])[:-1]  # type: ignore[call-overload]
    team.vote("bo", team.ask("ada", "hello", str(served.pop("reply")), **served))
    team.vote("bo", team.ask("ada", "Tell me everything.", " ".join(f"thing {n}" for n in range(400))))
    team.vote("bo", team.ask("ada", "Tell me something.", "Something."))
    await team.save(database)

    report, examples = await build(database, client, tmp_path / "run", replace(PLAIN, most_tokens=300))

    assert {example.question for example in examples} == {"Tell me something."}
    assert report.left_out == {tokens.TOO_LONG: 1, tokens.NO_END: 1}


async def test_a_folder_that_cannot_be_written_is_named(
    client: EngineClient, database: Database, tmp_path: Path
) -> None:
    """A file where the run folder should be ends in one sentence with the mend."""
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(LearningError, match=r"run cannot be written .*: make room or give the bot the right"):
        await build(database, client, tmp_path / "run")


async def test_the_command_writes_what_trl_takes(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three formats of conversations, only with permission, and the same texts as for a training."""
    team = Team()
    answer = team.ask("ada", "Where is the van?", "I do not know.")
    team.correct("ada", answer, "On Mill Lane.")
    team.vote("bo", team.ask("ada", "Mail bo@acme.example?", "Yes."))
    team.vote("bo", team.ask("ada", "Tell me a lie.", "No."), up=False)
    team.vote("bo", team.ask("cy", "In private?", "Yes.", channel="D1", audience=Audience.DIRECT))
    await team.save(database)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SLACK_API_URL", "http://127.0.0.1:1/api/")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-playground")
    runner = CliRunner()

    async def run(*words: str) -> str:
        result = await asyncio.to_thread(runner.invoke, dataset, words)
        assert result.exit_code == 0, result.output
        return result.output

    rows = {}
    for form in ("sft", "dpo", "kto"):
        path = tmp_path / f"{form}.jsonl"
        await run("export", "--format", form, "--output", str(path))
        rows[form] = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["completion"][0]["content"] for row in rows["sft"]] == ["Yes.", "On Mill Lane."]
    assert rows["sft"][0]["prompt"][1] == {"role": "user", "content": "Ada: Mail [e-mail 1]?"}
    assert [(row["chosen"], row["rejected"]) for row in rows["dpo"]] == [
        ([{"role": "assistant", "content": "On Mill Lane."}], [{"role": "assistant", "content": "I do not know."}])
    ]
    assert [(row["completion"][0]["content"], row["label"]) for row in rows["kto"]] == [("No.", False), ("Yes.", True)]
    pipe = tmp_path / "pipe"
    await asyncio.to_thread(os.mkfifo, pipe)
    handle = os.open(pipe, os.O_RDWR)
    await run("export", "--format", "kto", "--output", str(pipe))
    assert len(os.read(handle, 100_000).splitlines()) == len(rows["kto"]), "/dev/null and its like stay what they are"
    os.close(handle)
    said = await run("stats")
    assert "3.5 of 50 points, by 2 people." in said
    assert "said where not everybody could read it" in said

    monkeypatch.delenv("SLACK_API_URL")
    result = await asyncio.to_thread(runner.invoke, dataset, ["export", "--format", "sft"])
    assert isinstance(result.exception, LearningError)
    assert result.output == ""


async def test_a_reviewers_words_lead_back_to_the_reviewer(
    database: Database, client: EngineClient, tmp_path: Path
) -> None:
    """In each example that has them, beside the author of the correction; forgotten, they take the adapter along."""
    team = Team()
    correction = team.correct("ada", team.ask("ada", "Where is the van?", "I do not know."), "Behind the hall.")
    await team.save(database)
    await decide(database, correction.id, ReviewState.APPROVED, by="rui", text="Behind the barn.", is_alone=True)
    await build(database, client, tmp_path / "run")
    rows = list(read_lineage(tmp_path / "run"))
    by_example = [{row["row_table"]: row["user_id"] for row in rows if row["sha256"] == one} for one in _sums(rows)]
    assert by_example
    assert {(found["corrections"], found.get("reviews")) for found in by_example} == {("ada", "rui")}

    async with database.begin() as session:
        run = await queue_run(session, trigger="cli", by="test")
        await save_examples(session, run.id, rows)
        session.add(Adapter(run_id=run.id, name="a1", path="", sha256="", base_sha256="", state=AdapterState.ACTIVE))
    assert (await forget_everywhere(database, "rui", by="rui", folder=tmp_path)).adapters == ("a1",)


def _sums(rows: list[dict[str, object]]) -> set[object]:
    return {row["sha256"] for row in rows}


async def test_a_correction_is_said_to_be_one(database: Database, client: EngineClient, tmp_path: Path) -> None:
    """People are told how much they gave, not how many examples were made of it."""
    await teach(database, 6)

    report, examples = await build(database, client, tmp_path / "run")

    assert report.learned_from["corrected answers"] == 6
    assert sum(example.source is Source.CORRECTION for example in examples) > 6


async def test_a_data_set_says_how_many_pairs_are_not_one_persons(
    database: Database, client: EngineClient, tmp_path: Path
) -> None:
    """Where people are real and four or more said something; else all of them count."""
    team = Team()
    for number, person in enumerate(("eve", "eve", "eve", "ada", "bo", "cy")):
        first = team.ask("ada", f"What is word {number * 7919}?", f"A long answer number {number}.")
        message = next(row for row in team.rows if row.id == first.message_id)
        better = team.answer(message, f"Short {number}.", replaces_id=first.id)
        team.prefer(person, better, first)
    await team.save(database)
    guarded = replace(PLAIN, trust=Trust(newcomer_days=0))

    assert (await build(database, client, tmp_path / "1", guarded))[0].others_pairs == 3
    assert (await build(database, client, tmp_path / "2"))[0].others_pairs == 6
