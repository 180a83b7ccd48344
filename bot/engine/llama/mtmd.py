"""libmtmd behind one small class: from the points of a picture to the vectors that a model reads in place of tokens.

libmtmd is loaded only once there is an mmproj. The bytes of a picture's file never come here, so its own decoders are
not used.
"""

import ctypes
import hashlib
import importlib
import os
import re
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import llama_cpp as lib
import numpy as np
from numpy.typing import NDArray

from bot.engine.batch import Batch, BatchItem
from bot.engine.llama.context import Context
from bot.engine.llama.model import Model, last_errors, on_log
from bot.engine.places import Places
from bot.engine.types import Sight
from bot.errors import ModelFileError

WIDTHS = re.compile(r"text model \(n_embd = (\d+)\) and mmproj \(n_embd = (\d+)\)")
MOVED = np.array([[1], [1], [1], [0]], dtype=np.int32)  # what the first position changes of the others
IMAGE, OWN_BIT = 1, -(2**31)
WIDEST = 4096  # pixels of a side: larger ones were made smaller before
Part = tuple[int, ...] | Sight


@dataclass(frozen=True, slots=True)
class Points:
    """A picture without its file: *rgb* has three bytes for each of *width* × *height* points."""

    width: int
    height: int
    rgb: bytes


class Shell:
    """A model of which no weight is read: enough to try an mmproj with."""

    def __init__(self, path: Path) -> None:
        params = lib.llama_model_default_params()
        params.n_gpu_layers, params.use_extra_bufts = 0, False
        self.path = path
        self._model = lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise ModelFileError(f"{path} cannot be loaded ({_explain()}).")


