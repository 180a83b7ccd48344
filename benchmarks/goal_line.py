"""The line of a goal, the same wherever it is printed, so that `benchmarks.learning` finds it again."""

MET, MISSED = "met   ", "MISSED"


def print_goal(measured: str, goal: str, is_met: bool) -> None:
    """Print a goal and what was measured."""
    print(f"{MET if is_met else MISSED} {measured}; goal {goal}", flush=True)
