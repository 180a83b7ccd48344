"""The index by which corrections are found: written with the correction, gone with it."""

from collections.abc import Mapping, Sequence

import numpy as np
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.memory_tables import CorrectionTerm, CorrectionVector
from bot.storage.tables import Answer, Correction, Message
from bot.storage.terms import find_terms, find_words

AT_ONCE = 500


async def index_correction(session: AsyncSession, correction_id: str, question: str) -> None:
    """Let a correction be found by the question that it answers."""
    await session.execute(delete(CorrectionTerm).where(CorrectionTerm.correction_id == correction_id))
    await session.execute(delete(CorrectionVector).where(CorrectionVector.correction_id == correction_id))
    rows = [{"term": term, "correction_id": correction_id} for term in sorted(find_terms(question))]
    if rows:
        await session.execute(insert(CorrectionTerm), rows)


async def reindex_message(session: AsyncSession, message_id: str, text: str) -> None:
    """Let the corrections of an edited question be found by its new words alone."""
    ids = select(Correction.id).join(Answer, Correction.answer_id == Answer.id).where(Answer.message_id == message_id)
    for correction_id in (await session.scalars(ids)).all():
        await index_correction(session, correction_id, text)


def is_same(one: str, other: str) -> bool:
    """Return whether two questions say the same words, whatever their case and what stands between them.

    Every word counts, also those that no question is found by: "not", and what comes late in a long text.
    """
    return find_words(one) == find_words(other)


async def index_missing(session: AsyncSession, *, before_id: str = "") -> str:
    """Index some corrections that no index knows, from before there was one, the newest first.

    Return the id of the last one looked at; empty when there are no more.
    """
    known = select(CorrectionTerm.correction_id).where(CorrectionTerm.correction_id == Correction.id)
    rows = await session.execute(
        select(Correction.id, Message.text)
        .join(Answer, Correction.answer_id == Answer.id)
        .join(Message, Answer.message_id == Message.id)
        .where(~known.exists(), *([Correction.id < before_id] if before_id else []))
        .order_by(Correction.id.desc())
        .limit(AT_ONCE)
    )
    found = rows.all()
    for correction_id, question in found:
        await index_correction(session, correction_id, question)
    return str(found[-1][0]) if len(found) == AT_ONCE else ""


async def save_vectors(session: AsyncSession, model: str, vectors: Mapping[str, Sequence[float]]) -> None:
    """Store what the embedding *model* makes of the questions of corrections."""
    known = set(
        await session.scalars(
            select(CorrectionVector.correction_id).where(
                CorrectionVector.model == model, CorrectionVector.correction_id.in_(vectors)
            )
        )
    )
    there = set(await session.scalars(select(Correction.id).where(Correction.id.in_(vectors))))
    for correction_id in there - known:
        packed = np.asarray(vectors[correction_id], dtype="<f4").tobytes()
        session.add(CorrectionVector(correction_id=correction_id, model=model, vector=packed))