class Eyes:
    """An mmproj over a loaded model; any thread may call, and waits for its turn."""

    def __init__(self, model: Model | Shell, path: Path, *, threads: int, use_gpu: bool, most_tokens: int = 0) -> None:
        self._mtmd = _library(path)
        self._mtmd.mtmd_helper_log_set(on_log, ctypes.c_void_p(0))
        params = self._mtmd.mtmd_context_params_default()
        params.use_gpu, params.n_threads, params.print_timings = use_gpu, threads, False
        params.image_max_tokens = most_tokens or params.image_max_tokens
        last_errors.clear()
        pointer = model._model  # noqa: SLF001 - this room owns llama.cpp
        self._eyes = self._mtmd.mtmd_init_from_file(os.fsencode(path), pointer, params)
        self._turn = threading.Lock()
        self.path = path
        self.width = int(lib.llama_model_n_embd_inp(pointer))
        if not self._eyes:
            raise ModelFileError(f"MODEL_MMPROJ: {path} cannot be used with {model.path.name} ({_explain()}).")
        if not self._mtmd.mtmd_support_vision(self._eyes):
            raise ModelFileError(f"MODEL_MMPROJ: {path} is for sound, not for pictures.")
        self.has_places = bool(self._mtmd.mtmd_decode_use_mrope(self._eyes))

    def look(self, points: Points) -> tuple[Part, ...]:
        """Return what stands for a picture in a prompt: tokens that the model wants around it, and sights to see."""
        with self._turn:
            return self._look(points)

    def _look(self, points: Points) -> tuple[Part, ...]:
        is_whole = len(points.rgb) == 3 * points.width * points.height
        if self._eyes is None or not (is_whole and 0 < points.width <= WIDEST and 0 < points.height <= WIDEST):
            raise ValueError("the mmproj is closed, or a picture has other points than it says")
        digest = hashlib.sha256(b"%d %d " % (points.width, points.height) + points.rgb).digest()
        mtmd, marker = self._mtmd, self._mtmd.mtmd_default_marker()
        data = ctypes.cast(ctypes.c_char_p(points.rgb), ctypes.POINTER(ctypes.c_uint8))
        bitmap = mtmd.mtmd_bitmap_init(points.width, points.height, data)
        chunks = mtmd.mtmd_input_chunks_init()
        try:
            text = mtmd.mtmd_input_text(text=marker, text_len=len(marker), add_special=False, parse_special=True)
            last_errors.clear()
            if mtmd.mtmd_tokenize(self._eyes, chunks, ctypes.byref(text), (ctypes.c_void_p * 1)(bitmap), 1):
                raise ValueError(f"a picture cannot be prepared ({_explain()})")
            found = [mtmd.mtmd_input_chunks_get(chunks, index) for index in range(mtmd.mtmd_input_chunks_size(chunks))]
            return tuple(self._read(chunk, digest + number.to_bytes(4, "little")) for number, chunk in enumerate(found))
        finally:
            mtmd.mtmd_input_chunks_free(chunks)
            mtmd.mtmd_bitmap_free(bitmap)

    def _read(self, chunk: int, name: bytes) -> Part:
        mtmd, count = self._mtmd, int(self._mtmd.mtmd_input_chunk_get_n_tokens(chunk))
        if mtmd.mtmd_input_chunk_get_type(chunk) != IMAGE:
            size = ctypes.c_size_t()
            tokens = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(size))
            return tuple(tokens[: size.value])
        numbers = np.frombuffer(hashlib.shake_256(name).digest(4 * count), dtype=np.int32)
        is_causal = not mtmd.mtmd_decode_use_non_causal(self._eyes, chunk)
        sight = Sight(tuple((numbers | OWN_BIT).tolist()), is_causal, _Chunk(mtmd, chunk))
        if self.has_places:
            sight.positions, sight.span = self._place(chunk, count), int(mtmd.mtmd_input_chunk_get_n_pos(chunk))
        return sight

    def _place(self, chunk: int, count: int) -> NDArray[np.int32]:
        """Return the four positions of each row when the first one's is zero."""
        tokens, found = self._mtmd.mtmd_input_chunk_get_tokens_image(chunk), []
        for first in (0, 1):
            places = (self._mtmd.mtmd_decoder_pos * count)()
            self._mtmd.mtmd_helper_image_get_decoder_pos(tokens, first, places)
            found.append(np.array([(place.t, place.y, place.x, place.z) for place in places], dtype=np.int32).T)
        if not ((found[1] - found[0]) == MOVED).all():
            raise ValueError("this model counts a picture's positions in a way that is unknown here")
        return found[0]

    def see(self, sight: Sight) -> None:
        """Compute a sight's rows; *ValueError* if that gives no numbers."""
        with self._turn:
            self._see(sight)

    def _see(self, sight: Sight) -> None:
        if sight.rows is not None:
            return
        if self._eyes is None or not isinstance(sight.source, _Chunk):
            raise ValueError("the mmproj is closed, or there is nothing to see")
        last_errors.clear()
        if self._mtmd.mtmd_encode_chunk(self._eyes, sight.source.pointer):
            raise ValueError(f"a picture cannot be computed ({_explain()})")
        rows = self._mtmd.mtmd_get_output_embd(self._eyes)
        rows = np.ctypeslib.as_array(rows, shape=(len(sight.ids), self.width)).copy()
        if not np.isfinite(rows).all():
            raise ValueError("the mmproj computed no numbers (NaN) for a picture")
        sight.rows, sight.source = rows, None

    def close(self) -> None:
        """Free the weights; the model must be closed after this."""
        with self._turn:  # what is being computed is completed first
            if self._eyes is not None:
                self._mtmd.mtmd_free(self._eyes)
            self._eyes = None


class _Chunk:
    """A picture as libmtmd prepared it; freed with the last reference."""

    def __init__(self, mtmd: ModuleType, chunk: int) -> None:
        self.pointer = mtmd.mtmd_input_chunk_copy(chunk)
        weakref.finalize(self, mtmd.mtmd_input_chunk_free, self.pointer)


