"""What each person wants of the assistant; they choose it in their Home."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.choices import CHANNEL, OWN_ADAPTER, PERSON, newest_choice, save_choice
from bot.storage.learning_tables import Adapter, AdapterState, TrainingChoice
from bot.storage.moments import STEP
from bot.storage.preference_tables import PRIVATE, Preference
from bot.storage.privacy import Privacy, find_privacy
from bot.storage.tables import now

BASE = "base"  # instead of an adapter's name: the model as it was before it learned anything
CHOICE = ("adapter-choice", "everybody")  # the kind and subject under which admins allow people to choose
OPTED_OUT_SINCE = exists().where(
    or_(
        and_(TrainingChoice.kind.in_([PERSON, CHANNEL]), TrainingChoice.is_allowed.is_(False)),
        and_(TrainingChoice.kind == OWN_ADAPTER, TrainingChoice.is_allowed),  # no to what everybody gets, if private
    ),
    TrainingChoice.at > Adapter.created_at,
)
# What was judged good and nobody took back; a replaced one goes for good when somebody who may be in it opts out.
IS_CHOOSABLE = and_(
    Adapter.channel_id == "",
    or_(Adapter.state == AdapterState.ACTIVE, and_(Adapter.state == AdapterState.RETIRED, ~OPTED_OUT_SINCE)),
)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What somebody wants; *length* is `short`, `long` or empty, *language* empty for the one that Slack knows.

    *adapter* is who shall answer them: a name, *BASE*, or empty for whatever everybody gets. *stores* is whether their
    words are stored, *teaches* whether they may be learned from, *shown* how those who run it see what they say beside
    a 👎, *has_hints* whether they may be reminded of the thumbs.
    """

    language: str = ""
    length: str = ""
    streams: bool = True
    adapter: str = ""
    stores: bool = True
    shown: str = ""
    has_hints: bool = True
    teaches: bool = True


async def load_preferences(session: AsyncSession, user_id: str) -> Preferences:
    """Return what somebody wants, as far as admins let them choose it."""
    row = await session.get(Preference, user_id)
    privacy = await find_privacy(session, user_id)
    stores, teaches = privacy is not Privacy.UNSTORED, privacy is Privacy.NORMAL
    if row is None:
        return Preferences(stores=stores, teaches=teaches)
    adapter = row.adapter if row.adapter and await may_choose(session) else ""
    return Preferences(row.language, row.length, row.streams, adapter, stores, row.shown, row.has_hints, teaches)


async def find_unseen(session: AsyncSession) -> frozenset[str]:
    """Return those of whose words beside a 👎, corrections too, whoever runs it shall see none."""
    return frozenset(await session.scalars(select(Preference.user_id).where(Preference.shown == PRIVATE)))


async def load_language(session: AsyncSession, user_id: str) -> str:
    """Return the language that somebody has chosen; empty for the one that Slack knows."""
    row = await session.get(Preference, user_id)
    return row.language if row is not None else ""


async def save_preferences(session: AsyncSession, user_id: str, **changes: Any) -> None:
    """Change what somebody wants."""
    row = await session.get(Preference, user_id)
    if row is None:  # two answers to the same person may end at the same moment
        insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
        await session.execute(insert(Preference).values(user_id=user_id).on_conflict_do_nothing())
        row = await session.get_one(Preference, user_id)
    for name, value in changes.items():
        setattr(row, name, value)
    row.at = max(now(), row.at + STEP)  # by which a restore tells which is the later, whatever a clock said


async def may_choose(session: AsyncSession) -> bool:
    """Return whether admins let people choose who answers them."""
    kind, subject_id = CHOICE
    choice = await newest_choice(session, kind=kind, subject_id=subject_id)
    return choice is not None and choice.is_allowed


async def let_choose(session: AsyncSession, *, is_allowed: bool, by: str) -> None:
    """Keep whether people may choose who answers them."""
    kind, subject_id = CHOICE
    await save_choice(session, kind=kind, subject_id=subject_id, is_allowed=is_allowed, by=by)


async def choosable_adapters(session: AsyncSession, *, base_sha256: str = "", most: int = 5) -> Sequence[Adapter]:
    """Return what people may choose among, the active one first: everybody's adapters of the model that is served."""
    statement = select(Adapter).where(IS_CHOOSABLE)
    if base_sha256:
        statement = statement.where(Adapter.base_sha256 == base_sha256)
    return list(await session.scalars(statement.order_by(Adapter.state, Adapter.id.desc()).limit(most)))


async def is_choosable(session: AsyncSession, name: str) -> bool:
    """Return whether people may still be answered by an adapter because they chose it."""
    return (await session.scalar(select(Adapter.id).where(Adapter.name == name, IS_CHOOSABLE))) is not None


async def chosen_adapters(session: AsyncSession) -> Sequence[Adapter]:
    """Return the adapters that are only served because somebody chose them, those of most people first."""
    if not await may_choose(session):
        return []
    statement = (
        select(Adapter)
        .join(Preference, Preference.adapter == Adapter.name)
        .where(Adapter.state == AdapterState.RETIRED, IS_CHOOSABLE)
        .group_by(Adapter.id)
        .order_by(func.count().desc(), Adapter.id.desc())
    )
    return list(await session.scalars(statement))
