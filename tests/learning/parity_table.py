"""Prints how near served and trained models are: `python -m tests.learning.parity_table`.

A row for each family and weight format with a random adapter of rank 8, one for each scale that llama.cpp's converter
loses, and one for the starter model on its own held-out conversations. The divergence is measured twice: as the product
does it, over the 20 tokens that the engine names, and over the whole vocabulary by llama.cpp itself.
"""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import llama_cpp
import numpy as np
import torch
import transformers

from benchmarks.goal_line import print_goal
from bot.learning.proof.adapter_file import judge_file
from bot.learning.proof.parity import judge_adapter, judge_base, judge_trace
from bot.learning.proof.scores import compare
from starter.chats import render
from starter.corpus import build_chats
from tests.learning.night import Night, Texts, measure, spend_night
from tests.learning.tiny_models import SHAPES, build_model, write_gguf

STARTER = Path(__file__).parents[2] / "bot" / "models" / "starter.gguf"
HEAD = ("base", "weights", "adapter", "P1 nats", "P1 same", "P2 nats", "whole", "effect", "P3 same", "P5", "P6")
WIDTHS = (12, 8, 14, 9, 8, 9, 9, 7, 8, 5, 5)
ROWS: Sequence[tuple[str, str, dict[str, Any]]] = (
    *((kind, "F32", {}) for kind in SHAPES),
    *(("llama", kind, {}) for kind in ("F16", "Q8_0", "Q4_0")),
    ("qwen2", "F32", {"use_rslora": True, "strength": 0.02}),
    ("qwen2", "F32", {"alpha_pattern": {"q_proj": 40, "up_proj": 2}, "strength": 0.02}),
)


async def main() -> None:
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    print_row(HEAD)
    failed = 0
    rng = np.random.default_rng(5)
    texts = [tuple(int(token) for token in rng.integers(0, 270, 100)) for _ in range(8)]
    for kind, weights, options in ROWS:
        with TemporaryDirectory() as folder:
            path = write_gguf(Path(folder) / "base.gguf", build_model(kind), kind, quantized=weights)
            night = spend_night(path, Path(folder), kind, texts=texts, r=8, **options)
            proven = await prove(path, night)
            failed += any("!" in cell for cell in proven)
            print_row((kind, weights, next(iter(options), "plain"), *proven))
    with TemporaryDirectory() as folder:
        night = spend_night(STARTER, Path(folder), "llama", texts=read_chats(), r=8, strength=0.01)
        proven = await prove(STARTER, night)
        failed += any("!" in cell for cell in proven)
        print_row(("starter", "F16", "plain", *proven))
    print_goal(f"models and adapters whose proofs do not hold: {failed} of {len(ROWS) + 1}", "0", not failed)


def print_row(cells: Sequence[str]) -> None:
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)), flush=True)


def read_chats() -> Texts:
    """Return eight conversations that the starter was not trained on, as its tokens."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(STARTER.parent, gguf_file=STARTER.name)
    chats = islice(build_chats(11, "held-out"), 8)
    return [tokenizer(render(chat.messages()), add_special_tokens=False).input_ids[:400] for chat in chats]


async def prove(path: Path, night: Night) -> list[str]:
    """Return the figures of one row; a proof that does not hold is marked with an exclamation mark."""
    measured, after = await measure(path, night)
    base = compare(measured.served_base, measured.trained_base)
    adapter = compare(measured.served, measured.trained)
    served, trained = measured.effects()
    checks = [
        judge_base(measured.served_base, measured.trained_base, base=night.base),
        *judge_adapter(measured),
        judge_file(night.adapter, norms=night.sizes, header=night.origin),
        judge_trace(measured.served_base, after),
    ]
    marks = {check.name[:2]: "" if check.holds else "!" for check in checks}
    return [
        f"{base.divergence:.1e}{marks['P1']}",
        f"{base.same_choice:.2%}",
        f"{adapter.divergence:.1e}{marks['P2']}",
        f"{measure_whole(path, night):.1e}",
        f"{served / trained:.4f}",
        f"{adapter.same_choice:.2%}{marks['P3']}",
        marks["P5"] or "holds",
        marks["P6"] or "holds",
    ]


def measure_whole(path: Path, night: Night) -> float:
    """Return KL(served ‖ trained) with the adapter over every token of the vocabulary."""
    found = []
    model = llama_cpp.Llama(
        str(path), lora_path=str(night.adapter), n_ctx=512, n_threads=1, logits_all=True, verbose=False
    )
    with closing(model):
        for text in night.texts:
            model.reset()
            model.eval(list(text))
            served = torch.from_numpy(np.array(model.scores[: len(text)])).double().log_softmax(-1)
            with torch.inference_mode():
                trained = night.adapted(input_ids=torch.tensor([list(text)])).logits[0].double().log_softmax(-1)
            found.append((served.exp() * (served - trained)).sum(-1)[:-1])
    return float(torch.cat(found).mean())


if __name__ == "__main__":
    asyncio.run(main())
