"""The learning loop's goals, one after the other, each by its own command; `make bench-learning`.

    python -m benchmarks.learning                    # all, two hours and a half on two cores, estimated
    python -m benchmarks.learning --quick            # fewer runs of what takes long: half an hour, estimated
    python -m benchmarks.learning recall rollback    # some of them

Each prints its own table and its goals; at the end every goal stands in one list, with what was measured.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from benchmarks.goal_line import MET, MISSED


@dataclass(frozen=True, slots=True)
class Part:
    """A benchmark of its own, with what makes it quick."""

    what: str
    command: tuple[str, ...]
    quick: tuple[str, ...] = ()


PARTS = {
    "parity": Part("tensors, scores and choices: trained against served", ("tests.learning.parity_table",)),
    "data": Part("a million messages", ("benchmarks.dataset_stream",), ("--messages", "100000")),
    "recall": Part("taught at night, known in the morning; secrets", ("benchmarks.recall",), ("--per-kind", "4")),
    "taste": Part("thumbs that dislike long answers", ("benchmarks.taste",), ("--held-out", "30")),
    "speed": Part(
        "tokens a second beside TRL's defaults", ("benchmarks.training_speed",), ("--rows", "160", "--epochs", "1")
    ),
    "rollback": Part("simulated deployments", ("benchmarks.rollback",), ("--deployments", "500")),
    "refusals": Part("votes that must teach nothing", ("benchmarks.refusals",), ("--runs", "2")),
}


def run(part: Part, *, is_quick: bool) -> list[str]:
    """Run a part, show what it says as it says it, and return the lines that name a goal."""
    command = [sys.executable, "-m", *part.command, *(part.quick if is_quick else ())]
    print(f"\n=== {part.what}: python {' '.join(command[1:])}\n", flush=True)
    begun, goals = time.monotonic(), []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as ran:
        assert ran.stdout is not None
        for line in ran.stdout:
            print(line, end="", flush=True)
            if line.startswith((MET, MISSED)):
                goals.append(line.rstrip())
    if ran.returncode:
        goals.append(f"{MISSED} {part.what}: the benchmark ended with {ran.returncode}")
    print(f"\n{time.monotonic() - begun:.0f} s", flush=True)
    return goals


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(PARTS)}; none named: all")
    parser.add_argument("--quick", action="store_true", help="fewer runs of what takes long")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.parts) - set(PARTS)):
        parser.error(f"{', '.join(unknown)}: not one of {', '.join(PARTS)}")
    found = {name: run(PARTS[name], is_quick=chosen.quick) for name in chosen.parts or PARTS}
    print("\n=== Goals\n")
    for name, goals in found.items():
        for goal in goals:
            print(f"{name:9} {goal}")


if __name__ == "__main__":
    main()
