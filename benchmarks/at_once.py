"""Which questions find a correction, by how alike they must be: from what the threshold of the retrieval was chosen.

    python -m benchmarks.at_once

Fifty facts in three other wordings each (`facts.toml`), six in Chinese, and what must find nothing: questions that
sound alike but are about something else, the same wordings when their own fact is unknown, and the starter's own
held-out questions. Pure counting: no model is asked.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.recall import read_facts
from bot.conversation.recall import LEAST_LIKENESS
from bot.storage.terms import find_terms, measure_likeness
from starter.evaluate import build_cases

EXTRA = Path(__file__).with_name("at_once.toml")
THRESHOLDS = (0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.70)


@dataclass(frozen=True, slots=True)
class Table:
    """For each asked question the best likeness to its own fact, and for each foreign one the best to any."""

    own: Sequence[float]
    beaten: Sequence[float]  # how alike a wrong fact is that comes before the right one
    chinese: Sequence[float]
    near: Sequence[float]
    unknown: Sequence[float]
    foreign: Sequence[float]


def measure() -> Table:
    """Compare everything with everything."""
    facts = read_facts()
    extra = tomllib.loads(EXTRA.read_text(encoding="utf-8"))
    known = [find_terms(fact.question) for fact in facts]
    own, beaten, unknown = [], [], []
    for index, fact in enumerate(facts):
        for asked in fact.asked:
            terms = find_terms(asked)
            likeness = [measure_likeness(terms, other) for other in known]
            right = likeness.pop(index)
            own.append(right)
            unknown.append(max(likeness))
            beaten.append(max(likeness) if max(likeness) > right else 0.0)
    chinese = [
        measure_likeness(find_terms(asked), find_terms(fact["question"]))
        for fact in extra["fact"]
        for asked in fact["asked"]
    ]

    def best(text: str) -> float:
        return max(measure_likeness(find_terms(text), other) for other in known)

    questions = {case.exchange.user for case in build_cases(per_kind=20, seed=1)}
    return Table(
        own, beaten, chinese, [best(text) for text in extra["near_misses"]], unknown, [best(t) for t in questions]
    )


def share(values: Sequence[float], least: float) -> str:
    """Return how many reach a threshold."""
    return f"{sum(value >= least for value in values)}/{len(values)}"


def main() -> None:
    """Print the table."""
    table = measure()
    print(f"{'least':>6} {'own fact':>10} {'a wrong one first':>18} {'Chinese':>8}", end="")
    print(f" {'sounds alike':>13} {'fact unknown':>13} {'foreign':>9}")
    for least in THRESHOLDS:
        counts = [share(values, least) for values in (table.own, table.beaten, table.chinese)]
        wrong = [share(values, least) for values in (table.near, table.unknown, table.foreign)]
        chosen = "  <- ours" if least == LEAST_LIKENESS else ""
        print(f"{least:>6.2f} {counts[0]:>10} {counts[1]:>18} {counts[2]:>8}", end="")
        print(f" {wrong[0]:>13} {wrong[1]:>13} {wrong[2]:>9}{chosen}")


if __name__ == "__main__":
    main()
