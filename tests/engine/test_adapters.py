"""Adapters as models: several at once, each with its own cache, and no bad one ever near the serving process."""

import asyncio
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import lock
from bot.engine.client import EngineClient
from bot.errors import AdapterAway, EngineBusy, EngineError
from tests.engine.conftest import serving
from tests.engine.test_api import CHAT, HELLO, TEXT, Http
from tests.engine.tiny_adapter import write_tiny_adapter
from tests.engine.tiny_model import write_tiny_model

GREEDY = {"temperature": 0, "max_tokens": 30, "ignore_eos": True, "return_token_ids": True, "cache_salt": "thread"}


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two good adapters."""
    folder = tmp_path_factory.mktemp("adapters")
    return write_tiny_adapter(folder / "a.gguf", seed=1), write_tiny_adapter(folder / "b.gguf", seed=2)


@pytest.fixture
async def http(client: EngineClient) -> AsyncIterator[Http]:
    """Return plain access to the running engine."""
    opened = Http(client._socket_path)
    yield opened
    await opened.session.close()


async def answer(http: Http, model: str = "tiny", **fields: object) -> list[int]:
    """Return the greedy answer of a model or adapter."""
    status, body = await http.post(CHAT, {"messages": HELLO, "model": model, **GREEDY, **fields})
    assert (status, body.get("model")) == (200, model), body
    return body["choices"][0]["token_ids"]


async def answer_cold(model: Path, adapter: Path) -> list[int]:
    """Return the answer of an engine that has never served anything but this adapter."""
    async with serving(model) as client:
        await client.load_adapter("only", adapter)
        http = Http(client._socket_path)
        tokens = await answer(http, "only")
        await http.session.close()
        return tokens


async def test_adapters_are_models(client: EngineClient, http: Http, adapters: tuple[Path, Path]) -> None:
    """Each answers as after a cold start, whoever answered the same conversation before, the base model included."""
    base = await answer(http)
    for name, path in zip("ab", adapters, strict=True):
        await client.load_adapter(name, path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    cold = [await answer_cold(client_model(adapters), path) for path in adapters]

    warm = [await answer(http, name) for name in "abab"]

    assert warm == [*cold, *cold]
    assert await answer(http) == base
    assert len({tuple(tokens) for tokens in (base, *cold)}) == 3
    models = await client.models()
    assert [(model.id, model.parent) for model in models] == [("tiny", ""), ("a", "tiny"), ("b", "tiny")]
    assert models[1].root == str(adapters[0])


async def test_adapters_at_once_keep_to_their_own(
    client: EngineClient, http: Http, adapters: tuple[Path, Path]
) -> None:
    """The same conversation under the same scope, asked of all three at the same time: nobody reads another's cache."""
    for name, path in zip("ab", adapters, strict=True):
        await client.load_adapter(name, path)
    names = ("tiny", "a", "b")
    alone = {name: await answer(http, name, cache_salt=f"alone {name}", max_tokens=25) for name in names}

    asked = names * 4
    together = await asyncio.gather(*(answer(http, name, max_tokens=25) for name in asked))

    assert list(together) == [alone[name] for name in asked]
    assert len({tuple(tokens) for tokens in alone.values()}) == 3


def client_model(adapters: tuple[Path, Path]) -> Path:
    """Return the tiny model, written again beside the adapters."""
    path = adapters[0].parent / "tiny.gguf"
    return path if path.exists() else write_tiny_model(path)


async def test_load_and_unload_fail_no_request(client: EngineClient, http: Http, adapters: tuple[Path, Path]) -> None:
    """While adapters come and go, everybody's answer is the one it would have been."""
    await client.load_adapter("a", adapters[0])
    fields = {"max_tokens": 40}  # the random model has its first near tie later, where the batch decides by a rounding
    expected = {name: await answer(http, name, **fields) for name in ("tiny", "a")}
    is_over = asyncio.Event()

    async def keep_asking(name: str) -> list[list[int]]:
        answers = []
        while not is_over.is_set() or len(answers) < 2:
            answers.append(await answer(http, name, **fields))
        return answers

    asking = [asyncio.create_task(keep_asking(name)) for name in ("tiny", "a", "tiny", "a")]
    for _ in range(2):
        await client.load_adapter("b", adapters[1])
        await answer(http, "b")
        await client.unload_adapter("b")
    is_over.set()

    for name, task in zip(("tiny", "a", "tiny", "a"), asking, strict=True):
        assert all(tokens == expected[name] for tokens in await task)


