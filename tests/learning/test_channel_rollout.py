"""Channels with adapters of their own: who gets which, and what goes with what. Real rows, a real engine and files."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.engine.client import EngineClient
from bot.engine.types import MOST_ADAPTERS
from bot.errors import LearningError
from bot.learning.channels import ask_for_own, give_up_own, new_since
from bot.learning.rollout.evidence import choose_floor
from bot.learning.rollout.loading import choose_needed
from bot.learning.rollout.serving import Rollout
from bot.learning.rollout.watch import Event
from bot.storage import adapters as store
from bot.storage.asking_tables import PRIVATE
from bot.storage.channels import is_private, own_channels
from bot.storage.db import Database
from bot.storage.feedback import save_vote
from bot.storage.learning_tables import Adapter, AdapterState
from bot.storage.tables import Audience, Vote, now
from bot.storage.threads import Place, join_thread
from tests.builders import answered, said
from tests.learning.test_rollout import add_adapter, rows, served, state_of, vote, watching, write

__all__ = ["rows"]  # a fixture


@pytest.fixture
async def away(tmp_path: Path) -> AsyncIterator[EngineClient]:
    """Return a client of an engine that is not there: the database says who gets what all the same."""
    async with EngineClient(socket_path=tmp_path / "no.sock") as client:
        yield client


async def ask(rows: Database, *channels: str, wants: bool = True) -> None:
    """Let channels ask for their own adapter, or give it up."""
    async with rows.begin() as session:
        for channel in channels:
            await (ask_for_own if wants else give_up_own)(session, channel, by="U0")


async def reasons(rows: Database, name: str) -> tuple[str, ...]:
    """Return why an adapter is in its state."""
    async with rows.read() as session:
        found = await store.find_adapter(session, name)
        return await store.last_reasons(session, found.id) if found else ()


async def test_a_channel_gets_its_own_and_others_do_not(
    rows: Database, engine: EngineClient, model: Path, tmp_path: Path
) -> None:
    """Beside everybody's there can be one for each channel; replacing and taking back stays within the channel."""
    await ask(rows, "G1")
    rollout = Rollout(rows, engine)
    await add_adapter(rows, tmp_path, model, 1)
    for number in (2, 3):
        await add_adapter(rows, tmp_path, model, number, channel_id="G1")
    assert await rollout.promote("apprentice-1", by="gate", reasons=[]) == ""
    assert await rollout.promote("apprentice-2", by="gate", reasons=[]) == "apprentice-1"

    async def answers(channel: str) -> str:
        return await rollout.choose("U1", await served(engine), channel)

    assert [await answers(channel) for channel in ("", "C1", "G1")] == ["apprentice-1", "apprentice-1", "apprentice-2"]
    assert len({await write(engine, name) for name in ("tiny", "apprentice-1", "apprentice-2")}) == 3
    assert await rollout.choose("U1", {"apprentice-1"}, "G1") == "apprentice-1", "while its own is away"

    assert await rollout.promote("apprentice-3", by="gate", reasons=[]) == "apprentice-2"
    assert [await state_of(rows, f"apprentice-{number}") for number in (1, 2, 3)] == ["active", "retired", "active"]
    assert await rollout.roll_back(by="U0", reasons=["worse"], name="apprentice-3") == ("apprentice-3", "apprentice-2")
    assert await rollout.roll_back(by="U0", reasons=["worse"], name="apprentice-2") == ("apprentice-2", "apprentice-1")
    assert await answers("G1") == "apprentice-1"
    assert await rollout.roll_back(by="U0", reasons=["worse"]) == ("apprentice-1", "")


async def test_what_somebody_asks_for_their_own_eyes_makes_no_channel_another(rows: Database) -> None:
    """A channel in which the slash command was used can have its own, and a public one stays public."""
    async with rows.begin() as session:
        for channel, audience in (("G1", Audience.PRIVATE), ("C1", Audience.PUBLIC)):
            await join_thread(session, Place("T1", channel, "1.0"), audience=audience)
            await join_thread(session, Place("T1", channel, f"{PRIVATE}1"), audience=Audience.DIRECT)
    await ask(rows, "G1", "C1")

    async with rows.read() as session:
        assert await own_channels(session) == ["C1", "G1"]
        assert [await is_private(session, channel) for channel in ("C1", "G1")] == [False, True]


