"""Summaries of the older parts of threads: one for each thread, gone as soon as a message in it changes."""

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.memory_tables import ThreadSummary


async def load_summary(session: AsyncSession, thread_id: str) -> ThreadSummary | None:
    """Return the summary of a thread's older part."""
    return await session.scalar(select(ThreadSummary).filter_by(thread_id=thread_id))


async def save_summary(session: AsyncSession, summary: ThreadSummary) -> None:
    """Make *summary* the one of its thread."""
    await session.execute(delete(ThreadSummary).where(ThreadSummary.thread_id == summary.thread_id))
    session.add(summary)


async def forget_summary(session: AsyncSession, thread_id: str, *, ts: str) -> str | None:
    """Drop the summary of a thread if the message at *ts* is in it; return its id then."""
    gone = delete(ThreadSummary).where(ThreadSummary.thread_id == thread_id, ThreadSummary.until_ts >= ts)
    return await session.scalar(gone.returning(ThreadSummary.id))
