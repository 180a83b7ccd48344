"""llama.cpp's low-level API behind two small classes; the only file that imports llama_cpp.

Some misuse of llama.cpp aborts the whole process, so every call that can do so is guarded here. Knows nothing of
requests, scopes or HTTP.
"""

import ctypes
import logging
import math
import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import llama_cpp as lib
import numpy as np
from llama_cpp.llama_grammar import json_schema_to_gbnf
from numpy.typing import NDArray

from bot.engine.batch import Batch, BatchItem
from bot.engine.bound import NOT_NUMBERS, BoundDraw, Table
from bot.engine.files.checksum import check_gguf
from bot.engine.sampling import Stage
from bot.engine.types import KV_TYPES
from bot.errors import ModelFileError

log = logging.getLogger(__name__)

_ERROR_LEVEL = 4
last_errors: deque[str] = deque(maxlen=5)
MAX_GRAMMAR_BYTES = 128 * 1024
LOOSE_CHAR, STRICT_CHAR = r'char ::= [^"\\]', r'char ::= [^"\\\x7F\x00-\x1F]'  # JSON has no bare control characters
LOGIT_BYTES, MIN_SCORED = 16 * 1024 * 1024, 16
_POOLED = {"1", "2", "3"}  # mean, first token, last token; 0 is none, 4 ranks
_KV_TYPES = {"bf16": 30} | {name: int(getattr(lib, f"GGML_TYPE_{name.upper()}")) for name in KV_TYPES if name != "bf16"}
_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}  # llama_flash_attn_type
GGML = lib.llama_cpp._lib  # noqa: SLF001 - llama_cpp has no names for ggml's own functions
MAX_CELLS, MAX_SLOTS, MAX_THREADS = 2**26, 256, 512  # LLAMA_MAX_SEQ, GGML_MAX_N_THREADS
_ATTR_LSTRIP, _ATTR_RSTRIP = 1 << 7, 1 << 8


@lib.llama_log_callback  # type: ignore[untyped-decorator]
def on_log(level: int, text: bytes, _user_data: object) -> None:
    """Keep llama.cpp's errors for our own sentences, and its chatter out of the log."""
    line = text.decode("utf-8", "replace").strip()
    if level == _ERROR_LEVEL and line:
        last_errors.append(line)
    if line:
        log.debug("%s", line)


def start_backend() -> None:
    """Prepare llama.cpp; the module keeps the log callback alive, because a collected one would crash the process."""
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # an abort would fork a debugger and print frames into the log
    lib.llama_log_set(on_log, ctypes.c_void_p(0))
    lib.llama_backend_init()


class MemoryLacking(ModelFileError):  # noqa: N818 - reads as a state, not as a mistake
    """There is less memory than a plan took for granted; a smaller one may do."""


def _lacked_memory() -> bool:
    return any(word in line for line in last_errors for word in ("alloc", "out of memory"))


