"""Whether others say otherwise than a correction: as the learning loop settles it, and for its author alone.

Of others' corrections only those count that everybody may come to read.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.admin_tables import ReviewRow, ReviewState
from bot.storage.memory_tables import CorrectionTerm
from bot.storage.reviews import APPROVED, list_current
from bot.storage.signals import key_of
from bot.storage.tables import Correction, Feedback, Message, Vote
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
    """Return what each person says to a question, the newest first; without what a reviewer rejected."""
    terms = find_terms(question)
    if not terms:
        return []
    alike = select(CorrectionTerm.correction_id).where(
        CorrectionTerm.term == max(terms, key=lambda one: (len(one), one))
    )
    columns = (Correction.id, Correction.user_id, Correction.text, Message.text, ReviewRow.state)
    found = list_current(*columns).where(Correction.id.in_(alike)).order_by(Correction.id.desc()).limit(MOST)
    told: dict[str, Told] = {}
    for correction_id, user_id, text, asked, state in await session.execute(found):
        if key_of(asked) == key_of(question) and state != ReviewState.REJECTED:
            told.setdefault(user_id, Told(correction_id, user_id, key_of(text), state in APPROVED))
    return list(told.values())
