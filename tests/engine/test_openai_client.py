"""The official `openai` client, unchanged, against a running engine: what it reads, streams, raises and retries."""

import asyncio
from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path
from typing import Literal

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from bot.engine.api.server import serve
from bot.engine.client import EngineClient
from bot.engine.types import EngineOptions
from tests.engine.conftest import serving, wait_healthy

HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
KEY = "s3cret"


def connect(client: EngineClient, **options: object) -> AsyncOpenAI:
    """Return the official client over the engine's Unix socket."""
    transport = httpx.AsyncHTTPTransport(uds=str(client._socket_path))
    http = httpx.AsyncClient(transport=transport)
    return AsyncOpenAI(base_url="http://engine/v1", api_key="none", http_client=http, **options)


async def tokens_of(official: AsyncOpenAI, text: str) -> list[int]:
    """Return what the engine makes of *text*."""
    answer = await official.post("/../tokenize", body={"prompt": text}, cast_to=httpx.Response)
    return answer.json()["tokens"]


@pytest.fixture
async def official(client: EngineClient) -> AsyncIterator[AsyncOpenAI]:
    """Return the official client of a running engine."""
    async with connect(client, max_retries=0) as opened:
        yield opened


@pytest.fixture
async def port(tiny_model: Path, unused_tcp_port: int) -> AsyncIterator[int]:
    """Return a port on which an engine answers whoever has the key."""
    stop = asyncio.Event()
    options = EngineOptions(model_path=tiny_model, port=unused_tcp_port, api_key=KEY, threads=1, n_ctx=512)
    server = asyncio.create_task(serve(options, stop=stop))
    async with EngineClient(f"http://127.0.0.1:{unused_tcp_port}/v1", api_key=KEY) as client:
        await wait_healthy(client, server)
        yield unused_tcp_port
    stop.set()
    await server


async def test_a_chat_is_answered(official: AsyncOpenAI) -> None:
    """Every field that the client's types promise is there, and the usage adds up."""
    answer = await official.chat.completions.create(
        model="tiny", messages=HELLO, max_completion_tokens=6, temperature=0, seed=1, n=2, user="u", stop=["\n\n\n"],
        metadata={"a": "b"}, store=False, service_tier="auto", safety_identifier="s", prompt_cache_key="k",
        verbosity="medium", modalities=["text"], parallel_tool_calls=True, logit_bias={"5": -100},
        presence_penalty=0.1, frequency_penalty=0.1, top_p=0.9,
    )  # fmt: skip

    assert [choice.index for choice in answer.choices] == [0, 1]
    message = answer.choices[0].message
    assert (message.role, message.refusal, message.tool_calls) == ("assistant", None, None)
    assert isinstance(message.content, str)
    assert answer.choices[0].finish_reason == "length"
    assert answer.system_fingerprint.startswith("fp_")
    usage = answer.usage
    assert (usage.completion_tokens, usage.total_tokens) == (12, usage.prompt_tokens + 12)
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert usage.completion_tokens_details.reasoning_tokens == 0


async def test_a_chat_is_streamed(official: AsyncOpenAI) -> None:
    """The pieces are the whole; the last chunk has the usage and no choice."""
    asked = {"model": "tiny", "messages": HELLO, "max_tokens": 9, "temperature": 0}
    whole = await official.chat.completions.create(**asked)

    stream = await official.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]

    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == "length"
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 9)


async def test_the_stream_helper_collects_the_answer(official: AsyncOpenAI) -> None:
    """`chat.completions.stream` accumulates events into the same answer."""
    bias = {str(token): 100 for token in await tokens_of(official, "xy")}
    asked = {"model": "tiny", "messages": HELLO, "logit_bias": bias, "stop": "xy", "seed": 2}
    async with official.chat.completions.stream(**asked) as stream:
        kinds = {event.type async for event in stream}
        answer = await stream.get_final_completion()

    assert {"chunk", "content.done"} <= kinds
    assert set(answer.choices[0].message.content) <= {"x", "y"}
    assert answer.choices[0].finish_reason == "stop"


