"""Votes that are reactions: what one that comes or goes changes, and which are known below a thread's answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.feedback import REACTION, TAKEN_AWAY, current_vote, save_vote, take_back_vote
from bot.storage.tables import Answer, Feedback, Message, Thread, Vote, now
from bot.storage.threads import Place


@dataclass(frozen=True, slots=True)
class Reacted:
    """An answer, the message in Slack where it begins, and who is known to say what by reactions below it.

    That is also what another vote has overtaken, and what was said of an answer that stood there before. *carriers* are
    all messages that it or those before it stood in.
    """

    answer_id: str
    ts: str
    carriers: set[str]
    known: dict[str, set[Vote]] = field(default_factory=dict)


async def list_reacted(session: AsyncSession, place: Place) -> list[Reacted]:
    """Return the answers of a thread, of those that stand in the same message the newest."""
    here = {"team_id": place.team_id, "channel_id": place.channel_id, "thread_ts": place.thread_ts}
    answers = select(Answer.id, Answer.reply_ts).join(Message, Answer.message_id == Message.id).join(Thread)
    answers = answers.where(*(getattr(Thread, name) == value for name, value in here.items()))
    by_carrier: dict[str, Reacted] = {}
    for answer_id, carriers in await session.execute(answers.order_by(Answer.id.desc())):
        known = (by_carrier[ts] for ts in carriers if ts in by_carrier)
        newest = next(known, None) or Reacted(answer_id, "".join(carriers[:1]), set())
        newest.carriers.update(carriers)
        by_carrier |= {ts: newest for ts in carriers if ts not in by_carrier}
    votes = answers.join(Feedback, Feedback.answer_id == Answer.id).where(
        Feedback.source == REACTION, Feedback.vote != Vote.NONE
    )
    for _, carriers, user_id, vote in await session.execute(votes.add_columns(Feedback.user_id, Feedback.vote)):
        for reacted in {id(by_carrier[ts]): by_carrier[ts] for ts in carriers}.values():
            reacted.known.setdefault(user_id, set()).add(Vote(vote))
    return list({id(reacted): reacted for reacted in by_carrier.values()}.values())


async def change_reaction(
    session: AsyncSession, answer: Answer, *, user_id: str, vote: Vote, left: Sequence[Vote], is_added: bool
) -> bool:
    """Give a vote or take it back, to the newest of what is *left* of the person's others, or what they pressed before.

    Return whether anything changed.
    """
    current = await current_vote(session, answer.id, user_id=user_id)
    counts = Vote.NONE if current is None else Vote(current.vote)
    is_theirs = current is not None and current.source == REACTION
    if is_added and counts is not vote:
        await save_vote(session, answer, user_id=user_id, vote=vote, source=REACTION)
        return True
    if is_added:
        if not is_theirs:
            await _add_overtaken(session, answer, user_id=user_id, vote=vote)
        return False
    is_changed = is_theirs and counts is vote and left[-1:] != [vote]
    if is_changed and left:
        await save_vote(session, answer, user_id=user_id, vote=left[-1], source=REACTION)
    elif is_changed:
        await take_back_vote(session, answer, user_id=user_id, is_reaction=True)
    if vote not in left:
        await _drop_reaction(session, answer, user_id=user_id, vote=vote)
    return is_changed


async def _add_overtaken(session: AsyncSession, answer: Answer, *, user_id: str, vote: Vote) -> None:
    """Keep that a reaction stands beside a pressed thumb that says the same: after another thumb it is no news."""
    values = {"answer_id": answer.id, "user_id": user_id, "vote": vote, "source": REACTION}
    if await session.scalar(select(Feedback.id).filter_by(**values).limit(1)) is None:
        session.add(Feedback(**values, superseded_at=now()))


async def _drop_reaction(session: AsyncSession, answer: Answer, *, user_id: str, vote: Vote) -> None:
    """Let a reaction that was taken away, and has given way to another vote, never count again."""
    await session.execute(
        update(Feedback)
        .where(Feedback.answer_id == answer.id, Feedback.user_id == user_id, Feedback.superseded_at.is_not(None))
        .where(Feedback.source == REACTION, Feedback.vote == vote)
        .values(source=TAKEN_AWAY)
    )
