"""Whose what stands in the line is: one person's must not fill it, and keeps its order."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.erasures import batched
from bot.storage.inbox import speaker_of
from bot.storage.tables import Inbox, InboxState

REFUSED = "crowded!"  # before what the id of such a word says


async def count_by_person(session: AsyncSession, known: dict[str, str]) -> Counter[str]:
    """Return how many events of each person wait or run.

    *known* keeps whose each of them is, so that it is read once: words of a long line take long to read, and PostgreSQL
    cannot look for a person in what has a NUL.
    """
    waiting = set(await session.scalars(select(Inbox.event_id).where(Inbox.state != InboxState.DONE)))
    for gone in known.keys() - waiting:
        del known[gone]
    for lot in batched(sorted(waiting - known.keys())):
        for row in await session.scalars(select(Inbox).where(Inbox.event_id.in_(lot))):
            known[row.event_id] = str(speaker_of(row) or "")
    return Counter(known.values())


async def find_before(session: AsyncSession, row: Inbox, kind: str) -> Sequence[Inbox]:
    """Return what is not done of a *kind* that the same person said before an event, wherever that was."""
    before = select(Inbox).filter_by(team_id=row.team_id, kind=kind).where(Inbox.ts < row.ts)
    found = await session.scalars(before.where(Inbox.state != InboxState.DONE).order_by(Inbox.ts))
    return [one for one in found if speaker_of(one) == speaker_of(row)]


def name_refusal(ts: str, user_id: str, *, seconds: int) -> str:
    """Return the id of the word that somebody asks too much; it says whose and for how long, when all else has gone."""
    return f"{REFUSED}{ts}!{user_id}!{seconds}"


async def find_refused(session: AsyncSession, team_id: str, *, since_ts: str) -> Sequence[tuple[str, float, float]]:
    """Return who was told that they ask too much, and between which times in Slack nothing of theirs was taken in."""
    told = select(Inbox.event_id).where(Inbox.team_id == team_id, Inbox.ts >= since_ts)
    names = await session.scalars(told.where(Inbox.event_id.startswith(REFUSED)))
    words = [name.removeprefix(REFUSED).split("!") for name in names]
    return [(user_id, float(ts), float(ts) + float(seconds)) for ts, user_id, seconds in words]
