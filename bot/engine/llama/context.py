"""A KV cache over a model, every call to it guarded: some misuse of llama.cpp aborts the whole process."""

import ctypes
import math
from collections.abc import Sequence

import llama_cpp as lib
import numpy as np
from numpy.typing import NDArray

from bot.engine.batch import Batch, BatchItem
from bot.engine.bound import NOT_NUMBERS
from bot.engine.llama.adapter import Adapter
from bot.engine.llama.model import MemoryLacking, Model, lacked_memory, last_errors
from bot.engine.llama.sampler import SamplerChain
from bot.engine.types import KV_TYPES
from bot.errors import ModelFileError

LOGIT_BYTES, MIN_SCORED = 16 * 1024 * 1024, 16
_KV_TYPES = {"bf16": 30} | {name: int(getattr(lib, f"GGML_TYPE_{name.upper()}")) for name in KV_TYPES if name != "bf16"}
_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}  # llama_flash_attn_type
MAX_CELLS, MAX_SLOTS, MAX_THREADS = 2**26, 256, 512  # LLAMA_MAX_SEQ, GGML_MAX_N_THREADS


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
        self._ctx = lib.llama_init_from_model(model._model, params)  # noqa: SLF001 - this room owns both
        if not self._ctx:
            reason = last_errors[-1] if last_errors else "no reason given"
            is_kind = any(word in reason for word in ("cache type", "V cache", "flash_attn"))
            mend = "set ENGINE_KV_TYPE=f16 and ENGINE_FLASH_ATTENTION=auto" if is_kind else "lower ENGINE_N_CTX"
            kind = MemoryLacking if lacked_memory() else ModelFileError
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
