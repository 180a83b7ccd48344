"""Threads and the messages in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.storage.asking_tables import PRIVATE, Asking, Candidate
from bot.storage.tables import Answer, AnswerState, Audience, Message, Thread

SLACK_TS = re.compile(r"\d+\.\d+")
SUMMARY = "summary/"  # stands before a conversation's scope where the engine sums it up


@dataclass(frozen=True)
class Place:
    """Where a conversation is."""

    team_id: str
    channel_id: str
    thread_ts: str

    @property
    def scope(self) -> str:
        """The name under which the engine may remember this conversation, and no other."""
        return f"{self.team_id}/{self.channel_id}/{self.thread_ts}"


@dataclass(frozen=True)
class Said:
    """A message of a person, with the newest thing the assistant said to it."""

    user_name: str
    text: str
    answer: str | None = None
    ts: str = ""
    id: str = ""


def narrow(stored: Audience, current: Audience) -> Audience:
    """Return who may read what is said now below words of *stored*, in a channel that others may read by now."""
    return current if stored is Audience.PUBLIC or (stored, current) == (Audience.PRIVATE, Audience.SHARED) else stored


async def find_thread(session: AsyncSession, place: Place) -> Thread | None:
    """Return the thread at *place*, if the assistant takes part in it."""
    return await session.scalar(select(Thread).filter_by(**vars(place)))


async def is_stored(session: AsyncSession, place: Place, ts: str) -> bool:
    """Return whether a message was taken up already."""
    here = (getattr(Thread, name) == value for name, value in vars(place).items())
    found = select(Message.id).join(Thread, Message.thread_id == Thread.id).where(*here, Message.ts == ts)
    return (await session.scalar(found.limit(1))) is not None


async def join_thread(session: AsyncSession, place: Place, *, audience: Audience) -> Thread:
    """Return the thread at *place*, new or known, with the audience that its channel has now."""
    thread = await find_thread(session, place)
    if thread is None:
        thread = Thread(**vars(place))
        session.add(thread)
    thread.audience = audience
    await session.flush()
    return thread


async def hide_thread(session: AsyncSession, place: Place) -> None:
    """Let what everybody may read of a thread be for its channel's people alone, until it is known who they are now."""
    thread = await find_thread(session, place)
    if thread is not None:
        thread.audience = narrow(Audience(thread.audience), Audience.PRIVATE)


async def list_said(session: AsyncSession, team_id: str, *, since: datetime, most: int) -> dict[Place, list[str]]:
    """Return the newest messages of a workspace since a moment, by thread: when each was said, as Slack has it.

    What was never a message there is left out: a question by command, and what its asker shared of a private one.
    """
    columns = (Thread.channel_id, Thread.thread_ts, Message.ts)
    said = select(*columns).join(Thread).where(Thread.team_id == team_id, Message.created_at >= since)
    is_put_private = exists().where(Asking.message_id == Message.id, Asking.is_private)
    said = said.where(or_(~is_put_private, Thread.thread_ts.startswith(PRIVATE)))
    found: dict[Place, list[str]] = {}
    for channel_id, said_in, ts in await session.execute(said.order_by(Message.created_at.desc()).limit(most)):
        thread_ts = said_in.removeprefix(PRIVATE)
        if SLACK_TS.fullmatch(thread_ts) is None:
            continue
        found.setdefault(Place(team_id, channel_id, thread_ts), []).append(ts)
    return found


async def save_message(
    session: AsyncSession, thread: Thread, *, ts: str, user_id: str, user_name: str, text: str, audience: Audience
) -> Message:
    """Store a person's message once, whatever happens to the turn that answers it."""
    message = await session.scalar(select(Message).filter_by(thread_id=thread.id, ts=ts))
    if message is None:
        message = Message(
            thread_id=thread.id, ts=ts, user_id=user_id, user_name=user_name, text=text, audience=audience
        )
        session.add(message)
        await session.flush()
    return message


async def load_history(session: AsyncSession, thread_id: str, *, before_ts: str) -> list[Said]:
    """Return what was said in a thread before *before_ts*, oldest first."""
    messages = await session.scalars(
        select(Message)
        .where(Message.thread_id == thread_id, Message.ts < before_ts, Message.text != "")  # empty: not stored
        .order_by(Message.ts)
    )
    answers = await session.execute(
        select(Answer.message_id, Answer.text)
        .join(Message, Answer.message_id == Message.id)
        .where(
            Message.thread_id == thread_id,
            Message.ts < before_ts,
            Answer.state.in_([AnswerState.COMPLETE, AnswerState.STOPPED]),
            Answer.id.not_in(select(Candidate.answer_id).where(Candidate.stands.is_(False))),
        )
        .order_by(Answer.id)
    )
    newest = {message_id: text for message_id, text in answers if text}
    return [Said(said.user_name, said.text, newest.get(said.id), said.ts, said.id) for said in messages]


async def known_teams(session: AsyncSession) -> list[str]:
    """Return the workspaces in which somebody has talked to the assistant."""
    return sorted(await session.scalars(select(Thread.team_id).distinct()))


async def lock_messages(session: AsyncSession, *message_ids: str) -> Sequence[str]:
    """Let whoever else changes some messages, or says something of their answers, wait; return which are there.

    Whoever locks an answer too locks it after its message.
    """
    here = select(Message.id).where(Message.id.in_(message_ids)).order_by(Message.id)
    return (await session.scalars(here.with_for_update())).all()
