"""Who gets which adapter: over a real database and a real engine with real adapters."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from bot.engine.client import EngineClient
from bot.engine.files.checksum import hash_model
from bot.engine.types import AnswerOptions, ModelInfo
from bot.errors import DeliveryError, EngineError, LearningError
from bot.learning.rollout.evidence import is_broken
from bot.learning.rollout.serving import Rollout, is_drawn
from bot.learning.rollout.shadow import Seen, Shadow
from bot.learning.rollout.watch import Event, Watch
from bot.storage import adapters as store
from bot.storage.audit import ALLOW, FORBID, record
from bot.storage.db import Database
from bot.storage.feedback import save_vote
from bot.storage.learning_tables import Adapter, AdapterState, DecisionRow
from bot.storage.memory_tables import AnswerSource, SourceKind
from bot.storage.runs import find_run, queue_run
from bot.storage.tables import Answer, AnswerState, Audience, Feedback, Vote, now
from tests.builders import answered, said
from tests.engine.tiny_adapter import write_tiny_adapter

MESSAGES = [{"role": "user", "content": "hello"}]
WAITING = {"state": AdapterState.WAITING, "watch": {"decision": "promote"}}


@pytest.fixture
async def rows(tmp_path: Path) -> AsyncIterator[Database]:
    """Open a database."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    await database.migrate()
    yield database
    await database.close()


async def add_adapter(rows: Database, folder: Path, model: Path, number: int, **changes: object) -> Adapter:
    """Store an adapter of random weights as a run would."""
    sha256 = hash_model(model)
    path = write_tiny_adapter(
        folder / f"{number}.gguf", seed=number, metadata={"apprentice.base_sha256": sha256}, strength=0.8
    )
    async with rows.begin() as session:
        run = await queue_run(session, trigger="cli", by="test")
        run.reported_at = now() - timedelta(days=30)  # so that the time to object is that of the adapter
        values = {
            "run_id": run.id,
            "name": f"apprentice-{number}",
            "path": str(path),
            "sha256": hash_model(path),
            "base_sha256": sha256,
            "state": AdapterState.BUILT,
            "canary_share": 0.0,
            "watch": {},
        }
        adapter = Adapter(**values | changes)
        session.add(adapter)
    return adapter


async def state_of(rows: Database, name: str) -> str:
    """Return an adapter's state."""
    async with rows.read() as session:
        found = await store.find_adapter(session, name)
    return str(found.state) if found else ""


async def served(engine: EngineClient) -> set[str]:
    """Return the adapters that the engine serves."""
    return {model.id for model in (await engine.models())[1:]}


async def write(engine: EngineClient, model: str) -> str:
    """Return a greedy answer."""
    options = AnswerOptions(model=model, temperature=0, max_tokens=12)
    return "".join([chunk.text async for chunk in engine.chat(MESSAGES, options)])


async def test_promote_and_roll_back(rows: Database, engine: EngineClient, model: Path, tmp_path: Path) -> None:
    """An adapter answers everybody, another replaces it, and a rollback brings the first back at once."""
    rollout = Rollout(rows, engine)
    for number in (1, 2):
        await add_adapter(rows, tmp_path, model, number)
    base = await write(engine, "tiny")

    assert await rollout.promote("apprentice-1", by="U1", reasons=["better"]) == ""
    first = await write(engine, await rollout.choose("U9", await served(engine)))
    assert await rollout.promote("apprentice-2", by="U1", reasons=["better still"]) == "apprentice-1"
    second = await write(engine, await rollout.choose("U9", await served(engine)))
    assert await served(engine) == {"apprentice-1", "apprentice-2"}, "what a rollback brings back is loaded already"
    taken = await rollout.roll_back(by="U1", reasons=["worse"])

    assert taken == ("apprentice-2", "apprentice-1")
    assert await write(engine, await rollout.choose("U9", await served(engine))) == first
    assert len({base, first, second}) == 3
    assert await rollout.roll_back(by="U1", reasons=["worse"]) == ("apprentice-1", "")
    assert await rollout.choose("U9", await served(engine)) == ""
    with pytest.raises(LearningError, match="no adapter to take back"):
        await rollout.roll_back(by="U1", reasons=[])


