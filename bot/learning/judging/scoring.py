"""What a judge asks of the engine: how likely an answer is to a model or adapter, and what it says by itself.

Everything goes over the API in the lowest class, so people who wait for an answer go first. Texts are token ids.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bot.engine.client import EngineClient
from bot.errors import EngineBusy
from bot.learning.data.chat_tokens import ChatMessage, ChatTokens, tokenize_answer
from bot.learning.proof.scores import Scores
from bot.learning.proof.served import BACKGROUND, NAMED, read_scores

AT_ONCE = 12
PATIENCE = 30  # a busy engine is asked again this often, a little later each time
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model says by itself, greedily: *is_ended* when it came to the end of its turn, not to a limit."""

    text: str
    token_ids: tuple[int, ...]
    is_ended: bool
    seconds: float = 0.0

    @property
    def length(self) -> int:
        """How many tokens it has."""
        return len(self.token_ids)


class Scorer:
    """Asks one engine, many things at once; the same question about the same model is asked once."""

    def __init__(self, client: EngineClient, *, system: str = "") -> None:
        self._client = client
        self._system = system
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._known: dict[tuple[str, ...], asyncio.Task[Any]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._known.values():
            task.cancel()
        await asyncio.gather(*self._known.values(), return_exceptions=True)

    async def open_prompt(self, messages: Sequence[ChatMessage]) -> tuple[int, ...]:
        """Return the tokens of a conversation that waits for an answer, after the system prompt that is served."""
        return await self._client.tokenize_chat(self._with_system(messages))

    async def with_answer(self, messages: Sequence[ChatMessage], answer: str) -> ChatTokens:
        """Return the tokens of a conversation and of an answer to it."""
        return await tokenize_answer(self._client, self._with_system(messages), answer)

    async def log_probs(self, prompt: Sequence[int], completion: Sequence[int], *, model: str) -> Floats:
        """Return the log probability of each token of a completion."""
        found: Floats = await self._once(
            ("given", model, str((*prompt, 0, *completion))), self._log_probs(prompt, completion, model)
        )
        return found

    async def scores(self, prompt: Sequence[int], completion: Sequence[int], *, model: str) -> Scores:
        """Return the scores of a completion with the likeliest tokens at each place."""
        text = (*prompt, *completion)
        answer = await self._ask({"model": model, "prompt": list(text), "max_tokens": 1, "prompt_logprobs": NAMED})
        whole = read_scores(text, answer["choices"][0]["prompt_logprobs"])
        start = len(prompt) - 1
        return Scores(text[start:], whole.given[start:], whole.top_ids[start:], whole.top[start:])

    async def reply(self, prompt: Sequence[int], *, model: str, max_tokens: int) -> Reply:
        """Return what a model says to a prompt."""
        found: Reply = await self._once(
            ("reply", model, str(max_tokens), str(tuple(prompt))), self._reply(prompt, model, max_tokens)
        )
        return found

    async def time_reply(self, prompt: Sequence[int], *, model: str, tokens: int) -> float:
        """Return how many tokens a second a model writes."""
        begun = time.perf_counter()
        reply = await self._reply(prompt, model, tokens, ignore_eos=True)
        return reply.length / max(time.perf_counter() - begun, 1e-6)

    def _with_system(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        return [*([{"role": "system", "content": self._system}] if self._system else []), *messages]

    async def _once(self, key: tuple[str, ...], work: Coroutine[Any, Any, Any]) -> Any:
        if key in self._known:
            work.close()
        else:
            self._known[key] = asyncio.create_task(work)
        return await self._known[key]

    async def _log_probs(self, prompt: Sequence[int], completion: Sequence[int], model: str) -> Floats:
        text = [*prompt, *completion]
        answer = await self._ask({"model": model, "prompt": text, "max_tokens": 1, "prompt_logprobs": 0})
        rows = answer["choices"][0]["prompt_logprobs"]
        tail = zip(completion, rows[len(prompt) :], strict=True)
        return np.array([row[str(token)]["logprob"] for token, row in tail], np.float64)

    async def _reply(self, prompt: Sequence[int], model: str, max_tokens: int, **options: Any) -> Reply:
        body = {
            "model": model,
            "prompt": list(prompt),
            "max_tokens": max_tokens,
            "temperature": 0,
            "return_token_ids": True,
            "resumed_tokens": 0,  # the prompt is a conversation's, and so is the answer
        }
        begun = time.perf_counter()
        choice = (await self._ask(body | options))["choices"][0]
        seconds = time.perf_counter() - begun
        return Reply(choice["text"].strip(), tuple(choice["token_ids"]), choice["finish_reason"] == "stop", seconds)

    async def _ask(self, body: dict[str, Any]) -> Any:
        """Return the engine's answer; while people fill its queue, wait and ask again."""
        async with self._gate:
            for attempt in range(PATIENCE):
                try:
                    return await self._client.complete(body | {"priority": BACKGROUND})
                except EngineBusy as busy:
                    await asyncio.sleep(min(busy.retry_after, 0.2 * (attempt + 1)))
            return await self._client.complete(body | {"priority": BACKGROUND})
