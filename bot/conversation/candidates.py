"""Several answers to one question, to choose from: written side by side, the prompt read once.

Knows no Slack, like the turn: whoever shows them drains nothing, for what grows cannot be compared.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace

from bot.conversation.certainty import Certainty
from bot.conversation.draft import STOPPED, Draft
from bot.conversation.tracing import count_unsaid
from bot.conversation.turn import ANOTHER_TEMPERATURE, Assistant
from bot.storage.askings import begin_candidates, drop_unwritten
from bot.storage.db import Database


class Candidates:
    """Writes several answers and keeps those that differ."""

    def __init__(self, database: Database, assistant: Assistant) -> None:
        self._database = database
        self._assistant = assistant

    async def write(self, first: Draft, *, count: int) -> list[Draft]:
        """Write up to *count* answers, *first* being prepared already; return those that are different and whole.

        One that fails is left out as long as the first is there. What is left out leaves no row behind. Of one that
        was stopped before it was prepared there is nothing to write.
        """
        if first.finish_reason == STOPPED:
            return [first]
        async with self._database.begin() as session:
            ids = await begin_candidates(session, first.answer_id, count=count)
        drafts = [_warm(first), *(_fork(first, answer_id) for answer_id in ids[1:])]
        kept: list[Draft] = [first]
        try:
            outcomes = await self._write_all(drafts)
            whole = [draft for draft, outcome in zip(drafts, outcomes, strict=True) if outcome is None]
            kept = keep_different(whole)
        except Exception:
            await self._drop(drafts[1:])
            raise
        shown = {draft.answer_id for draft in kept}
        await self._drop([draft for draft in drafts if draft.answer_id not in shown])
        return kept

    async def _drop(self, drafts: Sequence[Draft]) -> None:
        async with self._database.begin() as session:
            await drop_unwritten(session, [draft.answer_id for draft in drafts])
            for draft in drafts:
                await count_unsaid(session, draft)

    async def _write_all(self, drafts: Sequence[Draft]) -> list[BaseException | None]:
        """Write them side by side; raise what prevented the first."""
        has_begun = asyncio.Event()
        writing = [asyncio.create_task(self._write(drafts[0], has_begun))]
        writing += [asyncio.create_task(self._write_after(draft, has_begun)) for draft in drafts[1:]]
        try:
            await asyncio.wait(writing)
        finally:
            for task in writing:
                task.cancel()
            outcomes = await asyncio.gather(*writing, return_exceptions=True)
        if isinstance(outcomes[0], BaseException):
            raise outcomes[0]
        return outcomes

    async def _write(self, draft: Draft, has_begun: asyncio.Event) -> None:
        try:
            async for _piece in self._assistant.write(draft):
                has_begun.set()  # from here on the engine has read the prompt, and the others find it read
        finally:
            has_begun.set()

    async def _write_after(self, draft: Draft, has_begun: asyncio.Event) -> None:
        await has_begun.wait()
        async for _piece in self._assistant.write(draft):
            pass


def _warm(draft: Draft) -> Draft:
    """Let a draft be written at a temperature at which several answers differ."""
    sampling = draft.record["sampling"]
    warmth = max(sampling["temperature"], ANOTHER_TEMPERATURE)
    draft.record = {**draft.record, "sampling": {**sampling, "temperature": warmth}}
    return draft


def _fork(first: Draft, answer_id: str) -> Draft:
    """Return a draft of another answer to the same question; one stop ends them all."""
    sampling = {**first.record["sampling"], "seed": secrets.randbelow(2**31)}
    return replace(
        first,
        answer_id=answer_id,
        reply_ts=list(first.reply_ts),
        record={**first.record, "sampling": sampling},
        completion_ids=[],
        moved=asyncio.Event(),
        certainty=Certainty(),
    )


def join(drafts: Sequence[Draft]) -> None:
    """Let answers that were shown to choose from end with the first one of them, whose outcome is the caller's."""
    first, *others = drafts
    for draft in others:
        draft.reply_ts = list(first.reply_ts)
    first.others = others


def keep_different(drafts: Sequence[Draft]) -> list[Draft]:
    """Return the answers without those that say the same as one before; of stopped ones only the first."""
    if drafts[0].finish_reason == STOPPED:
        return [drafts[0]]
    kept: dict[str, Draft] = {}
    for draft in drafts:
        kept.setdefault(" ".join(draft.text.split()), draft)
    return [draft for draft in kept.values() if draft.text.strip() and draft.finish_reason != STOPPED]
