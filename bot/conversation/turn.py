"""One turn: from a person's message to the assistant's words, with everything stored that explains them.

Knows no Slack: the caller drains `Assistant.write` and shows the words wherever the person is.
"""

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import date

from bot.conversation.draft import STOPPED, Draft, Question, TooLong
from bot.conversation.file_fit import fit_with_files
from bot.conversation.history import Aside, Fitted, build_messages
from bot.conversation.memory import Memory
from bot.conversation.patience import Patience
from bot.conversation.pictures import show_pictures
from bot.conversation.prompt_book import Opening, PromptBook
from bot.conversation.tracing import save_end
from bot.engine.client import EngineClient
from bot.engine.types import AnswerOptions, QueuePlace
from bot.errors import ContextOverflow, EngineBusy, EngineError, EngineUnavailable, UnknownModel
from bot.storage.answers import (
    AnswerRecord,
    answers_another,
    begin_answer,
    has_newer,
    has_outcome,
    is_outdated,
    is_replaced,
    load_answer,
    load_carriers,
    load_replaced,
    update_answer,
)
from bot.storage.askings import find_asking, save_asking, save_round
from bot.storage.db import Database
from bot.storage.files import announce_files, load_thread_files
from bot.storage.inbox import find_edits
from bot.storage.personas import find_persona
from bot.storage.preferences import load_preferences
from bot.storage.tables import AnswerState, Audience, now
from bot.storage.threads import Said, join_thread, narrow, save_message
from bot.storage.traces import is_there

TEMPLATE_MARGIN = 16
UNKNOWN_CONTEXT = 4096
ANOTHER_TEMPERATURE = 0.8  # whoever asks for another answer does not want to read the same one again


# From who asks, what the engine serves, where it is asked, and whom they want to the adapter that answers, and whether
# it is what they want; empty: the base.
ChooseAdapter = Callable[[str, Collection[str], str, str], Awaitable[tuple[str, bool]]]
CHANNELS = {Audience.PUBLIC, Audience.PRIVATE}  # what can have an adapter of its own


async def choose_base(_user_id: str, _served: Collection[str], _channel_id: str, _wish: str) -> tuple[str, bool]:
    """Let the base answer everybody."""
    return "", False


