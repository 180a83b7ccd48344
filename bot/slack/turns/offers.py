"""When somebody is given several answers to choose from: because they asked for it, or now and then, if wanted."""

from datetime import timedelta
from hashlib import blake2b

from bot.conversation.candidates import Candidates
from bot.conversation.draft import Draft
from bot.conversation.turn import Assistant
from bot.storage.askings import count_rounds
from bot.storage.db import Database
from bot.storage.tables import now

DAY = timedelta(days=1)
MOST_A_DAY = 3  # unasked choices for one person
TWO = 2


class Offers:
    """Decides how many answers a question gets; *share* is the part of ordinary questions that get two."""

    def __init__(self, database: Database, assistant: Assistant, *, share: float) -> None:
        self._database = database
        self._share = share
        self.candidates = Candidates(database, assistant)

    async def count(self, draft: Draft) -> int:
        """Return how many answers are to be written; the same after a crash as before."""
        question = draft.question
        if question.put.candidates > 1:
            return question.put.candidates
        if draft.is_another or question.put.is_private or not is_drawn(question.ts, self._share):
            return 1
        async with self._database.read() as session:
            said = await count_rounds(session, question.user_id, since=now() - DAY)
        return TWO if said < MOST_A_DAY else 1


def is_drawn(ts: str, share: float) -> bool:
    """Return whether a message is among the *share* that is drawn; always the same for the same message."""
    drawn = int.from_bytes(blake2b(ts.encode(), digest_size=8).digest()) / 2**64
    return drawn < share
