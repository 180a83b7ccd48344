"""The people of a chaos run: they ask in many threads at once, several of them in one thread, never two in a row."""

import asyncio
import random
from dataclasses import dataclass, field

from bot.playground.entities import Channel, Message, User
from bot.playground.membership import open_direct
from bot.playground.testing import Playground

PEOPLE, CHANNELS = 40, 24
MOST_OPEN = 20  # questions without an answer; then people wait
BURST = 5
QUESTIONS = ("hello", "What is a code review?", "What is a stand-up?", "thanks", "What is a sprint?", "Who are you?")
MENTION = "<@U0APPRENTICE> "


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that wants one answer."""

    ts: str
    user: str


@dataclass(slots=True)
class Conversation:
    """A thread with its questions in the order in which they were asked."""

    channel: str
    ts: str
    asked: list[Asked] = field(default_factory=list)


class Crowd:
    """Asks *messages* questions; the course depends on the seed alone."""

    def __init__(self, playground: Playground, *, messages: int, chance: random.Random) -> None:
        self._playground = playground
        self._chance = chance
        self._messages = messages
        self.conversations: list[Conversation] = []
        self.said = 0
        self._people = [self._add_person(number) for number in range(PEOPLE)]
        self._channels = [self._add_channel(number) for number in range(CHANNELS)]
        self._direct = {person: open_direct(playground.hub, [person, playground.hub.app.bot_user_id]).id
                        for person in self._people}  # fmt: skip

    async def speak(self) -> None:
        """Say everything, as fast as answers come."""
        while self.said < self._messages:
            if self.count_open() < MOST_OPEN:
                await self._begin_conversation()
            await asyncio.sleep(0.05)

    def count_open(self) -> int:
        """Return how many questions seem to wait for an answer."""
        latest = self.conversations[-4 * MOST_OPEN :]
        return sum(max(0, len(talk.asked) - len(self.replies(talk))) for talk in latest)

    def replies(self, talk: Conversation) -> list[Message]:
        """Return what the assistant said in a thread, oldest first."""
        found = self._playground.hub.workspace.replies(talk.channel, talk.ts)
        return [message for message in found if message.bot_id is not None]

    async def _begin_conversation(self) -> None:
        size = min(self._chance.choice((1, 1, 2, BURST)), self._messages - self.said)
        if size == 1 and self._chance.random() < 0.5:
            person = self._chance.choice(self._people)
            channel, speakers = self._direct[person], [person]
        else:
            channel, speakers = self._chance.choice(self._channels), self._chance.sample(self._people, size)
        mention = MENTION if channel in self._channels else ""
        talk: Conversation | None = None
        for person in speakers:
            text = mention + self._chance.choice(QUESTIONS)
            ts = await self._playground.person(person).say(channel, text, talk.ts if talk else None)
            if talk is None:
                talk = Conversation(channel, ts)
                self.conversations.append(talk)
            talk.asked.append(Asked(ts, person))
            self.said += 1

    def _add_person(self, number: int) -> str:
        user = User(
            f"U0C{number:04}", f"person{number}", f"Person {number}", f"Person {number}", color="2563eb", avatar="P"
        )
        self._playground.hub.workspace.users[user.id] = user
        return user.id

    def _add_channel(self, number: int) -> str:
        hub = self._playground.hub
        members = [*self._people, hub.app.bot_user_id]
        channel = Channel(f"C0C{number:04}", f"chaos-{number}", "public", "", members, self._people[0])
        hub.workspace.channels[channel.id] = channel
        return channel.id
