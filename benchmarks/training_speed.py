"""Training speed: our set-up of TRL against TRL's defaults, on the same rows, in turns, to the same loss.

    python -m benchmarks.training_speed --rows 320 --epochs 2 --rounds 3

Both arms train the same fresh adapter over the starter model with the same rate, batch, epochs and seed; the rows are
chats of the starter's corpus as token ids, the loss on the last answer. Tokens are the rows' own, without padding.
"""

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.update({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_TELEMETRY": "1"})

import torch
import transformers
import trl
from datasets import Dataset  # type: ignore[import-untyped]
from jinja2 import Template
from llama_cpp import Llama

from benchmarks.figures import measure_ratio
from benchmarks.goal_line import print_goal
from bot.learning.examples import Example, Source, Split, Use
from bot.learning.plan import Recipe
from bot.learning.training.adapter import attach_adapter
from bot.learning.training.base import load_base
from bot.learning.training.energy import Meter
from bot.learning.training.phases import Phase, build_padding, run_phase
from bot.learning.training.rows import UNTRAINED, Rows, build_answer
from bot.learning.training.watching import Watch
from starter.chats import TEMPLATE
from starter.corpus import build_chats

MODEL = Path("bot/models/starter.gguf")
TOLERANCE = 0.02  # nats a token between the two arms' losses on held-out rows
GOAL = 2.0
Arm = Callable[[Any, Sequence[Example], Recipe, Path], None]


def build_rows(count: int, *, seed: int) -> list[Example]:
    """Return chats of the corpus as the engine's own tokenizer reads them."""
    llama = Llama(str(MODEL), vocab_only=True, verbose=False)
    template = Template(TEMPLATE)

    def read(messages: list[dict[str, str]], *, is_open: bool) -> list[int]:
        text = template.render(messages=messages, add_generation_prompt=is_open)
        return llama.tokenize(text.encode(), add_bos=False, special=True)  # type: ignore[no-any-return]

    rows = []
    for number, chat in enumerate(islice(build_chats(seed, "held-out"), count)):
        messages = chat.messages()
        prompt, whole = read(messages[:-1], is_open=True), read(messages, is_open=False)
        rows.append(
            Example(
                id=str(number),
                use=Use.SFT,
                source=Source.CORRECTION,  # shown in every epoch; a liked answer is shown once
                split=Split.TRAIN,
                group=str(number),
                prompt_ids=tuple(prompt),
                completion_ids=tuple(whole[len(prompt) :]),
            )
        )
    llama.close()
    return rows


def train_by_defaults(adapted: Any, rows: Sequence[Example], recipe: Recipe, folder: Path) -> None:
    """TRL as it comes: only what a processor needs and what makes both arms the same training is said."""
    arguments = trl.SFTConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=recipe.batch_rows,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.sft_rate,
        seed=1,
        report_to=[],
        disable_tqdm=True,
    )
    data = Dataset.from_list([build_answer(row) for row in rows])
    trainer = trl.SFTTrainer(model=adapted, args=arguments, train_dataset=data, processing_class=build_padding())
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()


def train_by_ours(adapted: Any, rows: Sequence[Example], recipe: Recipe, folder: Path) -> None:
    """The trainer's own phase, with its watch, journal and checkpoints."""
    phase = Phase(
        name="sft",
        rows=Rows(train=list(rows)),
        rate=recipe.sft_rate,
        epochs=recipe.epochs,
        batch=recipe.batch_rows,
        seed=1,
        folder=folder,
    )
    run_phase(adapted, phase, recipe, Watch(folder, 0.0, Meter()))


ARMS: dict[str, Arm] = {"TRL's defaults": train_by_defaults, "ours": train_by_ours}


def measure_loss(model: Any, rows: Sequence[Example]) -> float:
    """Return the mean loss of every answer's tokens, row by row."""
    total, count = 0.0, 0
    model.eval()
    for row in rows:
        ids, labels = (torch.tensor(build_answer(row)[name])[None] for name in ("input_ids", "labels"))
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1].transpose(1, 2)
        total += torch.nn.functional.cross_entropy(logits, labels[:, 1:], reduction="sum", ignore_index=UNTRAINED)
        count += len(row.completion_ids)
    return float(total) / count


def run_arm(
    arm: Arm, rows: Sequence[Example], held_out: Sequence[Example], recipe: Recipe
) -> tuple[float, float, float]:
    """Return seconds, processor seconds and the held-out loss of one arm's training."""
    adapted = attach_adapter(load_base(MODEL), recipe, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        began, worked = time.perf_counter(), time.process_time()
        arm(adapted, rows, recipe, Path(folder))
        spent = time.perf_counter() - began, time.process_time() - worked
    return *spent, measure_loss(adapted, held_out)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--epochs", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # PEFT looks for the configuration of a model's folder, and there is a GGUF
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    transformers.utils.logging.disable_progress_bar()
    rows, held_out = build_rows(options.rows, seed=5), build_rows(60, seed=6)
    recipe = Recipe(epochs=options.epochs, warmup=0.0)
    tokens = options.epochs * sum(len(row.prompt_ids) + len(row.completion_ids) for row in rows)
    print(f"{len(rows)} rows, {options.epochs:g} epochs, {tokens:,.0f} tokens, {options.rounds} rounds, one thread")
    base = measure_loss(load_base(MODEL), held_out)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ARMS}
    for number in range(options.rounds):
        for name, arm in ARMS.items():
            wall, worked, loss = run_arm(arm, rows, held_out, recipe)
            found[name].append((wall, worked, loss))
            print(
                f"round {number + 1}  {name:15} {tokens / wall:7.0f} tokens/s  {tokens / worked:7.0f} tokens per "
                f"processor second  held-out loss {loss:.4f} (base {base:.4f})",
                flush=True,
            )
    theirs, ours = found.values()
    by_wall, by_work = (
        measure_ratio([1 / run[kind] for run in ours], [1 / run[kind] for run in theirs]) for kind in (0, 1)
    )
    gap = statistics.mean(b[2] - a[2] for a, b in zip(theirs, ours, strict=True))
    print(f"by the clock: {by_wall}")
    print_goal(
        f"training tokens/s over TRL's defaults, by processor time: {by_work}", f"≥ {GOAL:g}", by_work.value >= GOAL
    )
    print_goal(f"held-out losses differ by {gap:+.4f} nats a token", f"≤ {TOLERANCE}", abs(gap) <= TOLERANCE)


if __name__ == "__main__":
    main()
