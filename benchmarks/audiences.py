"""Does an answer ever rest on what not everybody who reads it may read? Random questions against a model of who may.

    python -m benchmarks.audiences [--triples 10000] [--database-url URL]

People talk in public, private, direct and shared places of a real playground; each text is stored as the bot stores it
and has a word of its own in it. Then somebody asks somewhere for one of the texts, people come and go, and what the
bot's own code would use is compared with who could read it, counted by hand.
"""

import argparse
import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from random import Random

from slack_sdk.web.async_client import AsyncWebClient

from benchmarks.goal_line import print_goal
from bot.learning.data.gathering import look, read_drafts
from bot.learning.data.policy import Cap, DataPolicy
from bot.playground.entities import Channel, User
from bot.playground.membership import join, leave
from bot.playground.testing import Playground
from bot.slack.calls import Calls
from bot.slack.people.access import Access, Home
from bot.slack.people.directory import Directory
from bot.slack.people.readers import FRESH_S, Readers
from bot.storage.askings import is_private
from bot.storage.correction_index import save_vectors
from bot.storage.correction_search import Asked, find_by_ids, find_by_terms, load_vectors
from bot.storage.db import Database
from bot.storage.feedback import current_correction, save_correction
from bot.storage.opinions import worst_answers
from bot.storage.reviews import find_candidates
from bot.storage.tables import Answer, AnswerState, Audience
from bot.storage.terms import find_terms
from bot.storage.threads import Place, join_thread, load_history, save_message
from bot.storage.topics import recent_questions

TEAM = "T0PLAYGRND"
TEXTS = 600
MODEL = "vectors"
WORDS, MEANING = "corrections by their words", "corrections by their meaning"
HISTORY, AGAIN, WORST = "the thread's history", "suggestions", "the worst answers"
ADAPTER, DATA, OWN_DATA = "everybody's adapter", "everybody's data set", "a channel's data set"
REVIEW = "the review queue"
WAYS = (WORDS, MEANING, HISTORY, AGAIN, ADAPTER, DATA, OWN_DATA, REVIEW, WORST)
APART = Cap(share=1, least=99_999)
START = datetime(2020, 1, 1, tzinfo=UTC)
OPEN = DataPolicy(least_points=0, least_people=0, person_cap=APART, channel_cap=APART, window_days=10_000)


@dataclass(frozen=True, slots=True)
class Text:
    """A question and what it should have been answered; *is_given* when its author taught it to everyone."""

    id: str
    question: str
    place: Place
    asker: str
    audience: Audience
    is_given: bool


@dataclass
class World:
    """A workspace with its people and places, and what was said there; *clock* is the time there."""

    playground: Playground
    rng: Random
    clock: float = 0.0
    texts: list[Text] = field(default_factory=list)
    by_id: dict[str, Text] = field(default_factory=dict)
    by_question: dict[str, Text] = field(default_factory=dict)
    changed: dict[str, float] = field(default_factory=dict)
    crowds: dict[str, frozenset[str]] = field(default_factory=dict)  # who can read where, until somebody comes or goes

    def now(self) -> float:
        """Return the time, as a clock does: the pace of calls to Slack goes by it as well."""
        return self.clock

    async def sleep(self, delay: float) -> None:
        """Let time pass."""
        self.clock += delay

    @property
    def channels(self) -> dict[str, Channel]:
        """Return every place."""
        return self.playground.hub.workspace.channels

    @property
    def people(self) -> dict[str, User]:
        """Return everybody but the app."""
        return {name: user for name, user in self.playground.hub.workspace.users.items() if not user.is_bot}

    @cached_property
    def staff(self) -> frozenset[str]:
        """Return the members of the workspace, who may read all that is public in it."""
        return frozenset(name for name, user in self.people.items() if not user.is_outsider)

    def crowd(self, channel_id: str) -> frozenset[str]:
        """Return who can read in a place now."""
        if channel_id not in self.crowds:
            channel = self.channels[channel_id]
            inside = frozenset(channel.members) & self.people.keys()
            self.crowds[channel_id] = inside | self.staff if channel.kind == "public" else inside
        return self.crowds[channel_id]

    def audience(self, channel_id: str) -> Audience:
        """Return the audience of a place, as Slack describes it."""
        channel = self.channels[channel_id]
        if channel.is_ext_shared:
            return Audience.SHARED
        return {"im": Audience.DIRECT, "public": Audience.PUBLIC}.get(channel.kind, Audience.PRIVATE)

    def may_read(self, text: Text) -> frozenset[str]:
        """Return who may know a text: who can read it where it stands, or everybody of ours if it was given to them."""
        where = frozenset({text.asker}) if text.audience is Audience.DIRECT else self.crowd(text.place.channel_id)
        return where | self.staff if text.is_given and text.audience is not Audience.SHARED else where

    def will_read(self, person: str, channel_id: str, audience: Audience) -> frozenset[str]:
        """Return who will read an answer."""
        return frozenset({person}) if audience is Audience.DIRECT else self.crowd(channel_id)

    def stir(self) -> None:
        """Let somebody come or go, and some time pass."""
        self.clock += self.rng.uniform(0, FRESH_S)
        if self.rng.random() < 0.3:
            channel = self.rng.choice([one for one in self.channels.values() if one.kind != "im"])
            person = self.rng.choice(sorted(self.people))
            change = leave if person in channel.members else join
            change(self.playground.hub, channel, user=person)
            self.crowds.clear()
            self.changed[channel.id] = self.clock