class Assistant:
    """Answers messages with the engine and remembers in the database."""

    def __init__(
        self,
        database: Database,
        engine: EngineClient,
        *,
        prompts: PromptBook,
        max_tokens: int,
        temperature: float,
        memory: Memory,
        asks_certainty: bool = True,
        choose_adapter: ChooseAdapter = choose_base,
        sees_images: bool | None = None,
    ) -> None:
        self._database = database
        self._engine = engine
        self._prompts = prompts
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._memory = memory
        self._asks_certainty = asks_certainty
        self._choose_adapter = choose_adapter
        self._sees_images = sees_images  # None: as the model's server says

    async def begin(self, question: Question) -> Draft | None:
        """Store the question and begin its answer; None when it has had its visible outcome, or was deleted.

        Of somebody who wants nothing stored only the rows are: their words are in the draft alone. Raises
        *QuestionChanged* when it was edited since it was read.
        """
        async with self._database.begin() as session:
            here, stamps = question.place, [part.ts for part in question.parts]
            edits = await find_edits(session, here.team_id, here.channel_id, stamps)
            left = question.still_there(edits)
            if left is None:
                return None
            question = left
            wish = await load_preferences(session, question.user_id)
            thread = await join_thread(session, question.place, audience=question.audience)
            for part in question.parts:  # the last one carries the answer
                message = await save_message(
                    session,
                    thread,
                    ts=part.ts,
                    user_id=part.user_id,
                    user_name=part.user_name,
                    text=part.text if wish.stores else "",
                    audience=part.audience,
                )
                await announce_files(session, message, part.files)
                await save_asking(session, message.id, part.put)
            if await has_outcome(session, message.id):
                return None
            answer, is_resumed = await begin_answer(session, message)
            question = question if wish.stores else question.as_one()
            return Draft(
                question,
                answer_id=answer.id,
                thread_id=thread.id,
                reply_ts=list(answer.reply_ts),
                wish=wish,
                is_resumed=is_resumed,
            )

    async def begin_again(
        self, answer_id: str, current: Audience, *, is_edit: bool = False, is_shorter: bool = False
    ) -> Draft | None:
        """Begin another answer to the same message, in place of *answer_id*; None when that is gone or replaced.

        *is_shorter* lets the model read the one before, and asks it to say the same in fewer words.

        It is for those who can read in the channel now, the *current* audience, if that became private or shared.
        After an edit it is the answer to another question, which nobody can prefer to the one before.
        """
        async with self._database.begin() as session:
            record = await load_answer(session, answer_id)
            if record is None or not record.message.text:  # empty: it was not to be stored
                return None
            message, audience = record.message, narrow(Audience(record.message.audience), current)
            if await is_replaced(session, answer_id) or (is_edit and await has_newer(session, record.answer)):
                return None
            if is_shorter and await is_outdated(session, record):  # edited since somebody wished for it
                return None
            is_another = is_edit or answers_another(message, record.answer)
            answer, is_resumed = await begin_answer(session, message, replaces_id=None if is_another else answer_id)
            await join_thread(session, record.place, audience=audience)
            answer.audience, answer.reply_ts = audience, answer.reply_ts or list(record.answer.reply_ts)
            question = Question(
                place=record.place,
                ts=message.ts,
                user_id=message.user_id,
                user_name=message.user_name,
                text=message.text,
                audience=audience,
                put=replace(await find_asking(session, message.id), candidates=1),
            )
            return Draft(
                question,
                answer_id=answer.id,
                thread_id=message.thread_id,
                reply_ts=list(answer.reply_ts),
                wish=await load_preferences(session, message.user_id),
                is_again=True,
                is_another=not (is_edit or is_shorter) and record.answer.state != AnswerState.FAILED,
                shortens=TooLong(answer_id, record.answer.text) if is_shorter and record.answer.text else None,
                is_resumed=is_resumed,
            )

    async def is_there(self, answer_id: str) -> bool:
        """Return whether an answer is still known: it goes with its question."""
        async with self._database.read() as session:
            return await is_there(session, answer_id)

    async def find_before(self, draft: Draft) -> AnswerRecord | None:
        """Return the answer with words that a draft is to take the place of, None where there is none."""
        async with self._database.read() as session:
            return await load_replaced(session, draft.answer_id)

    async def prepare(self, draft: Draft) -> None:
        """Choose model, sampling and what of the thread the model reads; raise *ContextOverflow* if nothing fits."""
        await draft.unless_stopped(self._prepare_patiently(draft))

    async def _prepare_patiently(self, draft: Draft) -> None:
        patience = Patience()
        while True:
            try:
                return await self._prepare(draft)
            except (EngineUnavailable, EngineBusy) as error:
                await patience.wait(error)

    async def _prepare(self, draft: Draft) -> None:
        served = await self._engine.models()
        if not served:
            raise EngineError("The model's server serves no model.")
        model = served[0]
        asked = draft.question
        channel_id = asked.place.channel_id if asked.audience in CHANNELS else ""
        names = {other.id for other in served[1:]}
        wish = draft.wish.adapter
        adapter = ""  # what was learned from all is not for those who may not read all
        if draft.is_ours:
            adapter, draft.is_chosen = await self._choose_adapter(asked.user_id, names, channel_id, wish)
        limit = model.n_ctx or UNKNOWN_CONTEXT
        room = min(self._max_tokens, limit // 3)
        opening = await self._open(draft)
        draft.sees = self._sees_images if self._sees_images is not None else model.sees
        draft.eyes = str(model.meta.get("mmproj", ""))
        draft.picture_tokens = model.picture_tokens or draft.picture_tokens
        budget = limit - room - TEMPLATE_MARGIN
        aside = await self._memory.bring(draft, model=model, room=budget)
        draft.fitted = await self._fit(draft, opening.text, aside, budget=budget)
        if draft.excerpts:
            opening = self._prompts.with_file(opening)
        temperature = max(self._temperature, ANOTHER_TEMPERATURE) if draft.is_another else self._temperature
        sampling = {"temperature": temperature, "seed": secrets.randbelow(2**31), "max_tokens": room}
        draft.record = {
            "model": model.id,
            "model_sha256": model.sha256 or "",
            "adapter": adapter or None,
            "prompt_name": opening.name,
            "prompt_version": opening.version,
            "sampling": sampling,
            "messages_used": draft.fitted.used,
            "messages_total": draft.fitted.total,
        }

    async def write(self, draft: Draft) -> AsyncGenerator[str, None]:
        """Yield the answer piece by piece, or all that is written; an engine that dies in the middle is waited for."""
        if draft.is_written:
            yield draft.text
        patience = Patience()
        while draft.finish_reason is None:
            try:
                async for piece in self._attempt(draft):
                    patience = Patience()
                    yield piece
            except UnknownModel:
                if not draft.record["adapter"]:
                    raise
                await self._drop_adapter(draft)
            except (EngineUnavailable, EngineBusy) as error:
                draft.stand(_read_place(error))
                if draft.text and not draft.can_go_on:
                    raise  # a server that names no token ids: nothing to go on from
                await draft.unless_stopped(patience.wait(error))

    async def _drop_adapter(self, draft: Draft) -> None:
        """Go on without an adapter that was taken back while the answer waited: as if it were asked now."""
        if draft.text:
            draft.record["adapter"] = None
        else:
            await self.prepare(draft)

    async def finish(self, draft: Draft, *, state: AnswerState, error_id: str | None = None) -> None:
        """Store what was written and how it came about, of several answers to choose from all at once.

        A crash in between would leave some of them known, and the choice among them a choice of nothing.
        """
        async with self._database.begin() as session:
            for one in (draft, *draft.others):
                await save_end(session, one, state=state, error_id=error_id)
            if draft.others:
                await save_round(session, [one.answer_id for one in (draft, *draft.others)])
        draft.has_ended = True
        if not draft.wish.stores:
            with suppress(EngineError):  # one that is away keeps nothing either
                await self._engine.forget(draft.question.place.scope)
        if state == AnswerState.COMPLETE:
            self._memory.summaries.note(draft)

    async def remember_reply(self, draft: Draft, reply_ts: list[str]) -> None:
        """Store at once where the answer stands in Slack, so that a crash does not make a second one."""
        draft.reply_ts = reply_ts
        async with self._database.begin() as session:
            await update_answer(session, draft.answer_id, reply_ts=reply_ts)

    async def load_carriers(self, draft: Draft) -> set[str]:
        """Return every message in Slack that is known to carry an answer in the thread of *draft*."""
        async with self._database.read() as session:
            return await load_carriers(session, draft.thread_id)

    def system_on(self, day: date) -> str:
        """Return the assistant's own prompt as it stands on a day."""
        return self._prompts.system_on(day)

    async def _open(self, draft: Draft) -> Opening:
        """Return the first message: the shared prompt, and below it how the channel wants to be spoken to.

        The draft gets the files of its thread from the same look into the database.
        """
        place = draft.question.place
        async with self._database.read() as session:
            persona = await find_persona(session, place.team_id, place.channel_id)
            draft.files = await load_thread_files(session, {draft.thread_id, draft.read_id}, until_ts=draft.question.ts)
        opening = self._prompts.open(now().astimezone().date(), persona=persona)
        return self._prompts.with_length(opening, draft.question.put.length or draft.wish.length)

    async def _fit(self, draft: Draft, system: str, aside: Aside, *, budget: int) -> Fitted:
        question = draft.question
        asked = Said(question.user_name, question.text, ts=question.ts)
        fitted = await fit_with_files(
            draft.history,
            asked,
            draft,
            lambda kept, said: build_messages(system, kept, said, is_group=question.is_group, aside=aside),
            prompts=self._prompts,
            count=self._engine.count_tokens,
            budget=budget,
        )
        if isinstance(fitted, int) and aside.taught:
            return await self._fit(draft, system, self._memory.forget(draft), budget=budget)
        if isinstance(fitted, int):
            raise ContextOverflow(prompt_tokens=fitted, limit=budget)
        return replace(fitted, total=fitted.total + draft.summarised)

    async def _attempt(self, draft: Draft) -> AsyncGenerator[str, None]:
        """Run the engine once, from the beginning or from where an earlier attempt broke off."""
        options = AnswerOptions(
            **draft.record["sampling"],
            model=draft.record["adapter"] or draft.record["model"],
            scope=draft.question.place.scope,
            user=draft.question.user_id,
            logprobs=self._asks_certainty or None,
        )
        if draft.prompt_ids is not None and draft.completion_ids and not draft.pictures:
            chunks = self._engine.resume(draft.prompt_ids, draft.completion_ids, options)
        else:
            messages = draft.fitted.messages if draft.fitted else []
            done = draft.completion_ids if draft.eyes else ()
            chunks = self._engine.chat(show_pictures(messages, draft.pictures), options, done=done)
        async with aclosing(chunks):  # closing frees the engine's slot within a step
            while (chunk := await draft.unless_stopped(anext(chunks, None))) is not None:
                draft.take(chunk)
                if chunk.text:
                    yield chunk.text
        if draft.finish_reason is None:
            raise EngineUnavailable
        if not draft.text.strip() and draft.finish_reason != STOPPED:
            raise EngineError("The model gave an empty answer.")


def _read_place(error: EngineUnavailable | EngineBusy) -> QueuePlace | None:
    """Return where a question would stand that was refused for now; it is asked again by itself."""
    if not isinstance(error, EngineBusy) or error.waiting is None:
        return None
    return QueuePlace(error.waiting + 1, error.wait_seconds)
