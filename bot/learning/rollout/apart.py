"""What was put aside while several workspaces must not mix comes back as anything else does: not against a no.

The newest row of the audit log about it says whether a bot puts adapters aside. It is there before that bot answers
anybody, and whoever says no while it is gets heeded by the first bot that puts nothing aside, before it does.
"""

from bot.errors import LearningError
from bot.learning.rollout.loading import take_back
from bot.learning.rollout.may_serve import check_may_serve
from bot.storage import adapters as store
from bot.storage.audit import APART, TOGETHER, is_apart, record
from bot.storage.db import Database, Session
from bot.storage.learning_tables import Adapter, AdapterState
from bot.storage.leases import wait_in_line

SETTINGS = "settings"  # who decides it


async def note_apart(database: Database) -> None:
    """Note that what learned from everybody is put aside; again where a bot of other settings has noted otherwise."""
    async with database.read() as session:
        if await is_apart(session):
            return
    async with database.begin() as session:
        await wait_in_line(session, store.QUEUE)
        record(session, APART, by=SETTINGS)


async def come_together(database: Database) -> None:
    """Take back what was put aside and may answer nobody new any more, as the watch does, and say why.

    All in one transaction: killed before its end, nobody was answered, and the next start does it.
    """
    async with database.read() as session:
        if not await is_apart(session):
            return
    async with database.begin() as session:
        await wait_in_line(session, store.QUEUE)
        if not await is_apart(session):
            return
        while (found := await _find_unfit(session)) is not None:  # what comes in its place is looked at, too
            adapter, reason = found
            await take_back(session, adapter, AdapterState.ROLLED_BACK, by="watch", reasons=[reason])
            record(session, "adapter.rollback", by="watch", target=adapter.name)
        record(session, TOGETHER, by=SETTINGS)


async def _find_unfit(session: Session) -> tuple[Adapter, str] | None:
    for adapter in await store.served_adapters(session):
        try:
            if not adapter.is_of_one_channel:
                await check_may_serve(session, adapter, was_away=True)
        except LearningError as error:
            return adapter, str(error)
    return None
