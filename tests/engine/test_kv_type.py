"""The kind of keys and values, and flash attention: they reach llama.cpp, and what it refuses is said with the mend."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.engine.llama.context import Context
from bot.engine.llama.model import Model, start_backend
from bot.errors import ModelFileError
from tests.engine.tiny_model import write_tiny_model

start_backend()


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model whose heads are 32 wide, as a quantized cache needs."""
    return write_tiny_model(tmp_path_factory.mktemp("wide") / "wide.gguf", width=128)


def open_context(path: Path, **kinds: str) -> Context:
    """Return a small cache over *path*; the test ends before it is worth freeing."""
    model = Model(path, n_gpu_layers=0)
    return Context(model, n_cells=256, n_slots=2, n_batch=32, kv_unified=True, threads=1, **kinds)


def saved_bytes(context: Context) -> int:
    """Return how many bytes the keys and values of 32 tokens take."""
    assert context.decode([(0, list_tokens(), 0, 1)]) == 0
    return len(context.save(0))


def list_tokens() -> NDArray[np.int32]:
    """Return 32 tokens as the loop would."""
    return np.arange(32, dtype=np.int32)


def test_a_quantized_cache_is_really_smaller(wide_model: Path) -> None:
    """q8_0 takes 34 bytes for what f16 keeps in 64; f32 takes 128."""
    sizes = {kind: saved_bytes(open_context(wide_model, kv_type=kind)) for kind in ("f32", "f16", "q8_0")}

    assert 1.9 < sizes["f32"] / sizes["f16"] < 2.0
    assert 0.5 < sizes["q8_0"] / sizes["f16"] < 0.6


def test_flash_attention_changes_the_arithmetic(wide_model: Path) -> None:
    """On and off give the same answer by different operations: close, but not equal bit by bit."""
    rows = []
    for kind in ("on", "off"):
        context = open_context(wide_model, flash_attention=kind)
        assert context.decode([(0, list_tokens(), 0, 1)]) == 0
        rows.append(context.logits(31).copy())

    assert np.allclose(rows[0], rows[1], atol=0.1)
    assert not np.array_equal(rows[0], rows[1])


def test_what_llama_cpp_refuses_is_said_with_the_mend(tiny_model: Path, wide_model: Path) -> None:
    """A quantized cache without flash attention, and heads that its blocks do not divide."""
    with pytest.raises(ModelFileError, match=r"flash_attn.*ENGINE_KV_TYPE=f16 and ENGINE_FLASH_ATTENTION=auto"):
        open_context(wide_model, kv_type="q8_0", flash_attention="off")
    with pytest.raises(ModelFileError, match=r"block size 32 does not divide n_embd_head_k=16.*ENGINE_KV_TYPE=f16"):
        open_context(tiny_model, kv_type="q8_0")
