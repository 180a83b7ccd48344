"""Replies on their way out: waits for whole answers, or writes what every step adds as server-sent events.

Knows HTTP; how an answer is made stays behind the deltas.
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from bot.engine.api.api_error import ApiError, build_error_body
from bot.engine.api.choice_reader import ChoiceReader
from bot.engine.api.line import Line
from bot.engine.api.logprob_replies import build_prompt_logprobs
from bot.engine.api.replies import Json, ReplyForm, build_usage, join, merge
from bot.engine.api.wire import Call
from bot.engine.types import Delta, QueuePlace, Request, Usage

Deltas = AsyncGenerator[list[Delta], None]
encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One call's requests, *call.answers* for each prompt, with how each is read and what the reply looks like."""

    call: Call
    form: ReplyForm
    requests: Sequence[Request]
    readers: Sequence[ChoiceReader]

    @property
    def firsts(self) -> Sequence[Request]:
        """The first request of each prompt."""
        return self.requests[:: self.call.answers]


@dataclass(slots=True)
class Count:
    """How many tokens one answer has taken so far."""

    cached: int = 0
    generated: int = 0
    reasoning: int = 0

    def add(self, delta: Delta) -> None:
        """Count what a delta brought."""
        self.cached = delta.cached_tokens
        self.generated += len(delta.token_ids)
        self.reasoning += delta.reasoning_tokens


async def collect(order: Order, deltas: Deltas, *, headers: Mapping[str, str]) -> web.Response:
    """Wait for every answer and return them in one reply."""
    received: dict[str, list[Delta]] = {request.request_id: [] for request in order.requests}
    readers = dict(zip(received, order.readers, strict=True))
    async for step in deltas:
        for delta in step:
            if delta.error:
                status, code = _name_failure(delta)
                raise ApiError(status, delta.error, kind="server_error", code=code)
            received[delta.request_id].append(readers[delta.request_id].read(delta))
    answers = [merge(parts) for parts in received.values()]
    choices = [order.form.choice(index, answer) for index, answer in enumerate(answers)]
    if order.call.prompt_logprobs is not None and not order.call.echoes:
        choices[0]["prompt_logprobs"] = build_prompt_logprobs(answers[0].prompt_logprobs, order.form.names)
    counts = [Count(answer.cached_tokens, len(answer.token_ids), answer.reasoning_tokens) for answer in answers]
    body = order.form.envelope(choices, is_chunk=False) | {"usage": build_usage(_sum(order, counts))}
    if len(order.firsts) == 1:
        body |= order.form.prompt_ids(order.requests[0].prompt)
    else:
        for choice, request in zip(choices, order.requests, strict=True):
            choice.update(order.form.prompt_ids(request.prompt))
    return web.json_response(body, headers=headers)


def _name_failure(delta: Delta) -> tuple[int, str]:
    """Return the status and the code for an answer that ended without its end."""
    if delta.stop_reason == "deadline":
        return 504, "deadline_exceeded"
    return (503, "engine_stopping") if delta.finish_reason == "cancelled" else (500, "engine_error")


def _sum(order: Order, counts: Sequence[Count]) -> Usage:
    return Usage(
        prompt_tokens=sum(len(request.prompt) for request in order.firsts),
        cached_tokens=sum(count.cached for count in counts[:: order.call.answers]),
        completion_tokens=sum(count.generated for count in counts),
        reasoning_tokens=sum(count.reasoning for count in counts),
    )


async def stream(
    http: web.Request, order: Order, deltas: Deltas, *, line: Line, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Write a chunk for every step of every answer; the connection's end cancels what is left.

    While the first waits for a place, comments that only our own client reads say where it stands.
    """
    form, requests = order.form, order.requests
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", **headers}
    )
    await response.prepare(http)
    places = {request.request_id: index for index, request in enumerate(requests)}
    counts = [Count() for _ in requests]
    untold = {} if form.is_chat else dict(places)  # whose prompt's tokens have not been told yet
    opening = form.opening_chunk(len(requests), requests[0].prompt)
    if opening:
        await _write(response, [opening])
    async with line.announced(requests[0].request_id, partial(_write_place, response)) as hush:
        async for step in deltas:
            hush()
            chunks: list[Json] = []
            for delta in join(step):
                index = places[delta.request_id]
                if delta.error:
                    chunks.append(build_error_body(delta.error, kind="server_error", code=_name_failure(delta)[1]))
                    continue
                read = order.readers[index].read(delta)
                counts[index].add(read)
                chunk = form.chunk(index, read)
                if untold.pop(delta.request_id, None) is not None:
                    chunk |= form.prompt_ids(requests[index].prompt)
                chunks.append(chunk)
            await _write(response, chunks)
    if order.call.includes_usage:
        await _write(response, [form.envelope([], is_chunk=True) | {"usage": build_usage(_sum(order, counts))}])
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def _write_place(response: web.StreamResponse, place: QueuePlace) -> None:
    words = json.dumps({"position": place.position, "estimated_wait_seconds": place.seconds})
    await response.write(f": queue {words}\n\n".encode())


async def _write(response: web.StreamResponse, chunks: Sequence[Json]) -> None:
    lines = "".join(f"data: {encode_json(chunk)}\n\n" for chunk in chunks)
    await response.write(lines.encode())