async def test_an_unloaded_adapter_ends_what_it_began(
    client: EngineClient, http: Http, adapters: tuple[Path, Path]
) -> None:
    """New requests are refused at once, the open one is completed, and then nothing is left of it."""
    await client.load_adapter("a", adapters[0])
    expected = await answer(http, "a")
    running = asyncio.create_task(answer(http, "a", max_tokens=400, cache_salt=""))
    await asyncio.sleep(0.02)

    await client.unload_adapter("a")

    assert not running.done()
    status, body = await http.post(CHAT, {"messages": HELLO, "model": "a"})
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    tokens = await running
    assert (len(tokens), tokens[: len(expected)]) == (400, expected)
    await answer(http)  # the engine's thread has freed the adapter before it does this
    assert 'model="a"' not in (await http.get("/metrics"))[1]
    assert [model.id for model in await client.models()] == ["tiny"]


async def test_a_load_that_nobody_waits_for_leaves_nothing(
    client: EngineClient, http: Http, adapters: tuple[Path, Path]
) -> None:
    """Whoever leaves during the trial, or unloads at once, can load the same name again."""
    for seconds in (0.05, 0.3, 0.6):
        loading = asyncio.create_task(client.load_adapter("a", adapters[0]))
        await asyncio.sleep(seconds)
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
    if "a" in [model.id for model in await client.models()]:
        await client.unload_adapter("a")

    await client.load_adapter("a", adapters[1])
    second = await answer(http, "a")
    await client.unload_adapter("a")
    await client.load_adapter("a", adapters[0])

    assert await answer(http, "a") != second
    assert [model.id for model in await client.models()] == ["tiny", "a"]


