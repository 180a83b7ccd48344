"""The bot's client against our engine and against servers that speak the same wire with another accent."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.engine.client import EngineClient
from bot.engine.reading import read_error
from bot.engine.types import AnswerOptions, Chunk, Usage
from bot.errors import ContextOverflow, EngineBusy, EngineError, EngineUnavailable, UnknownModel
from tests.engine.conftest import serving

HELLO = [{"role": "user", "content": "Hello"}]


async def collect(chunks: AsyncIterator[Chunk]) -> tuple[str, tuple[int, ...], Chunk]:
    """Return an answer's text, tokens and last chunk."""
    found = [chunk async for chunk in chunks]
    return "".join(c.text for c in found), tuple(t for c in found for t in c.token_ids), found[-1]


async def test_an_answer_arrives_in_chunks(client: EngineClient) -> None:
    """The prompt's tokens come first, the reason and the usage last."""
    options = AnswerOptions(model="tiny", temperature=0, max_tokens=8, scope="s", user="u")
    chunks = [chunk async for chunk in client.chat(HELLO, options)]

    prompt = chunks[0].prompt_token_ids
    assert len(prompt) == await client.count_tokens(HELLO, model="tiny")
    assert chunks[-1].usage == Usage(len(prompt), 0, 8)
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["length"]
    assert sum(len(chunk.token_ids) for chunk in chunks) == 8


async def test_a_cut_answer_is_resumed_exactly(slow_model: Path) -> None:
    """Text, tokens and usage of the two halves are those of the whole."""
    options = AnswerOptions(temperature=0, max_tokens=60)
    first, got = [], []
    async with serving(slow_model) as client:
        text, tokens, last = await collect(client.chat(HELLO, options))
        async with aclosing(client.chat(HELLO, options)) as stream:
            while len(got) < 12:
                first.append(await anext(stream))
                got += first[-1].token_ids
        shown = "".join(chunk.text for chunk in first)

        rest, more, end = await collect(client.resume(first[0].prompt_token_ids, got, options))

    assert len(got) < 60
    assert (shown + rest, (*got, *more)) == (text, tokens)
    assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (
        last.usage.prompt_tokens,
        last.usage.completion_tokens,
    )


async def test_a_complete_answer_needs_no_engine() -> None:
    """When every token had arrived before the break, nothing is asked and the reason is the limit."""
    async with EngineClient("http://127.0.0.1:9") as client:
        _, _, last = await collect(client.resume([1, 2], [3, 4, 5], AnswerOptions(max_tokens=3)))

    assert last.finish_reason == "length"


async def test_closing_an_answer_cancels_it(slow_model: Path) -> None:
    """A reader who stops reading frees the engine, and what it had answered is cached for the next turn."""
    async with serving(slow_model) as client:
        options = AnswerOptions(temperature=0, max_tokens=400, scope="s")
        async with aclosing(client.chat(HELLO, options)) as stream:
            first = [await anext(stream) for _ in range(5)]
        done = [token for chunk in first for token in chunk.token_ids]

        one_more = AnswerOptions(max_tokens=len(done) + 1, scope="s")
        _, _, last = await collect(client.resume(first[0].prompt_token_ids, done, one_more))

    assert 0 < last.usage.cached_tokens < 100


async def test_a_prompt_that_cannot_fit_says_both_numbers(client: EngineClient) -> None:
    """The bot learns how long the prompt is and what the limit is."""
    with pytest.raises(ContextOverflow) as caught:
        await collect(client.chat([{"role": "user", "content": "x y " * 300}]))

    assert caught.value.limit == 512
    assert caught.value.prompt_tokens > 512


async def test_nobody_there_is_unavailable() -> None:
    """A refused connection is worth another try, and no health."""
    async with EngineClient("http://127.0.0.1:9") as client:
        assert not await client.health()
        with pytest.raises(EngineUnavailable):
            await client.models()
        with pytest.raises(EngineUnavailable):
            await collect(client.chat(HELLO))


@asynccontextmanager
async def foreign(routes: dict[str, Callable]) -> AsyncIterator[EngineClient]:
    """Serve *routes* as another product would, and connect to it with `/v1` in the address."""
    app = web.Application()
    for path, handler in routes.items():
        app.router.add_route("*", path, handler)
    async with TestServer(app) as server, EngineClient(f"{server.make_url('/v1')}/") as client:
        yield client


def reply(status: int, body: object, **headers: str) -> Callable:
    """Return a handler that always says the same."""

    async def handler(_: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers=headers)

    return handler


def stream(*parts: bytes, close: bool = False) -> Callable:
    """Return a handler that writes *parts*, and at the end breaks the connection if it is to *close*."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(0.005)
        if close:
            request.transport.abort()
        return response

    return handler


def event(body: object) -> bytes:
    """Return a server-sent event."""
    return f"data: {json.dumps(body)}\n\n".encode()


def piece(text: str | None = None, reason: str | None = None) -> bytes:
    """Return a chunk of a chat stream."""
    return event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]})


async def test_a_server_without_token_ids_is_fine() -> None:
    """llama-server's streams have no ids, null contents, and a usage without choices."""
    usage = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
    parts = (
        piece(None),
        b": keep-alive\n\n",
        piece("He"),
        piece("llo"),
        piece(None, "stop"),
        usage,
        b"data: [DONE]\n\n",
    )
    async with foreign({"/v1/chat/completions": stream(*parts)}) as client:
        text, tokens, last = await collect(client.chat(HELLO))

    assert (text, tokens, last.usage) == ("Hello", (), Usage(3, 0, 2))


