"""The engine's HTTP API as a foreign client sees it: forms, errors, streams, limits."""

import asyncio
import io
import json
import math
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from bot.engine.api.server import check_exposure, serve
from bot.engine.client import EngineClient
from bot.engine.service import EngineService
from bot.engine.types import EngineOptions
from bot.errors import ConfigError, ModelFileError
from tests.engine.conftest import serving, wait_healthy

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


class Http:
    """Plain requests over the engine's socket."""

    def __init__(self, path: Path) -> None:
        self.session = aiohttp.ClientSession("http://engine", connector=aiohttp.UnixConnector(str(path), limit=0))

    async def post(self, path: str, body: object, **options: object) -> tuple[int, dict]:
        """Send JSON and return status and body."""
        async with self.session.post(path, json=body, **options) as response:
            return response.status, json.loads(await response.read())

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and text."""
        async with self.session.get(path) as response:
            return response.status, await response.text()

    async def events(self, path: str, body: dict) -> list[dict | str]:
        """Return every event of a stream, its end mark included."""
        async with self.session.post(path, json={**body, "stream": True}) as response:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            lines = (await response.read()).decode().split("\n\n")
        data = [line.removeprefix("data: ") for line in lines if line and not line.startswith(":")]
        return [line if line == "[DONE]" else json.loads(line) for line in data]


@pytest.fixture
async def http(client: EngineClient) -> AsyncIterator[Http]:
    """Return plain access to the running engine."""
    opened = Http(client._socket_path)
    yield opened
    await opened.session.close()


async def test_a_chat_completion_has_openais_form(http: Http) -> None:
    """Every field that the official client reads is there."""
    status, body = await http.post(CHAT, {"model": "tiny", "messages": HELLO, "max_tokens": 4, "temperature": 0})

    assert status == 200
    assert body["id"].startswith("chatcmpl-")
    assert (body["object"], body["model"]) == ("chat.completion", "tiny")
    (choice,) = body["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] == "length"
    assert choice["logprobs"] is None
    usage = body["usage"]
    assert usage["completion_tokens"] == 4
    assert usage["total_tokens"] == usage["prompt_tokens"] + 4
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


async def test_a_stream_says_what_the_whole_says(http: Http) -> None:
    """Role first, then pieces, one reason to finish, the usage if asked for, and the end mark."""
    body = {"messages": HELLO, "max_tokens": 12, "temperature": 0, "return_token_ids": True}
    _, whole = await http.post(CHAT, body)

    events = await http.events(CHAT, body | {"stream_options": {"include_usage": True}})

    assert events[-1] == "[DONE]"
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert events[0]["prompt_token_ids"] == whole["prompt_token_ids"]
    assert events[-2]["choices"] == []
    assert events[-2]["usage"]["completion_tokens"] == 12
    chunks = [event["choices"][0] for event in events[1:-2]]
    assert "".join(chunk["delta"]["content"] for chunk in chunks) == whole["choices"][0]["message"]["content"]
    assert [token for chunk in chunks for token in chunk["token_ids"]] == whole["choices"][0]["token_ids"]
    assert [chunk["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["length"]
    assert len({event["id"] for event in events[:-1]}) == 1


async def test_text_and_token_prompts_are_one(http: Http) -> None:
    """A text and its tokens continue the same way; a list of one prompt is that prompt."""
    _, tokens = await http.post("/tokenize", {"prompt": "hello the"})
    fields = {"max_tokens": 6, "temperature": 0}

    answers = [
        (await http.post(TEXT, {"prompt": prompt, **fields}))[1]["choices"][0]["text"]
        for prompt in ("hello the", tokens["tokens"], ["hello the"], [tokens["tokens"]])
    ]

    assert len(set(answers)) == 1


async def test_several_answers_differ_by_seed(http: Http) -> None:
    """`n` gives numbered answers; with a seed all of them come again."""
    body = {"messages": HELLO, "n": 3, "seed": 7, "temperature": 1.5, "max_tokens": 10, "ignore_eos": True}

    await http.post(CHAT, body)  # from here on the cache is the same each time, and so is every rounding
    (_, first), (_, second) = await http.post(CHAT, body), await http.post(CHAT, body)

    texts = [choice["message"]["content"] for choice in first["choices"]]
    assert texts == [choice["message"]["content"] for choice in second["choices"]]
    assert len(set(texts)) == 3
    assert [choice["index"] for choice in first["choices"]] == [0, 1, 2]
    assert first["usage"]["completion_tokens"] == 30


async def test_log_probabilities_come_in_both_forms(http: Http) -> None:
    """Chat and text completions list each token with its alternatives."""
    fields = {"max_tokens": 3, "temperature": 0}
    _, chat = await http.post(CHAT, {"messages": HELLO, "logprobs": True, "top_logprobs": 2, **fields})
    _, text = await http.post(TEXT, {"prompt": "hello", "logprobs": 2, **fields})

    items = chat["choices"][0]["logprobs"]["content"]
    assert len(items) == 3
    assert all(item["logprob"] == item["top_logprobs"][0]["logprob"] <= 0 for item in items)
    assert math.exp(items[0]["top_logprobs"][1]["logprob"]) < 1
    assert len(text["choices"][0]["logprobs"]["token_logprobs"]) == 3


async def test_a_given_text_is_scored(http: Http) -> None:
    """`prompt_logprobs` says of every given token but the first what `logprobs` said when it was generated."""
    fields = {"temperature": 0, "return_token_ids": True}
    _, begun = await http.post(
        TEXT, {"prompt": [1] * 5, "max_tokens": 300, "logprobs": 0, "ignore_eos": True, **fields}
    )
    written = begun["choices"][0]["token_ids"]

    body = {"prompt": [1] * 5 + written, "max_tokens": 1, "prompt_logprobs": 2, "cache_salt": "scores", **fields}
    scored = await asyncio.gather(*(http.post(TEXT, body) for _ in range(3)))

    for _, answer in scored:
        first, *rest = answer["choices"][0]["prompt_logprobs"]
        assert first is None
        assert len(rest) == 304
        found = [item[str(token)] for item, token in zip(rest[4:], written, strict=True)]
        expected = begun["choices"][0]["logprobs"]["token_logprobs"]
        assert [item["logprob"] for item in found] == pytest.approx(expected, abs=0.05)  # the cache is F16
        assert {item["rank"] for item in found} <= {1, 2}
        assert {len(item) for item in rest} <= {2, 3}
        assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


async def test_a_thread_reuses_its_own_past_only(http: Http) -> None:
    """The second turn finds the first in the cache; the same words of another thread find the system prompt."""
    talk = [*HELLO, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "And now?"}]
    fields = {"max_tokens": 4, "temperature": 0}
    cached = []
    for messages, scope in ((HELLO, "a"), (talk, "a"), (talk, "b"), (talk, "")):
        _, body = await http.post(CHAT, {"messages": messages, "cache_salt": scope, **fields})
        cached.append(body["usage"]["prompt_tokens_details"]["cached_tokens"])

    assert cached[0] == 0
    assert cached[1] > cached[2] == cached[3] > 0


BAD_REQUESTS = [
    (CHAT, {}, "messages"),
    (CHAT, {"messages": []}, "messages"),
    (CHAT, {"messages": "hi"}, "messages"),
    (CHAT, {"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    (CHAT, {"messages": [{"role": "user"}]}, "messages[0].content"),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
    (CHAT, {"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content"),
    (CHAT, {"messages": [{"role": "user", "content": "x", "tool_calls": [{}]}]}, "messages[0].tool_calls"),
    (CHAT, {"messages": HELLO, "temperature": 3}, "temperature"),
    (CHAT, {"messages": HELLO, "temperature": "hot"}, "temperature"),
    (CHAT, {"messages": HELLO, "temperature": True}, "temperature"),
    (CHAT, {"messages": HELLO, "top_p": -1}, "top_p"),
    (CHAT, {"messages": HELLO, "top_k": 1.5}, "top_k"),
    (CHAT, {"messages": HELLO, "min_p": 2}, "min_p"),
    (CHAT, {"messages": HELLO, "max_tokens": 0}, "max_tokens"),
    (CHAT, {"messages": HELLO, "n": 9}, "n"),
    (CHAT, {"messages": HELLO, "seed": "x"}, "seed"),
    (CHAT, {"messages": HELLO, "stop": [""]}, "stop"),
    (CHAT, {"messages": HELLO, "stop": ["x"] * 17}, "stop"),
    (CHAT, {"messages": HELLO, "stream": "yes"}, "stream"),
    (CHAT, {"messages": HELLO, "stream_options": {"include_usage": True}}, "stream_options"),
    (CHAT, {"messages": HELLO, "top_logprobs": 3}, "top_logprobs"),
    (CHAT, {"messages": HELLO, "tools": [{"type": "function"}]}, "tools[0]"),
    (CHAT, {"messages": HELLO, "response_format": {"type": "xml"}}, "response_format"),
    (CHAT, {"messages": HELLO, "response_format": {"type": "json_schema"}}, "response_format"),
    (CHAT, {"messages": HELLO, "logit_bias": {"x": 5}}, "logit_bias"),
    (CHAT, {"messages": HELLO, "logit_bias": {"1": 101}}, "logit_bias"),
    (CHAT, {"messages": HELLO, "logit_bias": {"99999": 1}}, "logit_bias"),
    (CHAT, {"messages": HELLO, "presence_penalty": 3}, "presence_penalty"),
    (CHAT, {"messages": HELLO, "frequency_penalty": "x"}, "frequency_penalty"),
    (CHAT, {"messages": HELLO, "repetition_penalty": 0}, "repetition_penalty"),
    (CHAT, {"messages": HELLO, "tempreature": 1}, "tempreature"),
    (TEXT, {}, "prompt"),
    (TEXT, {"prompt": ""}, "prompt"),
    (TEXT, {"prompt": ["a", 1]}, "prompt"),
    (TEXT, {"prompt": ["a"] * 65}, "prompt"),
    (TEXT, {"prompt": [1, 2, 100000]}, "prompt"),
    (TEXT, {"prompt": [1, -2]}, "prompt"),
    (TEXT, {"prompt": [True]}, "prompt"),
    (TEXT, {"prompt": "x", "echo": 1}, "echo"),
    (TEXT, {"prompt": "x", "max_tokens": 0}, "max_tokens"),
    (TEXT, {"prompt": "x", "best_of": 2}, "best_of"),
    (TEXT, {"prompt": "x", "prompt_logprobs": 21}, "prompt_logprobs"),
    (TEXT, {"prompt": "x", "prompt_logprobs": 0, "stream": True}, "prompt_logprobs"),
    (TEXT, {"prompt": "x", "prompt_logprobs": 0, "n": 2}, "prompt_logprobs"),
    (CHAT, {"messages": HELLO, "prompt_logprobs": 0}, "prompt_logprobs"),
    (TEXT, {"prompt": [1], "resumed_tokens": 2}, "resumed_tokens"),
    ("/tokenize", {}, "messages"),
]


@pytest.fixture(scope="module")
def bad_answers(tiny_model: Path) -> list[tuple[int, dict]]:
    """Return what one engine answered to every bad request, and that it lives afterwards."""

    async def collect() -> list[tuple[int, dict]]:
        async with serving(tiny_model) as client:
            http = Http(client._socket_path)
            answers = [await http.post(path, body) for path, body, _ in BAD_REQUESTS]
            assert await client.health()
            await http.session.close()
            return answers

    return asyncio.run(collect())


@pytest.mark.parametrize("number", range(len(BAD_REQUESTS)), ids=lambda n: f"{n}-{BAD_REQUESTS[n][2]}")
def test_a_bad_parameter_is_named(bad_answers: list[tuple[int, dict]], number: int) -> None:
    """Nothing is guessed and nothing ignored: 400 with the parameter's name, in OpenAI's form."""
    status, body = bad_answers[number]

    assert status == 400
    assert set(body["error"]) >= {"message", "type", "param", "code"}
    assert body["error"]["param"] == BAD_REQUESTS[number][2]
    assert body["error"]["type"] == "invalid_request_error"


async def test_neutral_parameters_are_welcome(http: Http) -> None:
    """What clients send by habit and what asks for nothing is no reason to refuse."""
    neutral = {"tools": [], "response_format": {"type": "text"}, "logit_bias": {}, "presence_penalty": 0, "stop": None}

    status, _ = await http.post(CHAT, {"messages": HELLO, "max_tokens": 1, "user": "u", **neutral})

    assert status == 200


async def test_a_prompt_over_the_context_is_refused_before_work(http: Http) -> None:
    """The code is the one that clients look for, with both numbers; an answer's limit is cut to what fits."""
    status, body = await http.post(CHAT, {"messages": [{"role": "user", "content": "x" * 600}], "max_tokens": 1})
    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
    assert body["error"]["n_ctx"] == 512
    assert body["error"]["n_prompt_tokens"] > 512

    status, body = await http.post(CHAT, {"messages": [{"role": "user", "content": "x" * 100_000}]})
    assert body["error"]["code"] == "context_length_exceeded"

    status, body = await http.post(TEXT, {"prompt": [1] * 500, "max_tokens": 5000, "ignore_eos": True})
    assert (status, body["usage"]["completion_tokens"]) == (200, 12)


