"""Answers that another process writes, or that wait for their turn in this one: asked in the inbox to end."""

from collections.abc import Awaitable, Callable

from bot.storage.db import Database
from bot.storage.inbox import speaker_of
from bot.storage.stopping import ask_to_stop, find_begun


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
    ) -> bool | None:
        """Let what is written in a thread, or without one for *user_id* in a channel, end at their wish.

        None when nothing is written there that was asked *until_ts*, False when it is not theirs to end.
        """
        async with self._database.read() as session:
            rows = await find_begun(session, channel_id)
        rows = [row for row in rows if row.thread_ts == thread_ts or (not thread_ts and speaker_of(row) == user_id)]
        rows = [row for row in rows if not until_ts or row.ts <= until_ts]
        if not rows:
            return None
        if any(speaker_of(row) != user_id for row in rows) and not await is_admin():
            return False
        async with self._database.begin() as session:
            await ask_to_stop(session, [row.id for row in rows])
        return True