async def test_everybodys_canary_and_successor_leave_channels_alone(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path
) -> None:
    """A channel's own is no canary, retires none, and is not retired by what everybody gets next."""
    await ask(rows, "G1")
    rollout = Rollout(rows, away)
    team = [await add_adapter(rows, tmp_path, model, number) for number in (1, 2)]
    own = await add_adapter(rows, tmp_path, model, 3, channel_id="G1")
    await rollout.promote("apprentice-1", by="gate", reasons=[])
    await rollout.start_canary(team[1], share=1.0, by="gate", reasons=[])
    await rollout.promote("apprentice-3", by="gate", reasons=[])

    assert await rollout.choose("U1", {"apprentice-1", "apprentice-2", "apprentice-3"}) == "apprentice-2"
    assert await rollout.choose("U1", {"apprentice-1", "apprentice-2", "apprentice-3"}, "G1") == "apprentice-3"
    await rollout.promote("apprentice-2", by="U0", reasons=[])
    assert [await state_of(rows, f"apprentice-{number}") for number in (1, 2, 3)] == ["retired", "active", "active"]
    with pytest.raises(LearningError, match="for one channel"):
        await rollout.start_canary(own, share=0.5, by="U0", reasons=[])
    assert (await rollout.roll_back(by="U0", reasons=["worse"]))[0] == "apprentice-2", "the newest is not a channel's"


async def test_what_is_mixed_in_takes_the_channels_adapter_with_it(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path
) -> None:
    """The reason says so, it cannot be served again, and all that the channel said is new to the next one."""
    await ask(rows, "G1", "C2")
    rollout = Rollout(rows, away)
    await add_adapter(rows, tmp_path, model, 1)
    await add_adapter(rows, tmp_path, model, 2, channel_id="G1", mixed_with="apprentice-1")
    await add_adapter(rows, tmp_path, model, 3, channel_id="C2")
    for number in (1, 2, 3):
        await rollout.promote(f"apprentice-{number}", by="gate", reasons=[])

    async with rows.begin() as session:
        for number in range(3):
            message = await said(session, "hello", ts=f"{300 + number}.1")
            await answered(session, message, "", adapter="apprentice-1", finished_at=now())
    heard: list[Event] = []
    await watching(rows, rollout, heard).look()

    assert [(event.adapter, event.channel_id) for event in heard] == [("apprentice-1", ""), ("apprentice-2", "G1")]

    assert [await state_of(rows, f"apprentice-{number}") for number in (1, 2, 3)] == [
        "rolled_back",
        "rolled_back",
        "active",
    ]
    said_why = await reasons(rows, "apprentice-2")
    assert said_why[0] == "apprentice-1 is mixed into it, and was taken back."
    assert "empty or ran in a loop" in said_why[1]
    with pytest.raises(LearningError, match="has apprentice-1 mixed into it"):
        await rollout.promote("apprentice-2", by="U0", reasons=[])
    async with rows.read() as session:
        assert await new_since(session, "G1") is None


async def test_the_watch_looks_at_a_channel_with_its_own_votes(
    rows: Database, away: EngineClient, model: Path, tmp_path: Path
) -> None:
    """It is compared with what that channel thought of what it had before, and taken back alone."""
    heard: list[Event] = []
    await ask(rows, "G1")
    rollout = Rollout(rows, away)
    async with rows.begin() as session:
        for number in range(60):
            place = Place("T1", "G1" if number < 20 else "C1", f"{500 + number}.9")
            message = await said(session, "before", ts=f"{500 + number}.9", place=place, user=f"U{number}")
            answer = await answered(session, message, "Fine.", finished_at=now())
            await save_vote(session, answer, user_id=f"U{number}", vote=Vote.UP if number < 20 else Vote.DOWN)
    await add_adapter(rows, tmp_path, model, 1)
    own = await add_adapter(rows, tmp_path, model, 2, channel_id="G1")
    for number in (1, 2):
        await rollout.promote(f"apprentice-{number}", by="gate", reasons=[])
    async with rows.read() as session:
        found = await store.find_adapter(session, own.name)
        assert found is not None
        assert found.watch["floor"] == choose_floor(0, 0), "apprentice-1 has no votes there yet"
        votes = await store.votes_by_person(session, None, channel_id="G1")
        assert votes == {f"U{number}": (1, 0) for number in range(20)}
        assert len(await store.votes_by_person(session, None)) == 60
    async with rows.begin() as session:
        await store.set_watch(session, found.id, {**found.watch, "floor": choose_floor(20, 0)})

    await vote(rows, "apprentice-2", ups=10, downs=30)
    await watching(rows, rollout, heard).look()

    assert [(event.adapter, event.channel_id, event.serves_now) for event in heard] == [
        ("apprentice-2", "G1", "apprentice-1")
    ]
    assert await state_of(rows, "apprentice-1") == "active"


