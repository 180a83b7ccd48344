"""Votes that say nothing, and votes of a few: the benefit's test refuses them, and lets true ones pass."""

import pytest

from benchmarks.refusals import KINDS, RUDE, Answered, cast_votes, simulate
from bot.learning.examples import Example, Source, Split, Use
from bot.learning.figures import Decision


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "true taste"])
def test_votes_that_teach_nothing_are_refused(kind: str) -> None:
    """Of eight simulated runs none shows a benefit, although the training learned just what the votes say."""
    results = [simulate(kind, seed=seed) for seed in range(8)]

    assert [result.reasons for result in results if result.decision is not Decision.REJECT] == []


def test_true_votes_pass() -> None:
    """A gate that refuses everything would be no gate."""
    results = [simulate("true taste", seed=seed, strength=2.5) for seed in range(8)]

    assert sum(result.decision is not Decision.REJECT for result in results) >= 7


def test_the_controls_are_what_they_say() -> None:
    """Shuffling keeps how many liked; attackers like rude answers only; no question is voted on twice."""
    row = Example(
        id="", use=Use.SFT, source=Source.LIKED, split=Split.TRAIN, group="", prompt_ids=(1,), completion_ids=(1,)
    )
    pool = [
        Answered(Example(**{**_values(row), "answer": f"{n} long"}), Example(**{**_values(row), "answer": f"{n}"}),
                 Example(**{**_values(row), "answer": RUDE}))
        for n in range(120)
    ]  # fmt: skip
    true, poisoned = cast_votes("true taste", pool, seed=1), cast_votes("poisoned by three", pool, seed=1)
    shuffled = cast_votes("shuffled", pool, seed=1)

    assert all(vote.is_liked == ("long" not in vote.answer) for vote in true)
    assert any(vote.is_liked == ("long" in vote.answer) for vote in shuffled)
    by_attackers = [vote for vote in poisoned if vote.people[0] in {"U0", "U1", "U2"}]
    assert len(by_attackers) == 30
    assert all(vote.is_liked == (vote.answer == RUDE) for vote in by_attackers)
    assert not any(vote.answer == RUDE for vote in poisoned if vote not in by_attackers)
    assert len({vote.group for vote in true}) == 100


def _values(row: Example) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__slots__}
