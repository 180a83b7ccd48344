"""Soft rehearsal: on rows of rehearsal the loss is how far the adapted model has gone from the base.

The whole distribution of the base is asked for at every token of such a row, by the same model with its adapter off.
Its greedy answer alone says which token was first, and not how near the others were. All other rows are TRL's as ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import trl
from trl.kernels.chunked_divergence import ChunkedDivergenceFunction
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from bot.learning.training.rows import REHEARSED, UNTRAINED

FORWARD = 0.0  # TRL's word for KL(base || adapted)


class Collator(DataCollatorForLanguageModeling):  # type: ignore[misc]
    """TRL's collator, which also says of each row whether it is rehearsal."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a batch."""
        marks = torch.tensor([bool(example[REHEARSED]) for example in examples])
        return {**super().torch_call(examples), REHEARSED: marks}


class SoftSFT(trl.SFTTrainer):  # type: ignore[misc]
    """Supervised training with the base's distribution as the goal of rehearsal rows, by *softness* in the loss."""

    def __init__(self, *, softness: float, padding: int, **given: Any) -> None:
        super().__init__(data_collator=Collator(pad_token_id=padding), **given)
        self._softness = softness

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["input_ids", "labels", REHEARSED]

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the answers' cross entropy and the rehearsal's divergence over the number of labels of both."""
        marks, labels = inputs.pop(REHEARSED), inputs["labels"]
        if return_outputs or not marks.any():
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        count = (labels[:, 1:] != UNTRAINED).sum() if num_items_in_batch is None else num_items_in_batch
        hard = {**inputs, "labels": labels.masked_fill(marks[:, None], UNTRAINED)}
        soft = {name: inputs[name][marks] for name in ("input_ids", "attention_mask")}
        adapted = self.accelerator.unwrap_model(model)
        backbone = adapted.get_base_model().base_model
        with torch.no_grad(), self.accelerator.autocast(), adapted.disable_adapter():
            goal = backbone(**soft, use_cache=False).last_hidden_state
        with _keeping(backbone) as kept:
            loss = super().compute_loss(model, hard, num_items_in_batch=count)
        places = soft["attention_mask"][:, 1:].bool()
        head = adapted.get_output_embeddings()
        cap = getattr(adapted.config, "final_logit_softcapping", None)
        drift = measure_drift(kept[0][marks][:, :-1][places], goal[:, :-1][places], head, softcap=cap)
        return loss + self._softness * drift.sum() / count


def measure_drift(hidden: torch.Tensor, goal: torch.Tensor, head: Any, *, softcap: float | None) -> torch.Tensor:
    """Return KL(base || adapted) of each token over the whole vocabulary, which is never there at once."""
    side = (head.weight, head.bias)
    caps = (1.0, softcap, 1.0, softcap)
    drift, _ = ChunkedDivergenceFunction.apply(hidden, *side, goal, *side, FORWARD, 1.0, *caps)
    return drift


@contextmanager
def _keeping(backbone: Any) -> Iterator[list[torch.Tensor]]:
    """Keep what the backbone hands to the output's matrix: the rehearsal rows pass it once for both losses."""
    kept: list[torch.Tensor] = []
    hook = backbone.register_forward_hook(lambda _module, _given, found: kept.append(found.last_hidden_state))
    try:
        yield kept
    finally:
        hook.remove()
