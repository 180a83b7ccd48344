"""A team's conversations in a database: people ask, the assistant answers, people vote and correct."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bot.learning.data.policy import DataPolicy
from bot.storage.db import Database
from bot.storage.feedback_tables import ImplicitSignal, Sign
from bot.storage.learning_tables import TrainingChoice
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
    new_id,
)

BEGAN = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
PLAIN = DataPolicy(least_points=0, least_people=0, phrasings=0, rehearsal_share=0.0, canaries=0, window_days=100_000)


def system(today: date) -> str:
    """Return a system prompt as the assistant has it."""
    return f"You are Apprentice.\nToday is {today:%A, %-d %B %Y}."


@dataclass
class Team:
    """What a team said, in its order, so that a test reads like what people did; `save` stores it."""

    rows: list[Any] = field(default_factory=list)
    minutes: int = 0
    threads: dict[str, Thread] = field(default_factory=dict)

    def now(self) -> datetime:
        """Return the team's clock, which goes on by a minute with each look."""
        self.minutes += 1
        return BEGAN + timedelta(minutes=self.minutes)

    def thread(self, name: str, *, channel: str = "C1", audience: Audience = Audience.PUBLIC) -> Thread:
        """Return a thread by its name."""
        if name not in self.threads:
            self.threads[name] = Thread(
                id=new_id(), team_id="T1", channel_id=channel, thread_ts=name, audience=audience, created_at=self.now()
            )
            self.rows.append(self.threads[name])
        return self.threads[name]

    def ask(self, person: str, text: str, reply: str, *, thread: str = "", **changes: Any) -> Answer:
        """Let a person ask in a thread, a new one unless it is named, and return the assistant's reply."""
        place = {name: changes.pop(name) for name in ("channel", "audience") if name in changes}
        where = self.thread(thread or f"{len(self.threads):06d}.0", **place)
        at = self.now()
        message = Message(
            id=new_id(),
            thread_id=where.id,
            ts=f"{at.timestamp():.6f}",
            user_id=person,
            user_name=person.title(),
            text=text,
            audience=where.audience,
            created_at=at,
        )
        self.rows.append(message)
        return self.answer(message, reply, **changes)

    def answer(self, message: Message, text: str, **changes: Any) -> Answer:
        """Return another answer to a message."""
        values = {
            "id": new_id(),
            "message_id": message.id,
            "text": text,
            "state": AnswerState.COMPLETE,
            "audience": message.audience,
            "finish_reason": "stop",
            "model": "starter",
            "created_at": message.created_at,
            "reply_ts": [],
            "sampling": {},
        }
        answer = Answer(**{**values, **changes})
        self.rows.append(answer)
        return answer

    def vote(self, person: str, answer: Answer, *, up: bool = True) -> Feedback:
        """Let a person vote."""
        vote = Feedback(
            id=new_id(),
            answer_id=answer.id,
            user_id=person,
            vote=Vote.UP if up else Vote.DOWN,
            created_at=self.now(),
        )
        self.rows.append(vote)
        return vote

    def show(self, person: str, answer: Answer, sign: Sign, *, weight: float = 0.3) -> ImplicitSignal:
        """Let a person do something after an answer without saying what they think."""
        known = {"id": new_id(), "answer_id": answer.id, "user_id": person, "created_at": self.now()}
        signal = ImplicitSignal(**known, source=sign, weight=weight)
        self.rows.append(signal)
        return signal

    def correct(self, person: str, answer: Answer, text: str, **changes: Any) -> Correction:
        """Let a person say what an answer should have been, which is a 👎 as well."""
        self.vote(person, answer, up=False)
        correction = Correction(
            id=new_id(),
            answer_id=answer.id,
            user_id=person,
            text=text,
            created_at=self.now(),
            **{"audience": answer.audience, **changes},
        )
        self.rows.append(correction)
        return correction

    def prefer(self, person: str, chosen: Answer, rejected: Answer, *, source: str = "regenerate") -> PreferencePair:
        """Let a person prefer one answer to another."""
        pair = PreferencePair(
            id=new_id(),
            chosen_id=chosen.id,
            rejected_id=rejected.id,
            user_id=person,
            source=source,
            created_at=self.now(),
        )
        self.rows.append(pair)
        return pair

    def refuse(self, kind: str, subject: str) -> None:
        """Let a person or a channel not be learned from."""
        self.rows.append(TrainingChoice(kind=kind, subject_id=subject, is_allowed=False, by=subject, at=self.now()))

    async def save(self, database: Database) -> None:
        """Store everything, what others point to first."""
        async with database.begin() as session:
            for kind in (Thread, Message, Answer, Feedback, Correction, PreferencePair, ImplicitSignal, TrainingChoice):
                session.add_all(row for row in self.rows if type(row) is kind)
                await session.flush()
