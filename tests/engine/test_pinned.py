"""Where models are pinned by their checksum, nothing else is loaded."""

import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from bot.engine.loaded import load_model, plan_model
from bot.engine.types import EngineOptions
from bot.errors import ModelFileError


def test_only_a_pinned_model_is_loaded(tiny_model: Path, tmp_path: Path) -> None:
    """The file itself counts, not its name or its time of change."""
    copy = tmp_path / "model.gguf"
    copy.write_bytes(tiny_model.read_bytes())
    pinned = ("0" * 64, sha256(copy.read_bytes()).hexdigest())
    options = EngineOptions(model_path=copy, n_gpu_layers=0, threads=1, pinned=pinned)
    plan_model(options)

    times = copy.stat()
    with copy.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(ModelFileError, match="is not pinned"):
        load_model(options)
    plan_model(replace(options, pinned=()))
