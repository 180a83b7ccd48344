"""Every field of every call with values of every wrong type: a 400 that names the field, and never more than that."""

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path

import aiohttp
import gguf
import pytest

from tests.engine.conftest import serving
from tests.engine.test_tools_api import HERMES
from tests.engine.tiny_model import write_tiny_model

CHAT, TEXT, VECTORS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
VALUES: dict[str, list[object]] = {
    "bool": [True],
    "int": [7_000_000_000_000, 10**400, -(10**400)],
    "number": [0.123456, 1e308, math.inf, -math.inf, math.nan],
    "str": ["wrong", "\ud800", "x" * 5000],
    "list": [[], [[]], [None], [{}], [1.5], ["\ud800"]],
    "dict": [{"wrong": {}}, {"\ud800": "\ud800"}, {"type": []}, {"function": 1}],
    "deep": [json.loads("[" * 200 + "]" * 200), json.loads('{"a":' * 200 + "1" + "}" * 200)],
}
SHARED = {
    "model": "str", "max_tokens": "int", "max_completion_tokens": "int", "n": "int", "temperature": "number",
    "top_p": "number", "top_k": "int", "min_p": "number", "seed": "int", "stop": "str list", "ignore_eos": "bool",
    "stream": "bool", "stream_options": "dict", "user": "str", "return_token_ids": "bool", "cache_salt": "str",
    "logit_bias": "dict", "frequency_penalty": "number", "presence_penalty": "number", "repetition_penalty": "number",
    "response_format": "dict", "priority": "int", "deadline_seconds": "number", "include_reasoning": "bool",
    "metadata": "dict", "store": "bool", "service_tier": "str", "prompt_cache_key": "str", "safety_identifier": "str",
}  # fmt: skip
FIELDS = {
    CHAT: SHARED | {
        "messages": "list", "logprobs": "bool", "top_logprobs": "int", "tools": "list", "tool_choice": "str",
        "parallel_tool_calls": "bool", "reasoning_effort": "str", "chat_template_kwargs": "dict", "verbosity": "str",
        "modalities": "list", "audio": "none", "functions": "list", "function_call": "none", "prediction": "dict",
        "web_search_options": "none",
    },
    TEXT: SHARED | {
        "prompt": "str", "echo": "bool", "suffix": "none", "best_of": "int", "logprobs": "int",
        "prompt_logprobs": "int", "resumed_tokens": "int",
    },
    VECTORS: {"input": "str", "model": "str", "encoding_format": "str", "dimensions": "none", "user": "str"},
    "/tokenize": {"messages": "list", "add_generation_prompt": "bool", "add_special_tokens": "bool"},
}  # fmt: skip
BASE: dict[str, dict[str, object]] = {
    CHAT: {"messages": [{"role": "user", "content": "x"}], "max_tokens": 1},
    TEXT: {"prompt": "x", "max_tokens": 1},
    VECTORS: {"input": "x"},
    "/tokenize": {"messages": [{"role": "user", "content": "x"}]},
}


def say(role: str, **fields: object) -> dict[str, object]:
    """Return a body with one message."""
    return {"messages": [{"role": role, "content": "x", **fields}]}


def offer(**fields: object) -> dict[str, object]:
    """Return a body with one function."""
    return {"tools": [{"type": "function", "function": {"name": "f", **fields}}]}


def call(arguments: object) -> dict[str, object]:
    """Return a body with one call."""
    function = {"name": "f", "arguments": arguments}
    return say("assistant", tool_calls=[{"id": "a", "type": "function", "function": function}])


def bind(schema: object) -> dict[str, object]:
    """Return a body whose answer must follow a schema."""
    return {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}


INSIDE: list[tuple[str, str, Callable[[object], dict[str, object]]]] = [
    ("messages[0].role", "none", lambda value: {"messages": [{"role": value, "content": "x"}]}),
    ("messages[0].content", "str", lambda value: say("user", content=value)),
    ("messages[0].content", "str", lambda value: say("user", content=[{"type": "text", "text": value}])),
    ("messages[0].name", "str", lambda value: say("user", name=value)),
    ("messages[0].tool_call_id", "str", lambda value: say("tool", tool_call_id=value)),
    ("messages[0].tool_calls", "list", lambda value: say("assistant", tool_calls=value)),
    ("messages[0].reasoning_content", "str", lambda value: say("assistant", reasoning_content=value)),
    ("messages[0].tool_calls[0].function.arguments", "none", call),
    ("messages[0].tool_calls[0].function.arguments", "none", lambda value: call(json.dumps({"a": value}) * 2)),
    ("messages[0].tool_calls[0].function.arguments", "none", lambda _: call('{"a":' * 900 + "1" + "}" * 900)),
    ("tools[0].function.name", "str", lambda value: offer(name=value)),
    ("tools[0].function.parameters", "dict", lambda value: offer(parameters=value)),
    ("tools[0].function.strict", "bool", lambda value: offer(strict=value)),
    ("tools[0].function.description", "str", lambda value: offer(description=value)),
    ("tool_choice", "none", lambda value: {"tool_choice": {"type": "function", "function": {"name": value}}}),
    ("response_format", "none", bind),
    ("response_format", "none", lambda value: bind({"type": value})),
    ("response_format", "none", lambda value: bind({"type": "array", "minItems": value, "prefixItems": value})),
    ("chat_template_kwargs", "none", lambda value: {"chat_template_kwargs": {"enable_thinking": value}}),
]
Case = tuple[str, str, str, dict[str, object]]


