"""What was begun before it came into the inbox: an order that takes long, in the place of an acknowledgement.

And which buttons were pressed, whichever process heard of it.
"""

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.inbox import Arrival, accept, turn_away
from bot.storage.tables import Inbox, InboxState


async def begin(session: AsyncSession, arrival: Arrival, *, worker_id: str) -> None:
    """Store what a worker has begun already; it waits for another once that worker is gone."""
    session.add(Inbox(**vars(arrival), state=InboxState.RUNNING, worker_id=worker_id))


async def redeem(session: AsyncSession, event_id: str) -> None:
    """Forget it: nobody delivers it again."""
    await session.execute(delete(Inbox).where(Inbox.event_id == event_id))


async def claim_press(session: AsyncSession, press: Arrival) -> bool:
    """Return whether a button is pressed for the first time; one that gives an order is for one press alone."""
    if not await accept(session, press):
        return False
    await turn_away(session, press)
    return True


async def release_press(session: AsyncSession, event_id: str) -> None:
    """Let it be pressed again: nothing came of it."""
    await session.execute(delete(Inbox).where(Inbox.event_id == event_id))
