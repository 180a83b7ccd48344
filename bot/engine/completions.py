"""The two completion calls: from a parsed call to requests of the engine, and from its deltas to replies.

Knows HTTP and the service; llama.cpp stays behind both.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace

from aiohttp import web

from bot.engine.api_error import ApiError, build_error_body
from bot.engine.backlog import Backlog
from bot.engine.fields import refuse
from bot.engine.prompt import Prompt
from bot.engine.replies import Json, ReplyForm, build_backlog, build_usage, merge
from bot.engine.service import EngineService, Served
from bot.engine.template import TemplateFailure
from bot.engine.types import Delta, Request, SamplingParams, Usage
from bot.engine.wire import Call, ChatCall, TextCall

RETRY_AFTER_SECONDS = 5


class Completions:
    """Answers completion calls from one service."""

    def __init__(self, service: EngineService) -> None:
        self._service = service

    async def chat(self, http: web.Request, parsed: ChatCall) -> web.StreamResponse:
        """Answer a conversation."""
        with self._choose(parsed.call.model) as served:
            return await self._chat(http, parsed, served)

    async def text(self, http: web.Request, parsed: TextCall) -> web.StreamResponse:
        """Continue a text or a list of tokens."""
        with self._choose(parsed.call.model) as served:
            return await self._text(http, parsed, served)

    @contextmanager
    def _choose(self, name: str) -> Iterator[Served]:
        """Hold the model or adapter that a request names, so that it is not unloaded before the answer is complete."""
        check_model(self._service, name)
        with self._service.use(name) as served:
            yield served

    async def _chat(self, http: web.Request, parsed: ChatCall, served: Served) -> web.StreamResponse:
        self._check_length(sum(len(message.content.encode()) for message in parsed.messages), "messages")
        try:
            prompt = await self._service.encode_chat(parsed.messages)
        except TemplateFailure as error:
            raise ApiError(400, f"{str(error)[:300]}.", param="messages", code="template_error") from error
        return await self._answer(http, parsed.call, prompt, served=served, is_chat=True)

    async def _text(self, http: web.Request, parsed: TextCall, served: Served) -> web.StreamResponse:
        if isinstance(parsed.prompt, str):
            self._check_length(len(parsed.prompt.encode()), "prompt")
            tokens = await self._service.encode_text(parsed.prompt)
        else:
            tokens = parsed.prompt
            if not all(0 <= token < self._service.facts.n_vocab for token in tokens):
                message = f"prompt has a token id outside 0 to {self._service.facts.n_vocab - 1}."
                raise ApiError(400, message, param="prompt", code="invalid_value")
        if not tokens:
            raise ApiError(400, "prompt must not be empty.", param="prompt", code="invalid_value")
        return await self._answer(http, parsed.call, Prompt(tokens), served=served, is_chat=False)

    def _check_length(self, size: int, param: str) -> None:
        """Refuse a text that cannot fit by its bytes alone, before anybody tokenizes it."""
        least = size // self._service.loaded.model.longest_piece
        if least >= self._service.facts.n_ctx:
            raise overflow(least, self._service.facts.n_ctx, param=param)

    async def _answer(
        self, http: web.Request, call: Call, prompt: Prompt, *, served: Served, is_chat: bool
    ) -> web.StreamResponse:
        param = "messages" if is_chat else "prompt"
        call = await self._bind(call)
        requests = self._build_requests(call, prompt, param=param)
        form = ReplyForm(
            reply_id=f"{'chatcmpl' if is_chat else 'cmpl'}-{secrets.token_hex(12)}",
            model=served.name,
            is_chat=is_chat,
            returns_token_ids=call.returns_token_ids,
            piece_text=lambda token: self._service.loaded.model.pieces[token].decode("utf-8", "replace"),
        )
        if not self._service.has_room(len(requests)):
            raise queue_full(served.backlog)
        async with aclosing(self._service.generate(served, requests)) as deltas:
            if call.is_stream:
                return await _stream(http, call, requests, form=form, deltas=deltas)
            return await _collect(requests, form=form, deltas=deltas)

    async def _bind(self, call: Call) -> Call:
        """Check what only the model can tell about a call's sampling: its tokens and its grammar."""
        n_vocab = self._service.facts.n_vocab
        if any(token >= n_vocab for token, _ in call.sampling.logit_bias):
            refuse("logit_bias", f"has a token id outside 0 to {n_vocab - 1}")
        if not call.schema:
            return call
        try:
            grammar = await asyncio.to_thread(self._service.loaded.model.build_grammar, call.schema)
        except ValueError as error:
            raise ApiError(
                400,
                f"response_format cannot be kept: {str(error)[:300]}.",
                param="response_format",
                code="invalid_value",
            ) from error
        return replace(call, sampling=replace(call.sampling, grammar=grammar), ignore_eos=False)

    def _build_requests(self, call: Call, prompt: Prompt, *, param: str) -> list[Request]:
        room = self._service.facts.n_ctx - len(prompt.tokens)
        if room < 1:
            raise overflow(len(prompt.tokens), self._service.facts.n_ctx, param=param)
        first = Request(
            request_id="",
            prompt=prompt.tokens,
            max_tokens=min(call.max_tokens or room, room),
            sampling=call.sampling,
            stop=call.stop,
            ignore_eos=call.ignore_eos,
            scope=call.scope or (f"once {secrets.token_hex(8)}" if call.answers > 1 else ""),
            shared_length=prompt.shared_length,
            resumed_tokens=call.resumed_tokens,
            user=call.user,
            top_logprobs=call.top_logprobs,
            prompt_logprobs=call.prompt_logprobs,
        )
        return [
            replace(first, request_id=secrets.token_hex(8), sampling=_vary(call, index))
            for index in range(call.answers)
        ]


