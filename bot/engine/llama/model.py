"""A model's file in memory and its vocabulary; llama.cpp's log, kept for our own sentences."""

import ctypes
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import llama_cpp as lib
from llama_cpp.llama_grammar import json_schema_to_gbnf

from bot.engine.files.checksum import check_gguf
from bot.errors import ModelFileError

log = logging.getLogger(__name__)

_ERROR_LEVEL = 4
last_errors: deque[str] = deque(maxlen=5)
MAX_GRAMMAR_BYTES = 128 * 1024
LOOSE_CHAR, STRICT_CHAR = r'char ::= [^"\\]', r'char ::= [^"\\\x7F\x00-\x1F]'  # JSON has no bare control characters
_POOLED = {"1", "2", "3"}  # mean, first token, last token; 0 is none, 4 ranks
GGML = lib.llama_cpp._lib  # noqa: SLF001 - llama_cpp has no names for ggml's own functions
_NO_THREAD = "Resource temporarily unavailable"  # EAGAIN: too many threads, or no room for one's stack
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


def lacked_memory() -> bool:
    """Return whether the last complaints are about memory."""
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
        self.description = read_text(lib.llama_model_desc, self._model)
        self.can_trim = not (lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model))
        layers = self.n_layer + 1 if lib.llama_supports_gpu_offload() else 0  # llama.cpp counts the output layer too
        self.gpu_layers = layers if n_gpu_layers < 0 else min(n_gpu_layers, layers)
        self.chat_template = read_text(lib.llama_model_meta_val_str, self._model, b"tokenizer.chat_template")
        self.bos, self.eos = int(lib.llama_vocab_bos(self._vocab)), int(lib.llama_vocab_eos(self._vocab))
        self.adds_bos = bool(lib.llama_vocab_get_add_bos(self._vocab))
        self.pieces = [self.piece(token) for token in range(self.n_vocab)]
        self.longest_piece = max(len(piece) for piece in self.pieces) or 1
        self.eog = frozenset(token for token in range(self.n_vocab) if lib.llama_vocab_is_eog(self._vocab, token))
        self.has_encoder = bool(lib.llama_model_has_encoder(self._model))
        self.width = int(lib.llama_model_n_embd_out(self._model))
        key = f"{read_text(lib.llama_model_meta_val_str, self._model, b'general.architecture')}.pooling_type"
        self.pooling = read_text(lib.llama_model_meta_val_str, self._model, key.encode())
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


def read_text(function: Callable[..., int], *arguments: object) -> str:
    """Call a function that fills a buffer and returns the length it needs; empty when there is no such value."""
    size = 256
    while True:
        buffer = ctypes.create_string_buffer(size)
        needed = function(*arguments, buffer, size)
        if needed < size:
            return buffer.value.decode("utf-8", "replace") if needed >= 0 else ""
        size = needed + 1


def _uses_tiles() -> bool:
    """Return whether llama.cpp would compute with matrix tiles (AMX), where a quantized model ends the process.

    In 0.3.36, by an illegal instruction (https://github.com/ggml-org/llama.cpp/issues/28756 has the like).
    """
    return b"AMX_INT8 = 1" in lib.llama_print_system_info()


def _load(path: Path, n_gpu_layers: int, *, split: Sequence[tuple[int, int]], is_repacked: bool) -> object:
    """Load the weights, or say which file is at fault; *split* has the GPUs with the layers that each one takes."""
    check_gguf(path, "MODEL_PATH")
    params = lib.llama_model_default_params()
    params.n_gpu_layers, params.use_extra_bufts = n_gpu_layers, is_repacked and not _uses_tiles()
    params.check_tensors = True  # 0.2 s for a gigabyte; else a damaged model answers nonsense
    handles = (ctypes.c_void_p * (len(split) + 1))(*(handle for handle, _ in split), None)
    shares = (ctypes.c_float * lib.llama_max_devices())(*(layers for _, layers in split))
    if split:
        params.devices = ctypes.cast(handles, ctypes.c_void_p)
        params.tensor_split = shares
    last_errors.clear()
    model = lib.llama_model_load_from_file(os.fsencode(path), params)
    if not model and any(_NO_THREAD in line for line in last_errors):  # it starts one for each tensor to be checked
        log.warning("%s is loaded unchecked: this process may not start the threads that llama.cpp checks it by.", path)
        params.check_tensors = False
        last_errors.clear()
        model = lib.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        reason = next((line for line in last_errors if "error" in line.lower()), "llama.cpp gave no reason")
        if lacked_memory():
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