async def test_of_two_who_promote_at_once_the_second_is_told(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Otherwise it would count as what it replaced itself, and a rollback would bring nothing back."""
    rollout = Rollout(rows, engine)
    for number in (1, 2):
        await add_adapter(rows, tmp_path, model, number)
    await rollout.promote("apprentice-1", by="U1", reasons=["better"])

    both = [rollout.promote("apprentice-2", by=user, reasons=["better"]) for user in ("U1", "U2")]
    done = await asyncio.gather(*both, return_exceptions=True)

    assert sorted(str(one) for one in done) == [
        "Somebody decided about apprentice-2 meanwhile: it is active now.",
        "apprentice-1",
    ], "either may be the first"
    assert await rollout.roll_back(by="U1", reasons=["worse"]) == ("apprentice-2", "apprentice-1")


async def test_of_two_who_roll_back_at_once_the_second_is_told(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Both mean the adapter that they see; what it gives way to is taken back only by name, or by the same admin."""
    rollout = Rollout(rows, engine)
    for number in (1, 2):
        await add_adapter(rows, tmp_path, model, number)
        await rollout.promote(f"apprentice-{number}", by="U1", reasons=["better"])
    async with rows.begin() as session:
        await session.execute(update(DecisionRow).values(at=now() - timedelta(minutes=1)))

    both = [rollout.roll_back(by=user, reasons=["worse"]) for user in ("U1", "cli:maya")]
    first, second = await asyncio.gather(*both, return_exceptions=True)

    assert first == ("apprentice-2", "apprentice-1")
    assert "apprentice-1 answers now, and nothing was taken back" in str(second)
    assert await state_of(rows, "apprentice-1") == "active"
    named = await rollout.roll_back(by="cli:maya", reasons=["worse"], name="apprentice-1")
    assert named == ("apprentice-1", "")


@pytest.mark.parametrize("decision", ["promote", "canary"])
async def test_an_objection_counts_until_the_last_moment(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path, decision: str
) -> None:
    """The watch read that it waits; while it looked at what else there is, somebody objected."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    long_ago = now() - timedelta(hours=2)
    adapter = await add_adapter(rows, tmp_path, model, 1, **WAITING | {"watch": {"decision": decision}})
    adapter.changed_at = long_ago
    await rollout.veto(adapter.name, by="U1", reason="it is rude")
    watch = watching(rows, rollout, heard)
    watch._veto_time = timedelta(hours=1)

    await watch._wait_with(adapter)

    assert await state_of(rows, adapter.name) == "rejected"
    assert heard == []


async def test_no_adapter_has_so_large_a_number(rows: Database) -> None:
    """A number that no database keeps is the name of nothing."""
    async with rows.read() as session:
        assert await store.find_adapter(session, "9" * 20) is None
        assert await find_run(session, "9" * 20) is None


async def test_a_canary_goes_to_some_and_sticks(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """A share of the people gets it, at least one of the first few, and always the same ones."""
    rollout = Rollout(rows, engine)
    adapter = await add_adapter(rows, tmp_path, model, 1)
    await rollout.start_canary(adapter, share=0.25, by="gate", reasons=["better on its tests"])
    people = [f"U{number}" for number in range(40)]

    first = {user: await rollout.choose(user, {adapter.name}) for user in people}
    again = {user: await rollout.choose(user, {adapter.name}) for user in people}

    assert first == again
    assert 4 <= sum(name == adapter.name for name in first.values()) <= 18
    assert adapter.name in [first[user] for user in people[:4]]
    assert await rollout.choose(people[0], set()) == "", "an engine without it answers with the base"


def test_the_draw_is_a_share() -> None:
    """The draw by hash is near the share, and never an empty canary."""
    drawn = sum(is_drawn("apprentice-7", f"U{number}", 0.25, chosen=1, assigned=9) for number in range(4000))

    assert 0.22 < drawn / 4000 < 0.28
    assert is_drawn("x", "U", 0.0001, chosen=0, assigned=9999)
    assert not is_drawn("x", "U", 0.0, chosen=0, assigned=100)


async def test_an_adapter_of_another_base_is_retired_in_words(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """When the served model has changed since, the base answers and the list says why."""
    adapter = await add_adapter(rows, tmp_path, model, 1, base_sha256="b" * 64, state=AdapterState.ACTIVE)

    await Rollout(rows, engine).loaded.follow()

    assert await state_of(rows, adapter.name) == "retired"
    async with rows.read() as session:
        assert "trained on another model" in (await store.last_reasons(session, adapter.id))[0]
    assert await served(engine) == set()


def flip_a_bit(path: Path) -> None:
    """Change a weight."""
    data = bytearray(path.read_bytes())
    data[-5] ^= 64
    path.write_bytes(data)


async def test_a_changed_file_is_never_served(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """A file that is not the one that was judged is refused, and what is served stays."""
    rollout = Rollout(rows, engine)
    await add_adapter(rows, tmp_path, model, 1)
    bad = await add_adapter(rows, tmp_path, model, 2)
    await rollout.promote("apprentice-1", by="U1", reasons=[])
    flip_a_bit(Path(bad.path))

    with pytest.raises(EngineError, match="SHA-256"):
        await rollout.promote("apprentice-2", by="U1", reasons=[])

    assert await state_of(rows, "apprentice-1") == "active"
    assert await rollout.choose("U1", await served(engine)) == "apprentice-1"


async def vote(rows: Database, name: str, *, ups: int, downs: int) -> None:
    """Let people vote on answers of an adapter."""
    async with rows.begin() as session:
        for number in range(ups + downs):
            message = await said(session, f"question {number}", ts=f"{200 + number}.{name[-1]}", user=f"U{number}")
            answer = await answered(session, message, "An answer of a few words.", adapter=name, finished_at=now())
            await save_vote(session, answer, user_id=f"U{number}", vote=Vote.UP if number < ups else Vote.DOWN)


def watching(rows: Database, rollout: Rollout, heard: list[Event], *, shadow_answers: int = 0) -> Watch:
    """Return a watch that tells the test."""

    async def tell(event: Event) -> None:
        heard.append(event)

    day = timedelta(hours=24)
    shadow = Shadow(rows, rollout.loaded._client, rollout.loaded, wanted=shadow_answers, patience=day)
    return Watch(
        rows,
        rollout,
        canary_time=day,
        veto_time=timedelta(0),
        shadow=shadow if shadow_answers else None,
        tell=tell,
    )


async def test_what_people_dislike_is_taken_back(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """An adapter that is worse live than what it replaced goes, also long after its first day."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    async with rows.begin() as session:
        for number in range(50):
            message = await said(session, f"before {number}", ts=f"{100 + number}.9", user=f"U{number}")
            answer = await answered(session, message, "Fine.", finished_at=now())
            await save_vote(session, answer, user_id=f"U{number}", vote=Vote.DOWN if number < 8 else Vote.UP)
    await add_adapter(rows, tmp_path, model, 1)
    await rollout.promote("apprentice-1", by="gate", reasons=["better"])
    watch = watching(rows, rollout, heard)
    await watch.look()
    assert heard == []

    await vote(rows, "apprentice-1", ups=10, downs=30)
    await watch.look()

    assert [(event.adapter, event.is_rollback, event.serves_now) for event in heard] == [("apprentice-1", True, "")]
    assert "compared with" in heard[0].reasons[0]
    assert await state_of(rows, "apprentice-1") == "rolled_back"
    assert await rollout.choose("U1", await served(engine)) == ""


async def test_what_the_watch_did_is_said_although_it_died_or_slack_was_away(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Once: at the next look, by whichever process; what an admin does is their own to say."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    for number in (1, 2):
        await add_adapter(rows, tmp_path, model, number)
        await rollout.promote(f"apprentice-{number}", by="U1", reasons=[])
    away, back = (watching(rows, rollout, heard) for _ in range(2))
    await rollout.roll_back(by="watch", reasons=["It was disliked."], name="apprentice-2")  # and here it is killed

    async def fail(_event: Event) -> None:
        raise DeliveryError("Slack is away.", is_passing=True)

    away._tell = fail
    await away.look()
    for _ in range(2):
        await back.look()
    assert [(event.adapter, event.is_rollback, event.serves_now) for event in heard] == [
        ("apprentice-2", True, "apprentice-1")
    ]
    await rollout.roll_back(by="U1", reasons=[], name="apprentice-1")
    await back.look()
    assert len(heard) == 1


async def test_what_another_model_put_away_comes_back_with_its_own(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An admin tries another model for a while: then people get again what they got, unless somebody said no to it."""
    rollout = Rollout(rows, engine)
    for number in (1, 2):
        await add_adapter(rows, tmp_path, model, number)
        await rollout.promote(f"apprentice-{number}", by="U1", reasons=[])
    await add_adapter(rows, tmp_path, model, 3, **WAITING)
    watch, real = watching(rows, rollout, []), engine.models
    watch._veto_time = timedelta(microseconds=1)

    async def others() -> list[ModelInfo]:
        base, *adapters = await real()
        return [replace(base, meta={**base.meta, "sha256": "f" * 64}), *adapters]

    monkeypatch.setattr(engine, "models", others)
    await engine.unload_adapter("apprentice-2")
    rollout.loaded.engine_restarted()
    await rollout.loaded.follow()
    await watch.look()
    assert [await state_of(rows, f"apprentice-{number}") for number in (1, 2, 3)] == ["retired", "retired", "waiting"]
    monkeypatch.setattr(engine, "models", real)
    async with rows.begin() as session:
        await session.execute(update(Adapter).where(Adapter.name == "apprentice-3").values(state=AdapterState.REJECTED))
    await watch.look()
    await rollout.loaded.follow()
    assert [await state_of(rows, f"apprentice-{number}") for number in (1, 2)] == ["retired", "active"]
    assert await rollout.choose("U9", await served(engine)) == "apprentice-2"


async def test_the_clock_set_back_blinds_nobody(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """What was promoted in an hour that is still to come is watched now, and what was decided then is not new."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    for number in (1, 2):
        await add_adapter(rows, tmp_path, model, number)
        await rollout.promote(f"apprentice-{number}", by="U1", reasons=[])
    async with rows.begin() as session:
        await session.execute(update(DecisionRow).values(at=now() + timedelta(hours=1)))
    assert await rollout.roll_back(by="U2", reasons=["worse"]) == ("apprentice-2", "apprentice-1")
    async with rows.begin() as session:
        await session.execute(update(Adapter).values(changed_at=now() + timedelta(hours=1)))

    watch = watching(rows, rollout, heard)
    await watch.look()
    await vote(rows, "apprentice-1", ups=0, downs=30)
    await watch.look()
    assert [event.adapter for event in heard] == ["apprentice-1"]


async def test_a_canary_that_nobody_disliked_becomes_active(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """After its time, with answers and no thumb down, it answers everybody; the reason claims no more than that."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    adapter = await add_adapter(rows, tmp_path, model, 1)
    await rollout.start_canary(adapter, share=0.5, by="gate", reasons=[])
    watch = watching(rows, rollout, heard)
    await vote(rows, "apprentice-1", ups=2, downs=0)
    await watch.look()
    assert await state_of(rows, adapter.name) == "canary", "its time has not come"

    await let_a_day_pass(rows, adapter)
    await watch.look()

    assert await state_of(rows, adapter.name) == "active"
    assert "no proof of a gain" in heard[0].reasons[0]


async def test_a_canary_that_somebody_disliked_stays_one(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Also for an answer with a correction in its prompt, which says little of the adapter."""
    rollout = Rollout(rows, engine)
    adapter = await add_adapter(rows, tmp_path, model, 1)
    await rollout.start_canary(adapter, share=0.5, by="gate", reasons=[])
    await vote(rows, adapter.name, ups=2, downs=1)
    async with rows.begin() as session:
        disliked = await session.scalar(select(Feedback.answer_id).filter_by(vote=Vote.DOWN))
        session.add(AnswerSource(answer_id=disliked, position=0, kind=SourceKind.CORRECTION, ref_id="c1"))
    await let_a_day_pass(rows, adapter)
    await watching(rows, rollout, []).look()
    assert await state_of(rows, adapter.name) == "canary"
    async with rows.read() as session:
        assert await store.count_votes(session, adapter.name) == (2, 1), "whoever lists it sees why"

    async with rows.begin() as session:  # they took it back
        await session.execute(update(Feedback).where(Feedback.vote == Vote.DOWN).values(superseded_at=now()))
    await watching(rows, rollout, []).look()
    assert await state_of(rows, adapter.name) == "active"


async def test_what_nobody_objected_to_is_served_or_says_why_not(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """When the time for objections is over it answers everybody, and a report tells; a damaged one is rejected."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    waits = WAITING | {"changed_at": now() - timedelta(hours=2)}
    bad = await add_adapter(rows, tmp_path, model, 1, **waits)
    await add_adapter(rows, tmp_path, model, 2, **waits)
    flip_a_bit(Path(bad.path))
    watch = watching(rows, rollout, heard)
    await watch.look()
    assert heard == [], "without a time to object, somebody has to decide"

    watch._veto_time = timedelta(hours=1)
    await watch.look()

    assert (await state_of(rows, "apprentice-1"), await state_of(rows, "apprentice-2")) == ("rejected", "active")
    assert [(event.adapter, event.is_rollback, event.was_served) for event in heard] == [
        ("apprentice-1", True, False),
        ("apprentice-2", False, True),
    ]


async def test_what_waits_answers_in_shadow_first(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """It is served when it answered as many questions of the day as were asked for; nobody hears its answers."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    adapter = await add_adapter(rows, tmp_path, model, 1, **WAITING)
    watch = watching(rows, rollout, heard, shadow_answers=7)
    await serve_answers(rows, engine, adapter, 0, 4)
    await watch.look()
    assert await seen_of(rows, adapter) == Seen(), "four are not worth loading it"

    await serve_answers(rows, engine, adapter, 4, 8)
    await watch.look()
    assert ((await seen_of(rows, adapter)).answers, await state_of(rows, adapter.name)) == (5, "waiting")
    assert await rollout.choose("U1", await served(engine)) == "", "nobody gets it yet"
    await watch.look()

    assert await state_of(rows, adapter.name) == "active"
    # How many of a random model's answers run in a loop is the processor's rounding.
    assert "In shadow it answered 7 questions of the day" in heard[0].reasons[0]
    async with rows.read() as session:
        assert await store.newest_answers(session, adapter.name, since=adapter.changed_at, limit=9) == []


async def test_what_fails_in_shadow_is_thrown_away(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Nobody ever got it; whoever is told hears why."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    adapter = await add_adapter(rows, tmp_path, model, 1, **WAITING)
    # What was served is a tenth of what it says: everything is cut at five times the length, and counted as too long.
    await serve_answers(rows, engine, adapter, 0, 5, tokens=1)
    await watching(rows, rollout, heard, shadow_answers=5).look()

    assert await state_of(rows, adapter.name) == "rejected"
    assert [(event.is_rollback, event.was_served) for event in heard] == [(True, False)]
    assert "times as long" in heard[0].reasons[0]


async def test_shadow_waits_no_longer_than_a_day_and_looks_at_nothing_foreign(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Where another organisation reads along no adapter answers, not even unseen; with no question it is served."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    adapter = await add_adapter(rows, tmp_path, model, 1, **WAITING)
    watch = watching(rows, rollout, heard, shadow_answers=5)
    await serve_answers(rows, engine, adapter, 0, 5, audience=Audience.SHARED)
    await watch.look()
    assert (await seen_of(rows, adapter)).answers == 0
    await serve_answers(rows, engine, adapter, 5, 10, text="la " * 200)  # as it was asked to
    await watch.look()
    assert (await seen_of(rows, adapter)).answers == 0
    assert await state_of(rows, adapter.name) == "waiting"

    await let_a_day_pass(rows, adapter)
    await watch.look()

    assert await state_of(rows, adapter.name) == "active"
    assert "Nobody asked anything" in heard[0].reasons[0]


async def let_a_day_pass(rows: Database, adapter: Adapter) -> None:
    """Let an adapter stand where it stands since more than a day."""
    async with rows.begin() as session:
        fresh = await store.find_adapter(session, adapter.name)
        assert fresh is not None
        fresh.changed_at = now() - timedelta(hours=25)


async def serve_answers(
    rows: Database,
    engine: EngineClient,
    adapter: Adapter,
    first: int,
    last: int,
    *,
    tokens: int = 150,
    audience: Audience = Audience.PUBLIC,
    text: str = "An answer.",
) -> None:
    """Store answers of the base to questions of today, with the tokens of their prompts."""
    prompt = await engine.tokenize_chat(MESSAGES)
    async with rows.begin() as session:
        for number in range(first, last):
            message = await said(session, f"question {number}", ts=f"{400 + number}.1")
            await answered(
                session,
                message,
                text,
                audience=audience,
                model_sha256=adapter.base_sha256,
                prompt_token_ids=list(prompt),
                completion_token_ids=list(range(tokens)),
                finished_at=now(),
            )


async def seen_of(rows: Database, adapter: Adapter) -> Seen:
    """Return what was seen of an adapter in shadow."""
    async with rows.read() as session:
        found = await store.find_adapter(session, adapter.name)
    assert found is not None
    return Seen.of(found)


async def test_empty_answers_take_an_adapter_back_at_once(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Three broken answers need no statistics."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    await add_adapter(rows, tmp_path, model, 1)
    await rollout.promote("apprentice-1", by="gate", reasons=[])
    async with rows.begin() as session:
        for number in range(3):
            message = await said(session, "hello", ts=f"{300 + number}.1")
            await answered(session, message, "yes no " * 40, adapter="apprentice-1", finished_at=now())

    await watching(rows, rollout, heard).look()

    assert heard[0].is_rollback
    assert "loop" in heard[0].reasons[0]


async def ask_once(rows: Database, user: str, ts: str, text: str, *, question: str = "hello") -> Answer:
    """Let somebody get an answer of the adapter."""
    async with rows.begin() as session:
        message = await said(session, question, ts=ts, user=user)
        return await answered(session, message, text, adapter="apprentice-1", finished_at=now())


async def test_what_is_not_stored_is_not_empty(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Of whoever wants nothing stored no answer has a word left: three of them took everybody's adapter back."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    await add_adapter(rows, tmp_path, model, 1)
    await rollout.promote("apprentice-1", by="gate", reasons=[])
    for number in range(5):
        await ask_once(rows, "U1", f"{300 + number}.1", "", question="")

    await watching(rows, rollout, heard).look()

    assert heard == []
    assert await state_of(rows, "apprentice-1") == "active"


async def test_one_of_several_people_decides_nothing(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Who has it run in a loop, or says much, neither takes everybody's adapter back nor gives everybody a canary."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    canary = await add_adapter(rows, tmp_path, model, 1)
    await rollout.start_canary(canary, share=0.5, by="gate", reasons=[])
    for number, user in enumerate(("U1", "U2", "U3", "U4")):
        await ask_once(rows, user, f"{300 + number}.1", "Fine.")
    for number in range(40):
        answer = await ask_once(rows, "U1", f"{400 + number}.1", "yes no " * 40)
        async with rows.begin() as session:
            await save_vote(session, answer, user_id="U1", vote=Vote.UP)
    watch = watching(rows, rollout, heard)
    await watch.look()
    async with rows.begin() as session:
        await session.execute(update(Feedback).values(vote=Vote.DOWN))
    await watch.look()
    assert heard == []
    assert await state_of(rows, "apprentice-1") == "canary"

    await ask_once(rows, "U2", "500.1", "yes no " * 40)
    await watch.look()

    assert heard[0].is_rollback


async def test_nothing_gets_to_more_people_when_training_is_off(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """What waits goes on waiting after `train off`, also once it is on again; what comes afterwards is served."""
    heard: list[Event] = []
    rollout = Rollout(rows, engine)
    adapter = await add_adapter(rows, tmp_path, model, 1, **WAITING)
    await let_a_day_pass(rows, adapter)
    watch = watching(rows, rollout, heard)
    watch._veto_time, watch._is_off = timedelta(hours=1), True
    await watch.look()
    assert await state_of(rows, "apprentice-1") == "waiting", "`TRAINING_ENABLED=false`"
    watch._is_off = False
    async with rows.begin() as session:
        record(session, FORBID, by="U1")
    await watch.look()
    assert await state_of(rows, "apprentice-1") == "waiting"

    async with rows.begin() as session:
        record(session, ALLOW, by="U1")
    await add_adapter(rows, tmp_path, model, 2, **WAITING)
    watch._veto_time = timedelta(microseconds=1)
    await watch.look()

    assert [await state_of(rows, f"apprentice-{number}") for number in (1, 2)] == ["waiting", "active"]


@pytest.mark.parametrize(
    ("state", "text", "broken"),
    [
        (AnswerState.COMPLETE, "", True),
        (AnswerState.COMPLETE, "ok " * 60, True),
        (AnswerState.COMPLETE, "ok " * 5, False),
        (AnswerState.FAILED, "", True),
        (AnswerState.FAILED, "Words that Slack did not take.", False),
        (AnswerState.STOPPED, "", False),
    ],
)
def test_what_is_broken(state: AnswerState, text: str, broken: bool) -> None:
    """Empty texts, loops and failures of the engine are; short answers, and failures of others, are not."""
    assert is_broken(Answer(state=state, text=text)) is broken


async def test_no_answer_fails_while_adapters_change(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Promote and roll back under load: every question gets an answer of what was chosen for it."""
    rollout = Rollout(rows, engine)
    for number in (1, 2):
        await add_adapter(rows, tmp_path, model, number)
    answers: list[tuple[str, str]] = []
    is_over = asyncio.Event()

    async def ask(user: str) -> None:
        while not is_over.is_set():
            name = await rollout.choose(user, await served(engine))
            answers.append((name, await write(engine, name or "tiny")))

    asking = [asyncio.create_task(ask(f"U{number}")) for number in range(3)]
    for _ in range(4):
        await rollout.promote("apprentice-1", by="U1", reasons=[])
        await rollout.promote("apprentice-2", by="U1", reasons=[])
        await rollout.roll_back(by="U1", reasons=[])
        await rollout.roll_back(by="U1", reasons=[])
    is_over.set()
    await asyncio.gather(*asking)

    texts = {name: {text for other, text in answers if other == name} for name, _ in answers}
    assert all(len(different) == 1 for different in texts.values()), "no answer mixes two adapters"
    assert len(answers) > 10


async def test_a_folder_that_was_moved_has_its_adapters_still(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """DATA_DIR lies elsewhere since: what is served is found there, by its checksum, and so is what is promoted."""
    now_there = tmp_path / "learning"
    for number, state in ((1, AdapterState.ACTIVE), (2, AdapterState.RETIRED)):
        adapter = await add_adapter(rows, tmp_path, model, number, state=state)
        place = now_there / "runs" / str(adapter.run_id) / f"{number}.gguf"
        place.parent.mkdir(parents=True)
        shutil.move(adapter.path, place)
    rollout = Rollout(rows, engine, now_there)

    await rollout.loaded.follow()
    assert await served(engine) == {"apprentice-1"}
    await rollout.promote("apprentice-2", by="U1", reasons=[])
    assert await rollout.choose("U1", await served(engine)) == "apprentice-2"


async def test_what_only_another_bot_can_read_is_not_taken_back(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """The base answers here; for everybody else nothing changes, and it is served once its file can be read."""
    adapter = await add_adapter(rows, tmp_path, model, 1, state=AdapterState.ACTIVE)
    waiting = await add_adapter(rows, tmp_path, model, 2, **WAITING)
    for path in (adapter.path, waiting.path):
        shutil.move(path, f"{path}.away")
    rollout = Rollout(rows, engine, tmp_path / "own" / "learning")
    watch = watching(rows, rollout, [])
    watch._veto_time = timedelta(microseconds=1)

    await rollout.loaded.follow()
    with suppress(EngineError, LearningError):
        await watch.look()
    assert [await state_of(rows, f"apprentice-{number}") for number in (1, 2)] == ["active", "waiting"]
    assert await served(engine) == set()

    shutil.move(f"{adapter.path}.away", adapter.path)
    rollout.loaded.engine_restarted()
    await rollout.loaded.follow()
    assert await served(engine) == {"apprentice-1"}


async def test_what_the_engine_takes_back_is_said(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """An adapter whose own file is gone gives way to what it replaced, and people are told why."""
    rollout = Rollout(rows, engine, tmp_path)
    await add_adapter(rows, tmp_path, model, 1, state=AdapterState.RETIRED)
    gone = await add_adapter(
        rows, tmp_path, model, 2, state=AdapterState.ACTIVE, watch={"replaced": "apprentice-1", "floor": 0.1}
    )
    shutil.move(gone.path, f"{gone.path}.away")
    heard: list[Event] = []

    await rollout.loaded.follow()
    await watching(rows, rollout, heard).look()

    assert [await state_of(rows, f"apprentice-{number}") for number in (1, 2)] == ["active", "rolled_back"]
    assert [(event.adapter, event.is_rollback, event.serves_now) for event in heard] == [
        ("apprentice-2", True, "apprentice-1")
    ]
    assert "2.gguf" in heard[0].reasons[0]
