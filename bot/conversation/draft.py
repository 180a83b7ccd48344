"""An answer while it is being written, and the question that it answers."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from bot.conversation.history import Fitted
from bot.engine.types import Chunk, QueuePlace
from bot.storage.tables import Audience, now
from bot.storage.threads import Place

T = TypeVar("T")
STOPPED = "stopped"
STORED_COUNTS = ("prompt_tokens", "cached_tokens", "completion_tokens")


@dataclass(frozen=True)
class Question:
    """A message that wants an answer; *is_group* says that others can speak in the same place."""

    place: Place
    ts: str
    user_id: str
    user_name: str
    text: str
    audience: Audience

    @property
    def is_group(self) -> bool:
        """Return whether speakers must be told apart."""
        return self.audience is not Audience.DIRECT


@dataclass
class Draft:
    """An answer that is being written; *reply_ts* are the Slack messages that carry it so far.

    *place* says where it waits for the engine, None when it does not; *moved* is set whenever that changes.
    """

    question: Question
    answer_id: str
    thread_id: str
    reply_ts: list[str]
    is_another: bool = False
    began_at: datetime = field(default_factory=now)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    text: str = ""
    fitted: Fitted | None = None
    finish_reason: str | None = None
    record: dict[str, Any] = field(default_factory=dict)
    prompt_ids: tuple[int, ...] | None = None
    completion_ids: list[int] = field(default_factory=list)
    first_token_at: datetime | None = None
    place: QueuePlace | None = None
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def asked_text(self) -> str:
        """Return what people said in the part of the thread that the model reads."""
        messages = self.fitted.messages if self.fitted else []
        return "\n".join(message["content"] for message in messages if message["role"] == "user")

    def take(self, chunk: Chunk) -> None:
        """Write down what *chunk* of the engine's stream says."""
        self.prompt_ids = chunk.prompt_token_ids or self.prompt_ids
        self.completion_ids.extend(chunk.token_ids)
        self.finish_reason = chunk.finish_reason or self.finish_reason
        if chunk.usage is not None:
            self.record.update({name: getattr(chunk.usage, name) for name in STORED_COUNTS})
        if chunk.queue is not None or chunk.token_ids or chunk.text:
            self.stand(chunk.queue)
        if chunk.text and self.first_token_at is None:
            self.first_token_at = now()
        self.text += chunk.text

    def stand(self, place: QueuePlace | None) -> None:
        """Note where the answer waits."""
        if place != self.place:
            self.place = place
            self.moved.set()

    async def unless_stopped(self, work: Awaitable[T]) -> T | None:
        """Wait for *work*, but no longer than until somebody stops the answer; None means stopped."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if working.done() and not self.stop.is_set():
                return working.result()
            self.finish_reason = STOPPED
            return None
        finally:
            for task in (working, stopping):
                task.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)