async def test_log_probabilities_are_typed(official: AsyncOpenAI) -> None:
    """Chat lists tokens with bytes and alternatives; streaming gives the same numbers."""
    asked = {"model": "tiny", "messages": HELLO, "max_tokens": 8, "temperature": 0, "logprobs": True, "top_logprobs": 3}
    whole = (await official.chat.completions.create(**asked)).choices[0].logprobs
    stream = await official.chat.completions.create(**asked, stream=True)
    streamed = [
        item
        async for chunk in stream
        for item in (chunk.choices[0].logprobs or whole).content
        if chunk.choices[0].logprobs
    ]

    assert len(whole.content) == 8
    assert whole.refusal is None
    assert [item.logprob for item in streamed] == pytest.approx([item.logprob for item in whole.content], abs=1e-4)
    for item in whole.content:
        assert item.top_logprobs[0].token == item.token
        assert len(item.top_logprobs) == 3
        assert item.token.startswith("bytes:") or item.token.encode() == bytes(item.bytes or item.token.encode())


async def test_a_bias_and_a_stop_are_obeyed(official: AsyncOpenAI) -> None:
    """A token with the bias 100 is all there is; a stop string ends the answer before it."""
    token = (await tokens_of(official, "e"))[0]
    asked = {"model": "tiny", "messages": HELLO, "max_tokens": 5, "logit_bias": {str(token): 100}}

    answer = await official.chat.completions.create(**asked)
    stopped = await official.chat.completions.create(**asked, stop="ee")

    assert answer.choices[0].message.content == "eeeee"
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("", "stop")


async def test_a_seed_repeats_an_answer(official: AsyncOpenAI) -> None:
    """The same seed gives the same answer, another one another."""
    texts = []
    for seed in (1, 1, 1, 2):
        answer = await official.completions.create(
            model="tiny", prompt="hello", seed=seed, max_tokens=20, temperature=1.5
        )
        texts.append(answer.choices[0].text)

    assert texts[1] == texts[2] != texts[3]


async def test_texts_and_tokens_are_continued_together(official: AsyncOpenAI) -> None:
    """Prompts may be texts, token ids or lists of either; the choices come prompt by prompt, `n` for each."""
    alone = [
        await official.completions.create(model="tiny", prompt=text, temperature=0) for text in ("hello", "the user")
    ]
    tokens = [await tokens_of(official, text) for text in ("hello", "the user")]
    texts = [answer.choices[0].text for answer in alone]

    for prompt in (["hello", "the user"], tokens):
        answer = await official.completions.create(model="tiny", prompt=prompt, temperature=0, n=2, best_of=2)
        assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
        assert [choice.text for choice in answer.choices] == [texts[0], texts[0], texts[1], texts[1]]
        assert answer.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in alone)
        assert answer.usage.completion_tokens == 2 * sum(one.usage.completion_tokens for one in alone)
    stream = await official.completions.create(model="tiny", prompt=["hello", "the user"], temperature=0, stream=True)
    parts = {0: "", 1: ""}
    async for chunk in stream:
        parts[chunk.choices[0].index] += chunk.choices[0].text
    assert list(parts.values()) == texts


