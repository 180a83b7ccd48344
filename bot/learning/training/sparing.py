"""Two savings that change no result: work that TRL does on a processor and that our rows do not need."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trl.trainer import utils as trl_utils


@contextmanager
def sparing(adapted: Any) -> Iterator[None]:
    """Compute less while the block runs.

    Rows are filled up on the right, where causal attention never looks from a real token: without a mask attention
    skips everything above the diagonal. And only tokens with a label go through the output's matrix; TRL does so by
    itself on GPUs only.
    """
    backbone = adapted.get_base_model().base_model
    hook = backbone.register_forward_pre_hook(_drop_mask, with_kwargs=True)
    asked = trl_utils._use_triton  # noqa: SLF001 - trl is pinned, and a test holds the losses equal
    trl_utils._use_triton = _always  # noqa: SLF001
    try:
        yield
    finally:
        trl_utils._use_triton = asked  # noqa: SLF001
        hook.remove()


def _drop_mask(_module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return given, {**named, "attention_mask": None}


def _always(_device: Any) -> bool:
    return True
