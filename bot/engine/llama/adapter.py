"""A LoRA's matrices over a loaded model."""

import os
from pathlib import Path

import llama_cpp as lib

from bot.engine.llama.model import Model, last_errors, read_text


class Adapter:
    """A LoRA over a loaded model; to be closed after every context that uses it and before the model."""

    def __init__(self, model: Model, path: Path) -> None:
        last_errors.clear()
        self.pointer = lib.llama_adapter_lora_init(model._model, os.fsencode(path))  # noqa: SLF001 - this room owns both
        if not self.pointer:  # ctypes gives an object for NULL, which is never None
            raise ValueError(last_errors[0] if last_errors else "llama.cpp gave no reason")

    def metadata(self, key: str) -> str:
        """Return a value of the adapter's header, empty when absent."""
        return read_text(lib.llama_adapter_meta_val_str, self.pointer, key.encode())

    def close(self) -> None:
        """Free its matrices."""
        if self.pointer is not None:
            lib.llama_adapter_lora_free(self.pointer)
        self.pointer = None
