"""Answers that another process writes, or that wait for their turn in this one: asked in the inbox to end."""

from collections.abc import Awaitable, Callable
from enum import StrEnum

from bot.conversation.draft import Draft
from bot.storage.db import Database
from bot.storage.inbox import MESSAGE, speaker_of
from bot.storage.stopping import ask_to_stop, find_wanted, stop_edit
from bot.storage.tables import Inbox

HEARD_S = 3.0  # after it happened, even on a busy machine


class Ended(StrEnum):
    """What a wish to stop came to."""

    NOTHING = "nothing"  # is written there
    REFUSED = "refused"  # it is not theirs to end
    ASKED = "asked"  # the answer will say that it was stopped
    DROPPED = "dropped"  # another try that had not begun: nothing shows it


class Elsewhere:
    """Passes a wish to stop on; within a second or so the process that writes sees it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stop(
        self,
        channel_id: str,
        *,
        thread_ts: str = "",
        user_id: str,
        is_admin: Callable[[], Awaitable[bool]],
        until_ts: str = "",
    ) -> Ended:
        """Let what is written in a thread, or without one for *user_id* in a channel, end at their wish.

        So is what waits to be, if it was asked *until_ts*: of others' only an admin ends anything.
        """
        async with self._database.read() as session:
            rows = await find_wanted(session, channel_id)
        rows = [row for row in rows if row.thread_ts == thread_ts or (not thread_ts and speaker_of(row) == user_id)]
        rows = [row for row in rows if not until_ts or _was_wanted(row, float(until_ts))]
        if not rows:
            return Ended.NOTHING
        own = [row for row in rows if speaker_of(row) == user_id]
        if len(own) < len(rows) and not await is_admin():
            rows = own
        if not rows:
            return Ended.REFUSED
        async with self._database.begin() as session:
            return Ended.ASKED if await ask_to_stop(session, [row.id for row in rows]) else Ended.DROPPED


def _was_wanted(row: Inbox, until: float) -> bool:
    """Return whether something was wanted by then; of a press or an edit it is known only when we heard of it."""
    return float(row.ts) <= until + (0 if row.kind == MESSAGE else HEARD_S)


async def stop_here(database: Database, draft: Draft, user_id: str) -> None:
    """Stop what this process writes, at the wish of somebody, and what an edit let wait behind it."""
    try:
        async with database.begin() as session:
            await stop_edit(session, draft.answer_id)
    finally:
        draft.stop_by(user_id)
