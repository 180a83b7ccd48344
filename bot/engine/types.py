"""Frozen data that crosses a boundary of the engine: options in, requests in, pieces of answers out.

Knows no HTTP, no llama.cpp and no asyncio.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FinishReason = Literal["stop", "length", "tool_calls", "cancelled", "error"]
SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The texts around a model's reasoning; *is_open* when the prompt itself ended with the first of them."""

    begin: str
    end: str
    is_open: bool = False


KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
FLASH_ATTENTION = ("auto", "on", "off")
MOST_FORGOTTEN = 500  # conversations in one call, so that no step of the engine waits long
MOST_ADAPTERS = 4  # each has a context of its own, and so its own memory of conversations


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What `bot engine` was asked to serve, and where; zero means that the engine chooses."""

    model_path: Path
    socket_path: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    api_key: str = ""
    n_ctx: int = 0
    max_sequences: int = 8
    n_gpu_layers: int = -1
    threads: int = 0
    kv_unified: bool | None = None  # whether conversations share their cells; None: as it serves this machine best
    kv_cells: int = 0
    kv_type: str = "f16"
    flash_attention: str = "auto"
    n_batch: int = 512
    host_cache_bytes: int = -1
    queue_limit: int = 200
    longest_wait_seconds: float = 0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    max_adapters: int = MOST_ADAPTERS
    cache_dir: Path | None = None
    state_dir: Path | None = None
    mmproj_path: Path | None = None  # what lets the model see pictures
    pinned: tuple[str, ...] = ()  # SHA-256 of the only files that may be loaded as a model; none: any


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How one answer's tokens are drawn; a temperature of zero takes the likeliest token."""

    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.0
    seed: int | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    grammar: str = ""


@dataclass(slots=True, eq=False)
class Sight:
    """A picture, or a part of one, as the model reads it: *ids* stand for it among tokens and are none of the model's.

    *rows* are the vectors in their place, once they are computed from *source*. What is not causal is read at once.
    *positions* are theirs where they do not just follow each other; together they take *span* of them.
    """

    ids: tuple[int, ...]
    is_causal: bool
    source: object = None
    rows: "NDArray[np.float32] | None" = None
    positions: "NDArray[np.int32] | None" = None
    span: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """A sight in a prompt, which begins with token *start*."""

    start: int
    sight: Sight

    @property
    def stop(self) -> int:
        """The first token after it."""
        return self.start + len(self.sight.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One answer to generate; *scope* says whose cached prefixes it may continue besides the shared ones.

    *priority* is lower for what is answered first, *deadline* a moment of `time.monotonic()`. *shown* gives control
    tokens the text that they have in this answer; all others have none.
    """

    request_id: str
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    scope: str = ""
    shared_length: int = 0
    resumed_tokens: int = 0
    user: str = ""
    top_logprobs: int | None = None
    prompt_logprobs: int | None = None
    priority: int = 0
    deadline: float | None = None
    reasoning: Reasoning | None = None
    shown: Mapping[int, bytes] = field(default_factory=dict)
    pictures: tuple[Placed, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one of the client's functions; *arguments* are JSON text."""

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token's log probability under the model and its place among all, with the likeliest alternatives."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    rank: int = 1


@dataclass(slots=True)  # freezing would cost three times as much as making one, and there is one for every token
class Delta:
    """What one engine step added to one answer; the last one carries the finish reason. Nobody changes one.

    *reasoning* is not part of *text*. *calls* are read from the text on its way out, never by the engine's thread.
    """

    request_id: str
    text: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_logprobs: tuple[TokenLogprob, ...] = ()
    cached_tokens: int = 0
    finish_reason: FinishReason | None = None
    error: str = ""
    reasoning: str = ""
    reasoning_tokens: int = 0
    stop_reason: str = ""
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """How many tokens an answer took, and how many of its prompt were found in the cache."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions:
    """What the bot asks of an answer; what is None or empty is left to the server."""

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    scope: str = ""
    user: str = ""
    priority: int = 0
    deadline_seconds: float | None = None
    logprobs: bool | None = None


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where a waiting request stands: 1 is next, 0 has begun; *seconds* is None while nothing was measured."""

    position: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer as the bot receives it; *prompt_token_ids* come with the first, *usage* with the last.

    One with a *queue* says where the request waits, and nothing else. *logprobs* are the texts of its tokens with their
    log probabilities, where they were asked for.
    """

    text: str = ""
    token_ids: tuple[int, ...] = ()
    prompt_token_ids: tuple[int, ...] | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    queue: QueuePlace | None = None
    logprobs: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A served model; *meta* is empty when the server says only its name, *parent* is the model below an adapter."""

    id: str
    owned_by: str = ""
    meta: Mapping[str, object] = field(default_factory=dict)
    root: str = ""
    parent: str = ""
    sees: bool = False  # whether it takes pictures, as far as its server says

    @property
    def n_ctx(self) -> int | None:
        """How many tokens a conversation with this model can have, if the server says so."""
        value = self.meta.get("n_ctx")
        return value if isinstance(value, int) else None

    @property
    def picture_tokens(self) -> int:
        """How many tokens of a prompt a large picture takes, 0 if the server does not say."""
        value = self.meta.get("picture_tokens")
        return value if isinstance(value, int) else 0

    @property
    def sha256(self) -> str | None:
        """The checksum of the model's file, if the server knows it already."""
        value = self.meta.get("sha256")
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a loaded model and its context turned out to be."""

    name: str
    path: Path
    description: str
    size: int
    n_params: int
    n_vocab: int
    n_layer: int
    n_ctx_train: int
    n_ctx: int
    n_cells: int
    n_batch: int
    max_sequences: int
    n_slots: int
    gpu_layers: int
    threads: int
    kv_unified: bool
    kv_type: str
    has_template: bool
    answers: bool = True
    embeds: bool = False
    mmproj: str = ""  # the name of the file by which it sees pictures
    picture_tokens: int = 0  # what a large picture takes of a prompt
