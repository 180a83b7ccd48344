"""One turn: from a person's message to the assistant's words, with everything stored that explains them.

Knows no Slack: the caller drains `Assistant.write` and shows the words wherever the person is.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from bot.conversation.history import Fitted, build_messages, fit_history
from bot.conversation.prompts import Prompt
from bot.engine.client import EngineClient
from bot.engine.types import Chunk, ModelInfo
from bot.errors import ContextOverflow, EngineBusy, EngineError, EngineUnavailable
from bot.storage.answers import begin_answer, has_outcome, load_answer, update_answer
from bot.storage.db import Database
from bot.storage.tables import Answer, AnswerState, Audience, Message, now
from bot.storage.threads import Place, Said, join_thread, load_history, save_message

ENGINE_PATIENCE_S = 90.0
TEMPLATE_MARGIN = 16
UNKNOWN_CONTEXT = 4096
ANOTHER_TEMPERATURE = 0.8  # whoever asks for another answer does not want to read the same one again
STOPPED = "stopped"


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
    """An answer that is being written; *reply_ts* are the Slack messages that carry it so far."""

    question: Question
    answer_id: str
    message_id: str
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

    def asked_text(self) -> str:
        """Return what people said in the part of the thread that the model reads."""
        messages = self.fitted.messages if self.fitted else []
        return "\n".join(message["content"] for message in messages if message["role"] == "user")


class Assistant:
    """Answers messages with the engine and remembers in the database."""

    def __init__(
        self, database: Database, engine: EngineClient, *, prompt: Prompt, max_tokens: int, temperature: float
    ) -> None:
        self._database = database
        self._engine = engine
        self._prompt = prompt
        self._max_tokens = max_tokens
        self._temperature = temperature

    async def begin(self, question: Question) -> Draft | None:
        """Store the question and begin its answer; None when it has its visible outcome already."""
        async with self._database.begin() as session:
            thread = await join_thread(session, question.place, audience=question.audience)
            message = await save_message(
                session,
                thread,
                ts=question.ts,
                user_id=question.user_id,
                user_name=question.user_name,
                text=question.text,
            )
            if await has_outcome(session, message.id):
                return None
            return _draft(question, message, await begin_answer(session, message))

    async def begin_again(self, answer_id: str) -> Draft | None:
        """Begin another answer to the same message, to take the place of *answer_id*; None when that is gone."""
        async with self._database.begin() as session:
            record = await load_answer(session, answer_id)
            if record is None:
                return None
            message = record.message
            answer = await begin_answer(session, message, replaces_id=answer_id)
            answer.reply_ts = answer.reply_ts or list(record.answer.reply_ts)
            question = Question(
                place=record.place,
                ts=message.ts,
                user_id=message.user_id,
                user_name=message.user_name,
                text=message.text,
                audience=Audience(message.audience),
            )
            draft = _draft(question, message, answer)
            draft.is_another = record.answer.state != AnswerState.FAILED
            return draft

    async def prepare(self, draft: Draft) -> None:
        """Choose model, sampling and what of the thread the model reads; raise *ContextOverflow* if nothing fits."""
        preparing = asyncio.ensure_future(self._prepare(draft))
        stopping = asyncio.ensure_future(draft.stop.wait())
        try:
            await asyncio.wait({preparing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not preparing.done():
                draft.finish_reason = STOPPED
                return
            await preparing
        finally:
            stopping.cancel()
            preparing.cancel()

    async def _prepare(self, draft: Draft) -> None:
        model = await self._served_model()
        limit = model.n_ctx or UNKNOWN_CONTEXT
        room = min(self._max_tokens, limit // 3)
        draft.fitted = await self._fit(draft, budget=limit - room - TEMPLATE_MARGIN)
        temperature = max(self._temperature, ANOTHER_TEMPERATURE) if draft.is_another else self._temperature
        sampling = {"temperature": temperature, "seed": secrets.randbelow(2**31), "max_tokens": room}
        draft.record = {
            "model": model.id,
            "model_sha256": model.sha256 or "",
            "prompt_name": self._prompt.name,
            "prompt_version": self._prompt.version,
            "sampling": sampling,
            "messages_used": draft.fitted.used,
            "messages_total": draft.fitted.total,
        }

    async def write(self, draft: Draft) -> AsyncGenerator[str, None]:
        """Yield the answer piece by piece; an engine that dies in the middle is waited for, and the answer goes on."""
        deadline = asyncio.get_running_loop().time() + ENGINE_PATIENCE_S
        while draft.finish_reason is None:
            try:
                async for piece in self._attempt(draft):
                    yield piece
            except (EngineUnavailable, EngineBusy) as error:
                is_lost = bool(draft.text) and draft.prompt_ids is None
                if is_lost or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(error.retry_after if isinstance(error, EngineBusy) else 0.2)

    async def finish(self, draft: Draft, *, state: AnswerState, error_id: str | None = None) -> None:
        """Store what was written and how it came about."""
        async with self._database.begin() as session:
            await update_answer(
                session,
                draft.answer_id,
                state=state,
                text=draft.text,
                reply_ts=draft.reply_ts,
                error_id=error_id,
                finish_reason=draft.finish_reason,
                prompt_token_ids=draft.prompt_ids,
                completion_token_ids=draft.completion_ids or None,
                first_token_at=draft.first_token_at,
                finished_at=now(),
                **draft.record,
            )

    async def remember_reply(self, draft: Draft, reply_ts: list[str]) -> None:
        """Store at once where the answer stands in Slack, so that a crash does not make a second one."""
        draft.reply_ts = reply_ts
        async with self._database.begin() as session:
            await update_answer(session, draft.answer_id, reply_ts=reply_ts)

    async def _served_model(self) -> ModelInfo:
        """Return the first served model, waiting for an engine that is still on its way up."""
        deadline = asyncio.get_running_loop().time() + ENGINE_PATIENCE_S
        while True:
            try:
                served = await self._engine.models()
            except EngineUnavailable:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.2)
            else:
                if not served:
                    raise EngineError("The model's server serves no model.")
                return served[0]

    async def _fit(self, draft: Draft, *, budget: int) -> Fitted:
        question = draft.question
        async with self._database.begin() as session:
            history = await load_history(session, draft.thread_id, before_ts=question.ts)
        system = self._prompt.render(today=f"{now().astimezone():%A, %-d %B %Y}")
        asked = Said(question.user_name, question.text)
        fitted = await fit_history(
            history,
            lambda kept: build_messages(system, kept, asked, is_group=question.is_group),
            count=self._engine.count_tokens,
            budget=budget,
        )
        if isinstance(fitted, int):
            raise ContextOverflow(prompt_tokens=fitted, limit=budget)
        return fitted

    async def _attempt(self, draft: Draft) -> AsyncGenerator[str, None]:
        """Run the engine once, from the beginning or from where an earlier attempt broke off."""
        place = draft.question.place
        scope = f"{place.team_id}/{place.channel_id}/{place.thread_ts}"
        options = {**draft.record["sampling"], "model": draft.record["model"], "scope": scope}
        options["user"] = draft.question.user_id
        if draft.prompt_ids is not None and draft.completion_ids:
            chunks = self._engine.resume(draft.prompt_ids, tuple(draft.completion_ids), **options)
        else:
            chunks = self._engine.chat(draft.fitted.messages if draft.fitted else [], **options)
        async with aclosing(_until(draft.stop, chunks)) as stream:
            async for chunk in stream:
                _take(draft, chunk)
                if chunk.text:
                    yield chunk.text
        if draft.stop.is_set():
            draft.finish_reason = STOPPED
        elif draft.finish_reason is None:
            raise EngineUnavailable
        elif not draft.text.strip():
            raise EngineError("The model gave an empty answer.")


def _draft(question: Question, message: Message, answer: Answer) -> Draft:
    return Draft(
        question=question,
        answer_id=answer.id,
        message_id=message.id,
        thread_id=message.thread_id,
        reply_ts=list(answer.reply_ts),
    )


def _take(draft: Draft, chunk: Chunk) -> None:
    """Write down what *chunk* says."""
    draft.prompt_ids = chunk.prompt_token_ids or draft.prompt_ids
    draft.completion_ids.extend(chunk.token_ids)
    draft.finish_reason = chunk.finish_reason or draft.finish_reason
    if chunk.usage is not None:
        draft.record.update(asdict(chunk.usage))
    if chunk.text and draft.first_token_at is None:
        draft.first_token_at = now()
    draft.text += chunk.text


async def _until(stop: asyncio.Event, chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    """Pass *chunks* on until *stop* is set, without waiting for the next one."""
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while True:
            following = asyncio.ensure_future(anext(chunks, None))
            await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                await asyncio.wait({following})
                return
            chunk = following.result()
            if chunk is None:
                return
            yield chunk
            if stop.is_set():
                return
    finally:
        stopping.cancel()
        await chunks.aclose()  # frees the engine's slot