def build(playground: Playground, rng: Random) -> World:
    """Add people, guests and places to the playground's workspace."""
    workspace = playground.hub.workspace
    for number in range(12):
        name = f"person{number}"
        user = User(
            f"U0P{number:02}", name, name.title(), name.title(), color="000000", avatar="P", is_guest=number >= 9
        )
        workspace.users[user.id] = user
        direct = Channel(f"D0P{number:02}", "", "im", "", [user.id, "U0APPRENTICE"], user.id)
        workspace.channels[direct.id] = direct
    world = World(playground, rng)
    for number in range(6):
        members = [*rng.sample(sorted(world.people), 6), "U0APPRENTICE"]
        channel = Channel(f"C0X{number}", f"x{number}", "public" if number < 3 else "private", "", members, members[0])
        workspace.channels[channel.id] = channel
    return world


async def say(world: World, database: Database) -> None:
    """Store many texts, each said by somebody in a place where they are."""
    rng = world.rng
    for number in range(TEXTS):
        channel_id = rng.choice([one.id for one in world.channels.values() if set(one.members) & set(world.people)])
        asker = rng.choice(sorted(set(world.channels[channel_id].members) & set(world.people)))
        is_asked_apart = rng.random() < 0.1
        audience = Audience.DIRECT if is_asked_apart else world.audience(channel_id)
        place = Place(TEAM, channel_id, f"ask-{number}" if is_asked_apart else f"{number:06}.0")
        question = f"Where is widget{number} of gadget{number}?"
        async with database.begin() as session:
            thread = await join_thread(session, place, audience=audience)
            message = await save_message(
                session, thread, ts=f"{number:06}.0", user_id=asker, user_name=asker, text=question, audience=audience
            )
            answer = Answer(
                message_id=message.id,
                audience=audience,
                text="I do not know.",
                state=AnswerState.COMPLETE,
                reply_ts=[],
                finish_reason="stop",
            )
            session.add(answer)
            await session.flush()
            crowd = {asker} if audience is Audience.DIRECT else world.crowd(channel_id)
            teacher = asker if rng.random() < 0.5 else rng.choice(sorted(crowd))
            ticked = rng.random() < 0.3
            await save_correction(session, answer, user_id=teacher, text=f"Word{number}.", is_for_everyone=ticked)
            correction = await current_correction(session, answer.id, user_id=teacher)
            assert correction is not None
            await save_vectors(session, MODEL, {correction.id: [1.0, 0.0]})
        text = Text(correction.id, question, place, asker, audience, ticked and teacher == asker)
        world.texts.append(text)
        world.by_id[text.id] = world.by_question[text.question] = text


@dataclass(slots=True)
class Tally:
    """What was used where; *could* are the texts that all readers may read, *leaks* go by the way that they took."""

    asked: int = 0
    could: int = 0
    shown: int = 0
    leaky: int = 0  # triples in which anything leaked
    leaks: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def use(self, way: str, text: Text, *, readers: frozenset[str], world: World) -> None:
        """Count a text that an answer rests on."""
        if not readers <= world.may_read(text):
            self.leaks[way] += 1
            self.examples.append(f"{way}: {text}, read by {sorted(readers - world.may_read(text))}")