def check_model(service: EngineService, name: str) -> None:
    """Refuse a model or adapter that is not served."""
    if name and not service.has_model(name):
        raise ApiError(404, f"The model {name!r} does not exist.", param="model", code="model_not_found")


def _vary(call: Call, index: int) -> SamplingParams:
    seed = call.sampling.seed
    return call.sampling if seed is None else replace(call.sampling, seed=seed + index)


def queue_full(backlog: Backlog) -> ApiError:
    """Return the refusal for a request that comes too many, with what is known of the wait."""
    headers = {"Retry-After": str(backlog.retry_after(RETRY_AFTER_SECONDS))}
    kind, code = "rate_limit_error", "queue_full"
    return ApiError(
        429, "The engine's queue is full.", kind=kind, code=code, headers=headers, details=build_backlog(backlog)
    )


def overflow(prompt_tokens: int, limit: int, *, param: str) -> ApiError:
    """Return the error for a prompt that can never fit, in the words that clients look for."""
    message = (
        f"This model's maximum context length is {limit} tokens. "
        f"However, your {param} resulted in {prompt_tokens} tokens. Please reduce the length of the {param}."
    )
    details = {"n_prompt_tokens": prompt_tokens, "n_ctx": limit}
    return ApiError(400, message, param=param, code="context_length_exceeded", details=details)


Deltas = AsyncGenerator[list[Delta], None]


async def _collect(requests: Sequence[Request], *, form: ReplyForm, deltas: Deltas) -> web.Response:
    """Wait for every answer and return them in one reply."""
    received: dict[str, list[Delta]] = {request.request_id: [] for request in requests}
    async for step in deltas:
        for delta in step:
            received[delta.request_id].append(delta)
    answers = [merge(parts) for parts in received.values()]
    failed = next((answer for answer in answers if answer.error), None)
    if failed:
        raise ApiError(503 if _is_stopping(failed) else 500, failed.error, kind="server_error", code=_code(failed))
    choices = [form.choice(index, answer) for index, answer in enumerate(answers)]
    if requests[0].prompt_logprobs is not None:
        choices[0]["prompt_logprobs"] = form.prompt_logprobs(answers[0].prompt_logprobs)
    usage = _count(requests, sum(len(answer.token_ids) for answer in answers), cached=answers[0].cached_tokens)
    body = form.envelope(choices, is_chunk=False) | form.prompt_ids(requests[0].prompt) | {"usage": build_usage(usage)}
    return web.json_response(body)


def _is_stopping(delta: Delta) -> bool:
    return delta.finish_reason == "cancelled"


def _code(delta: Delta) -> str:
    return "engine_stopping" if _is_stopping(delta) else "engine_error"


def _count(requests: Sequence[Request], generated: int, *, cached: int) -> Usage:
    return Usage(prompt_tokens=len(requests[0].prompt), cached_tokens=cached, completion_tokens=generated)


async def _stream(
    http: web.Request, call: Call, requests: Sequence[Request], *, form: ReplyForm, deltas: Deltas
) -> web.StreamResponse:
    """Write a chunk for every step of every answer; the connection's end cancels what is left."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    )
    await response.prepare(http)
    order = {request.request_id: index for index, request in enumerate(requests)}
    generated = cached = 0
    opening = form.opening_chunk(len(requests), requests[0].prompt)
    if opening:
        await _write(response, [opening])
    is_first = not form.is_chat
    async for step in deltas:
        chunks: list[Json] = []
        for delta in step:
            index = order[delta.request_id]
            if delta.error:
                chunks.append(build_error_body(delta.error, kind="server_error", code=_code(delta)))
                continue
            generated += len(delta.token_ids)
            cached = cached if index else delta.cached_tokens
            chunks.append(form.chunk(index, delta) | (form.prompt_ids(requests[0].prompt) if is_first else {}))
            is_first = False
        await _write(response, chunks)
    if call.includes_usage:
        usage = build_usage(_count(requests, generated, cached=cached))
        await _write(response, [form.envelope([], is_chunk=True) | {"usage": usage}])
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def _write(response: web.StreamResponse, chunks: Sequence[Json]) -> None:
    lines = "".join(f"data: {json.dumps(chunk, ensure_ascii=False, separators=(',', ':'))}\n\n" for chunk in chunks)
    await response.write(lines.encode())