class PlacedContext(Context):
    """A context over a model in which pictures take fewer positions than tokens; the others count tokens."""

    def __init__(self, model: Model, **sizes: Any) -> None:
        super().__init__(model, **sizes)
        self.places = Places()
        self._order: list[int] = []

    def build(self, pieces: Sequence[BatchItem]) -> None:
        """Lay *pieces* into the batch."""
        self._order = [slot for slot, _, _, _ in pieces]
        super().build([(slot, tokens, self.places.find(slot, at), wanted) for slot, tokens, at, wanted in pieces])

    def build_next(self, tokens: Sequence[int], positions: Sequence[int]) -> None:
        """Let the batch go on."""
        slots = self._order[: len(positions)]
        super().build_next(tokens, [self.places.find(slot, at) for slot, at in zip(slots, positions, strict=False)])

    def trim(self, slot: int, length: int) -> bool:
        """Keep the first *length* tokens of *slot*."""
        position = self.places.find(slot, length)
        self.places.trim(slot, length)
        return super().trim(slot, position)

    def copy(self, source: int, target: int, *, length: int) -> bool:
        """Let *target* begin with the first *length* tokens of *source*."""
        self.places.unpack(target, self.places.pack(source))
        is_there = super().copy(source, target, length=self.places.find(source, length))
        self.places.trim(target, length)
        return is_there

    def save(self, slot: int) -> NDArray[np.uint8]:
        """Return the keys and values of *slot*, and where they stand."""
        return np.concatenate([super().save(slot), self.places.pack(slot)])

    def load(self, slot: int, state: NDArray[np.uint8], *, length: int) -> bool:
        """Fill the empty *slot* with a saved state."""
        return super().load(slot, self.places.unpack(slot, state), length=length)

    def length(self, slot: int) -> int:
        """Return how many tokens *slot* really holds; too few when it ends with a picture."""
        return super().length(slot) + self.places.count(slot)


def read_rows(context: Context, slot: int, sight: Sight, start: int, length: int, *, count: int) -> int:
    """Let *slot* of *length* tokens go on with *count* rows of a sight from row *start* on; return llama.cpp's code."""
    rows = sight.rows
    context._check_slot(slot)  # noqa: SLF001 - this room owns llama.cpp
    if context._ctx is None or rows is None or not 0 <= start < start + count <= len(rows):  # noqa: SLF001
        raise ValueError("the context is closed, or these rows were not seen")
    if not (sight.is_causal or count == len(rows)) or count > context.n_batch:
        raise ValueError(f"{count} rows cannot be computed at once, or only with the others")
    context._outputs = context._planned = frozenset()  # noqa: SLF001 - nothing of the batch before can be sampled
    places = context.places if isinstance(context, PlacedContext) else Places()
    begin = length - start
    first = places.find(slot, begin)
    positions = None if sight.positions is None else (sight.positions + first * MOVED)[:, start : start + count]
    part = rows[start : start + count]
    code = _decode(context, slot, part, first + start, positions, is_causal=sight.is_causal)
    if code == 0 and positions is not None and start + count == len(rows):
        places.add(slot, begin + len(rows), len(rows) - sight.span)
    return code


def _decode(
    context: Context,
    slot: int,
    rows: NDArray[np.float32],
    position: int,
    positions: NDArray[np.int32] | None,
    *,
    is_causal: bool,
) -> int:
    """Decode vectors in place of tokens, in a batch of their own: llama.cpp takes either the one or the other."""
    batch = Batch(len(rows), lib.llama_batch)
    batch.fill([(slot, np.zeros(len(rows), dtype=np.int32), position, 0)])
    if positions is not None:
        positions = np.ascontiguousarray(positions)
        batch.struct.pos = positions.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
    batch.struct.token = None
    batch.struct.embd = rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    pointer = context._ctx  # noqa: SLF001 - this room owns llama.cpp
    if not is_causal:
        lib.llama_set_causal_attn(pointer, False)
    try:
        code = int(lib.llama_decode(pointer, batch.struct))
        if code == 0:
            lib.llama_synchronize(pointer)  # it reads the rows until then
    finally:
        if not is_causal:
            lib.llama_set_causal_attn(pointer, True)
    return code


def _library(path: Path) -> ModuleType:
    try:
        library: ModuleType = importlib.import_module("llama_cpp.mtmd_cpp")
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise ModelFileError(
            f"MODEL_MMPROJ: {path} cannot be used, since this llama-cpp-python has no libmtmd: install its wheel, or "
            "build it with LLAVA_BUILD=ON."
        ) from error
    return library


def _explain() -> str:
    """Return llama.cpp's own reason in one line; the first of its errors says most."""
    widths = next(filter(None, map(WIDTHS.search, last_errors)), None)
    if widths:
        return f"it was made for another model: its vectors have {widths[2]} numbers, the model's {widths[1]}"
    return " ".join((last_errors[0] if last_errors else "llama.cpp gave no reason").split())[:300]
