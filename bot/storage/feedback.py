"""Votes, corrections and preferences; what a person changed stays as history."""

from collections.abc import Sequence

from sqlalchemy import Text, cast, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.asking_tables import Candidate
from bot.storage.correction_index import index_correction
from bot.storage.reviews import keep_rejected
from bot.storage.standing import find_lasting
from bot.storage.tables import (
    Answer,
    AnswerState,
    Audience,
    Correction,
    Feedback,
    Message,
    PreferencePair,
    Thread,
    Vote,
    now,
)
from bot.storage.threads import narrow

BUTTON, REACTION = "button", "reaction"
TAKEN_AWAY = "taken away"  # a reaction that stands in Slack no more, and never counts again


async def save_vote(
    session: AsyncSession,
    answer: Answer,
    *,
    user_id: str,
    vote: Vote,
    reason: str | None = None,
    comment: str = "",
    source: str = BUTTON,
) -> None:
    """Make *vote* the person's current one; liking a regenerated answer prefers it to the one it replaced."""
    await session.execute(
        update(Feedback)
        .where(Feedback.answer_id == answer.id, Feedback.user_id == user_id, Feedback.superseded_at.is_(None))
        .values(superseded_at=now())
    )
    values = {"vote": vote, "reason": reason, "comment": comment, "source": source}
    session.add(Feedback(answer_id=answer.id, user_id=user_id, **values))
    if answer.replaces_id is not None:
        await _save_preference(session, answer, user_id=user_id, is_preferred=vote is Vote.UP)


async def take_back_vote(session: AsyncSession, answer: Answer, *, user_id: str, is_reaction: bool = False) -> Vote:
    """Take a person's vote back; return what counts again: what they thought before.

    A correction that was written with a thumb down goes with it. Of a reaction nothing was written, and what they had
    pressed before it counts again.
    """
    mine = select(Feedback).filter_by(answer_id=answer.id, user_id=user_id)
    current = await session.scalar(mine.where(Feedback.superseded_at.is_(None)))
    if current is None:
        return Vote.NONE
    which = Feedback.source == BUTTON if is_reaction else Feedback.vote != current.vote
    older = mine.where(Feedback.id < current.id, which)
    before = await session.scalar(older.order_by(Feedback.id.desc()).limit(1))
    correction = await current_correction(session, answer.id, user_id=user_id)
    is_with_it = correction is not None and (before is None or correction.id > before.id)
    if is_with_it and current.vote == Vote.DOWN and not is_reaction:
        await save_correction(session, answer, user_id=user_id, text="")
    if before is None or before.vote == Vote.NONE or before.source == TAKEN_AWAY:
        source = REACTION if is_reaction else BUTTON
        await save_vote(session, answer, user_id=user_id, vote=Vote.NONE, source=source)
        return Vote.NONE
    current.superseded_at = now()
    await session.flush()  # there is one that counts
    before.superseded_at = None
    await session.flush()
    if answer.replaces_id is not None:
        await _save_preference(session, answer, user_id=user_id, is_preferred=before.vote == Vote.UP)
    return Vote(before.vote)


async def _save_preference(session: AsyncSession, answer: Answer, *, user_id: str, is_preferred: bool) -> None:
    rejected = await session.get(Answer, answer.replaces_id)
    if rejected is None or rejected.state == AnswerState.FAILED:
        return
    pair = {"chosen_id": answer.id, "rejected_id": answer.replaces_id, "user_id": user_id}
    known = await session.scalar(select(PreferencePair).filter_by(**pair))
    if is_preferred and known is None:
        session.add(PreferencePair(**pair, source="regenerate"))
    elif not is_preferred and known is not None:
        await session.execute(delete(PreferencePair).where(PreferencePair.id == known.id))


async def find_carried(session: AsyncSession, team_id: str, channel_id: str, *, ts: str) -> str | None:
    """Return the newest answer that a message in a channel carries; of several to choose from the one that stands."""
    passed_over = select(Candidate.answer_id).where(Candidate.stands.is_(False))
    carries = cast(Answer.reply_ts, Text).contains(f'"{ts}"', autoescape=True)
    statement = (
        select(Answer.id)
        .join(Message, Answer.message_id == Message.id)
        .join(Thread, Message.thread_id == Thread.id)
        .where(Thread.team_id == team_id, Thread.channel_id == channel_id, carries, Answer.id.not_in(passed_over))
    )
    return await session.scalar(statement.order_by(Answer.id.desc()).limit(1))