async def test_a_prompt_is_echoed_with_its_scores(official: AsyncOpenAI) -> None:
    """What evaluation harnesses do: echo, log probabilities and no or one new token; offsets point into the text."""
    tokens = (await official.post("/../tokenize", body={"prompt": "the user hé"}, cast_to=httpx.Response)).json()[
        "tokens"
    ]
    for prompt in ("the user hé", tokens):
        asked = {"model": "tiny", "prompt": prompt, "echo": True, "logprobs": 2, "temperature": 0}
        scored = await official.completions.create(**asked, max_tokens=0)
        longer = (await official.completions.create(**asked, max_tokens=1)).choices[0]

        (choice,) = scored.choices
        listed = choice.logprobs
        assert (choice.text, choice.finish_reason, scored.usage.completion_tokens) == ("the user hé", "length", 0)
        assert len(listed.tokens) == len(listed.token_logprobs) == len(listed.top_logprobs) == len(tokens)
        assert (listed.token_logprobs[0], listed.top_logprobs[0]) == (None, None)
        assert all(value < 0 for value in listed.token_logprobs[1:])
        assert choice.text[listed.text_offset[1] :].startswith(listed.tokens[1])
        assert listed.text_offset == sorted(listed.text_offset)
        assert longer.text.startswith("the user hé")
        assert longer.logprobs.token_logprobs[1:-1] == pytest.approx(listed.token_logprobs[1:], abs=0.01)
        assert len(longer.logprobs.tokens) == len(tokens) + 1
    stream = await official.completions.create(**asked, max_tokens=2, stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]).startswith("the user hé")


class Mood(Enum):
    """How somebody feels."""

    GOOD = "good"
    BAD = "bad"


class Guest(BaseModel):
    """A nested model."""

    kind: Literal["adult", "child"]
    is_vip: bool


class Visit(BaseModel):
    """What pydantic makes of the usual types: $defs, $ref, anyOf, enum, const, title, default."""

    mood: Mood
    guests: tuple[Guest, Guest]
    lead: Guest
    count: Literal[1, 2, 3] | None
    only: Literal["x"]


async def test_an_answer_is_parsed_into_a_pydantic_model(official: AsyncOpenAI) -> None:
    """`chat.completions.parse` sends a strict schema; a model of random weights keeps it."""
    answer = await official.chat.completions.parse(
        model="tiny", messages=HELLO, response_format=Visit, temperature=1, seed=3
    )

    visit = answer.choices[0].message.parsed
    assert answer.choices[0].finish_reason == "stop"
    assert isinstance(visit, Visit)
    assert visit.only == "x"


async def test_what_a_schema_cannot_promise_is_named(official: AsyncOpenAI) -> None:
    """A pydantic type whose keyword no grammar enforces is a BadRequestError with that keyword."""

    class Price(BaseModel):
        amount: float

        model_config = {"json_schema_extra": {"properties": {"amount": {"type": "number", "minimum": 1}}}}

    with pytest.raises(openai.BadRequestError, match="'minimum'"):
        await official.chat.completions.parse(model="tiny", messages=HELLO, response_format=Price)


async def test_models_are_listed_and_retrieved(official: AsyncOpenAI) -> None:
    """A model is found by its name, also one with slashes; another name is a NotFoundError."""
    (listed,) = [model async for model in official.models.list()]

    assert (await official.models.retrieve("tiny")).id == listed.id == "tiny"
    with pytest.raises(openai.NotFoundError) as caught:
        await official.models.retrieve("meta/llama 3")
    assert caught.value.code == "model_not_found"


async def test_errors_have_the_clients_classes(official: AsyncOpenAI) -> None:
    """A wrong value, too long a prompt and an unknown model, with code and parameter."""
    with pytest.raises(openai.BadRequestError) as wrong:
        await official.chat.completions.create(model="tiny", messages=HELLO, temperature=9)
    with pytest.raises(openai.BadRequestError) as long:
        await official.completions.create(model="tiny", prompt="x" * 600)
    with pytest.raises(openai.NotFoundError) as unknown:
        await official.chat.completions.create(model="gpt-5", messages=HELLO)

    assert (wrong.value.param, wrong.value.type) == ("temperature", "invalid_request_error")
    assert long.value.code == "context_length_exceeded"
    assert unknown.value.code == "model_not_found"


async def test_the_sync_client_needs_the_key(port: int) -> None:
    """Over TCP the key decides; the synchronous client answers, streams and raises like the other."""

    def work() -> tuple[str, str]:
        with OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="wrong", max_retries=0) as stranger:
            with pytest.raises(openai.AuthenticationError) as caught:
                stranger.models.list()
            assert caught.value.code == "invalid_api_key"
        with OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY, max_retries=0) as friend:
            asked = {"model": "tiny", "messages": HELLO, "max_tokens": 7, "temperature": 0}
            whole = friend.chat.completions.create(**asked).choices[0].message.content
            pieces = [
                chunk.choices[0].delta.content or "" for chunk in friend.chat.completions.create(**asked, stream=True)
            ]
            return whole, "".join(pieces)

    whole, streamed = await asyncio.to_thread(work)

    assert whole == streamed


