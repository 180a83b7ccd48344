"""How questions were put, and what was chosen of several answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.answers import has_newer
from bot.storage.asking_tables import PRIVATE, Asking, Candidate
from bot.storage.tables import Answer, AnswerState, Audience, Message, PreferencePair, Thread, now
from bot.storage.threads import Place, join_thread

CLAIMED = "claimed "  # before the moment in which somebody began to share an answer
LONGEST_SHARE = timedelta(minutes=5)

COMPARED = "compared"


class Chosen(StrEnum):
    """What a choice came to."""

    STORED = "stored"
    UNSTORED = "unstored"  # it stands, but the person has taught so much today that this is not learned from
    KNOWN = "known"  # something was chosen before
    NOTHING = "nothing"  # that is no candidate


@dataclass(frozen=True, slots=True)
class Put:
    """How a question was put."""

    length: str = ""
    keeps_history: bool = True
    candidates: int = 1
    is_private: bool = False


def is_private(place: Place) -> bool:
    """Return whether nobody but the asker sees what stands at *place*."""
    return place.thread_ts.startswith(PRIVATE)


async def is_asked_openly(session: AsyncSession, team_id: str, channel_id: str, *, ts: str) -> bool:
    """Return whether a message is known as a question whose answer all can see who see the message."""
    there = select(Message.id).join(Thread, Message.thread_id == Thread.id).where(Message.ts == ts)
    there = there.where(Thread.team_id == team_id, Thread.channel_id == channel_id)
    return (await session.scalar(there.where(~Thread.thread_ts.startswith(PRIVATE)).limit(1))) is not None


async def save_asking(session: AsyncSession, message_id: str, put: Put) -> None:
    """Store how a question was put, if not in the usual way; a second time changes nothing."""
    if put != Put() and await session.get(Asking, message_id) is None:
        values = {name: getattr(put, name) for name in Put.__slots__}
        session.add(Asking(message_id=message_id, **values))
        await session.flush()


async def find_asking(session: AsyncSession, message_id: str) -> Put:
    """Return how a question was put."""
    row = await session.get(Asking, message_id)
    return Put() if row is None else Put(row.length, row.keeps_history, row.candidates, row.is_private)


async def begin_candidates(session: AsyncSession, first: str, *, count: int) -> list[str]:
    """Return the answers to write beside *first* and after it: those that a crash interrupted, and new ones."""
    answer = await session.get_one(Answer, first)
    unfinished = select(Answer.id).filter_by(message_id=answer.message_id, state=AnswerState.WRITING)
    found = list(await session.scalars(unfinished.where(Answer.id != first).order_by(Answer.id)))[: count - 1]
    while len(found) < count - 1:
        other = Answer(message_id=answer.message_id, audience=answer.audience, reply_ts=list(answer.reply_ts))
        session.add(other)
        await session.flush()
        found.append(other.id)
    return [first, *found]


async def save_round(session: AsyncSession, answer_ids: Sequence[str]) -> None:
    """Store that these answers were shown to choose from; until somebody does, the first one stands."""
    message_id = (await session.get_one(Answer, answer_ids[0])).message_id
    await session.execute(delete(Candidate).where(Candidate.message_id == message_id))
    for number, answer_id in enumerate(answer_ids, 1):
        session.add(Candidate(answer_id=answer_id, message_id=message_id, number=number, stands=number == 1))


async def drop_unwritten(session: AsyncSession, answer_ids: Sequence[str]) -> None:
    """Delete answers that came to nothing."""
    await session.execute(delete(Answer).where(Answer.id.in_(answer_ids)))


async def count_rounds(session: AsyncSession, user_id: str, *, since: datetime) -> int:
    """Return how often somebody was given a choice since then."""
    rounds = select(func.count()).select_from(Candidate).join(Answer, Candidate.answer_id == Answer.id)
    rounds = rounds.join(Message, Candidate.message_id == Message.id)
    return (
        await session.scalar(
            rounds.where(Message.user_id == user_id, Candidate.number == 1, Answer.created_at >= since)
        )
        or 0
    )


async def find_round(session: AsyncSession, answer_id: str, *, is_locked: bool = False) -> Sequence[Candidate]:
    """Return the answers among which *answer_id* was shown, in their order.

    *is_locked* lets whoever else chooses among them wait until this session commits.
    """
    own = select(Candidate.message_id).where(Candidate.answer_id == answer_id).scalar_subquery()
    found = select(Candidate).where(Candidate.message_id == own).order_by(Candidate.number)
    return list(await session.scalars(found.with_for_update() if is_locked else found))


async def is_one_of_several(session: AsyncSession, answer_id: str) -> bool:
    """Return whether an answer is still shown beside others of which nobody has chosen one."""
    shown = await session.get(Candidate, answer_id)
    return shown is not None and shown.chosen_at is None


async def choose(
    session: AsyncSession, answer_id: str, *, user_id: str, since: datetime, most: int
) -> tuple[Chosen, str]:
    """Let one of several answers stand, and prefer it to the others; return what it came to, and the one that stands.

    A person who has chosen *most* times since then has been heard enough for a while.
    """
    found = await find_round(session, answer_id, is_locked=True)
    if not found:
        return Chosen.NOTHING, answer_id
    if await has_newer(session, await session.get_one(Answer, answer_id)):  # which stands in their place by now
        return Chosen.NOTHING, answer_id
    known = next((candidate for candidate in found if candidate.chosen_at is not None), None)
    if known is not None:
        return Chosen.KNOWN, known.answer_id
    is_heard = await _count_choices(session, user_id, since=since) < most
    for candidate in found:
        candidate.stands = candidate.answer_id == answer_id
        candidate.chosen_at = now() if candidate.stands else None
        if not candidate.stands and is_heard:
            pair = {"chosen_id": answer_id, "rejected_id": candidate.answer_id, "user_id": user_id}
            session.add(PreferencePair(**pair, source=COMPARED))
    return (Chosen.STORED if is_heard else Chosen.UNSTORED), answer_id


async def _count_choices(session: AsyncSession, user_id: str, *, since: datetime) -> int:
    choices = select(func.count()).select_from(Candidate).join(Message, Candidate.message_id == Message.id)
    return await session.scalar(choices.where(Message.user_id == user_id, Candidate.chosen_at >= since)) or 0


async def claim_share(session: AsyncSession, message_id: str) -> bool:
    """Return whether the answer to a private question may be posted now; only one of several clicks may.

    Whoever claimed it minutes ago and has not posted it was killed in between.
    """
    moment = now()
    is_over = Asking.shared_ts.between(CLAIMED, _claimed_at(moment - LONGEST_SHARE))
    claimed = (
        update(Asking)
        .where(Asking.message_id == message_id, Asking.is_private, or_(Asking.shared_ts.is_(None), is_over))
        .values(shared_ts=_claimed_at(moment))
        .returning(Asking.message_id)
    )
    return (await session.scalar(claimed)) is not None


def _claimed_at(moment: datetime) -> str:
    return f"{CLAIMED}{moment.timestamp():.3f}"


async def release_share(session: AsyncSession, message_id: str) -> None:
    """Let the answer be shared later: it could not be posted."""
    await session.execute(update(Asking).where(Asking.message_id == message_id).values(shared_ts=None))


async def publish(
    session: AsyncSession, answer: Answer, message: Message, *, place: Place, ts: str, audience: Audience
) -> None:
    """Move a private question to the thread in which its answer can be read now by everybody there."""
    thread = await join_thread(session, place, audience=audience)
    old_id, message.thread_id = message.thread_id, thread.id
    message.ts, message.audience = ts, audience
    answer.audience, answer.reply_ts = audience, [ts]
    await session.execute(update(Asking).where(Asking.message_id == message.id).values(shared_ts=ts))
    await session.flush()
    is_empty = ~select(Message.id).where(Message.thread_id == old_id).exists()
    await session.execute(delete(Thread).where(Thread.id == old_id, is_empty))