async def test_an_answer_cut_off_is_unavailable() -> None:
    """Whether the connection breaks or ends politely: without a reason to finish the answer is not complete."""
    for close in (True, False):
        async with foreign({"/v1/chat/completions": stream(piece("He"), close=close)}) as client:
            with pytest.raises(EngineUnavailable):
                await collect(client.chat(HELLO))


ERRORS = [
    (429, {"error": {"message": "slow down"}}, EngineBusy),
    (503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}, EngineUnavailable),
    (502, "bad gateway", EngineUnavailable),
    (401, {"error": {"message": "no"}}, EngineError),
    (404, {"error": {"message": "no such model", "code": "model_not_found"}}, UnknownModel),
    (
        400,
        {"error": {"type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 5}},
        ContextOverflow,
    ),
    (
        400,
        {"message": "This model's maximum context length is 5 tokens. However, you requested 9 tokens in the prompt"},
        ContextOverflow,
    ),
]


@pytest.mark.parametrize(("status", "body", "kind"), ERRORS)
async def test_foreign_errors_are_understood(status: int, body: object, kind: type[EngineError]) -> None:
    """Each server's way to say no becomes the bot's own error."""
    async with foreign({"/v1/chat/completions": reply(status, body, **{"Retry-After": "7"})}) as client:
        with pytest.raises(EngineError) as caught:
            await collect(client.chat(HELLO))

    assert type(caught.value) is kind
    if isinstance(caught.value, EngineBusy):
        assert caught.value.retry_after == 7
    if isinstance(caught.value, ContextOverflow):
        assert (caught.value.prompt_tokens, caught.value.limit) == (9, 5)


@pytest.mark.parametrize(("said", "seconds"), [("inf", 60), ("100000", 60), ("nan", 5), ("-1", 5), ("soon", 5)])
async def test_a_rest_is_waited_for_that_ends(said: str, seconds: float) -> None:
    """A server that wants to be left alone for ever would leave whoever asked without a word."""
    async with foreign({"/v1/chat/completions": reply(429, {"message": "busy"}, **{"Retry-After": said})}) as client:
        with pytest.raises(EngineBusy) as caught:
            await collect(client.chat(HELLO))
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    "message",
    [
        'Failed to parse messages: no role; messages = [\n  {"content": "the merger is called Xochimilco"}]',
        "1 validation error: [{'loc': ('body', 'n'), 'input': {'messages': 'Xochimilco'}}]",
        "1 validation error for Request: bad type [type=int, input_value='Xochimilco', input_type=str]",
    ],
)
def test_what_a_server_repeats_of_a_request_is_left_out(message: str) -> None:
    """llama-server and vLLM do in some of their errors, which stand in logs and reports."""
    said = str(read_error(400, {"error": {"message": message, "code": 400}}))

    assert "Xochimilco" not in said
    assert message.partition(":")[0] in said


def test_what_our_engine_says_of_a_request_stays() -> None:
    """It names what is wrong, and quotes nothing."""
    assert "messages[0].role: no" in str(read_error(400, {"error": {"message": "messages[0].role: no"}}))


async def test_an_error_inside_a_stream_is_raised() -> None:
    """vLLM reports a failure as an event."""
    parts = (piece("He"), event({"error": {"message": "out of memory", "code": 500}}))
    async with foreign({"/v1/chat/completions": stream(*parts)}) as client:
        with pytest.raises(EngineError, match="out of memory"):
            await collect(client.chat(HELLO))


async def test_tokens_are_counted_on_every_server() -> None:
    """By vLLM's call, by llama-server's two, or with a clear refusal."""
    async with foreign({"/tokenize": reply(200, {"count": 12, "max_model_len": 99, "tokens": []})}) as client:
        assert await client.count_tokens(HELLO) == 12

    routes = {"/tokenize": reply(200, {"tokens": [1, 2, 3]}), "/apply-template": reply(200, {"prompt": "<s>Hello"})}
    async with foreign(routes) as client:
        assert await client.count_tokens(HELLO) == 3

    async with foreign({}) as client:
        with pytest.raises(EngineError):
            await client.count_tokens(HELLO)


async def test_foreign_models_are_listed() -> None:
    """vLLM states its limit beside the name, llama-server in `meta`."""
    models = [{"id": "a", "owned_by": "vllm", "max_model_len": 4096}, {"id": "b", "meta": {"n_ctx_train": 8192}}]
    async with foreign({"/v1/models": reply(200, {"object": "list", "data": models})}) as client:
        first, second = await client.models()

    assert (first.id, first.n_ctx, second.id, second.n_ctx) == ("a", 4096, "b", None)


@pytest.mark.parametrize("start", [b"data: ", b"data: x\ndata: ", b"{"])
async def test_what_has_no_end_is_read_to_none(start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line, an event of many lines or an answer in one piece that goes on for ever would fill the memory."""
    monkeypatch.setattr("bot.engine.sse.MOST_BYTES", 1_000_000)
    monkeypatch.setattr("bot.engine.client.MOST_BYTES", 1_000_000)
    sent = 0

    async def pour(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 100_000_000:
            await response.write(start + b"x" * 65_536 + (b"\n" if b"\n" in start else b""))
            sent += 65_536
        return response

    app = web.Application()
    app.router.add_route("*", "/v1/{call:.*}", pour)
    async with TestServer(app) as server, EngineClient(str(server.make_url("/"))) as client:
        with pytest.raises(EngineError, match="nonsense"):
            await (client.models() if start == b"{" else collect(client.chat(HELLO)))
    assert sent < 50_000_000
