"""Numbers that admins set for a person or a channel, and what of a budget is used."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import blake2b

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.admin_tables import Limit
from bot.storage.spending_tables import Spending
from bot.storage.tables import Answer, Message, Thread, now

KEPT = timedelta(days=2)
NEW_TOKENS = (
    func.coalesce(Answer.prompt_tokens, 0)
    - func.coalesce(Answer.cached_tokens, 0)
    + func.coalesce(Answer.completion_tokens, 0)
)
PERSON_BUDGET, CHANNEL_BUDGET, RETENTION = "person-budget", "channel-budget", "retention"


async def find_limit(session: AsyncSession, kind: str, subject_id: str) -> int | None:
    """Return what was set; None where nothing was, 0 where it was set to have no limit."""
    return await session.scalar(select(Limit.value).filter_by(kind=kind, subject_id=subject_id))


async def all_limits(session: AsyncSession, *kinds: str) -> Sequence[Limit]:
    """Return everything that was set of some kinds, the newest first."""
    statement = select(Limit).where(Limit.kind.in_(kinds)).order_by(Limit.at.desc(), Limit.subject_id)
    return list(await session.scalars(statement))


async def set_limit(session: AsyncSession, kind: str, subject_id: str, value: int | None, *, by: str) -> None:
    """Set a limit; None leaves it to the settings again."""
    await session.execute(delete(Limit).where(Limit.kind == kind, Limit.subject_id == subject_id))
    if value is not None:
        session.add(Limit(kind=kind, subject_id=subject_id, value=value, by=by, at=now()))


async def count_tokens(
    session: AsyncSession, *, since: datetime, user_id: str = "", channel_id: str = ""
) -> tuple[int, int]:
    """Return how many tokens had to be computed for a person or a channel, tools included, and how many answers."""
    total = select(func.coalesce(func.sum(NEW_TOKENS), 0), func.count())
    statement = total.join(Message, Answer.message_id == Message.id).where(Answer.created_at >= since)
    if user_id:
        statement = statement.where(Message.user_id == user_id)
    if channel_id:
        statement = statement.join(Thread, Message.thread_id == Thread.id).where(Thread.channel_id == channel_id)
    tokens, answers = (await session.execute(statement)).one()
    beside = select(func.coalesce(func.sum(Spending.tokens), 0)).where(Spending.at >= since)
    named = Spending.user_id.in_([user_id, hide(user_id)]) if user_id else Spending.channel_id == channel_id
    beside = beside.where(named)
    return max(0, int(tokens) + int(await session.scalar(beside) or 0)), int(answers)


async def spend(session: AsyncSession, *, user_id: str, channel_id: str, tokens: int) -> None:
    """Count what a tool took, or an answer that cannot say it."""
    session.add(Spending(user_id=user_id, channel_id=_channel_of(channel_id), tokens=tokens))
    await forget_spent(session)


async def forget_spent(session: AsyncSession) -> None:
    """Forget what is older than a day: it counts in no budget any more."""
    await session.execute(delete(Spending).where(Spending.at < now() - KEPT))


def hide(user_id: str) -> str:
    """Return the name under which what somebody used is counted once its words are gone."""
    return f"gone:{blake2b(user_id.encode(), digest_size=8).hexdigest()}"


def _channel_of(place: str) -> str:
    """Return nothing for a direct message: it has no budget of its own, and its id is as good as a name."""
    return "" if place.startswith("D") else place


def begin_of_day() -> datetime:
    """Return when the day began that budgets count: at midnight on the machine that the bot runs on."""
    return datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)


async def pass_on(session: AsyncSession, answer_id: str, *, by: str) -> None:
    """Let whoever wanted an answer anew pay for it, where somebody else had asked the question.

    In the channel's budget it counts as it did.
    """
    query = select(Message.user_id, NEW_TOKENS, Answer.created_at).join(Message, Answer.message_id == Message.id)
    found = (await session.execute(query.where(Answer.id == answer_id))).one_or_none()
    if found is not None and found[0] != by:
        asker, tokens, at = found
        session.add_all(
            Spending(user_id=user_id, channel_id="", tokens=count, at=at)
            for user_id, count in ((by, tokens), (asker, -tokens))
        )


async def keep_spent(session: AsyncSession, which: ColumnElement[bool]) -> None:
    """Go on counting what answers took that are about to go: deleting a question gives nothing back."""
    query = (
        select(Message.user_id, Thread.channel_id, NEW_TOKENS, Answer.created_at)
        .join(Message, Answer.message_id == Message.id)
        .join(Thread, Message.thread_id == Thread.id)
    )
    query = query.where(which, Answer.created_at >= now() - KEPT, NEW_TOKENS != 0)
    for user_id, channel_id, tokens, at in await session.execute(query):
        session.add(Spending(user_id=hide(user_id), channel_id=_channel_of(channel_id), tokens=tokens, at=at))


async def keep_spent_of(session: AsyncSession, user_id: str) -> None:
    """Go on counting what somebody who is about to be forgotten used today: how much and where, not when or by whom."""
    since, used = begin_of_day(), Counter[str]()
    answers = (
        select(Thread.channel_id, func.sum(NEW_TOKENS))
        .join(Message, Message.thread_id == Thread.id)
        .join(Answer, Answer.message_id == Message.id)
        .where(Message.user_id == user_id, Answer.created_at >= since)
        .group_by(Thread.channel_id)
    )
    beside = (
        select(Spending.channel_id, func.sum(Spending.tokens))
        .where(Spending.user_id == user_id, Spending.at >= since)
        .group_by(Spending.channel_id)
    )
    for query in (answers, beside):
        for channel_id, tokens in await session.execute(query):
            used[_channel_of(channel_id)] += int(tokens)
    session.add_all(Spending(user_id=hide(user_id), channel_id=place, tokens=count) for place, count in used.items())
