"""How soon a worse adapter is taken back, and how often a good one: simulated deployments, beside a peeked posterior.

    python -m benchmarks.rollback                 # 2,000 deployments of each kind
    python -m benchmarks.rollback --deployments 200

Each deployment has its own ratings; the floor is the true rate, or is frozen from as many ratings of the incumbent as
the row says, which is how the bot has it. Every rating is a look. The ratings are those of ten people; nobody counts
for more than whoever gives third most, and one alone takes no adapter back: the others have to find some harm too. The
last row has somebody who dislikes whatever is served. The named peer is what most dashboards do: a Beta posterior of
both, with the adapter taken back as soon as P(worse) exceeds 0.95, looked at after every fifth rating.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.goal_line import MET, MISSED
from bot.learning.rollout.evidence import ALPHA, ALPHA_WITHOUT, MANY, choose_floor, log_evidence

RATE = 0.80
LOOKS = 400
PEOPLE = 10
LONG = 2000
HISTORIES = (0, 1000, 300, 150)  # ratings of the incumbent that the floor is frozen from; 0: its true rate is known
PEEK_EVERY = 5
PEEK_LIMIT = 0.95
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """When each deployment was rolled back; zero means never."""

    ended: Ints

    @property
    def share(self) -> float:
        """How many were rolled back."""
        return float((self.ended > 0).mean())

    def quantile(self, share: float) -> str:
        """Return after how many ratings this share of all deployments was rolled back."""
        times = np.where(self.ended > 0, self.ended, np.inf)
        found = float(np.quantile(times, share, method="inverted_cdf"))
        return f"{found:.0f}" if math.isfinite(found) else "-"


def simulate(
    rng: np.random.Generator, rate: float, *, history: int, ratings: int, deployments: int, watch: Callable[..., int]
) -> Outcome:
    """Return when *watch* ends deployments of an adapter with this true rate; *history* 0 knows the incumbent's."""
    ended = np.zeros(deployments, np.int64)
    for number in range(deployments):
        before = int(rng.binomial(history, RATE)) if history else 0
        votes = np.cumsum(rng.random(ratings) < rate)
        ended[number] = watch(votes, before, history)
    return Outcome(ended)


def _crossing(floor: float, ratings: int, alpha: float) -> Ints:
    """Return for each number of ratings the most good ones that still prove harm, -1 where none do."""
    limits, most = np.full(ratings + 1, -1, np.int64), -1
    for count in range(1, ratings + 1):
        # Another rating moves the limit by at most one, so two candidates are enough.
        while most + 1 <= count and log_evidence(most + 1, count - most - 1, floor=floor) >= math.log(1 / alpha):
            most += 1
        while most >= 0 and log_evidence(most, count - most, floor=floor) < math.log(1 / alpha):
            most -= 1
        limits[count] = most
    return limits


class EvidenceWatch:
    """The bot's own test; its limits are computed once for each floor."""

    def __init__(self) -> None:
        self._found: dict[tuple[float, int, float], Ints] = {}

    def __call__(self, votes: Ints, before: int, history: int) -> int:
        """Return after which rating the adapter is taken back, 0 if never."""
        return _first(votes <= self._limits(votes, before, history, ALPHA)[1:])

    def _limits(self, votes: Ints, before: int, history: int, alpha: float) -> Ints:
        floor = choose_floor(before, history - before) if history else RATE
        key = (floor, len(votes), alpha)
        if key not in self._found:
            self._found[key] = _crossing(floor, len(votes), alpha)
        return self._found[key]


class TeamWatch(EvidenceWatch):
    """The same of a team, as `Watch` has it: nobody counts for more than others do, and without the one who says most
    of harm the others have to say some too.
    """

    def __init__(self, people: int, *, seed: int, hostile: int = 0) -> None:
        super().__init__()
        self._people = people
        self._hostile = hostile
        self._rng = np.random.default_rng([seed, people])

    def __call__(self, votes: Ints, before: int, history: int) -> int:
        """Return after which rating the adapter is taken back, 0 if never."""
        who = self._rng.integers(self._people, size=len(votes))
        is_up = np.diff(votes, prepend=0) * (who >= self._hostile)
        is_theirs = np.eye(self._people, dtype=np.int64)[who]
        ups, downs = _cap(np.cumsum(is_theirs * is_up[:, None], axis=0), np.cumsum(is_theirs, axis=0))
        rows, first = np.arange(len(votes)), np.argmax(downs - ups, axis=1)
        said = self._limits(votes, before, history, ALPHA)[(ups + downs).sum(axis=1)] >= ups.sum(axis=1)
        ups[rows, first] = downs[rows, first] = 0
        others = self._limits(votes, before, history, ALPHA_WITHOUT)[(ups + downs).sum(axis=1)] >= ups.sum(axis=1)
        return _first(said & others)


