"""What the bot holds of an engine: ours on its socket, or any OpenAI-compatible server behind ENGINE_URL.

Knows HTTP and the wire; it must not know how the engine works inside.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

import aiohttp

from bot.engine.reading import read_chunk, read_error, seeing_models
from bot.engine.sse import EventParser
from bot.engine.types import MOST_FORGOTTEN, AnswerOptions, Chunk, ModelInfo
from bot.errors import EngineError, EngineUnavailable

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 300.0
QUICK_SECONDS = 30.0
MOST_BYTES = 64_000_000  # of an answer that comes in one piece
DEFAULTS = AnswerOptions()
ChatMessages = Sequence[Mapping[str, object]]
Json = dict[str, object]


class EngineClient:
    """A connection pool to one server; it is opened by the first call and closed with `close`."""

    def __init__(self, url: str = "", socket_path: Path | None = None, api_key: str = "") -> None:
        self._base = url.rstrip("/").removesuffix("/v1") if url else "http://engine"
        self._socket_path = socket_path
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; answers that still stream are cancelled."""
        if self._session:
            await self._session.close()
            self._session = None

    async def health(self) -> bool:
        """Whether the model is loaded and answers."""
        try:
            async with self._call("GET", "/health", seconds=CONNECT_SECONDS) as response:
                return response.status == 200
        except EngineUnavailable:
            return False

    async def models(self) -> list[ModelInfo]:
        """Return what the server serves."""
        body = await self._ask("GET", "/v1/models")
        entries = body.get("data")
        seeing = seeing_models(body)
        return [_read_model(entry, seeing) for entry in entries] if isinstance(entries, list) else []

    async def load_adapter(self, name: str, path: Path, *, sha256: str = "") -> None:
        """Let the server try the adapter at an absolute path and serve it as *name*; *EngineError* says why not."""
        body: Json = {"lora_name": name, "lora_path": str(path), "sha256": sha256 or None}
        await self._ask("POST", "/v1/load_lora_adapter", body, seconds=SILENCE_SECONDS)

    async def unload_adapter(self, name: str) -> None:
        """Let the server offer an adapter no more; answers that it began are completed."""
        await self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    async def forget(self, scopes: Collection[str]) -> None:
        """Let the server keep nothing of some conversations as cache; one that is not ours knows no such thing."""
        wanted = sorted(scopes)
        for first in range(0, len(wanted), MOST_FORGOTTEN):
            body: Json = {"cache_salt": wanted[first : first + MOST_FORGOTTEN]}
            async with self._call("POST", "/v1/forget", body, seconds=QUICK_SECONDS) as response:
                if response.status not in {200, 404, 405}:
                    raise read_error(response.status, await _read_json(response))

    async def count_tokens(self, messages: ChatMessages, *, model: str | None = None) -> int:
        """Return how many tokens the server's template makes of *messages*, ready for an answer."""
        named: Json = {"model": model} if model else {}
        body = named | {"messages": list(messages), "add_generation_prompt": True}
        async with self._call("POST", "/tokenize", body, seconds=QUICK_SECONDS) as response:
            answer = await _read_json(response)
            if response.status not in {200, 404}:
                raise read_error(response.status, answer)
        count = answer.get("count")
        return count if isinstance(count, int) else await self._count_like_llama_server(messages)

    async def tokenize_chat(self, messages: ChatMessages, *, is_open: bool = True) -> tuple[int, ...]:
        """Return the token ids that our engine's template makes of *messages*; *is_open* when an answer follows."""
        body: Json = {"messages": list(messages), "add_generation_prompt": is_open}
        tokens = (await self._ask("POST", "/tokenize", body)).get("tokens")
        if not isinstance(tokens, list):
            raise EngineError("The model's server does not say the tokens of a conversation.")
        return tuple(tokens)

    async def _count_like_llama_server(self, messages: ChatMessages) -> int:
        rendered = await self._ask("POST", "/apply-template", {"messages": list(messages)})
        body: Json = {"content": rendered.get("prompt"), "add_special": True, "parse_special": True}
        tokens = (await self._ask("POST", "/tokenize", body)).get("tokens")
        if not isinstance(tokens, list):
            raise EngineError("The model's server cannot count tokens: it has no /tokenize.")
        return len(tokens)

    async def complete(self, body: Json) -> Json:
        """Return the server's whole answer to a request of `POST /v1/completions`, as the API has it."""
        return await self._ask("POST", "/v1/completions", body, seconds=SILENCE_SECONDS)

    async def embed(self, texts: Sequence[str], *, model: str) -> list[list[float]]:
        """Return what a model with embeddings makes of some texts; *EngineError* when it has none."""
        body: Json = {"model": model, "input": list(texts), "encoding_format": "float"}
        data = (await self._ask("POST", "/v1/embeddings", body)).get("data")
        vectors = [entry.get("embedding") for entry in data] if isinstance(data, list) else []
        if len(vectors) != len(texts) or not all(isinstance(vector, list) and vector for vector in vectors):
            raise EngineError("The model's server gave no vectors.")
        return vectors

    def chat(
        self, messages: ChatMessages, options: AnswerOptions = DEFAULTS, *, done: Sequence[int] = ()
    ) -> AsyncGenerator[Chunk, None]:
        """Stream the answer to a conversation; closing the iterator cancels it on the engine.

        What is *done* of it already is not streamed again; only our own engine knows how to go on.
        """
        body: Json = {"messages": list(messages)}
        if done:
            body["resumed_token_ids"] = list(done)
            return self._go_on("/v1/chat/completions", body, options, done=len(done))
        return self._stream("/v1/chat/completions", body | _build_body(options))

    def resume(
        self,
        prompt_token_ids: Sequence[int],
        generated_token_ids: Sequence[int] = (),
        options: AnswerOptions = DEFAULTS,
    ) -> AsyncGenerator[Chunk, None]:
        """Stream the rest of an answer of at most *max_tokens* in all, after the tokens that were already received."""
        done = len(generated_token_ids)
        body: Json = {"prompt": [*prompt_token_ids, *generated_token_ids]}
        body["resumed_tokens"] = done  # also when it is zero: the prompt is a conversation's, and so is the answer
        if options.logprobs is not None:
            body["logprobs"] = 0  # in texts it is how many alternatives one wants
        return self._go_on("/v1/completions", body, options, done=done)

    async def _go_on(self, path: str, body: Json, options: AnswerOptions, *, done: int) -> AsyncGenerator[Chunk, None]:
        if options.max_tokens is not None and done >= options.max_tokens:
            yield Chunk(finish_reason="length")
            return
        left = replace(options, max_tokens=options.max_tokens and options.max_tokens - done)
        async with aclosing(self._stream(path, _build_body(left) | body)) as chunks:
            async for chunk in chunks:
                usage = chunk.usage and replace(
                    chunk.usage,
                    prompt_tokens=chunk.usage.prompt_tokens - done,
                    completion_tokens=chunk.usage.completion_tokens + done,
                )
                yield replace(chunk, usage=usage, prompt_token_ids=None)

    async def _stream(self, path: str, body: Json) -> AsyncGenerator[Chunk, None]:
        async with self._call("POST", path, body) as response:
            if response.status != 200:
                answer = await _read_json(response)
                raise read_error(response.status, answer, retry_after=response.headers.get("Retry-After"))
            parser, is_finished = EventParser(), False
            async for data in response.content.iter_any():
                for event in parser.feed(data):
                    if "error" in event:
                        raise read_error(response.status, event)
                    chunk = read_chunk(event)
                    is_finished = is_finished or chunk.finish_reason is not None
                    yield chunk
                if parser.is_done:
                    break
            if not is_finished:
                raise EngineUnavailable("The model's server ended in the middle of an answer.")

    async def _ask(self, method: str, path: str, body: Json | None = None, *, seconds: float = QUICK_SECONDS) -> Json:
        async with self._call(method, path, body, seconds=seconds) as response:
            answer = await _read_json(response)
            if response.status != 200:
                raise read_error(response.status, answer, retry_after=response.headers.get("Retry-After"))
            return answer

    @asynccontextmanager
    async def _call(
        self, method: str, path: str, body: Json | None = None, *, seconds: float | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; whatever breaks the connection, now or while reading, becomes *EngineUnavailable*."""
        if self._session is None:
            connector: aiohttp.BaseConnector = aiohttp.TCPConnector(limit=0)
            if self._socket_path:
                connector = aiohttp.UnixConnector(str(self._socket_path), limit=0)
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers)
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
        try:
            async with self._session.request(method, self._base + path, json=body, timeout=timeout) as response:
                yield response
        except (TimeoutError, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
            raise EngineUnavailable(f"The model's server is not reachable ({type(error).__name__}).") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise EngineError(f"The model's server answered nonsense ({type(error).__name__}).") from error


def _build_body(options: AnswerOptions) -> Json:
    """Return a streaming request; what was not given is left to the server, and unknown servers see known names."""
    fields = asdict(options)
    fields["cache_salt"], fields["stop"] = fields.pop("scope"), list(options.stop)
    given = {name: value for name, value in fields.items() if value not in (None, "", [])}
    if not options.priority:
        del given["priority"]
    return given | {"stream": True, "stream_options": {"include_usage": True}, "return_token_ids": True}


async def _read_json(response: aiohttp.ClientResponse) -> Json:
    """Return the body as an object, empty if it is anything else; *ValueError* where it has no end."""
    read = bytearray()
    async for part in response.content.iter_any():
        read += part
        if len(read) > MOST_BYTES:
            raise ValueError("an answer without end")
    try:
        body = json.loads(read)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _read_model(entry: Mapping[str, object], seeing: Collection[str]) -> ModelInfo:
    meta = entry.get("meta")
    known = dict(meta) if isinstance(meta, dict) else {}
    if isinstance(entry.get("max_model_len"), int):
        known.setdefault("n_ctx", entry["max_model_len"])
    return ModelInfo(
        str(entry.get("id", "")),
        str(entry.get("owned_by", "")),
        known,
        root=str(entry.get("root") or ""),
        parent=str(entry.get("parent") or ""),
        sees=str(entry.get("id", "")) in seeing,
    )