async def test_other_errors_have_their_status(http: Http) -> None:
    """Unknown model, path and method, a body that is no JSON, too large, or of another type."""
    assert (await http.post(CHAT, {"messages": HELLO, "model": "gpt-5"}))[1]["error"]["code"] == "model_not_found"
    assert (await http.post("/v1/nothing", {}))[0] == 404
    assert (await http.get(CHAT))[0] == 405
    for data, headers, status in (
        (b"{", {"Content-Type": "application/json"}, 400),
        (b"[" * 100_000, {"Content-Type": "application/json"}, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b" " * (17 * 1024 * 1024), {"Content-Type": "application/json"}, 413),
    ):
        async with http.session.post(CHAT, data=io.BytesIO(data), headers=headers) as response:
            assert response.status == status
            assert "message" in json.loads(await response.read())["error"]


async def test_a_full_queue_refuses_at_once(slow_model: Path) -> None:
    """Whoever comes too many is told when to come again, and those inside are served."""
    async with serving(slow_model, max_sequences=1, queue_limit=1) as client:
        http = Http(client._socket_path)
        body = {"messages": HELLO, "max_tokens": 50, "ignore_eos": True}
        inside = [asyncio.create_task(http.post(CHAT, body)) for _ in range(2)]
        await asyncio.sleep(0.05)
        async with http.session.post(CHAT, json=body) as refused:
            assert refused.status == 429
            assert int(refused.headers["Retry-After"]) > 0
            error = json.loads(await refused.read())["error"]
        assert (error["code"], error["answering"], error["waiting"]) == ("queue_full", 1, 1)
        assert error["estimated_wait_seconds"] is None  # nothing was answered yet
        entry = {"model": "slow", "answering": 1, "waiting": 1, "estimated_wait_seconds": None}
        assert json.loads((await http.get("/v1/queue"))[1]) == {"object": "queue", "limit": 1, "data": [entry]}
        assert [status for status, _ in await asyncio.gather(*inside)] == [200, 200]
        await http.session.close()


