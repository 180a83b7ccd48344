"""The one client of all arms: sends a request to an OpenAI-compatible server and notes when each piece arrived.

While a turn is measured it only keeps bytes and clock readings; what they mean is read afterwards, so that the client
takes as little of the processor as it can.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import aiohttp

Dialect = Literal["apprentice", "llama-server", "openai", "llama_cpp.server"]
SAMPLING = {"temperature": 0.7, "top_k": 40, "top_p": 0.95, "min_p": 0.0}
GREEDY = {"temperature": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request: tokens with the same text beside them for servers that take only text, or a conversation."""

    tokens: tuple[int, ...] = ()
    text: str = ""
    messages: tuple[dict[str, str], ...] = ()
    max_tokens: int = 64
    sampling: dict[str, float] = field(default_factory=lambda: dict(SAMPLING))
    seed: int = 0
    salt: str = ""
    model: str = ""
    wants_token_ids: bool = False
    cancel_after: float | None = None


@dataclass(slots=True)
class Reply:
    """What came back: the raw pieces with the moment of each, and, once read, what they say."""

    began: float
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    ended: float = 0.0
    error: str = ""
    times: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    completion_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0

    @property
    def first(self) -> float:
        """Seconds to the first token."""
        return self.times[0] - self.began if self.times else float("nan")

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.texts)

    @property
    def gaps(self) -> list[float]:
        """Seconds between one arrival and the next, each of one token or of several that came together."""
        return [after - before for before, after in pairwise(self.times) if after > before]

    def read(self) -> "Reply":
        """Understand the pieces; the moment of an event is that of the piece which completed it."""
        rest = b""
        for moment, piece in self.pieces:
            *events, rest = (rest + piece).replace(b"\r\n", b"\n").split(b"\n\n")
            for event in events:
                self._read_event(event, moment)
        self.pieces = []
        self.completion_tokens = self.completion_tokens or len(self.times)
        if not self.token_ids:
            self.counts = share_out(self.completion_tokens, [len(text) for text in self.texts])
        return self

    def _read_event(self, event: bytes, moment: float) -> None:
        if not event.startswith(b"data: {"):
            return
        body = json.loads(event[6:])
        if "error" in body:
            self.error = str(body["error"].get("message", body["error"]))
        for choice in body.get("choices", ()):
            delta = choice.get("delta") or {}
            text = choice.get("text") or delta.get("content") or ""
            ids = choice.get("token_ids") or []
            if text or ids or (not choice.get("finish_reason") and "role" not in delta):
                self.times.append(moment)
                self.texts.append(text)
                self.counts.append(len(ids))
                self.token_ids += ids
        usage = body.get("usage")
        if usage:
            self.completion_tokens, self.prompt_tokens = usage["completion_tokens"], usage["prompt_tokens"]
            self.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0


def share_out(total: int, lengths: Sequence[int]) -> list[int]:
    """Return how many of *total* tokens each arrival brought: one each where that fits, else by the text's length."""
    if len(lengths) == total:
        return [1] * total
    whole, done, seen = sum(lengths) or 1, 0, 0
    counts = []
    for length in lengths:
        seen += length
        counts.append(round(total * seen / whole) - done)
        done += counts[-1]
    return counts


@dataclass(frozen=True, slots=True)
class Client:
    """A connection pool to one server, in the words that it understands."""

    session: aiohttp.ClientSession
    url: str
    dialect: Dialect
    end_tokens: tuple[int, ...] = ()
    fallback_model: str = "model"

    async def ask(self, ask: Ask, *, begun: asyncio.Event | None = None) -> Reply:
        """Send one request and return its raw reply; an error is part of it, and a cancelled one just ends.

        *begun* is set when the first piece arrives.
        """
        path = "chat/completions" if ask.messages else "completions"
        reply = Reply(time.perf_counter())
        try:
            async with asyncio.timeout(ask.cancel_after):
                async with self.session.post(f"{self.url}/v1/{path}", json=self.build_body(ask)) as response:
                    if not response.ok:
                        reply.error = f"{response.status} {(await response.text())[:300]}"
                    async for piece in response.content.iter_any():
                        reply.pieces.append((time.perf_counter(), piece))
                        if begun:
                            begun.set()
        except TimeoutError:
            if ask.cancel_after is None:
                reply.error = "timeout"
        except aiohttp.ClientError as error:
            reply.error = f"{type(error).__name__} {error}"
        reply.ended = time.perf_counter()
        return reply

    async def ask_all(self, asks: Sequence[Ask]) -> list[Reply]:
        """Send all at once; return the replies, read when the last has ended."""
        replies = await asyncio.gather(*(self.ask(ask) for ask in asks))
        return [reply.read() for reply in replies]

    def build_body(self, ask: Ask) -> dict[str, Any]:
        """Return the request; every server is asked for the same tokens, and told in its way not to stop early."""
        body: dict[str, Any] = {"stream": True, "max_tokens": ask.max_tokens, "seed": ask.seed, **ask.sampling}
        body["model"] = ask.model or self.fallback_model
        if ask.messages:
            body["messages"] = list(ask.messages)
        else:
            body["prompt"] = ask.text if self.dialect == "llama_cpp.server" else list(ask.tokens)
        if self.dialect == "llama_cpp.server":
            body["logit_bias"] = {str(token): -100 for token in self.end_tokens}
            return body
        body |= {"ignore_eos": True, "stream_options": {"include_usage": True}}
        if self.dialect == "apprentice":
            body["model"] = ask.model
            if ask.salt:
                body["cache_salt"] = ask.salt
            if ask.wants_token_ids:
                body["return_token_ids"] = True
        return body
