"""What was said in a channel, told in few words: piece by piece where it does not fit at once. Knows no Slack.

Nothing of it is stored; whoever asks for a digest shows it to people who may read what it is of.
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from bot.conversation.patience import Patience
from bot.conversation.prompt_book import PromptBook
from bot.engine.client import EngineClient
from bot.engine.types import AnswerOptions, ModelInfo
from bot.errors import EngineBusy, EngineError, EngineUnavailable
from bot.storage.db import Database
from bot.storage.limits import spend

PROMPT = "channel_digest"
BACKGROUND = 2  # the engine's lowest class: people who wait for an answer go first
MOST_TOKENS = 600
SHARE = 4  # a digest takes no more than this part of the context
MARGIN = 32
UNKNOWN_CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class Payer:
    """In whose budgets it counts; *channel_id* is empty in direct messages."""

    user_id: str
    channel_id: str


@dataclass(frozen=True, slots=True)
class Written:
    """What the model made of it; if it *is_cut*, there was no room for its end."""

    text: str
    is_cut: bool = False


class DigestWriter:
    """Writes digests with the base model."""

    def __init__(self, engine: EngineClient, prompts: PromptBook, database: Database) -> None:
        self._engine = engine
        self._prompts = prompts
        self._database = database

    async def write(
        self, lines: Sequence[str], *, scope: str, payer: Payer, prompt: str = PROMPT, **values: str
    ) -> Written:
        """Return the digest of *lines*, each what one person said; *scope* keeps it apart from every other prompt.

        Another *prompt* may ask for something else of them, filled in with *values* too. What it takes counts as
        *payer*'s, piece by piece.
        """
        written, rest, patience = Written(""), list(lines), Patience()
        try:
            while rest:
                try:
                    model = await self._find_model()
                    fixed = {**values, "prompt": prompt, "earlier": written.text}
                    taken = await self._fill(fixed, rest, model)
                    said = await self._ask(fixed, "\n".join(rest[:taken]), model, scope=scope, payer=payer)
                    written = said if said.text else written
                    rest = rest[taken:]
                except (EngineUnavailable, EngineBusy) as error:
                    await patience.wait(error)
        finally:
            with suppress(EngineError):  # nothing of it is stored, in the engine's memory neither
                await self._engine.forget(scope)
        return written

    async def _find_model(self) -> ModelInfo:
        model = next(iter(await self._engine.models()), None)
        if model is None:
            raise EngineError("The model's server serves no model.")
        return model

    async def _fill(self, fixed: Mapping[str, str], lines: list[str], model: ModelInfo) -> int:
        """Return how many of the next lines fit into one prompt: found by halves; a line that is too long is cut."""
        room = (model.n_ctx or UNKNOWN_CONTEXT) - _most_tokens(model) - MARGIN
        low, high = 0, len(lines)
        while low < high:
            middle = (low + high + 1) // 2
            if await self._count(fixed, "\n".join(lines[:middle])) <= room:
                low = middle
            else:
                high = middle - 1
        while not low and len(lines[0]) > MARGIN and await self._count(fixed, lines[0]) > room:
            lines[0] = lines[0][: len(lines[0]) // 2]
        return max(low, 1)

    async def _count(self, fixed: Mapping[str, str], messages: str) -> int:
        return await self._engine.count_tokens(self._build(fixed, messages))

    def _build(self, fixed: Mapping[str, str], messages: str) -> list[dict[str, str]]:
        content = self._prompts.get(fixed["prompt"]).render(**{**fixed, "messages": messages})
        return [{"role": "user", "content": content}]

    async def _ask(
        self, fixed: Mapping[str, str], messages: str, model: ModelInfo, *, scope: str, payer: Payer
    ) -> Written:
        options = AnswerOptions(
            model=model.id, temperature=0.0, max_tokens=_most_tokens(model), scope=scope, priority=BACKGROUND
        )
        async with aclosing(self._engine.chat(self._build(fixed, messages), options)) as chunks:
            said = [chunk async for chunk in chunks]
        used = next((chunk.usage for chunk in reversed(said) if chunk.usage is not None), None)
        if used is not None:
            tokens = used.prompt_tokens - used.cached_tokens + used.completion_tokens
            async with self._database.begin() as session:
                await spend(session, user_id=payer.user_id, channel_id=payer.channel_id, tokens=tokens)
        is_cut = any(chunk.finish_reason == "length" for chunk in said)
        return Written("".join(chunk.text for chunk in said).strip(), is_cut)


def _most_tokens(model: ModelInfo) -> int:
    return min(MOST_TOKENS, (model.n_ctx or UNKNOWN_CONTEXT) // SHARE)
