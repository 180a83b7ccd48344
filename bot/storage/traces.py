"""What an answer was made from and how it was written: kept for whoever asks why."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.memory_tables import AnswerSource, AnswerTrace, SourceKind, ThreadSummary
from bot.storage.tables import Answer, Correction, Message


@dataclass(frozen=True, slots=True)
class Source:
    """Something that stands in a prompt."""

    kind: SourceKind
    ref_id: str
    score: float | None = None


async def is_there(session: AsyncSession, answer_id: str) -> bool:
    """Return whether an answer still exists: it goes with its question."""
    return (await session.scalar(select(Answer.id).where(Answer.id == answer_id))) is not None


async def save_sources(session: AsyncSession, answer_id: str, sources: Sequence[Source]) -> None:
    """Make *sources* what an answer that *is_there* is made from."""
    await session.execute(delete(AnswerSource).where(AnswerSource.answer_id == answer_id))
    for position, source in enumerate(sources):
        session.add(
            AnswerSource(
                answer_id=answer_id, position=position, kind=source.kind, ref_id=source.ref_id, score=source.score
            )
        )


async def save_trace(
    session: AsyncSession,
    answer_id: str,
    *,
    generating_at: datetime | None,
    certainty: float | None,
    unsure: dict[str, Any],
    prompts: dict[str, str],
    is_chosen: bool = False,
) -> None:
    """Store how an answer that *is_there* was written."""
    values = {"generating_at": generating_at, "certainty": certainty, "unsure": unsure, "prompts": prompts}
    await session.merge(AnswerTrace(answer_id=answer_id, **values, is_chosen=is_chosen))


async def is_unchanged(
    session: AsyncSession,
    answer_id: str,
    *,
    asked: str,
    messages: Mapping[str, str],
    answers: Mapping[str, str],
    others: Mapping[str, SourceKind],
) -> bool:
    """Return whether a question, and all that stood in its prompt, still say what they said.

    *messages* and *answers* are what was said and answered, by the id of the message.
    """
    now_asked = await session.scalar(select(Message.text).join(Answer).where(Answer.id == answer_id))
    if now_asked != asked:
        return False
    if messages:
        rows = await session.execute(select(Message.id, Message.text).where(Message.id.in_(messages)))
        if {row[0]: row[1] for row in rows} != dict(messages):
            return False
    if answers:
        stored = select(Answer.message_id, Answer.text).where(Answer.message_id.in_(answers))
        if not set(answers.items()) <= {(row[0], row[1]) for row in await session.execute(stored)}:
            return False
    for table, kind in ((Correction, SourceKind.CORRECTION), (ThreadSummary, SourceKind.SUMMARY)):
        ids = {ref_id for ref_id, is_of in others.items() if is_of is kind}
        if ids and set(await session.scalars(select(table.id).where(table.id.in_(ids)))) != ids:
            return False
    return True


async def load_sources(session: AsyncSession, answer_id: str) -> Sequence[AnswerSource]:
    """Return what stood in the prompt of an answer, in its order."""
    query = select(AnswerSource).where(AnswerSource.answer_id == answer_id).order_by(AnswerSource.position)
    return (await session.scalars(query)).all()


async def load_trace(session: AsyncSession, answer_id: str) -> AnswerTrace | None:
    """Return how an answer was written."""
    return await session.get(AnswerTrace, answer_id)


async def forget_prompts_with(session: AsyncSession, ref_ids: Collection[str]) -> None:
    """Drop the tokens of every prompt in which one of these stood: they hold its words."""
    made = select(AnswerSource.answer_id).where(AnswerSource.ref_id.in_(ref_ids))
    await forget_prompts_of(session, list(await session.scalars(made)))


async def forget_prompts_of(session: AsyncSession, answer_ids: Collection[str]) -> None:
    """Drop the tokens of the prompts of some answers."""
    if answer_ids:
        await session.execute(update(Answer).where(Answer.id.in_(answer_ids)).values(prompt_token_ids=None))
