"""Answers of the OpenAI API as JSON objects: whole ones, and the chunks of a stream.

Pure; knows the wire's names only.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.engine.api.logprob_replies import TextLogprobs, build_chat_logprobs
from bot.engine.api.token_names import TokenNames
from bot.engine.backlog import Backlog
from bot.engine.types import Delta, ModelInfo, TokenLogprob, ToolCall, Usage

Json = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyForm:
    """How the replies to one call look."""

    reply_id: str
    model: str
    fingerprint: str | None
    is_chat: bool
    includes_reasoning: bool
    returns_token_ids: bool
    names: TokenNames
    created: int = field(default_factory=lambda: int(time.time()))
    listed: dict[int, TextLogprobs] = field(default_factory=dict)

    def envelope(self, choices: list[Json], *, is_chunk: bool) -> Json:
        """Return what surrounds the choices."""
        kind = ("chat.completion.chunk" if is_chunk else "chat.completion") if self.is_chat else "text_completion"
        return {
            "id": self.reply_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        }

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
        """Return the prompt's tokens, if they were asked for and are all there is of it."""
        is_text = self.returns_token_ids and min(prompt, default=0) >= 0  # no ids say what a picture shows
        return {"prompt_token_ids": list(prompt)} if is_text else {}

    def chunk(self, index: int, delta: Delta) -> Json:
        """Return a chunk of a stream."""
        content: Json = {"delta": self._chat_delta(delta)} if self.is_chat else {"text": delta.text}
        return self.envelope([self._choice(index, content, delta)], is_chunk=True)

    def _chat_delta(self, delta: Delta) -> Json:
        part: Json = {} if delta.calls and not delta.text else {"content": delta.text}
        if delta.calls:
            part["tool_calls"] = [{"index": call.index, **_build_call(call)} for call in delta.calls]
        if delta.reasoning and self.includes_reasoning:
            part["reasoning_content"] = delta.reasoning
        return part

    def choice(self, index: int, whole: Delta) -> Json:
        """Return an answer of a reply that is not streamed."""
        if not self.is_chat:
            return self._choice(index, {"text": whole.text}, whole)
        message: Json = {"role": "assistant", "content": whole.text, "refusal": None}
        if whole.calls:
            message |= {"content": whole.text or None, "tool_calls": [_build_call(call) for call in whole.calls]}
        if self.includes_reasoning:
            message["reasoning_content"] = whole.reasoning or None
        return self._choice(index, {"message": message}, whole)

    def _choice(self, index: int, content: Json, delta: Delta) -> Json:
        choice: Json = {
            "index": index,
            **content,
            "logprobs": self._logprobs(index, delta.logprobs) if delta.logprobs else None,
            "finish_reason": delta.finish_reason,
        }
        if delta.finish_reason:
            choice["stop_reason"] = delta.stop_reason or None
        if self.returns_token_ids:
            choice["token_ids"] = list(delta.token_ids)
        return choice

    def _logprobs(self, index: int, items: Sequence[TokenLogprob]) -> Json:
        if self.is_chat:
            return build_chat_logprobs(items, self.names)
        return self.listed.setdefault(index, TextLogprobs(self.names)).build(items)


def _build_call(call: ToolCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


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
        reasoning="".join(delta.reasoning for delta in deltas),
        reasoning_tokens=sum(delta.reasoning_tokens for delta in deltas),
        stop_reason=last.stop_reason,
        calls=tuple(call for delta in deltas for call in delta.calls),
    )


def join(deltas: Sequence[Delta]) -> list[Delta]:
    """Return one delta for each answer: what arrived together is written together, an error by itself."""
    if len(deltas) == 1:
        return list(deltas)
    parts: dict[tuple[str, str], list[Delta]] = {}
    for delta in deltas:
        parts.setdefault((delta.request_id, delta.error), []).append(delta)
    return [several[0] if len(several) == 1 else merge(several) for several in parts.values()]


def build_usage(usage: Usage) -> Json:
    """Return a usage object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
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
        "input_modalities": ["text", "image"] if info.sees else ["text"],
        "meta": dict(info.meta),
    }


def build_backlog(backlog: Backlog) -> Json:
    """Return how much there is to do, and the estimated seconds until one more request is begun."""
    estimate = backlog.estimate()
    seconds = None if estimate is None else round(estimate, 1)
    return {"answering": backlog.answering, "waiting": backlog.waiting, "estimated_wait_seconds": seconds}
