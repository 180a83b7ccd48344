"""A conversation's title follows its first question: it is made of its words, and anybody there can read it."""

from dataclasses import dataclass

from sqlalchemy import func, select

from bot.language import _
from bot.slack.calls import Calls
from bot.slack.turns.status import SESSION, build_title
from bot.storage.db import Database
from bot.storage.tables import Message, Thread

RENAME = "agents.sessions.rename"


@dataclass(frozen=True, slots=True)
class Titled:
    """The question that gave a conversation its title, as it was."""

    channel_id: str
    thread_ts: str
    message_id: str
    text: str


class Titles:
    """Gives another title to what was called by words that were edited or deleted since."""

    def __init__(self, database: Database, calls: Calls) -> None:
        self._database = database
        self._calls = calls

    async def find(self, team_id: str, channel_id: str, ts: str) -> Titled | None:
        """Return the conversation that a message gave its title; None for any but the first in its thread."""
        here = select(Message.id, Message.text, Thread.thread_ts, Message.thread_id)
        here = here.join(Thread, Message.thread_id == Thread.id).where(Message.ts == ts)
        here = here.where(Thread.team_id == team_id, Thread.channel_id == channel_id)
        async with self._database.read() as session:
            row = (await session.execute(here)).first()
            first = select(func.min(Message.ts)).where(Message.thread_id == (row[3] if row else None))
            if row is None or await session.scalar(first) != ts:
                return None
        return Titled(channel_id, row[2], row[0], row[1])

    async def follow(self, titled: Titled) -> None:
        """Let the title be what its question says now; nothing of it where that is gone, or is not stored."""
        async with self._database.read() as session:
            text = await session.scalar(select(Message.text).where(Message.id == titled.message_id)) or ""
        if (text and text == titled.text) or self._calls.lacks(SESSION):
            return
        place = {"channel_id": titled.channel_id, "thread_ts": titled.thread_ts}
        await self._calls.call_if_possible(RENAME, title=build_title(text) or _("Conversation"), **place)
