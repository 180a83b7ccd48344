"""A run folder for the trainer, small enough to train in during a test: a random model, rows that can be learned."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from bot.learning.examples import Example, Source, Split, Use, write_examples
from bot.learning.plan import EXAMPLES, PROOF_TEXTS, STEPS, Plan, Recipe
from tests.learning.tiny_models import TOKENS

END = len(TOKENS) - 1
ROOT = Path(__file__).parent.parent.parent
SMALL = Recipe(rank=4, alpha=8, sft_rate=2e-3, preference_rate=1e-3, batch_rows=4, epochs=2.0)
LONG = replace(SMALL, epochs=8.0, patience=50)
SHELTERED = replace(SMALL, shelter=0.01, soft_rehearsal=1.0)


def make_answers(count: int, *, seed: int = 1, every: int = 5) -> list[Example]:
    """Return questions and answers of random tokens, every fifth held out; an answer repeats its question's end."""
    rng = Random(seed)
    examples = []
    for number in range(count):
        prompt = tuple(rng.randrange(10, 200) for _ in range(rng.randrange(4, 30)))
        held_out = every and number % every == 0
        examples.append(
            Example(
                id=f"e{number}",
                use=Use.SFT,
                source=Source.CORRECTION,
                split=Split.VALIDATION if held_out else Split.TRAIN,
                group=f"g{number}",
                prompt_ids=prompt,
                completion_ids=(*prompt[-3:], END),
            )
        )
    return examples


def make_rehearsal(count: int, *, seed: int = 9) -> list[Example]:
    """Return rows that stand for what the base knows."""
    rows = make_answers(count, seed=seed, every=0)
    return [replace(row, id=f"r{number}", source=Source.REHEARSAL) for number, row in enumerate(rows)]


def make_thumbs(count: int, *, likes: int | None = None) -> list[Example]:
    """Return answers of which the first *likes*, or every second, are liked."""
    return [
        replace(
            example,
            id=f"t{number}",
            use=Use.THUMB,
            source=Source.LIKED,
            is_liked=number % 2 == 0 if likes is None else number < likes,
        )
        for number, example in enumerate(make_answers(count, seed=2, every=0))
    ]


def make_pairs(count: int) -> list[Example]:
    """Return answers that were preferred to a longer one."""
    return [
        replace(example, id=f"p{number}", use=Use.PAIR, rejected_ids=(*example.completion_ids[:-1], 7, 7, 7, END))
        for number, example in enumerate(make_answers(count, seed=3, every=0))
    ]


def fill_folder(
    folder: Path, model: Path, examples: Sequence[Example], *, recipe: Recipe = SMALL, **changes: Any
) -> Plan:
    """Write what the bot writes before it starts a trainer."""
    folder.mkdir(parents=True, exist_ok=True)
    write_examples(folder / EXAMPLES, examples)
    texts = [[*example.prompt_ids, *example.completion_ids] for example in examples[:3]]
    (folder / PROOF_TEXTS).write_text(json.dumps(texts))
    plan = Plan(
        run_id="7",
        model_path=str(model),
        base_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
        template_sha256="c" * 64,
        dataset_sha256="d" * 64,
        recipe=recipe,
        **changes,
    )
    plan.write(folder)
    return plan


def start_trainer(folder: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start the trainer as the bot does: with almost no environment."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error::UserWarning:bot", "-m", "bot.learning.training.trainer", str(folder)]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, **options)


def run_trainer(folder: Path, **options: Any) -> int:
    """Let a trainer run to its end and return its exit code."""
    process = start_trainer(folder, **options)
    _, errors = process.communicate(timeout=200)
    print(errors.decode())
    return process.returncode


def steps(folder: Path) -> list[dict[str, Any]]:
    """Return the steps that the trainer has written down so far."""
    lines = (folder / STEPS).read_text().splitlines() if (folder / STEPS).exists() else []
    return [entry for entry in map(json.loads, lines) if "loss" in entry]


def wait_for(found: Callable[[], Any]) -> None:
    """Wait until something is there."""
    deadline = time.monotonic() + 200
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)
