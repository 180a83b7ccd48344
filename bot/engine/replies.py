"""Answers of the OpenAI API as JSON objects: whole ones, and the chunks of a stream.

Pure; knows the wire's names only.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bot.engine.backlog import Backlog
from bot.engine.types import Delta, ModelInfo, TokenLogprob, Usage

Json = dict[str, object]
PieceText = Callable[[int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyForm:
    """How the replies to one call look."""

    reply_id: str
    model: str
    is_chat: bool
    returns_token_ids: bool
    piece_text: PieceText
    created: int = field(default_factory=lambda: int(time.time()))

    def envelope(self, choices: list[Json], *, is_chunk: bool) -> Json:
        """Return what surrounds the choices."""
        kind = ("chat.completion.chunk" if is_chunk else "chat.completion") if self.is_chat else "text_completion"
        return {"id": self.reply_id, "object": kind, "created": self.created, "model": self.model, "choices": choices}

    def opening_chunk(self, answers: int, prompt: Sequence[int]) -> Json | None:
        """Return the chunk that comes before the first token, if this kind of stream has one."""
        if not self.is_chat:
            return None
        first: Json = {"role": "assistant", "content": ""}
        choices: list[Json] = [
            {"index": index, "delta": dict(first), "logprobs": None, "finish_reason": None} for index in range(answers)
        ]
        return self.envelope(choices, is_chunk=True) | self.prompt_ids(prompt)

    def prompt_ids(self, prompt: Sequence[int]) -> Json:
        """Return the prompt's tokens, if they were asked for."""
        return {"prompt_token_ids": list(prompt)} if self.returns_token_ids else {}

    def chunk(self, index: int, delta: Delta) -> Json:
        """Return a chunk of a stream."""
        content: Json = {"delta": {"content": delta.text}} if self.is_chat else {"text": delta.text}
        return self.envelope([self._choice(index, content, delta)], is_chunk=True)

    def choice(self, index: int, whole: Delta) -> Json:
        """Return an answer of a reply that is not streamed."""
        message = {"role": "assistant", "content": whole.text}
        return self._choice(index, {"message": message} if self.is_chat else {"text": whole.text}, whole)

    def _choice(self, index: int, content: Json, delta: Delta) -> Json:
        choice: Json = {
            "index": index,
            **content,
            "logprobs": self._logprobs(delta.logprobs) if delta.logprobs else None,
            "finish_reason": delta.finish_reason,
        }
        if self.returns_token_ids:
            choice["token_ids"] = list(delta.token_ids)
        return choice

    def _logprobs(self, items: Sequence[TokenLogprob]) -> Json:
        if self.is_chat:
            return {"content": [self._chat_logprob(item) for item in items]}
        return {
            "tokens": [self.piece_text(item.token_id) for item in items],
            "token_logprobs": [item.logprob for item in items],
            "top_logprobs": [{self.piece_text(token): value for token, value in item.top} for item in items],
            "text_offset": [],
        }

    def prompt_logprobs(self, items: Sequence[TokenLogprob]) -> list[Json | None]:
        """Return what vLLM returns: nothing for the first token, then each token and the likeliest in its place."""
        return [None, *(self._ranked(item) for item in items)]

    def _ranked(self, item: TokenLogprob) -> Json:
        ranked = {token: (value, rank) for rank, (token, value) in enumerate(item.top, start=1)}
        ranked.setdefault(item.token_id, (item.logprob, item.rank))
        return {
            str(token): {"logprob": value, "rank": rank, "decoded_token": self.piece_text(token)}
            for token, (value, rank) in ranked.items()
        }

    def _chat_logprob(self, item: TokenLogprob) -> Json:
        top = [{"token": self.piece_text(token), "logprob": value} for token, value in item.top]
        return {"token": self.piece_text(item.token_id), "logprob": item.logprob, "top_logprobs": top}


def merge(deltas: Sequence[Delta]) -> Delta:
    """Return one delta that says what *deltas* of one answer say together."""
    last = deltas[-1]
    return Delta(
        last.request_id,
        text="".join(delta.text for delta in deltas),
        token_ids=tuple(token for delta in deltas for token in delta.token_ids),
        logprobs=tuple(item for delta in deltas for item in delta.logprobs),
        prompt_logprobs=tuple(item for delta in deltas for item in delta.prompt_logprobs),
        cached_tokens=last.cached_tokens,
        finish_reason=last.finish_reason,
        error=last.error,
    )


def build_usage(usage: Usage) -> Json:
    """Return a usage object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def build_model(info: ModelInfo, *, created: int) -> Json:
    """Return an entry of `GET /v1/models`."""
    return {
        "id": info.id,
        "object": "model",
        "created": created,
        "owned_by": info.owned_by,
        "root": info.root or info.id,
        "parent": info.parent or None,
        "max_model_len": info.n_ctx,
        "meta": dict(info.meta),
    }


def build_backlog(backlog: Backlog) -> Json:
    """Return how much there is to do, and the estimated seconds until one more request is begun."""
    estimate = backlog.estimate()
    seconds = None if estimate is None else round(estimate, 1)
    return {"answering": backlog.answering, "waiting": backlog.waiting, "estimated_wait_seconds": seconds}
