"""Moments that must come after others, also where the machine's clock was set back in between."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.learning_tables import Adapter, Run, TrainingChoice
from bot.storage.tables import now

STEP = timedelta(microseconds=1)


async def later(session: AsyncSession) -> datetime:
    """Return this moment; where the clock was set back, one right after all that was chosen, begun and made before.

    A no has to come after the yes that it takes back, and after the run that it ends.
    """
    before = [
        await session.scalar(select(func.max(at))) for at in (TrainingChoice.at, Run.started_at, Adapter.created_at)
    ]
    moments: list[datetime] = [now(), *(moment + STEP for moment in before if moment is not None)]
    return max(moments)
