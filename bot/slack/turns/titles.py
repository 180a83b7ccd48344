"""A conversation's title follows its first question: it is made of its words, and anybody there can read it."""

from bot.language import _
from bot.slack.calls import Calls
from bot.slack.turns.status import SESSION, build_title
from bot.storage.db import Database
from bot.storage.titled import Titled, find_titled, find_words

RENAME = "agents.sessions.rename"


class Titles:
    """Gives another title to what was called by words that were edited or deleted since."""

    def __init__(self, database: Database, calls: Calls) -> None:
        self._database = database
        self._calls = calls

    async def find(self, team_id: str, channel_id: str, ts: str) -> Titled | None:
        """Return the conversation that a message gave its title; None for any but the first in its thread."""
        async with self._database.read() as session:
            return await find_titled(session, team_id, channel_id, ts=ts)

    async def follow(self, titled: Titled) -> None:
        """Let the title be what its question says now; nothing of it where that is gone, or is not stored."""
        async with self._database.read() as session:
            text = await find_words(session, titled)
        if (text and text == titled.text) or self._calls.lacks(SESSION):
            return
        place = {"channel_id": titled.channel_id, "thread_ts": titled.thread_ts}
        await self._calls.call_if_possible(RENAME, title=build_title(text) or _("Conversation"), **place)