async def test_eight_streams_at_once_answer_as_one_does(http: Http) -> None:
    """Eight people who ask at the same time each get the answer they would have got alone."""
    fields = {"max_tokens": 40, "temperature": 0}
    bodies = [{"messages": [{"role": "user", "content": f"question {n}"}], **fields} for n in range(8)]
    alone = [await http.events(CHAT, body) for body in bodies]

    together = await asyncio.gather(*(http.events(CHAT, body) for body in bodies))

    def text(events: list) -> str:
        return "".join(event["choices"][0]["delta"]["content"] for event in events[:-1])

    assert [text(events) for events in together] == [text(events) for events in alone]


async def test_a_client_that_leaves_frees_its_place(slow_model: Path) -> None:
    """When a connection closes, streamed or not, the engine stops working for it."""
    async with serving(slow_model) as client:
        http = Http(client._socket_path)
        body = {"messages": HELLO, "max_tokens": 400, "ignore_eos": True, "n": 8}

        async def until(is_so: Callable[[str], bool]) -> None:
            async with asyncio.timeout(20):
                while not is_so((await http.get("/metrics"))[1]):  # noqa: ASYNC110 - another process counts
                    await asyncio.sleep(0.01)

        for is_stream, count in ((True, 8), (False, 16)):
            task = asyncio.create_task(http.post(CHAT, {**body, "stream": is_stream}))
            await until(
                lambda metrics: re.search(r"engine_(?:running|waiting)_sequences\{[^}]*\} [1-8]", metrics) is not None
            )
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await until(
                lambda metrics, count=count: f'engine_requests_total{{outcome="cancelled"}} {count}.0' in metrics
            )  # type: ignore[misc]
        await http.session.close()