async def test_who_can_have_one(rows: Database, away: EngineClient, model: Path, tmp_path: Path) -> None:
    """No direct message, no channel shared with others, no third one; what is given up is free for another at once."""
    async with rows.begin() as session:
        await join_thread(session, Place("T1", "S1", "1.0"), audience=Audience.SHARED)
    for channel, said_so in (("D1", "direct message"), ("S1", "another organisation")):
        with pytest.raises(LearningError, match=said_so):
            await ask(rows, channel)
    await ask(rows, "G1", "C2")
    await ask(rows, "G1")
    with pytest.raises(LearningError, match="the engine has no room for more"):
        await ask(rows, "C3")
    rollout = Rollout(rows, away)
    await add_adapter(rows, tmp_path, model, 1, channel_id="G1")
    await rollout.promote("apprentice-1", by="gate", reasons=[])

    await ask(rows, "G1", wants=False)

    assert await state_of(rows, "apprentice-1") == "retired"
    assert await reasons(rows, "apprentice-1") == ("Its channel does without an adapter of its own.",)
    assert await rollout.choose("U1", {"apprentice-1"}, "G1") == ""
    with pytest.raises(LearningError, match="learn-from-channel own"):
        await rollout.promote("apprentice-1", by="U0", reasons=[])
    await ask(rows, "C3")


def adapters(*channels: str, **changes: Any) -> list[Adapter]:
    """Return adapters of channels, the empty ones everybody's."""
    return [Adapter(name=f"a{number}", channel_id=channel, **changes) for number, channel in enumerate(channels)]


def test_channels_make_room_for_what_is_judged() -> None:
    """Everybody's stay, and so does the one that a channel's candidate is compared with."""
    live = adapters("", "", "C1", "C2")
    names = [adapter.name for adapter in choose_needed(live, room=MOST_ADAPTERS, judged=[])]
    assert names == ["a0", "a1", "a2", "a3"]
    for judged, expected in (("", ["a0", "a1", "a2"]), ("C1", ["a0", "a1", "a2"]), ("C2", ["a0", "a1", "a3"])):
        found = choose_needed(live, room=MOST_ADAPTERS - 1, judged=adapters(judged))
        assert [adapter.name for adapter in found] == expected


async def test_a_full_engine_still_judges(rows: Database, engine: EngineClient, model: Path, tmp_path: Path) -> None:
    """There is a place to compare and to judge; the channel that makes room gets everybody's for as long."""
    await ask(rows, "C1", "C2")
    rollout = Rollout(rows, engine)
    earlier = await add_adapter(rows, tmp_path, model, 9, state=AdapterState.RETIRED)
    await add_adapter(rows, tmp_path, model, 1, state=AdapterState.ACTIVE, watch={"replaced": earlier.name})
    await add_adapter(rows, tmp_path, model, 2, state=AdapterState.CANARY)
    for number in (3, 4):
        await add_adapter(rows, tmp_path, model, number, state=AdapterState.ACTIVE, channel_id=f"C{number - 2}")
    await rollout.loaded.follow()
    assert await served(engine) == {f"apprentice-{number}" for number in (1, 2, 3, 4)}, "no room for what was before"

    async with rollout.loaded.lending(earlier):
        await rollout.loaded.follow()
        assert await served(engine) == {f"apprentice-{number}" for number in (1, 2, 3, 9)}
    await rollout.loaded.follow()
    assert [await state_of(rows, f"apprentice-{number}") for number in (3, 4)] == ["active"] * 2, "only out of the way"
    assert await served(engine) == {f"apprentice-{number}" for number in (1, 2, 3, 4)}

    candidate = await add_adapter(rows, tmp_path, model, 5, channel_id="C2")
    await rollout.loaded.make_room()
    assert len(await served(engine)) == 3
    await rollout.loaded.ensure_loaded(candidate)
    await rollout.loaded.follow()

    assert await served(engine) == {f"apprentice-{number}" for number in (1, 2, 4, 5)}
    assert await rollout.choose("U1", await served(engine), "C1") in {"apprentice-1", "apprentice-2"}
    await rollout.promote("apprentice-5", by="gate", reasons=[])
    await rollout.loaded.follow()
    assert await served(engine) == {f"apprentice-{number}" for number in (1, 2, 3, 5)}
    assert await rollout.choose("U1", await served(engine), "C1") == "apprentice-3"
