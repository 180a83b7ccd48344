"""The one batch that feeds a context: llama.cpp's struct over arrays that numpy owns.

Filling it costs microseconds, not one call per token. Knows the struct's fields only; `llama.py` passes the struct.
"""

import ctypes
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bot.engine.batching.tokens import Tokens

BatchItem = tuple[int, Tokens, int, int]


class Batch:
    """Pieces of (slot, tokens, first position, how many of the last tokens need logits), one behind the other."""

    def __init__(self, capacity: int, build: Callable[..., Any]) -> None:
        self.capacity = capacity
        self._tokens = np.zeros(capacity, dtype=np.int32)
        self._positions = np.zeros(capacity, dtype=np.int32)
        self._counts = np.ones(capacity, dtype=np.int32)
        self._slots = np.zeros(capacity, dtype=np.int32)
        self._wants = np.zeros(capacity, dtype=np.int8)
        addresses = self._slots.ctypes.data + np.arange(capacity, dtype=np.uintp) * self._slots.itemsize
        self._slot_pointers = addresses.astype(np.uintp)
        int32, int8 = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_int8)
        self.struct = build(
            n_tokens=0,
            token=self._tokens.ctypes.data_as(int32),
            embd=None,
            pos=self._positions.ctypes.data_as(int32),
            n_seq_id=self._counts.ctypes.data_as(int32),
            seq_id=self._slot_pointers.ctypes.data_as(ctypes.POINTER(int32)),
            logits=self._wants.ctypes.data_as(int8),
        )

    def fill(self, pieces: Sequence[BatchItem]) -> list[int]:
        """Lay the pieces one behind the other; return the indexes whose logits were asked for."""
        total = sum(len(tokens) for _, tokens, _, _ in pieces)
        if not 0 < total <= self.capacity:
            raise ValueError(f"a batch of {total} tokens does not fit into {self.capacity}")
        self._wants[:total] = 0
        end = 0
        outputs: list[int] = []
        for slot, tokens, position, wanted in pieces:
            start, end = end, end + len(tokens)
            self._tokens[start:end] = tokens
            self._positions[start:end] = np.arange(position, position + len(tokens), dtype=np.int32)
            self._slots[start:end] = slot
            self._wants[end - wanted : end] = 1
            outputs += range(end - wanted, end)
        self.struct.n_tokens = total
        return outputs

    def advance(self, tokens: Sequence[int], positions: Sequence[int]) -> None:
        """Put each slot's next token in place of its last: everything else stays as it was filled.

        Without numpy: right after a decode its code is in no cache of the processor and costs 20 µs a call.
        """
        count = self.struct.n_tokens
        if len(tokens) != count:
            raise ValueError(f"{len(tokens)} tokens do not continue a batch of {count}")
        form = f"{count}i"
        struct.pack_into(form, self._tokens.data, 0, *tokens)
        struct.pack_into(form, self._positions.data, 0, *positions)