async def test_metrics_count_what_happened(http: Http) -> None:
    """After one answer the counters say so."""
    await http.post(CHAT, {"messages": HELLO, "max_tokens": 5, "ignore_eos": True})

    _, text = await http.get("/metrics")

    assert 'engine_tokens_total{kind="generated"} 5.0' in text
    assert 'engine_requests_total{outcome="length"} 1.0' in text
    assert "engine_first_token_seconds_count 1.0" in text


async def test_models_say_what_is_served(client: EngineClient) -> None:
    """The one model with its size, checksum and limits."""
    (model,) = await client.models()

    assert (model.id, model.n_ctx) == ("tiny", 512)
    assert len(model.sha256) == 64
    assert model.meta["n_vocab"] == 273


async def test_a_port_needs_a_key(tiny_model: Path, unused_tcp_port: int) -> None:
    """Over TCP every call but the health check needs the key."""
    stop = asyncio.Event()
    options = EngineOptions(model_path=tiny_model, port=unused_tcp_port, api_key="s3cret", threads=1, n_ctx=512)
    server = asyncio.create_task(serve(options, stop=stop))
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with EngineClient(f"{url}/v1", api_key="s3cret") as friend, aiohttp.ClientSession(url) as stranger:
        await wait_healthy(friend, server)
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer s3cret\u00e9"}):
            async with stranger.get("/v1/models", headers=headers) as response:
                assert response.status == 401
        assert [model.id for model in await friend.models()] == ["tiny"]
    stop.set()
    await server


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "example.com"])
def test_a_port_without_a_key_is_refused(host: str) -> None:
    """Loopback too: whoever has an account on the machine reaches it."""
    with pytest.raises(ConfigError, match="ENGINE_API_KEY"):
        check_exposure(EngineOptions(model_path=Path("m.gguf"), host=host))

    check_exposure(EngineOptions(model_path=Path("m.gguf"), host=host, api_key="key"))
    check_exposure(EngineOptions(model_path=Path("m.gguf"), host=host, socket_path=Path("engine.sock")))


async def test_a_damaged_model_ends_the_server(tmp_path: Path) -> None:
    """`serve` raises the error that names the file."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\xff" * 100)
    options = EngineOptions(model_path=broken, socket_path=tmp_path / "s" / "e.sock")

    with pytest.raises(ModelFileError, match=r"broken\.gguf"):
        await serve(options)


async def test_while_loading_the_answer_is_503(tiny_model: Path) -> None:
    """Until the model is there, health and calls say so."""
    service = EngineService(EngineOptions(model_path=tiny_model, threads=1))

    assert service.state == "loading"
    with pytest.raises(RuntimeError, match="not loaded"):
        service.list_models()
