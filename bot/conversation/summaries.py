"""Rolling summaries: when a thread no longer fits, its older part is told in few words, written when nobody waits.

A summary stays until it no longer suffices, so that the beginning of the prompt stays the same from turn to turn; it is
of one thread and is read in that thread alone.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from bot.conversation.draft import Draft
from bot.conversation.prompt_book import PromptBook
from bot.engine.client import EngineClient
from bot.engine.types import AnswerOptions, ModelInfo
from bot.errors import EngineError
from bot.signals import rest
from bot.storage.db import Database, Session
from bot.storage.memory_tables import ThreadSummary
from bot.storage.summaries import load_summary, save_summary
from bot.storage.threads import SUMMARY, Said, load_history

PROMPT = "thread_summary"
BACKGROUND = 2  # the engine's lowest class: people who wait for an answer go first
MOST_TOKENS = 400
SHARE = 8  # a summary takes no more than this part of the context
MARGIN = 32
UNKNOWN_CONTEXT = 4096
NEVER = "9999999999.999999"  # later than any message
LONGEST_PIECE = 4  # characters for each token of room: what is longer is cut

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A thread that no longer fits, and the last of its messages that the summary is to cover."""

    thread_id: str
    until_ts: str
    scope: str


class Summaries:
    """Writes one summary after the other, in the background."""

    def __init__(self, database: Database, engine: EngineClient, *, prompts: PromptBook) -> None:
        self._database = database
        self._engine = engine
        self._prompts = prompts
        self._wanted: dict[str, Wanted] = {}
        self._wake = asyncio.Event()

    def note(self, draft: Draft) -> None:
        """Have the older part summarised if the thread did not fit: what was dropped, and half of what was not.

        With half of the room free again, several turns go by before it has to be done anew.
        """
        fitted = draft.fitted
        if fitted is None or fitted.used >= fitted.total - draft.summarised:
            return
        older = [said.ts for said in draft.history[: fitted.total - draft.summarised - fitted.used // 2]]
        if older:
            scope = f"{SUMMARY}{draft.question.place.scope}"
            self._wanted[draft.read_id] = Wanted(draft.read_id, older[-1], scope)
            self._wake.set()

    async def work(self) -> None:
        """Write what is wanted until cancelled."""
        while True:
            while self._wanted:
                wanted = self._wanted.pop(next(iter(self._wanted)))
                try:
                    await self.write(wanted)
                except EngineError as error:  # the next turn of the thread asks again
                    log.info("summaries: one was not written (%s)", type(error).__name__)
                except Exception:
                    log.exception("summaries: one was not written")
                    await rest(0)
            self._wake.clear()
            await self._wake.wait()

    async def write(self, wanted: Wanted) -> None:
        """Write the summary of a thread up to a message; drop it when one of its messages changed meanwhile."""
        async with self._database.read() as session:
            before = await load_summary(session, wanted.thread_id)
            history = await _load_until(session, wanted)
        since = before.until_ts if before else ""
        fresh = [said for said in history if said.ts > since]
        model = next(iter(await self._engine.models()), None)
        if not fresh or model is None:
            return
        text = before.text if before else ""
        for messages in await self._cut(fresh, model):
            text = await self._summarise(text, messages, model, scope=wanted.scope)
        if not text:
            return
        async with self._database.begin() as session:
            known = await load_summary(session, wanted.thread_id)
            is_as_before = (known.id if known else None) == (before.id if before else None)
            if not is_as_before or await _load_until(session, wanted) != history:
                return
            summary = ThreadSummary(
                thread_id=wanted.thread_id,
                until_ts=fresh[-1].ts,
                messages=len(history),
                text=text,
                model=model.id,
                prompt_version=self._prompts.get(PROMPT).version,
            )
            await save_summary(session, summary)

    async def _cut(self, said: Sequence[Said], model: ModelInfo) -> list[str]:
        """Return what was said in pieces that fit into a prompt each, together with the summary so far."""
        limit = model.n_ctx or UNKNOWN_CONTEXT
        room = limit - 2 * _most_tokens(model) - MARGIN
        room -= await self._count("", "")
        pieces: list[str] = [""]
        for one in said:
            lines = [f"{one.user_name}: {one.text}", *([f"Assistant: {one.answer}"] if one.answer else [])]
            line = "\n".join(lines)[: max(room, 1) * LONGEST_PIECE // 2]
            joined = f"{pieces[-1]}\n{line}".strip()
            if pieces[-1] and await self._count("", joined) - await self._count("", "") > room:
                pieces.append(line)
            else:
                pieces[-1] = joined
        return pieces

    async def _count(self, earlier: str, messages: str) -> int:
        return await self._engine.count_tokens(self._ask_for(earlier, messages))

    def _ask_for(self, earlier: str, messages: str) -> list[dict[str, str]]:
        content = self._prompts.get(PROMPT).render(earlier=earlier, messages=messages)
        return [{"role": "user", "content": content}]

    async def _summarise(self, earlier: str, messages: str, model: ModelInfo, *, scope: str) -> str:
        options = AnswerOptions(
            model=model.id, temperature=0.0, max_tokens=_most_tokens(model), scope=scope, priority=BACKGROUND
        )
        async with aclosing(self._engine.chat(self._ask_for(earlier, messages), options)) as chunks:
            return "".join([chunk.text async for chunk in chunks]).strip()


async def _load_until(session: Session, wanted: Wanted) -> list[Said]:
    said = await load_history(session, wanted.thread_id, before_ts=NEVER)
    return [one for one in said if one.ts <= wanted.until_ts]


def _most_tokens(model: ModelInfo) -> int:
    return min(MOST_TOKENS, (model.n_ctx or UNKNOWN_CONTEXT) // SHARE)