class Model:
    """A loaded GGUF with its vocabulary."""

    def __init__(
        self, path: Path, *, n_gpu_layers: int, split: Sequence[tuple[int, int]] = (), is_repacked: bool = True
    ) -> None:
        self.path = path
        self._model = _load(path, n_gpu_layers, split=split, is_repacked=is_repacked)
        self._vocab = lib.llama_model_get_vocab(self._model)
        self.n_vocab = int(lib.llama_vocab_n_tokens(self._vocab))
        self.n_ctx_train = int(lib.llama_model_n_ctx_train(self._model))
        self.n_layer = int(lib.llama_model_n_layer(self._model))
        self.n_params = int(lib.llama_model_n_params(self._model))
        self.size = int(lib.llama_model_size(self._model))
        self.description = _read_text(lib.llama_model_desc, self._model)
        self.can_trim = not (lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model))
        layers = self.n_layer + 1 if lib.llama_supports_gpu_offload() else 0  # llama.cpp counts the output layer too
        self.gpu_layers = layers if n_gpu_layers < 0 else min(n_gpu_layers, layers)
        self.chat_template = _read_text(lib.llama_model_meta_val_str, self._model, b"tokenizer.chat_template")
        self.bos, self.eos = int(lib.llama_vocab_bos(self._vocab)), int(lib.llama_vocab_eos(self._vocab))
        self.adds_bos = bool(lib.llama_vocab_get_add_bos(self._vocab))
        self.pieces = [self.piece(token) for token in range(self.n_vocab)]
        self.longest_piece = max(len(piece) for piece in self.pieces) or 1
        self.eog = frozenset(token for token in range(self.n_vocab) if lib.llama_vocab_is_eog(self._vocab, token))
        self.has_encoder = bool(lib.llama_model_has_encoder(self._model))
        self.width = int(lib.llama_model_n_embd_out(self._model))
        key = f"{_read_text(lib.llama_model_meta_val_str, self._model, b'general.architecture')}.pooling_type"
        self.pooling = _read_text(lib.llama_model_meta_val_str, self._model, key.encode())
        self.embeds = self.has_encoder or self.pooling in _POOLED

    def token_text(self, token: int) -> str:
        """Return how a token is written in the vocabulary, empty for an id that does not exist."""
        if not 0 <= token < self.n_vocab:
            return ""
        text = lib.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", "replace") if text else ""

    def control_tokens(self) -> dict[str, tuple[int, bool, bool]]:
        """Return each control token's text, its id, and whether it swallows white space on its left and right."""
        control = [token for token in range(self.n_vocab) if lib.llama_vocab_is_control(self._vocab, token)]
        marks = {token: int(lib.llama_vocab_get_attr(self._vocab, token)) for token in control}
        found = {
            self.token_text(token): (token, bool(mark & _ATTR_LSTRIP), bool(mark & _ATTR_RSTRIP))
            for token, mark in marks.items()
        }
        found.pop("", None)
        return found

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token adds to a text; none for control tokens and ids that do not exist."""
        if not 0 <= token < self.n_vocab:
            return b""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            written = lib.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
            if written >= 0:
                return buffer.raw[:written]
            size = -written

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Return the tokens of *text*; control tokens are recognised only with *parse_special*."""
        data = text.encode("utf-8")
        size = len(data) + 8
        tokens = (lib.llama_token * size)()
        count = lib.llama_tokenize(self._vocab, data, len(data), tokens, size, add_special, parse_special)
        if count < 0:
            raise ValueError(f"llama.cpp needs {-count} tokens for {len(data)} bytes")
        return list(tokens[:count])

    def compile(self, grammar: str) -> object:
        """Return a sampler for a GBNF grammar, to be freed by the caller; *ValueError* if llama.cpp refuses it."""
        last_errors.clear()
        sampler = lib.llama_sampler_init_grammar(self._vocab, grammar.encode(), b"root")
        if not sampler:
            raise ValueError(last_errors[-1] if last_errors else "llama.cpp gave no reason")
        return sampler

    def check_grammar(self, grammar: str) -> str:
        """Return a GBNF grammar that llama.cpp accepts; *ValueError* if this one is none."""
        if len(grammar) > MAX_GRAMMAR_BYTES:
            raise ValueError(f"its grammar is larger than {MAX_GRAMMAR_BYTES} bytes")
        lib.llama_sampler_free(self.compile(grammar))
        return grammar

    def close(self) -> None:
        """Free the weights; the context must be closed before."""
        if self._model is not None:
            lib.llama_model_free(self._model)
        self._model = None


def convert_schema(schema: str) -> str:
    """Return the GBNF rules of a checked JSON schema; *ValueError* if there are none."""
    try:
        return str(json_schema_to_gbnf(schema)).replace(LOOSE_CHAR, STRICT_CHAR)
    except (AssertionError, AttributeError, KeyError, RecursionError, TypeError) as error:
        raise ValueError(f"the converter failed ({type(error).__name__})") from error


