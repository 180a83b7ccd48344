"""Answers that are bent or bound: penalties, biases, and JSON by grammar, on the tiny random model."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.engine.chat.json_schema import SchemaError, check_schema
from bot.engine.client import EngineClient
from tests.engine.conftest import serving
from tests.engine.test_api import CHAT, HELLO, TEXT, Http

ASCII_ONLY = {"logit_bias": {str(byte): -100 for byte in range(128, 256)}}  # random weights write broken UTF-8
TICKET = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 12},
        "urgent": {"type": "boolean"},
        "state": {"enum": ["open", "closed"]},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 2},
        "owner": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/person"}]},
    },
    "required": ["title", "urgent", "state", "tags", "owner"],
    "additionalProperties": False,
    "$defs": {
        "person": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 8}},
            "required": ["name"],
            "additionalProperties": False,
        }
    },
}


def check_ticket(text: str) -> None:
    """Check by hand what TICKET promises."""
    ticket = json.loads(text)
    assert set(ticket) == {"title", "urgent", "state", "tags", "owner"}
    assert isinstance(ticket["title"], str)
    assert len(ticket["title"]) <= 12
    assert ticket["urgent"] in (True, False)
    assert ticket["state"] in ("open", "closed")
    assert len(ticket["tags"]) <= 2
    assert all(isinstance(tag, str) and len(tag) <= 4 for tag in ticket["tags"])
    assert ticket["owner"] is None or set(ticket["owner"]) == {"name"}


def bound_to(schema: object) -> dict[str, object]:
    """Return the field that binds an answer to *schema*."""
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}}


@pytest.fixture
async def http(client: EngineClient) -> AsyncIterator[Http]:
    """Return plain access to the running engine."""
    opened = Http(client._socket_path)
    yield opened
    await opened.session.close()


async def generate(http: Http, **fields: object) -> list[int]:
    """Return the tokens of a greedy continuation."""
    body = {"prompt": "hello", "max_tokens": 40, "temperature": 0, "ignore_eos": True, "return_token_ids": True}
    status, answer = await http.post(TEXT, body | fields)
    assert status == 200, answer
    return answer["choices"][0]["token_ids"]


@pytest.mark.parametrize("temperature", [0, 1, 2])
async def test_a_schema_is_kept(http: Http, temperature: float) -> None:
    """Eight answers of a random model, all at once: each parses, and each is what the schema says."""
    body = {"messages": HELLO, "n": 8, "seed": 3, "temperature": temperature, **ASCII_ONLY, **bound_to(TICKET)}

    status, answer = await http.post(CHAT, body)

    assert status == 200
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["stop"] * 8
    for choice in answer["choices"]:
        check_ticket(choice["message"]["content"])


async def test_a_schema_may_refer_to_itself(http: Http) -> None:
    """What pydantic writes for a recursive model: a reference at the top and one inside."""
    node = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}
    schema = {"$ref": "#/$defs/node", "$defs": {"node": {**node, "required": ["next"], "additionalProperties": False}}}

    _, answer = await http.post(CHAT, {"messages": HELLO, "temperature": 0, "max_tokens": 200, **bound_to(schema)})

    (choice,) = answer["choices"]
    assert choice["message"]["content"].replace(" ", "").startswith('{"next":')
    if choice["finish_reason"] == "stop":
        assert set(json.loads(choice["message"]["content"])) == {"next"}


async def test_json_object_is_json(http: Http) -> None:
    """Whatever was written until the limit begins an object; free neighbours in the batch stay free."""
    free = await generate(http)

    body = {"messages": HELLO, "max_tokens": 60, "seed": 1, "response_format": {"type": "json_object"}}
    _, answer = await http.post(CHAT, body)

    assert answer["choices"][0]["message"]["content"].startswith("{")
    assert await generate(http) == free


REFUSED = {
    "number range": {"type": "integer", "minimum": 3},
    "pattern": {"type": "string", "pattern": "^(a+)+$"},
    "foreign reference": {"$ref": "https://example.com/schema"},
    "file reference": {"$ref": "file:///etc/passwd"},
    "missing reference": {"$ref": "#/$defs/none"},
    "endless reference": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
    "left recursion": {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}},
    },
    "number as reference": {"$ref": 7},
    "no type": {"type": "object", "properties": {"a": {}}},
    "not an object": True,
    "absurd length": {"type": "string", "maxLength": 10**9},
    "negative length": {"type": "string", "minLength": -1},
    "many lengths": {"anyOf": [{"type": "string", "maxLength": 150}] * 2},
    "many parts": {"anyOf": [{"type": "null"}] * 400},
    "large": {"const": "x" * 20_000},
    "empty list": {"anyOf": []},
    "empty enum": {"enum": []},
    "list as properties": {"type": "object", "properties": []},
    "unknown required": {"type": "object", "properties": {}, "required": ["a"]},
    "unhashable required": {"type": "object", "properties": {}, "required": [[]]},
    "several types with limits": {"type": ["string", "null"], "maxLength": 3},
    "strange type": {"type": [["string"]]},
    "strange format": {"type": "string", "format": []},
}


async def test_a_schema_that_cannot_be_kept_is_refused(http: Http) -> None:
    """Hostile, endless and unsupported schemas end in a 400 that names response_format; the engine lives on."""
    deep: dict[str, object] = {"type": "null"}
    for _ in range(200):
        deep = {"type": "array", "items": deep}
    for name, schema in {**REFUSED, "deep": deep}.items():
        status, answer = await http.post(CHAT, {"messages": HELLO, "max_tokens": 5, **bound_to(schema)})
        assert (name, status, answer.get("error", {}).get("param")) == (name, 400, "response_format")
    assert (await http.get("/health"))[0] == 200


def test_the_reason_names_the_keyword() -> None:
    """Whoever wrote the schema learns what to take out."""
    with pytest.raises(SchemaError, match="'minimum'"):
        check_schema({"type": "integer", "minimum": 3})


async def test_biases_force_and_forbid(http: Http) -> None:
    """A hundred decides the token, minus a hundred excludes it."""
    free = await generate(http)

    forced, freed = await generate(http, logit_bias={"65": 100}), await generate(http, logit_bias={str(free[0]): -100})

    assert forced == [65] * 40
    assert free[0] not in freed


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
async def test_penalties_count_what_was_written(http: Http, name: str) -> None:
    """A repeated answer becomes more varied, and a resumed one goes on as the uninterrupted one would have."""
    free, varied = await generate(http), await generate(http, **{name: 2})

    prompt = (await http.post("/tokenize", {"prompt": "hello"}))[1]["tokens"] + varied[:20]
    resumed = await generate(http, **{name: 2}, prompt=prompt, resumed_tokens=20, max_tokens=20)

    assert len(set(varied)) > len(set(free))
    assert resumed == varied[20:]


async def test_repetition_counts_the_prompt_too(http: Http) -> None:
    """As in vLLM, a token of the prompt is penalised before it was ever written."""
    first = (await generate(http))[0]
    prompt = [first, *(await http.post("/tokenize", {"prompt": "hello"}))[1]["tokens"]]
    free = (await generate(http, prompt=prompt))[0]

    held = (await generate(http, prompt=[free, *prompt], repetition_penalty=10))[0]

    assert held != free


async def test_a_bound_answer_survives_company(tiny_model: Path) -> None:
    """Bound and free answers share a batch under memory pressure, and the bound ones are still complete."""
    async with serving(tiny_model, kv_cells=512, max_sequences=8) as client:
        http = Http(client._socket_path)
        body = {"messages": HELLO, "n": 8, "seed": 5, "temperature": 1}
        _, answer = await http.post(CHAT, body | ASCII_ONLY | bound_to(TICKET))
        await http.session.close()

    for choice in answer["choices"]:
        check_ticket(choice["message"]["content"])