async def until_answering(official: openai.AsyncOpenAI) -> None:
    """Wait until the engine has a request to answer."""
    for _ in range(500):
        queue = await official.get("/queue", cast_to=object)
        if queue["data"][0]["answering"]:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError("no request has come in")


async def test_a_full_queue_is_retried_by_the_client(slow_model: Path) -> None:
    """RateLimitError carries Retry-After; with its usual retries the client waits and is served."""
    async with (
        serving(slow_model, max_sequences=1, queue_limit=0) as client,
        connect(client, max_retries=0) as hasty,
        connect(client, max_retries=5) as patient,
    ):
        asked = {"model": "slow", "messages": HELLO, "max_tokens": 400}
        inside = asyncio.create_task(hasty.chat.completions.create(**asked))
        await until_answering(hasty)
        with pytest.raises(openai.RateLimitError) as caught:
            await hasty.chat.completions.create(**asked)
        assert int(caught.value.response.headers["Retry-After"]) > 0
        assert caught.value.code == "queue_full"
        late = await patient.chat.completions.create(**asked)
        assert late.usage.completion_tokens == (await inside).usage.completion_tokens == 400


async def test_a_closed_stream_and_a_timeout_free_their_place(slow_model: Path) -> None:
    """Whoever stops reading or waiting leaves nothing behind on the engine."""
    async with serving(slow_model, max_sequences=1) as client, connect(client, max_retries=0) as official:
        asked = {"model": "slow", "messages": HELLO, "max_tokens": 400}
        stream = await official.chat.completions.create(**asked, stream=True)
        await anext(aiter(stream))
        await stream.close()
        with pytest.raises(openai.APITimeoutError):
            await official.with_options(timeout=0.3).chat.completions.create(**asked)

        answer = await official.with_options(timeout=20).chat.completions.create(**asked | {"max_tokens": 5})

        assert answer.usage.completion_tokens == 5


async def test_an_engine_that_stops_is_an_error_of_the_server(slow_model: Path) -> None:
    """An answer cut off by the engine's end is an InternalServerError, in a stream an APIError."""
    asked = {"model": "slow", "messages": HELLO, "max_tokens": 400}
    async with serving(slow_model) as client:
        official = connect(client, max_retries=0)
        waiting = asyncio.create_task(official.chat.completions.create(**asked))
        stream = await official.chat.completions.create(**asked, stream=True)
        await anext(aiter(stream))
    with pytest.raises(openai.APIError):
        await waiting
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass
    await official.close()


async def test_waiting_and_deadlines_are_nothing_strange(slow_model: Path) -> None:
    """News of the queue disturbs no stream of the client's; an answer that its deadline ends says so."""
    served = serving(slow_model, max_sequences=1, n_ctx=8192)
    async with served as client, connect(client, max_retries=0) as official:
        asked = {"model": "slow", "messages": HELLO}
        first = asyncio.create_task(official.chat.completions.create(**asked, max_tokens=400))
        await until_answering(official)
        stream = await official.chat.completions.create(
            **asked, max_tokens=5, stream=True, stream_options={"include_usage": True}, extra_body={"priority": 2}
        )
        usage = [chunk.usage async for chunk in stream][-1]
        late = await official.chat.completions.create(**asked, max_tokens=8000, extra_body={"deadline_seconds": 1})

    assert ((await first).usage.completion_tokens, usage.completion_tokens) == (400, 5)
    assert (late.choices[0].finish_reason, late.choices[0].stop_reason) == ("length", "deadline")
    assert 0 < late.usage.completion_tokens < 8000