def _read_text(function: Callable[..., int], *arguments: object) -> str:
    """Call a function that fills a buffer and returns the length it needs; empty when there is no such value."""
    size = 256
    while True:
        buffer = ctypes.create_string_buffer(size)
        needed = function(*arguments, buffer, size)
        if needed < size:
            return buffer.value.decode("utf-8", "replace") if needed >= 0 else ""
        size = needed + 1


def _load(path: Path, n_gpu_layers: int, *, split: Sequence[tuple[int, int]], is_repacked: bool) -> object:
    """Load the weights, or say which file is at fault; *split* has the GPUs with the layers that each one takes."""
    check_gguf(path, "MODEL_PATH")
    params = lib.llama_model_default_params()
    params.n_gpu_layers, params.use_extra_bufts = n_gpu_layers, is_repacked
    params.check_tensors = True  # 0.2 s for a gigabyte; else a damaged model answers nonsense
    handles = (ctypes.c_void_p * (len(split) + 1))(*(handle for handle, _ in split), None)
    shares = (ctypes.c_float * lib.llama_max_devices())(*(layers for _, layers in split))
    if split:
        params.devices = ctypes.cast(handles, ctypes.c_void_p)
        params.tensor_split = shares
    last_errors.clear()
    model = lib.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        reason = next((line for line in last_errors if "error" in line.lower()), "llama.cpp gave no reason")
        if _lacked_memory():
            raise MemoryLacking(f"{path} cannot be loaded ({reason}): lower ENGINE_N_GPU_LAYERS.")
        raise ModelFileError(f"{path} cannot be loaded ({reason}): download it again or choose another model.")
    return model


def quantize(source: Path, target: Path, *, kind: int, threads: int, is_forced: bool) -> None:
    """Write *source* with smaller weights; *kind* is llama.cpp's number of a file type."""
    params = lib.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.allow_requantize = kind, threads, is_forced
    last_errors.clear()
    if lib.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params)):
        reason = last_errors[-1] if last_errors else "no reason given"
        raise ModelFileError(f"{source} cannot be quantized: {reason}.")


class Adapter:
    """A LoRA over a loaded model; to be closed after every context that uses it and before the model."""

    def __init__(self, model: Model, path: Path) -> None:
        last_errors.clear()
        self.pointer = lib.llama_adapter_lora_init(model._model, os.fsencode(path))  # noqa: SLF001 - one file owns both
        if not self.pointer:  # ctypes gives an object for NULL, which is never None
            raise ValueError(last_errors[0] if last_errors else "llama.cpp gave no reason")

    def metadata(self, key: str) -> str:
        """Return a value of the adapter's header, empty when absent."""
        return _read_text(lib.llama_adapter_meta_val_str, self.pointer, key.encode())

    def close(self) -> None:
        """Free its matrices."""
        if self.pointer is not None:
            lib.llama_adapter_lora_free(self.pointer)
        self.pointer = None


