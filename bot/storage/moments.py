"""Moments that must come after others, also where a clock was set back in between, or each bot's says another time."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.learning_tables import Adapter, Run, TrainingChoice
from bot.storage.leases import read_shared_clock

STEP = timedelta(microseconds=1)


async def later(session: AsyncSession) -> datetime:
    """Return this moment by the database's clock; one right after all that was chosen, begun and made before.

    A no has to come after the yes that it takes back, and after the run that it ends.
    """
    before = [
        await session.scalar(select(func.max(at))) for at in (TrainingChoice.at, Run.started_at, Adapter.created_at)
    ]
    this = await read_shared_clock(session)
    moments: list[datetime] = [this, *(moment + STEP for moment in before if moment is not None)]
    return max(moments)