def damage(path: Path, adapter: Path, model: Path) -> dict[str, Path]:
    """Write one bad adapter of each kind into the folder *path*."""
    data = adapter.read_bytes()
    (path / "truncated.gguf").write_bytes(data[: len(data) * 2 // 3])
    (path / "header.gguf").write_bytes(data[:40])
    (path / "text.gguf").write_text("not a model at all")
    shutil.copy(model, path / "model.gguf")
    write_tiny_adapter(path / "architecture.gguf", architecture="qwen2")
    write_tiny_adapter(path / "shape.gguf", width=128)
    write_tiny_adapter(path / "layers.gguf", layers=3)
    write_tiny_adapter(path / "numbers.gguf", strength=float("nan"))
    write_tiny_adapter(path / "infinite.gguf", strength=1e30)
    write_tiny_adapter(path / "base.gguf", metadata={"apprentice.base_sha256": "0" * 64})
    return {file.stem: file for file in sorted(path.glob("*.gguf"))}


async def test_bad_adapters_are_refused(
    client: EngineClient, http: Http, tmp_path: Path, adapters: tuple[Path, Path]
) -> None:
    """Each is refused with a reason that names the file, and the engine answers as before."""
    before = await answer(http)
    bad = damage(tmp_path, adapters[0], client_model(adapters))
    bad["missing"] = tmp_path / "missing.gguf"

    for name, path in bad.items():
        with pytest.raises(EngineError, match=path.name):
            await client.load_adapter(name, path)

    assert [model.id for model in await client.models()] == ["tiny"]
    assert await answer(http) == before


async def test_a_flipped_bit_is_found(client: EngineClient, tmp_path: Path, adapters: tuple[Path, Path]) -> None:
    """llama.cpp would load it without complaint; the checksum says no."""
    good = adapters[0].read_bytes()
    flipped = tmp_path / "flipped.gguf"
    flipped.write_bytes(good[:-100] + bytes([good[-100] ^ 1]) + good[-99:])

    with pytest.raises(EngineError, match="SHA-256"):
        await client.load_adapter("a", flipped, sha256=hashlib.sha256(good).hexdigest())


async def test_an_adapter_that_kills_dies_alone(tmp_path: Path) -> None:
    """An adapter of the embeddings of a model that ties them aborts llama.cpp; the serving process never sees it."""
    tied = write_tiny_model(tmp_path / "tied.gguf", is_tied=True)
    bad = write_tiny_adapter(tmp_path / "embeddings.gguf", whole=("token_embd.weight",))
    headless = write_tiny_adapter(tmp_path / "head.gguf", whole=("output.weight",))
    async with serving(tied) as client:
        with pytest.raises(EngineError, match="SIGABRT"):
            await client.load_adapter("a", bad)
        with pytest.raises(EngineError, match=r"head\.gguf"):
            await client.load_adapter("a", headless)
        assert await client.health()


async def test_an_adapter_that_names_its_model_is_served_with_that_one(
    client: EngineClient, tmp_path: Path, adapters: tuple[Path, Path]
) -> None:
    """The header's checksum is the served model's; the same adapter for another model was refused above."""
    sha256 = hashlib.sha256(client_model(adapters).read_bytes()).hexdigest()
    path = write_tiny_adapter(tmp_path / "named.gguf", metadata={"apprentice.base_sha256": sha256})

    await client.load_adapter("named", path)

    assert [model.id for model in await client.models()] == ["tiny", "named"]


async def test_names_and_numbers_are_limited(tiny_model: Path, adapters: tuple[Path, Path], tmp_path: Path) -> None:
    """A name is given once, is no path, and at most `max_adapters` are served."""
    async with serving(tiny_model, max_adapters=1) as client:
        http = Http(client._socket_path)
        await client.load_adapter("a", adapters[0])
        for name, words in (("a", "already"), ("b", "unload one"), ("tiny", "already"), ("../a", "letters")):
            with pytest.raises(EngineError, match=words):
                await client.load_adapter(name, adapters[1])
        for path, body, param in (
            ("/v1/load_lora_adapter", {"lora_name": "b"}, "lora_path"),
            ("/v1/load_lora_adapter", {"lora_name": "b", "lora_path": "b.gguf"}, "lora_path"),
            ("/v1/load_lora_adapter", {"lora_path": "/b.gguf"}, "lora_name"),
            ("/v1/unload_lora_adapter", {}, "lora_name"),
        ):
            status, answer_body = await http.post(path, body)
            assert (status, answer_body["error"]["param"]) == (400, param)
        for name in ("tiny", "nobody"):
            assert (await http.post("/v1/unload_lora_adapter", {"lora_name": name}))[0] == 404
        assert (await http.post(TEXT, {"prompt": "x", "model": "a", "max_tokens": 1}))[0] == 200
        await http.session.close()


async def test_a_full_disk_says_nothing_about_an_adapter(
    client: EngineClient, adapters: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be tried for want of room is tried again later; a file that is away is told from a bad one."""
    free = shutil.disk_usage("/")

    with monkeypatch.context() as little:
        little.setattr(shutil, "disk_usage", lambda _: free._replace(free=adapters[0].stat().st_size))
        with pytest.raises(EngineBusy, match="No space left"):
            await client.load_adapter("a", adapters[0])
    with monkeypatch.context() as full:
        full.setattr(tempfile, "mkdtemp", refuse)
        with pytest.raises(EngineBusy, match="No space left"):
            await client.load_adapter("a", adapters[0])
    with pytest.raises(AdapterAway, match="not there"):
        await client.load_adapter("a", adapters[0].with_name("away.gguf"))

    await client.load_adapter("a", adapters[0])


def refuse(*_: object, **__: object) -> None:
    """Be a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_an_engine_starts_on_a_full_disk(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would say that it is well and answer nothing, for as long as it runs: nobody would replace it."""
    monkeypatch.setattr(lock, "gettempdir", refuse)
    async with serving(tiny_model) as client:
        assert [model.id for model in await client.models()] == ["tiny"]
