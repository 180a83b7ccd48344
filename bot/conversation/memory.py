"""What an answer can rest on beside the thread's newest messages: what was taught before, and what is summarised."""

import logging

from bot.conversation.draft import Draft
from bot.conversation.history import Aside, Example
from bot.conversation.prompt_book import PromptBook
from bot.conversation.recall import Recall
from bot.conversation.summaries import Summaries
from bot.engine.client import EngineClient
from bot.engine.types import ModelInfo
from bot.signals import rest
from bot.storage.correction_index import index_missing
from bot.storage.db import Database
from bot.storage.summaries import load_summary
from bot.storage.threads import load_history
from bot.storage.troubles import is_away

PAUSE_S = 5.0
SHARE = 6  # what was taught takes no more than this part of the room

log = logging.getLogger(__name__)


class Memory:
    """Brings what helps with a question."""

    def __init__(self, database: Database, engine: EngineClient, *, prompts: PromptBook, recall: Recall) -> None:
        self._database = database
        self._engine = engine
        self._prompts = prompts
        self._recall = recall
        self.summaries = Summaries(database, engine, prompts=prompts)

    async def work(self) -> None:
        """Index what no index knows yet, however long the database is away; then write summaries until cancelled."""
        last_id: str | None = None
        while last_id != "":
            try:
                async with self._database.begin() as session:
                    last_id = await index_missing(session, before_id=last_id or "")
            except Exception as error:
                if not is_away(error):
                    raise
                log.warning("memory: what was taught could not be indexed (%s); trying again", type(error).__name__)
                await rest(PAUSE_S)
        await self.summaries.work()

    async def bring(self, draft: Draft, *, model: ModelInfo, room: int) -> Aside:
        """Read what was said in the thread and what else helps; the draft remembers what it was."""
        async with self._database.read() as session:
            draft.summary = await load_summary(session, draft.read_id)
            history = await load_history(session, draft.read_id, before_ts=draft.question.ts)
        if not draft.question.put.keeps_history:
            draft.summary, history = None, []
        until = draft.summary.until_ts if draft.summary else ""
        draft.history = [said for said in history if said.ts > until]
        draft.older = "\n".join(said.text for said in history if said.ts <= until)
        draft.summarised = len(history) - len(draft.history)
        draft.examples = []
        taught: list[tuple[str, str]] = []
        used = 0
        for example in await self._recall.find(draft.question, is_ours=draft.is_ours, model=model):
            lesson, noted = self._render(example)
            used += await self._engine.count_tokens([{"role": "user", "content": f"{lesson}\n\n{noted}"}])
            if used > room // SHARE:
                break
            draft.examples.append(example)
            taught.append((lesson, noted))
        # The most alike stands next to the question.
        return self._aside(draft, tuple(reversed(taught)))

    def forget(self, draft: Draft) -> Aside:
        """Answer without what was taught: a long question has no room for it."""
        draft.examples = []
        return self._aside(draft)

    def _aside(self, draft: Draft, taught: tuple[tuple[str, str], ...] = ()) -> Aside:
        summary = self._render_summary(draft)
        used = [*(["summarised"] if summary else []), *(["taught", "noted"] if taught else [])]
        used += ["shorter"] if draft.shortens else []
        draft.prompts = {name: self._prompts.get(name).version for name in used}
        shortened = (draft.shortens.text, self._prompts.get("shorter").render()) if draft.shortens else ("", "")
        return Aside(summary, taught, shortened)

    def _render(self, example: Example) -> tuple[str, str]:
        values = {"question": example.question, "answer": example.answer}
        return self._prompts.get("taught").render(**values), self._prompts.get("noted").render(**values)

    def _render_summary(self, draft: Draft) -> str:
        if draft.summary is None or not draft.summarised:
            return ""
        summary, count = draft.summary.text, str(draft.summarised)
        return self._prompts.get("summarised").render(messages=count, summary=summary)
