"""The tokens of a draft: those that were served where they still say just its texts, else rendered by the engine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import takewhile

from bot.engine.client import EngineClient
from bot.errors import LearningError
from bot.language import N_
from bot.learning.data.chat_tokens import ChatMessage, ChatTokens, tokenize_answer
from bot.learning.data.drafts import Draft

TOO_LONG = N_("longer than what is trained on")
NO_PLACE = N_("it melts with what the template writes before an answer")
NO_END = N_("its tokens do not end as an answer ends")
KNOWN_ANSWERS = 2000
SAMPLE: list[ChatMessage] = [
    {"role": "system", "content": "You are an assistant."},
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "assistant", "content": "It is 4."},
    {"role": "user", "content": "Grüße — 你好"},
]


@dataclass(frozen=True, slots=True)
class DraftTokens:
    """The tokens of a draft; *is_served* when they are the very ones that were served."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]
    is_served: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenizer:
    """The engine's template and tokenizer; *end* is the token that ends a turn."""

    client: EngineClient
    base_sha256: str
    template_sha256: str
    end: int
    behind_end: int  # tokens that the template writes after the end, which no answer has
    told: dict[str, tuple[int, ...]] = field(default_factory=dict)  # every open prompt ends alike: so do its answers

    async def answer(self, messages: Sequence[ChatMessage], text: str) -> ChatTokens:
        """Return a prompt and an answer to it up to the end of the turn, which is where the engine stops."""
        if text in self.told:
            return ChatTokens(await self.client.tokenize_chat(messages), self.told[text])
        tokens = await tokenize_answer(self.client, messages, text)
        if len(self.told) >= KNOWN_ANSWERS:
            self.told.clear()
        self.told[text] = self.cut(tokens.completion_ids)
        return ChatTokens(tokens.prompt_ids, self.told[text])

    def cut(self, completion_ids: tuple[int, ...]) -> tuple[int, ...]:
        """Return a rendered answer without what the template writes after its end."""
        return completion_ids[: len(completion_ids) - self.behind_end]

    async def draft(self, draft: Draft, *, checks_served: bool) -> DraftTokens:
        """Return the tokens of a draft."""
        messages, served = draft.messages, draft.served
        if await self._is_served(draft, checks_served=checks_served):
            prompt_ids = served.prompt_ids
            told = (
                (await self.answer(messages, draft.answer)).completion_ids if draft.is_fact else served.completion_ids
            )
            other = draft.served_rejected.completion_ids if draft.rejected and draft.served_rejected else ()
            if told and bool(other) == bool(draft.rejected):
                return DraftTokens(prompt_ids, told, other, is_served=True)
        try:
            tokens = await self.answer(messages, draft.answer)
            rejected = (await self.answer(messages, draft.rejected)).completion_ids if draft.rejected else ()
        except LearningError:  # this answer's first characters: the template itself was looked at before
            return DraftTokens((), (), (), is_served=False)
        return DraftTokens(tokens.prompt_ids, tokens.completion_ids, rejected, is_served=False)

    async def _is_served(self, draft: Draft, *, checks_served: bool) -> bool:
        """Whether the served tokens are of the stored texts, which people may have edited since."""
        if not draft.is_as_served:
            return False
        if checks_served:
            return await self.client.tokenize_chat(draft.messages) == draft.served.prompt_ids
        return bool(self.base_sha256) and draft.served.model_sha256 == self.base_sha256

    def find_fault(self, tokens: DraftTokens, *, most: int) -> str:
        """Return in words why tokens cannot be trained on; empty: they can."""
        if not tokens.completion_ids:
            return NO_PLACE
        answers = [ids for ids in (tokens.completion_ids, tokens.rejected_ids) if ids]
        if len(tokens.prompt_ids) + max(map(len, answers)) > most:
            return TOO_LONG
        return "" if all(ids[-1] == self.end for ids in answers) else NO_END


async def open_tokenizer(client: EngineClient, base_model: str) -> Tokenizer:
    """Find out how the engine writes a conversation; raise *LearningError* where nobody can tell an answer's end."""
    served = {model.id: model for model in await client.models()}
    if base_model not in served:
        raise LearningError(
            f"The engine does not serve {base_model}, whose data set was to be made: {', '.join(served)}."
        )
    asked: list[ChatMessage] = [{"role": "user", "content": "Yes or no?"}]
    answers = [(await tokenize_answer(client, asked, text)).completion_ids for text in ("Yes", "No")]
    pairs = zip(*(reversed(ids) for ids in answers), strict=False)
    tail = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    if not tail:
        raise LearningError(
            "The model's chat template writes no end after an answer, so a trained model would never stop: use a model "
            "whose template ends each message."
        )
    rendered = ",".join(map(str, await client.tokenize_chat(SAMPLE)))
    return Tokenizer(
        client=client,
        base_sha256=served[base_model].sha256 or "",
        template_sha256=sha256(rendered.encode()).hexdigest(),
        end=tail[-1],
        behind_end=len(tail) - 1,
    )