def _cap(ups: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Return everybody's thumbs up and down at each look, as `cap_votes` holds them; a row each look."""
    ordered = -np.sort(-counts, axis=1)
    most = np.where((counts > 0).sum(axis=1) >= MANY, ordered[:, 2], ordered[:, 1])
    share = np.minimum(1.0, most[:, None] / np.maximum(1, counts))
    return np.rint(ups * share).astype(np.int64), np.rint((counts - ups) * share).astype(np.int64)


def _first(hits: NDArray[np.bool_]) -> int:
    """Return the number of the first hit, counted from one; 0 if there is none."""
    found = np.flatnonzero(hits)
    return int(found[0]) + 1 if len(found) else 0


def peek(votes: Ints, before: int, history: int) -> int:
    """Return when a peeked posterior takes it back: P(new < old) by the normal form of both Beta posteriors."""
    counts = np.arange(1, len(votes) + 1)
    old = _moments(before, history - before) if history else (RATE, 0.0)
    mean, variance = _moments(votes, counts - votes)
    score = (old[0] - mean) / np.sqrt(variance + old[1])
    worse = 0.5 * (1 + np.vectorize(math.erf)(score / math.sqrt(2)))
    return _first((worse > PEEK_LIMIT) & (counts % PEEK_EVERY == 0))


def _moments(ups: Ints | int, downs: Ints | int) -> tuple[Floats, Floats]:
    a, b = np.asarray(ups) + 1.0, np.asarray(downs) + 1.0
    return a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))


def measure(deployments: int, seed: int) -> list[tuple[str, ...]]:
    """Return the table's rows."""
    methods, rows = (TeamWatch(PEOPLE, seed=seed), EvidenceWatch(), peek), list[tuple[str, ...]]()
    cases = [
        *((loss, history, LOOKS) for history in HISTORIES for loss in (0.0, 0.10, 0.15, 0.20, 0.30)),
        *((0.0, history, LONG) for history in HISTORIES),
    ]
    for loss, history, ratings in cases:
        found = []
        for method in methods:
            rng = np.random.default_rng([seed, round(loss * 100), history, ratings])
            rate = RATE - loss
            found.append(simulate(rng, rate, history=history, ratings=ratings, deployments=deployments, watch=method))
        ours, alone, peer = found
        known = f"{history} ratings" if history else "the true rate"
        rows.append(
            (
                f"{-100 * loss:+.0f} points" if loss else "equal",
                known,
                str(ratings),
                f"{ours.share:.1%}",
                f"{ours.quantile(0.5)} / {ours.quantile(0.95)}",
                f"{alone.share:.1%}",
                f"{alone.quantile(0.5)} / {alone.quantile(0.95)}",
                f"{peer.share:.1%}",
                f"{peer.quantile(0.5)} / {peer.quantile(0.95)}",
            )
        )
    rng = np.random.default_rng(seed)
    hostile = TeamWatch(PEOPLE, seed=seed, hostile=1)
    found_one = simulate(rng, RATE, history=300, ratings=LOOKS, deployments=deployments, watch=hostile)
    times = f"{found_one.quantile(0.5)} / {found_one.quantile(0.95)}"
    rows.append(
        ("equal, one is against it", "300 ratings", str(LOOKS), f"{found_one.share:.1%}", times, "", "", "", "")
    )
    return rows


OURS = ("rolled back", "median / p95")
HEAD = (
    "adapter is",
    "incumbent known by",
    "ratings",
    *OURS,
    "nobody left out",
    "median / p95",
    "peeked",
    "median / p95",
)


def show(rows: Sequence[tuple[str, ...]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [HEAD, ("---",) * len(HEAD), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def judge(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, bool]]:
    """Return each goal with whether it is met; how well the incumbent is known decides how soon harm is proven."""
    share = {(row[0], row[1], row[2]): float(row[3].rstrip("%")) / 100 for row in rows}
    goals = []
    for known in dict.fromkeys(row[1] for row in rows):
        worse = [share[loss, known, str(LOOKS)] for loss in ("-15 points", "-20 points", "-30 points")]
        equal = share["equal", known, str(LOOKS)]
        text = f"incumbent known by {known}: 15 points worse or more is rolled back within {LOOKS} ratings"
        goals.append((f"{text}: {min(worse):.1%}, at least 95 %", min(worse) >= 0.95))
        goals.append((f"incumbent known by {known}: equal is rolled back: {equal:.1%}, at most 5 %", equal <= 0.05))
    return goals


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deployments", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    rows = measure(chosen.deployments, chosen.seed)
    print(f"{chosen.deployments} deployments each, incumbent {RATE:.0%} good, seed {chosen.seed}\n")
    print(show(rows))
    print()
    for goal, is_met in judge(rows):
        print(f"{MET if is_met else MISSED} {goal}")


if __name__ == "__main__":
    main()
