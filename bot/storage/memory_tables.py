"""The tables of what the assistant keeps in mind: how corrections are found, what an answer was made from, summaries.

Everything in them belongs to a message, an answer or a thread, and goes with it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, String, Text, and_, exists, false, or_
from sqlalchemy.orm import Mapped, aliased, mapped_column

from bot.storage.tables import Answer, Base, new_id, now


class SourceKind(StrEnum):
    """What an answer can be made from."""

    MESSAGE = "message"
    CORRECTION = "correction"
    SUMMARY = "summary"
    FILE = "file"
    ANSWER = "answer"  # to the same question, which was to be said shorter


class CorrectionTerm(Base):
    """A term of the question that a correction answers: the full-text index, the same on every database."""

    __tablename__ = "correction_terms"

    term: Mapped[str] = mapped_column(String(32), primary_key=True)
    correction_id: Mapped[str] = mapped_column(
        ForeignKey("corrections.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class CorrectionVector(Base):
    """What a model with embeddings makes of the question that a correction answers, as 32-bit floats."""

    __tablename__ = "correction_vectors"

    correction_id: Mapped[str] = mapped_column(ForeignKey("corrections.id", ondelete="CASCADE"), primary_key=True)
    model: Mapped[str] = mapped_column(String(200), primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)


class AnswerSource(Base):
    """Something that stood in the prompt of an answer, by its id; *ref_id* may be of something that is gone."""

    __tablename__ = "answer_sources"

    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[SourceKind] = mapped_column(String(16))
    ref_id: Mapped[str] = mapped_column(String(64), index=True)
    score: Mapped[float | None]  # how alike the question of a correction is


_BEFORE, _SOURCE_BEFORE = aliased(Answer), aliased(AnswerSource)
HELPED = or_(
    exists().where(AnswerSource.answer_id == Answer.id, AnswerSource.kind == SourceKind.CORRECTION),
    and_(
        exists().where(AnswerSource.answer_id == Answer.id, AnswerSource.kind == SourceKind.ANSWER),
        exists().where(
            _BEFORE.message_id == Answer.message_id,
            _SOURCE_BEFORE.answer_id == _BEFORE.id,
            _SOURCE_BEFORE.kind == SourceKind.CORRECTION,
        ),
    ),
)
"""Whether an answer had a correction in its prompt, or one that it says shorter had: then it says nothing of what the
model knows by itself.
"""


class AnswerTrace(Base):
    """What else is known of how an answer was written; *unsure* are its least certain words with their odds.

    *prompts* are those that told it of corrections and of a summary, with their versions.
    """

    __tablename__ = "answer_traces"

    answer_id: Mapped[str] = mapped_column(ForeignKey("answers.id", ondelete="CASCADE"), primary_key=True)
    generating_at: Mapped[datetime | None]  # when the engine took it up; before that it was in a queue
    certainty: Mapped[float | None]  # the geometric mean of its tokens' probabilities
    unsure: Mapped[dict[str, Any]] = mapped_column(default=dict)
    prompts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    is_chosen: Mapped[bool] = mapped_column(default=False, server_default=false())  # whoever asked chose who answers


class ThreadSummary(Base):
    """What was said in the older part of a thread, in few words: everything up to and including *until_ts*."""

    __tablename__ = "thread_summaries"

    id: Mapped[str] = mapped_column(String(26), primary_key=True, default=new_id)
    thread_id: Mapped[str] = mapped_column(ForeignKey("threads.id", ondelete="CASCADE"), unique=True)
    until_ts: Mapped[str] = mapped_column(String(32))
    messages: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(String(200))
    prompt_version: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)