def build_cases() -> list[Case]:
    """Return path, field, the kind of value that the field has, and a body with another."""
    cases: list[Case] = []
    for path, fields in FIELDS.items():
        for field, right in fields.items():
            for kind, values in VALUES.items():
                cases += [(path, field, _judge(right, kind), BASE[path] | {field: value}) for value in values]
    for field, right, build in INSIDE:
        for kind, values in VALUES.items():
            cases += [(CHAT, field, _judge(right, kind), BASE[CHAT] | build(value)) for value in values]
    return cases


def _judge(right: str, kind: str) -> str:
    """Return whether a value of this kind must be refused, or may also be right."""
    is_near = kind in right.split() or (right, kind) == ("number", "int")
    return "may" if is_near else "must"


CASES = build_cases()


@pytest.fixture(scope="module")
def replies(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, dict]]:
    """Return what one engine answered to every case, and that it answers afterwards."""
    model = write_tiny_model(
        tmp_path_factory.mktemp("wrong") / "wrong.gguf", template=HERMES, pooling=gguf.PoolingType.LAST
    )

    async def collect() -> list[tuple[int, dict]]:
        async with serving(model) as client:
            connector = aiohttp.UnixConnector(str(client._socket_path))
            async with aiohttp.ClientSession("http://engine", connector=connector) as session:
                answers = []
                for path, _, _, body in CASES:
                    async with session.post(path, json=body) as response:
                        answers.append((response.status, await read(response)))
            assert await client.health()
            return answers

    return asyncio.run(collect())


async def read(response: aiohttp.ClientResponse) -> dict:
    """Return a reply's body, a stream's as nothing."""
    return await response.json() if response.content_type == "application/json" else {}


@pytest.mark.parametrize(("path", "field"), sorted({(path, field) for path, field, _, _ in CASES}))
def test_a_wrong_type_is_refused_by_name(replies: list[tuple[int, dict]], path: str, field: str) -> None:
    """No wrong value is an error of the server, and every refusal says which field was wrong."""
    for (case_path, case_field, must, body), (status, reply) in zip(CASES, replies, strict=True):
        if (case_path, case_field) != (path, field):
            continue
        shown = repr(body)[:300]
        if must == "may" and (status == 200 or reply["error"]["code"] == "context_length_exceeded"):
            continue
        assert status in ({400, 404} if field == "model" else {400}), (status, shown, reply)
        assert reply["error"]["type"] == "invalid_request_error"
        assert str(reply["error"]["param"]).startswith(field.partition(".")[0].partition("[")[0]), (shown, reply)


async def test_bodies_that_are_none_are_refused(tiny_model: Path) -> None:
    """Forms, broken compression, broken encodings, numbers of any length and depth: errors in the API's form."""
    form = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nno end'
    bodies = [
        (form, {"Content-Type": "multipart/form-data; boundary=x"}, 415),
        (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {}, 415),
        (b"\xff\xfe\x00", {"Content-Type": "application/json"}, 400),
        (b'{"n": ' + b"9" * 100_000 + b"}", {"Content-Type": "application/json"}, 400),
        (b'{"n": 1e999}', {"Content-Type": "application/json"}, 400),
        (b'{"a":' * 100_000, {"Content-Type": "application/json"}, 400),
        (b"not gzip", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 400),
        (b"[]", {"Content-Type": "application/json; charset=nonsense"}, 400),
        (b"", {"Content-Type": "application/json"}, 400),
    ]
    async with serving(tiny_model) as client:
        connector = aiohttp.UnixConnector(str(client._socket_path), force_close=True)
        async with aiohttp.ClientSession("http://engine", connector=connector) as session:
            for data, headers, status in bodies:
                for path in (CHAT, "/tokenize", "/v1/load_lora_adapter"):
                    async with session.post(
                        path, data=data, headers=headers, skip_auto_headers=["Content-Type"]
                    ) as reply:
                        assert (reply.status, reply.content_type) == (status, "application/json"), (data[:40], headers)
                        assert set((await reply.json())["error"]) >= {"message", "type", "param", "code"}
