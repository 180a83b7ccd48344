"""The guards in front of llama.cpp, against arguments at random: no process dies of a call."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.engine.tiny_adapter import write_tiny_adapter
from tests.engine.tiny_model import write_tiny_model

ROOT = Path(__file__).parents[2]
METHODS = ("decode", "build_next", "trim", "copy", "save", "load", "length", "logits", "sample", "attach", "chain")
METHODS += ("grammar", "context", "closed_context")


def misuse(folder: Path, *, seed: int, calls: int) -> Counter[str]:
    """Let a process misuse everything; return how its calls ended, or fail with the call that it died of."""
    paths = [
        write_tiny_model(folder / "model.gguf"),
        write_tiny_adapter(folder / "adapter.gguf"),
        write_tiny_model(folder / "other.gguf", width=128, layers=3),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.misuse", *map(str, paths), str(seed), str(calls)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        check=False,
    )
    last = (folder / "misuse.last").read_text() if (folder / "misuse.last").exists() else "before the first call"
    assert done.returncode == 0, f"seed {seed} ended with {done.returncode} at call {last}: {done.stderr[-300:]}"
    return Counter(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("seeds", "calls"), [(2, 1_500), pytest.param(50, 10_000, marks=[pytest.mark.nightly, pytest.mark.timeout(7200)])]
)
def test_no_call_ends_the_process(tmp_path: Path, seeds: int, calls: int) -> None:
    """Sizes, slots, positions, lengths, states, tokens and samplers out of range: an answer or a ValueError."""
    ends = sum((misuse(tmp_path, seed=seed, calls=calls) for seed in range(seeds)), Counter[str]())

    print(f"\nmisused calls: {ends.total()}, ended processes: 0, {dict(sorted(ends.items()))}")
    assert ends.total() == seeds * calls
    assert not [end for end in ends if end.startswith("!")]
    for method in METHODS:
        assert ends[f"{method} refused"] > 0