async def find_earlier(session: AsyncSession, answer: Answer, *, user_id: str) -> Sequence[Answer]:
    """Return the earlier answers to the same message below which somebody's reaction still counts, to be changed."""
    theirs = select(Feedback.answer_id).where(Feedback.user_id == user_id, Feedback.source == REACTION)
    theirs = theirs.where(Feedback.superseded_at.is_(None), Feedback.vote != Vote.NONE)
    earlier = select(Answer).where(Answer.message_id == answer.message_id, Answer.id < answer.id, Answer.id.in_(theirs))
    return (await session.scalars(earlier.with_for_update())).all()


async def has_given(session: AsyncSession, user_id: str) -> bool:
    """Return whether somebody has ever said what they think of an answer."""
    for table in (Feedback, Correction, PreferencePair):
        if await session.scalar(select(table.id).where(table.user_id == user_id).limit(1)) is not None:
            return True
    return False


async def current_vote(session: AsyncSession, answer_id: str, *, user_id: str) -> Feedback | None:
    """Return what a person thinks of an answer now."""
    return await session.scalar(
        select(Feedback).filter_by(answer_id=answer_id, user_id=user_id).where(Feedback.superseded_at.is_(None))
    )


async def is_kept(session: AsyncSession, answer: Answer, *, asker_id: str) -> bool:
    """Return whether whoever asked likes an answer, or chooses among several: then nobody else replaces it."""
    vote = await current_vote(session, answer.id, user_id=asker_id)
    shown = await session.get(Candidate, answer.id)
    return (vote is not None and vote.vote == Vote.UP) or shown is not None


async def save_correction(
    session: AsyncSession,
    answer: Answer,
    *,
    user_id: str,
    text: str,
    is_for_everyone: bool = False,
    current: Audience = Audience.PUBLIC,
) -> None:
    """Make *text* what the person says the answer should have been; an empty text takes an earlier one back.

    *current* are those who can read in its channel now, which may have become private since the answer.
    *is_for_everyone* is their word that everybody may learn from it, also where not everybody can read it. Said again
    in the same words about the same question it stays the one that a reviewer may have approved. Other words leave that
    as it is, and wait behind it.
    """
    asked = await session.get(Message, answer.message_id)
    known = await current_correction(session, answer.id, user_id=user_id)
    if known is not None and (known.text, known.is_for_everyone) == (text, is_for_everyone):
        edited_at = asked.edited_at if asked else None
        if edited_at is None or known.created_at > edited_at:
            return
    lasting = None
    if text:
        lasting = await find_lasting(session, answer.id, user_id=user_id, asked=asked, is_for_everyone=is_for_everyone)
    earlier = update(Correction).filter_by(answer_id=answer.id, user_id=user_id, superseded_at=None)
    earlier = earlier if lasting is None else earlier.where(Correction.id != lasting.id)
    await session.execute(earlier.values(superseded_at=now()))
    if text and (lasting is None or (lasting.text, lasting.is_for_everyone) != (text, is_for_everyone)):
        audience = narrow(Audience(answer.audience), current)
        values = {"text": text, "audience": audience, "is_for_everyone": is_for_everyone}
        correction = Correction(answer_id=answer.id, user_id=user_id, **values)
        session.add(correction)
        await session.flush()
        await index_correction(session, correction.id, asked.text if asked else "")
        await keep_rejected(session, correction.id)


async def current_correction(session: AsyncSession, answer_id: str, *, user_id: str) -> Correction | None:
    """Return a person's newest correction of an answer; one that was approved before may stand beside it."""
    theirs = select(Correction).filter_by(answer_id=answer_id, user_id=user_id, superseded_at=None)
    return await session.scalar(theirs.order_by(Correction.id.desc()).limit(1))
