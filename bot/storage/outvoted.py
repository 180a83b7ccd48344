"""Whether others say otherwise than a correction: as the learning loop settles it, and for its author alone.

Of others' corrections only those count that everybody may come to read.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.admin_tables import APPROVED, ReviewRow, ReviewState
from bot.storage.memory_tables import CorrectionTerm
from bot.storage.reviews import find_candidate, list_current
from bot.storage.signals import key_of
from bot.storage.standing import stands
from bot.storage.tables import Correction, Feedback, Message, Vote, now
from bot.storage.terms import find_terms

MOST = 500


@dataclass(frozen=True, slots=True)
class Told:
    """What one person says that a question is to be answered with."""

    correction_id: str
    user_id: str
    text_key: bytes
    is_approved: bool


async def is_outvoted(session: AsyncSession, correction: Correction, question: str) -> bool:
    """Return whether others taught another answer to the same question, which counts instead."""
    told = await _list_told(session, question)
    is_newest = correction.id in {one.correction_id for one in told}
    return is_newest and _settle(told) != key_of(correction.text)


async def is_behind(session: AsyncSession, correction: Correction, question: str) -> bool:
    """Return whether a reviewer approved what its author said to the same question before, and not this."""
    mine = [one for one in await _list_told(session, question) if one.user_id == correction.user_id]
    return any(one.is_approved and one.correction_id < correction.id for one in mine)


async def settle_newer(session: AsyncSession, correction: Correction, question: str) -> bool:
    """Return whether somebody's newest words wait behind approved ones; what no reviewer may read takes their place."""
    found = await find_candidate(session, correction.id)
    if found is None:
        earlier = update(Correction).filter_by(answer_id=correction.answer_id, user_id=correction.user_id)
        earlier = earlier.where(Correction.id < correction.id, Correction.superseded_at.is_(None))
        await session.execute(earlier.values(superseded_at=now()))
        return False
    counts = await session.scalar(select(Correction.id).where(Correction.id == correction.id, stands()))
    is_waiting = found.state is ReviewState.WAITING
    return is_waiting and (counts is None or await is_behind(session, correction, question))


async def is_liked_anyway(session: AsyncSession, correction: Correction) -> bool:
    """Return whether more people like the answer than correct or dislike it."""
    votes = select(Feedback.user_id, Feedback.vote).where(
        Feedback.answer_id == correction.answer_id, Feedback.superseded_at.is_(None)
    )
    correctors = select(Correction.user_id).where(
        Correction.answer_id == correction.answer_id, Correction.superseded_at.is_(None)
    )
    by_person = {row[0]: row[1] for row in await session.execute(votes)}
    by_person |= dict.fromkeys(await session.scalars(correctors), Vote.DOWN)
    counts = Counter(by_person.values())
    return counts[Vote.UP] > counts[Vote.DOWN]


def _settle(told: Iterable[Told]) -> bytes:
    """Return what counts of what people say, the newest first: what a reviewer approved, else what most say."""
    looked_at = [one.text_key for one in told if one.is_approved] or [one.text_key for one in told]
    return Counter(looked_at).most_common(1)[0][0]


async def _list_told(session: AsyncSession, question: str) -> list[Told]:
    """Return what each person says to a question, what was approved and the newest first; nothing that was rejected."""
    terms = find_terms(question)
    if not terms:
        return []
    alike = select(CorrectionTerm.correction_id).where(
        CorrectionTerm.term == max(terms, key=lambda one: (len(one), one))
    )
    columns = (Correction.id, Correction.user_id, Correction.text, Message.text, ReviewRow.state)
    found = list_current(*columns).where(Correction.id.in_(alike), stands()).order_by(Correction.id.desc()).limit(MOST)
    told: dict[str, Told] = {}
    rows = sorted(await session.execute(found), key=lambda row: row[4] not in APPROVED)
    for correction_id, user_id, text, asked, state in rows:
        if key_of(asked) == key_of(question) and state != ReviewState.REJECTED:
            told.setdefault(user_id, Told(correction_id, user_id, key_of(text), state in APPROVED))
    return list(told.values())
