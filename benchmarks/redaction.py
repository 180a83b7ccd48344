"""How much of what nobody may learn gets a placeholder, and how much else does: on invented messages.

    python -m benchmarks.redaction [--messages 8000] [--seed 2] [--missed]

A planted value is found when placeholders stand for all of its signs. A placeholder is right when it stands for a part
of a planted value. Seed 1 is what the patterns were written with; the others are held out. Both have one author.

Then each value is said once more, in a text of its own with nothing around it that tells what it is; an ordinary text
of the same example stays as it is beside it.
"""

import argparse
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.goal_line import print_goal
from benchmarks.planted import CHINESE, ENGLISH, PERSONAL, SECRET, Sample, make_corpus
from bot.learning.data.redaction import Redaction

GOALS = {SECRET: 0.98, PERSONAL: 0.95}
PRECISION = 0.90
AGAIN = 0.98
CHANGED = 0.001


@dataclass(slots=True)
class Score:
    """What was found in the messages of one language; *missed* and *wrong* are for whoever mends it."""

    planted: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    right: int = 0
    placeholders: int = 0
    missed: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)

    def recall(self, kind: str) -> float:
        """Return the share of a kind that was found."""
        planted = sum(count for (one, _), count in self.planted.items() if one == kind)
        return sum(count for (one, _), count in self.found.items() if one == kind) / max(1, planted)

    @property
    def precision(self) -> float:
        """Return the share of the placeholders that stand for something planted."""
        return self.right / max(1, self.placeholders)

    def add(self, sample: Sample) -> None:
        """Redact a message and compare."""
        findings = Redaction([sample.text]).find(sample.text)
        covered = {at for one in findings for at in range(one.start, one.end)}
        spans = []
        for kind, name, value in sample.planted:
            start = sample.text.index(value)
            spans.append(range(start, start + len(value)))
            self.planted[kind, name] += 1
            if covered.issuperset(at for at in spans[-1] if not sample.text[at].isspace()):
                self.found[kind, name] += 1
            else:
                self.missed.append((name, sample.text))
        for one in findings:
            is_right = any(one.start < span.stop and span.start < one.end for span in spans)
            self.placeholders += 1
            self.right += is_right
            if not is_right:
                self.wrong.append((one.kind, sample.text[one.start : one.end]))


def measure(messages: int, seed: int) -> dict[str, Score]:
    """Return what is found in a corpus, by language."""
    scores = {ENGLISH: Score(), CHINESE: Score()}
    for sample in make_corpus(seed, count=messages):
        scores[sample.language].add(sample)
    return scores


def measure_again(messages: int, seed: int) -> tuple[int, int, int, int]:
    """Return how many values said again are replaced, of how many; and how many other texts are changed, of how many.

    The other texts have nothing planted in them: the next of the corpus in the same language.
    """
    again = [0, 0, 0, 0]
    corpus = make_corpus(seed, count=messages)
    for sample, other in zip(corpus, corpus[2:], strict=False):
        if not sample.planted or other.planted:
            continue
        told = [f"Is {value} the right one?" for _, _, value in sample.planted]
        redaction = Redaction([sample.text, *told, other.text])
        for (_, _, value), text in zip(sample.planted, told, strict=True):
            again[0] += value not in redaction.redact(text)
            again[1] += 1
        again[2] += redaction.find(other.text) != Redaction([other.text]).find(other.text)
        again[3] += 1
    return again[0], again[1], again[2], again[3]


def is_consistent(messages: int, seed: int) -> bool:
    """Return whether the same thing has the same placeholder throughout, and another thing never has it."""
    for sample in make_corpus(seed, count=messages):
        redaction = Redaction()
        once, twice = redaction.redact(sample.text), redaction.redact(sample.text)
        if once != twice:
            return False
    return True


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--missed", action="store_true", help="show what was missed, and what was taken for something")
    chosen = parser.parse_args()
    scores = measure(chosen.messages, chosen.seed)
    for language, score in scores.items():
        for kind, name in sorted(score.planted):
            found, planted = score.found[kind, name], score.planted[kind, name]
            print(f"{language:8} {kind:14} {name:24} {found:4} of {planted:4}  {found / planted:6.1%}")
        if chosen.missed:
            print(*(f"  missed {name}: {text!r}" for name, text in score.missed[:60]), sep="\n")
            print(*(f"  wrong {kind}: {text!r}" for kind, text in score.wrong[:60]), sep="\n")
    for language, score in scores.items():
        for kind, goal in GOALS.items():
            share, count = score.recall(kind), sum(n for (one, _), n in score.planted.items() if one == kind)
            print_goal(f"{language}, {kind}: {share:.2%} of {count} found", f"≥ {goal:.0%}", share >= goal)
        measured = f"{language}: {score.precision:.2%} of {score.placeholders} placeholders stand for something planted"
        print_goal(measured, f"≥ {PRECISION:.0%}", score.precision >= PRECISION)
    replaced, said, changed, others = measure_again(chosen.messages, chosen.seed)
    is_replaced, is_left = replaced >= AGAIN * said, changed <= CHANGED * others
    print_goal(f"said again: {replaced / said:.2%} of {said} replaced", f"≥ {AGAIN:.0%}", is_replaced)
    print_goal(f"texts beside it: {changed} of {others} changed", f"≤ {CHANGED:.1%}", is_left)
    is_same = is_consistent(500, chosen.seed)
    print_goal(f"the same placeholder for the same thing: {'yes' if is_same else 'no'}", "yes", is_same)


if __name__ == "__main__":
    main()