async def ask(world: World, database: Database, readers_of: Readers, learned: set[str], tally: Tally) -> None:
    """Let somebody ask somewhere for a text, and count what the bot's code would use for the answer."""
    rng = world.rng
    world.stir()
    person = rng.choice(sorted(world.people))
    places = [one.id for one in world.channels.values() if person in one.members or one.kind == "public"]
    channel_id = rng.choice([one for one in places if person in world.crowd(one)] or [world_dm(world, person)])
    wanted = rng.choice(world.texts)
    audience = Audience.DIRECT if rng.random() < 0.1 else world.audience(channel_id)
    # What has changed within the minute may still count: the requirement is that nothing older does.
    if world.clock - world.changed.get(channel_id, -FRESH_S) < FRESH_S:
        world.clock = world.changed[channel_id] + FRESH_S
    readers = world.will_read(person, channel_id, audience)
    is_ours = await readers_of.are_ours(person, channel_id, audience)
    asked = Asked(team_id=TEAM, channel_id=channel_id, user_id=person, audience=audience, is_ours=is_ours)
    async with database.read() as session:
        found = {one.correction_id for one in await find_by_terms(session, asked, find_terms(wanted.question))}
        found |= {one.correction_id for one in await find_by_ids(session, asked, [wanted.id])}
        near, _ = await load_vectors(session, asked, MODEL)
        # Of what is asked privately nobody can open a thread: it has no time in Slack.
        thread_ts = "9.0" if is_private(wanted.place) else wanted.place.thread_ts
        thread = await join_thread(session, Place(TEAM, channel_id, thread_ts), audience=audience)
        history = await load_history(session, thread.id, before_ts="9")
        again = await recent_questions(session, person, team_id=TEAM, channel_id=channel_id, since=START)
        await session.rollback()
    before = tally.leaks.total()
    tally.asked += 1
    if Audience.SHARED not in {wanted.audience, audience} and readers <= world.may_read(wanted):
        tally.could += 1
        tally.shown += wanted.id in found
    for one in found:
        tally.use(WORDS, world.by_id[one], readers=readers, world=world)
    for one in near:
        tally.use(MEANING, world.by_id[one], readers=readers, world=world)
    for said in history:
        tally.use(HISTORY, world.by_question[said.text], readers=readers, world=world)
    for question in again:
        tally.use(AGAIN, world.by_question[question], readers=frozenset({person}), world=world)
    for one in learned if is_ours else ():
        tally.use(ADAPTER, world.by_id[one], readers=readers, world=world)
    tally.leaky += tally.leaks.total() > before


def world_dm(world: World, person: str) -> str:
    """Return where somebody writes to the app alone."""
    return next(one.id for one in world.channels.values() if one.kind == "im" and person in one.members)


async def learn(database: Database, policy: DataPolicy) -> set[str]:
    """Return the corrections that a data set has, by their ids."""
    harvest = await look(database, policy=policy, system=lambda _day: "", since=None)
    drafts = [draft async for draft, _ in read_drafts(database, harvest, say=lambda *_: None)]
    return {row_id for draft in drafts for table, row_id, _ in draft.rows if table == "corrections"}


async def look_at_the_rest(world: World, database: Database, tally: Tally) -> set[str]:
    """Check data sets, the review queue and the admins' figures, and return what everybody's adapter learns from."""
    learned = await learn(database, OPEN)
    for one in learned:
        tally.use(DATA, world.by_id[one], readers=world.staff, world=world)
    for channel in [one for one in world.channels.values() if one.kind != "im"]:
        for one in await learn(database, OPEN.for_channel(channel.id)):
            tally.use(OWN_DATA, world.by_id[one], readers=world.crowd(channel.id), world=world)
    async with database.read() as session:
        for candidate in await find_candidates(session, most=TEXTS):
            tally.use(REVIEW, world.by_id[candidate.correction_id], readers=world.staff, world=world)
        worst = await worst_answers(session, since=START, most=TEXTS)
    for disliked in worst:
        tally.use(WORST, world.by_question[disliked.question], readers=world.staff, world=world)
    return learned


async def measure(triples: int, database: Database, *, seed: int = 1) -> Tally:
    """Ask so many times in a workspace of invented people."""
    tally = Tally()
    async with Playground() as playground:
        world = build(playground, Random(seed))
        await say(world, database)
        learned = await look_at_the_rest(world, database, tally)
        client = AsyncWebClient(token=playground.options.bot_token, base_url=playground.api_url)
        calls = Calls(client, clock=world)
        access = Access(database, Directory(calls), owners=frozenset(), home=Home(TEAM))
        readers_of = Readers(calls, access, now=world.now)
        for _ in range(triples):
            await ask(world, database, readers_of, learned, tally)
    return tally


async def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triples", type=int, default=10_000)
    parser.add_argument("--database-url", default="", help="an empty database; none named: SQLite")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(chosen.database_url or f"sqlite+aiosqlite:///{Path(folder) / 'audiences.db'}")
        await database.migrate()
        tally = await measure(chosen.triples, database)
        await database.close()
    print_tally(tally)


def print_tally(tally: Tally) -> None:
    """Print the goals."""
    for example in tally.examples[:5]:
        print(f"  {example}")
    leaks = tally.leaks.total()
    said = f"{leaks} texts leaked, in {tally.leaky} of {tally.asked} random (person, place, text) triples"
    print_goal(said, "0", leaks == 0)
    share = tally.shown / max(1, tally.could)
    print_goal(f"{tally.shown} of {tally.could} texts that all readers may read were found", "≥ 50 %", share >= 0.5)


if __name__ == "__main__":
    asyncio.run(main())
