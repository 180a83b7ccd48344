"""What an adapter of a channel's own may learn from, and what everybody's may not then. A real database, no engine."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.learning.data import eligibility
from bot.learning.data.drafts import Draft
from bot.learning.data.gathering import Harvest, look, read_drafts
from bot.learning.data.points import count_points
from bot.learning.data.policy import DataPolicy
from bot.storage.choices import OWN_ADAPTER, load_opted_out, save_choice
from bot.storage.db import Database
from bot.storage.tables import Audience
from tests.learning.feedback_rows import Team, system
from tests.learning.test_data_gathering import FREE, WORDS

PLACES = {
    "C1": Audience.PUBLIC,
    "C2": Audience.PUBLIC,
    "G1": Audience.PRIVATE,
    "G2": Audience.PRIVATE,
    "S1": Audience.SHARED,
    "D1": Audience.DIRECT,
}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Open a database."""
    opened = Database(f"sqlite+aiosqlite:///{tmp_path / 'rows.db'}")
    await opened.migrate()
    yield opened
    await opened.close()


async def gather(database: Database, policy: DataPolicy) -> tuple[list[Draft], Harvest]:
    """Return what would be learned from."""
    harvest = await look(database, policy=policy, system=system, since=None)
    return [draft async for draft, _ in read_drafts(database, harvest, say=lambda *_: None)], harvest


def talk(rng: random.Random) -> tuple[Team, dict[str, str]]:
    """Return a team that talks everywhere, and in which channel each row of it was said."""
    team, where = Team(), {}
    for number in range(90):
        channel = rng.choice(list(PLACES))
        text = f"{rng.choice(WORDS)} {rng.choice(WORDS)} {number * 7919}?"
        before = len(team.rows)
        answer = team.ask(
            person := rng.choice("abcdefgh"),
            text,
            f"It is {rng.choice(WORDS)} {number}.",
            thread=f"{channel}-{rng.randrange(5)}",
            channel=channel,
            audience=PLACES[channel],
        )
        answer.messages_used = rng.randrange(3)
        if rng.random() < 0.5:
            team.correct(person, answer, f"It is {rng.choice(WORDS)}, truly {number}.", is_for_everyone=True)
        else:
            team.vote(rng.choice("abcdefgh"), answer, up=rng.random() < 0.6)
        where.update({row.id: channel for row in team.rows[before:]})
    team.refuse("person", "a")
    return team, where


@pytest.mark.parametrize("seed", range(6))
async def test_a_channel_and_everybody_learn_apart(database: Database, seed: int) -> None:
    """No row of elsewhere is in a channel's data set, and none of a private channel with its own in everybody's."""
    team, where = talk(random.Random(seed))
    await team.save(database)
    async with database.begin() as session:
        for channel in ("G1", "C1", "S1", "D1"):
            await save_choice(session, kind=OWN_ADAPTER, subject_id=channel, is_allowed=True, by="U")

    for channel in ("G1", "C1"):
        drafts, _ = await gather(database, FREE.for_channel(channel))
        assert drafts
        for draft in drafts:
            assert {where[row_id] for _, row_id, _ in draft.rows} == {channel}
            assert "a" not in {*draft.people, *(person for _, _, person in draft.rows)}
    for channel in ("S1", "D1"):
        assert (await gather(database, FREE.for_channel(channel)))[0] == [], "shared and direct ones never"
    drafts, harvest = await gather(database, FREE)
    seen = {where[row_id] for draft in drafts for _, row_id, _ in draft.rows}
    assert "G1" not in seen
    assert {"C1", "C2"} <= seen
    assert harvest.left_out[eligibility.OWN_CHANNEL]


async def test_the_cheap_count_knows_channels(database: Database) -> None:
    """A channel counts what was said there; everybody's count has nothing of a private channel with its own."""
    team = Team()
    for number, (channel, audience) in enumerate([("C1", Audience.PUBLIC), ("G1", Audience.PRIVATE)] * 2):
        for person in "bc":
            answer = team.ask(
                person, f"{WORDS[number]} of {person}?", "I do not know.", channel=channel, audience=audience
            )
            team.correct(person, answer, f"{WORDS[number]}, for {person}.", is_for_everyone=True)
    await team.save(database)

    async def count(policy: DataPolicy) -> tuple[int, int]:
        counted = await count_points(database, policy=policy, since=None)
        return counted.corrections, counted.people_needed

    assert await count(FREE) == (8, 0)
    async with database.begin() as session:
        await save_choice(session, kind=OWN_ADAPTER, subject_id="G1", is_allowed=True, by="U")
    assert await count(FREE) == (4, 0)
    assert await count(FREE.for_channel("G1")) == (4, 0)
    async with database.begin() as session:
        await save_choice(session, kind=OWN_ADAPTER, subject_id="G1", is_allowed=False, by="U")
        assert (await load_opted_out(session)).own == frozenset()
    assert await count(FREE) == (8, 0)
