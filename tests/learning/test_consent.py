"""Who is learned from: nobody before an admin turns their channel on, and nobody who does not want it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest

from bot.learning.data.gathering import look, read_drafts
from bot.learning.data.points import count_points
from bot.learning.data.policy import Cap
from bot.learning_parts import read_policy
from bot.settings import PLAYGROUND_TOKEN, Settings
from bot.storage.choices import CHANNEL, OWN_ADAPTER, PERSON, save_choice
from bot.storage.db import Database
from bot.storage.tables import Audience
from tests.learning.feedback_rows import PLAIN, Team, system

PEOPLE: dict[str, Sequence[bool]] = {"silent": [], "willing": [True], "unwilling": [False], "changed": [True, False]}
CHANNELS: dict[str, Sequence[tuple[str, bool]]] = {
    "silent": [],
    "on": [(CHANNEL, True)],
    "off": [(CHANNEL, False)],
    "off again": [(CHANNEL, True), (CHANNEL, False)],
    "own": [(CHANNEL, True), (OWN_ADAPTER, True)],
}
AUDIENCES = (Audience.PUBLIC, Audience.PRIVATE, Audience.SHARED, Audience.DIRECT)
CASES = list(product(PEOPLE, CHANNELS, AUDIENCES, (False, True)))
FREE = replace(PLAIN, person_cap=Cap(share=1, least=9999), channel_cap=Cap(share=1, least=9999))


def channel_of(chosen: str, audience: Audience) -> str:
    """Return the id of the channel where something was chosen."""
    return f"{'D' if audience is Audience.DIRECT else 'C'}{audience[:2].upper()}{chosen.replace(' ', '').upper()}"


def is_expected(person: str, chosen: str, audience: Audience, *, is_for_all: bool, needs_consent: bool) -> bool:
    """Return whether the words may be in what everybody gets, told apart from how the code decides it."""
    if person in {"unwilling", "changed"} or chosen in {"off", "off again"} or audience is Audience.SHARED:
        return False
    if audience is Audience.DIRECT:
        return is_for_all and chosen != "own"
    if audience is Audience.PRIVATE and (not is_for_all or chosen == "own"):
        return False
    return chosen in {"on", "own"} or not needs_consent


async def say_everything(database: Database) -> None:
    """Let each kind of person teach something in each kind of channel."""
    team = Team()
    for number, (person, chosen, audience, is_for_all) in enumerate(CASES):
        place = {"channel": channel_of(chosen, audience), "audience": audience}
        answer = team.ask(person, f"Where is thing {number * 7919} of {person}?", "I do not know.", **place)
        team.correct(person, answer, f"It is in box {number}.", is_for_everyone=is_for_all)
    await team.save(database)
    async with database.begin() as session:
        for person, choices in PEOPLE.items():
            for is_allowed in choices:
                await save_choice(session, kind=PERSON, subject_id=person, is_allowed=is_allowed, by=person)
                await session.flush()
        for chosen, audience in product(CHANNELS, AUDIENCES):
            channel_id = channel_of(chosen, audience)
            for kind, is_allowed in CHANNELS[chosen]:
                await save_choice(session, kind=kind, subject_id=channel_id, is_allowed=is_allowed, by="UA")
                await session.flush()


@pytest.mark.parametrize("needs_consent", [False, True])
async def test_the_matrix_of_consent(database: Database, needs_consent: bool) -> None:
    """What is learned for everybody is just what person, channel and audience allow; what is counted is the same."""
    await say_everything(database)
    policy = replace(FREE, needs_consent=needs_consent)
    harvest = await look(database, policy=policy, system=system, since=None)
    found = {draft.answer async for draft, _ in read_drafts(database, harvest, say=lambda *_: None)}
    expected = {
        f"It is in box {number}."
        for number, (person, chosen, audience, is_for_all) in enumerate(CASES)
        if is_expected(person, chosen, audience, is_for_all=is_for_all, needs_consent=needs_consent)
    }

    assert found == expected
    assert (await count_points(database, policy=policy, since=None)).corrections == len(expected)


@pytest.mark.parametrize(("chosen", "audience"), [("own", Audience.PRIVATE), ("silent", Audience.PRIVATE)])
async def test_a_channel_of_its_own_teaches_only_itself(database: Database, chosen: str, audience: Audience) -> None:
    """A channel's own adapter learns from that channel alone, if an admin asked for it, without who opted out."""
    await say_everything(database)
    policy = replace(FREE, needs_consent=True).for_channel(channel_of(chosen, audience))
    harvest = await look(database, policy=policy, system=system, since=None)
    found = {draft.people[0] async for draft, _ in read_drafts(database, harvest, say=lambda *_: None)}

    assert found == ({"silent", "willing"} if chosen == "own" else set())


def test_only_the_playground_needs_no_consent() -> None:
    """Where people are real, a channel is not learned from before an admin turned it on."""
    assert read_policy(Settings(slack_bot_token="xoxb-1")).needs_consent
    here = Settings(slack_api_url="http://127.0.0.1:3010/api/", slack_bot_token=PLAYGROUND_TOKEN)
    assert not read_policy(here).needs_consent