class Context:
    """A KV cache over a model, with the one batch that feeds it; belongs to one thread."""

    def __init__(
        self,
        model: Model,
        *,
        n_cells: int,
        n_slots: int,
        n_batch: int,
        kv_unified: bool,
        threads: int,
        kv_type: str = "f16",
        flash_attention: str = "auto",
        embeds: bool = False,
    ) -> None:
        for name, value, most in (
            ("n_cells", n_cells, MAX_CELLS),
            ("n_slots", n_slots, MAX_SLOTS),
            ("n_batch", n_batch, MAX_CELLS),
            ("threads", threads, MAX_THREADS),
        ):
            if not 0 < value <= most:
                raise ValueError(f"{name} must be between 1 and {most}, not {value}")
        params = lib.llama_context_default_params()
        params.n_ctx = n_cells
        params.n_batch = params.n_ubatch = n_batch
        params.n_seq_max = n_slots
        scored = max(MIN_SCORED, LOGIT_BYTES // (4 * model.n_vocab))
        self.max_outputs = n_batch if embeds else max(n_slots, min(n_batch, n_slots + scored))
        params.n_outputs_max = self.max_outputs  # else logits for a whole batch: 0.3 GB at 152k tokens
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = kv_unified
        params.type_k = params.type_v = _KV_TYPES[kv_type]
        params.flash_attn_type = _FLASH_ATTENTION[flash_attention]
        params.no_perf, params.embeddings = True, embeds
        params.pooling_type = lib.LLAMA_POOLING_TYPE_MEAN if embeds and not model.pooling else params.pooling_type
        last_errors.clear()
        self._ctx = lib.llama_init_from_model(model._model, params)  # noqa: SLF001 - one file owns both
        if not self._ctx:
            reason = last_errors[-1] if last_errors else "no reason given"
            is_kind = any(word in reason for word in ("cache type", "V cache", "flash_attn"))
            mend = "set ENGINE_KV_TYPE=f16 and ENGINE_FLASH_ATTENTION=auto" if is_kind else "lower ENGINE_N_CTX"
            kind = MemoryLacking if _lacked_memory() else ModelFileError
            raise kind(f"{model.path} loads, but its context of {n_cells} tokens does not ({reason}): {mend}.")
        self._memory = lib.llama_get_memory(self._ctx)
        self.can_answer = bool(self._memory) and not model.has_encoder
        self._width, self._run = model.width, lib.llama_encode if model.has_encoder else lib.llama_decode
        self.is_unified = kv_unified
        self.n_batch = int(lib.llama_n_batch(self._ctx))
        self.n_slots = n_slots
        self.n_vocab = model.n_vocab
        self.n_ctx_slot = int(lib.llama_n_ctx_seq(self._ctx))
        self.n_cells = int(lib.llama_n_ctx(self._ctx))
        self._planned: frozenset[int] = frozenset()
        self._outputs: frozenset[int] = frozenset()
        self._broken: frozenset[int] = frozenset()
        self._batch = Batch(self.n_batch, lib.llama_batch)

    def decode(self, pieces: Sequence[BatchItem]) -> int:
        """Decode pieces and return llama.cpp's code; 0 is success."""
        self.build(pieces)
        return self.compute()

    def build(self, pieces: Sequence[BatchItem]) -> None:
        """Lay *pieces* into the batch, once they are known to be harmless."""
        self._outputs = self._planned = frozenset()
        for slot, tokens, _, wanted in pieces:
            is_inside = 0 <= slot < self.n_slots and 0 <= wanted <= len(tokens)
            if not is_inside or int(tokens.min()) < 0 or int(tokens.max()) >= self.n_vocab:
                raise ValueError(f"slot {slot} or one of its tokens is out of range")
        if sum(wanted for _, _, _, wanted in pieces) > self.max_outputs:
            raise ValueError(f"a batch may have {self.max_outputs} outputs at most")
        self._planned = frozenset(self._batch.fill(pieces))

    def build_next(self, tokens: Sequence[int], positions: Sequence[int]) -> None:
        """Let the batch go on: *tokens* follow those of the last one, which had one token and one output a slot."""
        if not tokens or not len(self._planned) == len(tokens) == len(positions):
            raise ValueError("the last batch was not one token for each of these")
        if min(tokens) < 0 or max(tokens) >= self.n_vocab:
            raise ValueError("one of the tokens is out of range")
        self._batch.advance(tokens, positions)

    def compute(self) -> int:
        """Decode the batch and return llama.cpp's code; 0 is success."""
        if self._ctx is None:
            raise ValueError("the context is closed")
        code = int(lib.llama_decode(self._ctx, self._batch.struct))
        if code == 0:
            lib.llama_synchronize(self._ctx)
            self._broken = self._find_broken()
        else:
            self._planned = frozenset()
        self._outputs = self._planned
        return code

    def embed(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the vector of a text, raising *ValueError* when there is none; for a context that embeds."""
        if self._ctx is None or not 0 < len(tokens) <= self.n_batch:
            raise ValueError(f"the context is closed, or the text has not 1 to {self.n_batch} tokens")
        self.trim(0, 0)
        self.build([(0, np.array(tokens, dtype=np.int32), 0, len(tokens))])
        code = int(self._run(self._ctx, self._batch.struct))
        vector = lib.llama_get_embeddings_seq(self._ctx, 0) if code == 0 else None
        if not vector:
            raise ValueError(f"llama.cpp computed no vector (code {code})")
        return np.ctypeslib.as_array(vector, shape=(self._width,)).copy()

    def _find_broken(self) -> frozenset[int]:
        """Return the items whose logits are no numbers: sorting those could read beyond their memory."""
        if not self._planned:
            return frozenset()
        logits = lib.llama_get_logits(self._ctx)  # one row after the other in the order of the batch
        rows = [math.isnan(logits[row * self.n_vocab]) for row in range(len(self._planned))]
        return frozenset(item for item, is_broken in zip(sorted(self._planned), rows, strict=True) if is_broken)

    def attach(self, adapter: Adapter | None) -> None:
        """Compute with *adapter* from now on; what the cache holds must have been computed with it, too."""
        if self._ctx is None or (adapter and adapter.pointer is None):
            raise ValueError("the adapter or the context is closed")
        pointers = (lib.llama_adapter_lora_p_ctypes * 1)(*([adapter.pointer] if adapter else []))
        if lib.llama_set_adapters_lora(self._ctx, pointers, 1 if adapter else 0, (ctypes.c_float * 1)(1.0)):
            raise ValueError("llama.cpp did not accept the adapter")

    def trim(self, slot: int, length: int) -> bool:
        """Keep the first *length* tokens of *slot*; False when the model's memory cannot be cut there."""
        self._check_slot(slot)
        return bool(lib.llama_memory_seq_rm(self._memory, slot, length or -1, -1))

    def copy(self, source: int, target: int, *, length: int) -> bool:
        """Let *target* begin with the first *length* tokens of *source*; False if they did not arrive."""
        self._check_slot(source)
        self._check_slot(target)
        if self.is_unified:
            lib.llama_memory_seq_cp(self._memory, source, target, 0, length)
            return True
        is_whole = self.load(target, self.save(source), length=self.length(source))  # seq_cp would wait for a decode
        return is_whole and bool(lib.llama_memory_seq_rm(self._memory, target, length, -1))

    def state_size(self, slot: int) -> int:
        """Return how many bytes saving *slot* takes."""
        self._check_slot(slot)
        return int(lib.llama_state_seq_get_size_ext(self._ctx, slot, 0))

    def save(self, slot: int) -> NDArray[np.uint8]:
        """Return the keys and values of *slot*, to be loaded again later."""
        state = np.empty(self.state_size(slot), dtype=np.uint8)
        pointer = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        return state[: int(lib.llama_state_seq_get_data_ext(self._ctx, pointer, len(state), slot, 0))]

    def load(self, slot: int, state: NDArray[np.uint8], *, length: int) -> bool:
        """Fill the empty *slot* with a saved state; False if not exactly *length* tokens came back."""
        self._check_slot(slot)
        pointer = state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        read = int(lib.llama_state_seq_set_data_ext(self._ctx, pointer, len(state), slot, 0))
        return read == len(state) and self.length(slot) == length

    def length(self, slot: int) -> int:
        """Return how many positions *slot* really holds."""
        self._check_slot(slot)
        return int(lib.llama_memory_seq_pos_max(self._memory, slot)) + 1

    def sample(self, chain: "SamplerChain", index: int) -> int:
        """Draw a token from the logits of the batch's item *index*, or say why there is none."""
        if index not in self._outputs:
            raise ValueError(f"item {index} of the last batch has no logits")
        if index in self._broken:
            return NOT_NUMBERS
        if chain.bound is None:
            return int(lib.llama_sampler_sample(chain.pointer, self._ctx, index))
        token = chain.bound.draw(self.logits(index))
        if token >= 0:
            chain.accept(token)
        return token

    def logits(self, index: int) -> NDArray[np.float32]:
        """Return a view of the logits of the batch's item *index*, valid until the next decode."""
        if index not in self._outputs:
            raise ValueError(f"item {index} of the last batch has no logits")
        return np.ctypeslib.as_array(lib.llama_get_logits_ith(self._ctx, index), shape=(self.n_vocab,))

    def _check_slot(self, slot: int) -> None:
        if not 0 <= slot < self.n_slots:
            raise ValueError(f"slot {slot} does not exist")

    def close(self) -> None:
        """Free the KV cache; no slot and no logits exist any more."""
        if self._ctx is not None:
            lib.llama_free(self._ctx)
        self._ctx, self.n_slots = None, 0
        self._planned = self._outputs = frozenset()


class SamplerChain:
    """A chain of llama.cpp's samplers, bound to a grammar or free; frees all of them when it is closed."""

    def __init__(self, model: Model, stages: Sequence[Stage], *, grammar: str = "") -> None:
        self._n_vocab = model.n_vocab
        numbers = [token for stage in stages for token in (*stage.tokens, *(pair[0] for pair in stage.pairs))]
        if numbers and not 0 <= min(numbers) <= max(numbers) < model.n_vocab:
            raise ValueError("a sampler counts or bends a token that does not exist")
        self._grammar = model.compile(grammar) if grammar else None
        self.pointer = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for stage in stages:
            sampler = _SAMPLERS[stage.kind](stage, model.n_vocab)
            for token in stage.tokens:
                lib.llama_sampler_accept(sampler, token)
            lib.llama_sampler_chain_add(self.pointer, sampler)
        self.bound = BoundDraw(model.n_vocab, choose=self._choose, forbid=self._forbid) if grammar else None

    def accept(self, token: int) -> None:
        """Count *token* as written."""
        if not 0 <= token < self._n_vocab:
            raise ValueError(f"token {token} does not exist")
        lib.llama_sampler_accept(self._grammar, token)
        lib.llama_sampler_accept(self.pointer, token)

    def _choose(self, table: Table) -> int:
        candidates = _view(table)
        lib.llama_sampler_apply(self.pointer, candidates)
        return int(candidates.data[candidates.selected].id)

    def _forbid(self, table: Table) -> None:
        lib.llama_sampler_apply(self._grammar, _view(table))

    def close(self) -> None:
        """Free the chain and its samplers."""
        lib.llama_sampler_free(self.pointer)
        if self._grammar:
            lib.llama_sampler_free(self._grammar)


def _view(table: Table) -> lib.llama_token_data_array:
    pointer = table.ctypes.data_as(ctypes.POINTER(lib.llama_token_data))
    return lib.llama_token_data_array(data=pointer, size=len(table), selected=-1, sorted=False)


def _init_bias(stage: Stage, n_vocab: int) -> object:
    biases = (lib.llama_logit_bias * len(stage.pairs))(*stage.pairs)
    return lib.llama_sampler_init_logit_bias(n_vocab, len(stage.pairs), biases)


_SAMPLERS: dict[str, Callable[[Stage, int], object]] = {
    "bias": _init_bias,
    "penalties": lambda stage, n_vocab: lib.llama_sampler_init_penalties(n_vocab, int(stage.value), *stage.penalties),
    "top_k": lambda stage, _: lib.llama_sampler_init_top_k(int(stage.value)),
    "top_p": lambda stage, _: lib.llama_sampler_init_top_p(stage.value, 1),
    "min_p": lambda stage, _: lib.llama_sampler_init_min_p(stage.value, 1),
    "temperature": lambda stage, _: lib.llama_sampler_init_temp(stage.value),
    "seed": lambda stage, _: lib.llama_sampler_init_dist(int(stage.value)),
    "greedy": lambda *_: lib.llama_sampler_init_greedy(),
}
