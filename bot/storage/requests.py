"""Which of Slack's signed requests were taken, for all processes on one database: by their signature, without a word.

They stand among the events that came in, as ones that are done.
"""

from datetime import datetime
from hashlib import blake2b

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.inbox import NO_THREAD, Arrival
from bot.storage.tables import Inbox, InboxState, now

REQUEST = "request"


async def take_request(session: AsyncSession, signature: str) -> bool:
    """Note that a request is carried out here; False when it was noted before."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    key = _key(signature)
    arrival = Arrival(f"{REQUEST}:{key}", "", "", ts=key, thread_ts=NO_THREAD, kind=REQUEST, payload={})
    values = {**vars(arrival), "state": InboxState.DONE, "done_at": now()}
    return (await session.scalar(insert(Inbox).values(values).on_conflict_do_nothing().returning(Inbox.id))) is not None


async def drop_request(session: AsyncSession, signature: str) -> None:
    """Let a request come again, because it could not be carried out."""
    await session.execute(delete(Inbox).where(Inbox.event_id == f"{REQUEST}:{_key(signature)}"))


async def prune_requests(session: AsyncSession, *, before: datetime) -> None:
    """Forget requests that were taken *before*: their signature is too old to count."""
    await session.execute(delete(Inbox).where(Inbox.kind == REQUEST, Inbox.done_at < before))


def _key(signature: str) -> str:
    return blake2b(signature.encode(errors="replace"), digest_size=16).hexdigest()
