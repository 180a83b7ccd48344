"""Cross-validation: what belongs together stays together, the figures are right, and it can only speak against."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bot.cli_learning import render
from bot.learning.cross_validation import FOLDS, RESULT, CrossValidation, cross_validate
from bot.learning.examples import Example, Source, Split, Use, write_examples
from bot.learning.figures import Decision, Figure, RunReport
from bot.learning.judging.folding import find_lack, needs_folds, split_folds
from bot.learning.judging.gate import decide
from bot.learning.judging.pooling import Judged, judge_fold, pool, say_pooled
from bot.learning.plan import ADAPTER, EXAMPLES, MARGINS, PAUSE, Outcome, Plan, Progress, Recipe
from bot.learning.proof.scores import save_scores
from bot.learning.proving import SERVED_BASE
from bot.learning.report_page import build_page
from bot.learning.training.base import load_base, score
from bot.learning.training.energy import Meter
from bot.learning.training.fine_tuning import train
from bot.learning.training.margins import leave_margins
from bot.learning.training.watching import Watch
from bot.slack.learning.report import build_report
from tests.learning.conftest import Files
from tests.learning.test_gate import PROOFS, good
from tests.learning.tiny_adapters import attach_adapter
from tests.learning.training_folder import END, SMALL, fill_folder, make_answers, wait_for

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT and TRL speak of what they would do with a model's folder
LIKES, DISLIKES = (40, 41, 42, END), (90, 91, 92, END)
TASTE = replace(SMALL, preference="kto", preference_rate=1e-2, preference_epochs=3.0)
Folded = Callable[[Path, str], "asyncio.Future[Outcome]"]


def make_votes(count: int, *, people: int, is_divided: bool = False) -> list[Example]:
    """Return votes, every sixth held out: all like one kind of answers, or every second person likes the other."""
    votes = []
    for number, row in enumerate(make_answers(count, seed=4, every=0)):
        person, is_liked = number % people, number // people % 2 == 0
        answer = LIKES if is_liked is not (is_divided and person % 2 == 1) else DISLIKES
        vote = replace(
            row,
            id=f"thumb:{number}",
            use=Use.THUMB,
            source=Source.LIKED if is_liked else Source.DISLIKED,
            split=Split.TEST if number % 6 == 0 else Split.TRAIN,
            group=f"thread:{number}",
            completion_ids=answer,
            is_liked=is_liked,
            people=(f"U{person}",),
        )
        votes.append(vote)
    return votes


def fill_run(
    folder: Path, model: Path, rows: Sequence[Example], *, recipe: Recipe = TASTE, deadline: float = 0
) -> Plan:
    """Fill a run's folder as it is when its adapter is proven."""
    plan = fill_folder(folder, model, rows, recipe=recipe, deadline=deadline)
    texts = json.loads((folder / "proof-texts.json").read_text())
    save_scores(folder / SERVED_BASE, score(load_base(model), texts))
    return plan


async def train_here(place: Path, _where: str) -> Outcome:
    """Train a fold in this process, as the trainer's own does."""
    found = Outcome.read(place)
    if found is None:
        plan = Plan.read(place)
        found = await asyncio.to_thread(train, plan, Watch(place, plan.deadline, Meter()))
        assert found is not None
        found.write(place)
    return found


def judged(said: Sequence[bool], is_good: Sequence[bool]) -> list[Judged]:
    """Return verdicts about answers of which each has a thread of its own."""
    votes = make_votes(len(said), people=len(said))
    return [Judged(*row) for row in zip(votes, said, is_good, strict=True)]


def test_what_belongs_together_is_never_torn_apart() -> None:
    """Each vote is held out once; no thread and no person stands on both sides; the rest is trained on by all."""
    votes = [replace(vote, group=f"thread:{number // 2}") for number, vote in enumerate(make_votes(40, people=9))]
    fact = replace(make_answers(1)[0], id="fact", group="fact:1", people=("U3",), split=Split.TRAIN)
    wording = replace(fact, id="wording", group="fact:2", people=(), split=Split.TEST)
    rehearsal = replace(fact, id="rehearsal", group="rehearsal:1", people=(), source=Source.REHEARSAL)
    apart = [
        replace(vote, people=(f"{vote.people[0]}{place}",), group=f"{vote.group}{place}", id=f"{vote.id}{place}")
        for vote in votes
        for place in "abc"
    ]
    rows = [*apart, replace(fact, people=("U3a",)), wording, rehearsal]
    folds = split_folds(rows, most=3)
    held_out: list[str] = []
    for number in range(folds.count):
        fold = list(folds.rows(rows, number))
        tests, trained = ([row for row in fold if (row.split is Split.TEST) is is_test] for is_test in (True, False))
        held_out += [row.id for row in tests]

        assert not {row.group for row in tests} & {row.group for row in trained}
        assert not {name for row in tests for name in row.people} & {name for row in trained for name in row.people}
        assert len(tests) == 40
        assert "rehearsal" in {row.id for row in trained}
        assert "wording" not in {row.id for row in fold}, "what is held out of the run's facts is not learned by folds"

    assert sorted(held_out) == sorted(row.id for row in apart)
    assert split_folds(votes, most=3).count == 1, "threads of two people in a row tie all nine together"


def test_when_it_is_asked_for_and_what_lacks() -> None:
    """Without votes, and with a hundred of them held out, it is not; with few of a kind it says so."""
    votes = make_votes(24, people=6)
    many = [replace(vote, id=f"{vote.id}:{copy}", split=Split.TEST) for vote in votes for copy in range(5)]
    signs = [replace(vote, source=Source.IMPLICIT) for vote in votes]

    assert needs_folds(votes)
    assert not needs_folds(many)
    assert not needs_folds(make_answers(20))
    assert not needs_folds(signs), "what nobody said is judged by nobody"
    assert find_lack(votes, split_folds(votes, most=3)) == ""
    assert "3 liked and 3 disliked" in find_lack(make_votes(6, people=3), split_folds(votes, most=3))
    together = [replace(vote, people=("U1",)) for vote in votes]
    assert "hang together" in find_lack(together, split_folds(together, most=3))


def test_the_figures_of_the_pool() -> None:
    """Accuracy, precision, recall and F1 are those of the table of both; guessing as often stands beside them."""
    said, is_good = [True] * 8 + [False] * 12, [True] * 6 + [False] * 2 + [True] * 3 + [False] * 9
    figures = {figure.metric: figure for figure in pool(judged(said, is_good), folds=3, seed=1)}

    values = [figures[f"cross_{name}"].candidate for name in ("accuracy", "precision", "recall", "f1")]
    guesses = [figures[f"cross_{name}"].incumbent for name in ("accuracy", "precision", "recall", "f1")]
    assert values == pytest.approx([15 / 20, 6 / 8, 6 / 9, 12 / 17])
    assert guesses == pytest.approx([0.4 * 0.45 + 0.6 * 0.55, 0.45, 0.4, 2 * 0.4 * 0.45 / 0.85])
    for figure in figures.values():
        assert figure.low < figure.candidate - figure.incumbent < figure.high
        assert figure.details["from"] < figure.candidate < figure.details["to"]
    assert pool(judged([False] * 6, [True, False] * 3), folds=2, seed=1) == ()
    assert "accuracy 75% (55% to 90%; guessing 51%)" in say_pooled(tuple(figures.values()))


def test_a_fold_is_asked_without_its_labels() -> None:
    """Of single answers the upper half is said to be liked, of a pair the one that gained more; unknown rows go."""
    votes = make_votes(4, people=4)
    pair = replace(votes[0], id="pair", use=Use.PAIR, source=Source.REGENERATED, rejected_ids=(7,), is_liked=None)
    margins = {"thumb:0": [-0.1], "thumb:1": [-0.4], "thumb:2": [-0.2], "pair": [-3.0, -2.0]}

    found = [(one.example.id, one.is_said, one.is_good) for one in judge_fold([*votes, pair], margins)]

    assert found == [
        ("thumb:0", True, True),
        ("thumb:1", False, True),
        ("thumb:2", False, True),
        ("pair", False, True),
        ("pair", True, False),
    ]


def test_it_speaks_against_and_never_for() -> None:
    """Worse than guessing beyond luck rejects what would pass; the best figures promote nothing; luck is let be."""
    is_good = [True, False] * 12
    best, worst = (pool(judged(said, is_good), folds=3, seed=1) for said in (is_good, [not one for one in is_good]))
    few = pool(judged([False, True, False, True], [True, False, True, False]), folds=2, seed=1)
    passing = list(good().values())

    def judge(figures: Sequence[Figure], **changes: frozenset[str]) -> tuple[Decision, str]:
        verdict = decide(figures, PROOFS, people=20, **{"declared": frozenset({"taught_facts"}), **changes})
        return verdict.decision, " ".join(verdict.reasons)

    assert judge(passing)[0] is Decision.CANARY
    assert judge([*passing, *best])[0] is Decision.CANARY
    assert judge([*passing, *few])[0] is Decision.CANARY, "four answers can be wrong by luck"
    assert judge([*passing, *best], declared=frozenset())[0] is Decision.REJECT
    decision, reasons = judge([*passing, *worst])
    assert decision is Decision.REJECT
    assert "worse than guessing and the base do: 0% right of 24, guessing 50%" in reasons


def test_labels_without_truth_are_seldom_spoken_against() -> None:
    """Of recipes that know nothing the gate refuses as few by the folds as its threshold says."""
    rng, refused = np.random.default_rng(3), 0
    for _ in range(60):
        is_good = rng.random(24) < 0.6
        figures = pool(judged(list(rng.random(24) < 0.5), list(is_good)), folds=3, seed=1)
        verdict = decide([*good().values(), *figures], PROOFS, declared=frozenset({"taught_facts"}), people=20)
        refused += verdict.decision is Decision.REJECT

    assert refused <= 4


@pytest.mark.parametrize("is_divided", [False, True])
async def test_a_taste_that_holds_for_all_and_one_that_does_not(
    tmp_path: Path, base_file: Files, is_divided: bool
) -> None:
    """What all like is told apart in people whom the fold never saw; where they differ it is worse than guessing."""
    rows = [*make_answers(6), *make_votes(32, people=2, is_divided=is_divided)]
    plan = fill_run(tmp_path, base_file("llama"), rows)
    outcome = Outcome(is_done=True, recipe=plan.recipe)

    found = await cross_validate(tmp_path, plan, outcome, rows, most=3, train=train_here)

    accuracy = found.figures[0]
    assert accuracy.details["folds"] == 2, "two people are no three folds"
    assert accuracy.n == 32
    assert accuracy.candidate < 0.2 if is_divided else accuracy.candidate > 0.8, found.sentence
    verdict = decide([*good().values(), *found.figures], PROOFS, declared=frozenset({"taught_facts"}), people=20)
    assert verdict.decision is (Decision.REJECT if is_divided else Decision.CANARY)
    check_shown(found)
    assert not (tmp_path / FOLDS).exists()


def check_shown(found: CrossValidation) -> None:
    """All reports have the sentence with its intervals, and the page has a table and a line of its card."""
    report = RunReport(run_id=7, cross_validation=found.sentence, figures=found.figures)
    page = build_page(report, picture=None, data_picture=None)
    words = f"accuracy {found.figures[0].candidate:.0%} ("

    assert words in found.sentence
    assert words in render(report)
    assert words in str(build_report(report))
    assert page.count("Cross-validation</h2>") == page.count("<dt>Cross-validation</dt>") == 1
    assert page.count("told apart by adapters") == 4
    assert page.count('<th class="number">Guessing</th>') == 1


async def test_it_goes_on_at_the_fold_it_was_at(tmp_path: Path, base_file: Files) -> None:
    """What stops the bot stops no fold that is done; no file is ever made that an engine serves; then all goes."""
    rows = [*make_answers(6), *make_votes(24, people=4)]
    plan = fill_run(tmp_path, base_file("llama"), rows, recipe=replace(TASTE, preference_epochs=1.0))
    outcome = Outcome(is_done=True, recipe=plan.recipe)
    begun: list[str] = []

    async def stopped(place: Path, where: str) -> Outcome:
        begun.append(where)
        if where.startswith("fold 2"):
            raise asyncio.CancelledError
        return await train_here(place, where)

    with pytest.raises(asyncio.CancelledError):
        await cross_validate(tmp_path, plan, outcome, rows, most=2, train=stopped)
    first = tmp_path / FOLDS / "1-of-2"
    done_at = (first / MARGINS).stat().st_mtime_ns
    assert not (first / ADAPTER).exists()
    assert (tmp_path / FOLDS / "2-of-2" / EXAMPLES).exists()

    async def go_on(place: Path, where: str) -> Outcome:
        assert (first / MARGINS).stat().st_mtime_ns == done_at
        return await train_here(place, where)

    found = await cross_validate(tmp_path, plan, outcome, rows, most=2, train=go_on)
    again = await cross_validate(tmp_path, plan, outcome, rows, most=2, train=stopped)

    assert begun == ["fold 1 of 2: ", "fold 2 of 2: "]
    assert [figure.n for figure in found.figures] == [24] * 4, found.sentence
    assert again == found
    assert not (tmp_path / FOLDS).exists()
    assert (tmp_path / RESULT).exists()


async def test_what_is_left_out_is_said(tmp_path: Path, base_file: Files) -> None:
    """No time, a fold that fails, and a disk that takes nothing end in words, and never the run; off is off."""
    rows = make_votes(18, people=3)
    model = base_file("llama")
    outcome = Outcome(is_done=True, seconds=300.0, recipe=SMALL)

    async def fail(_place: Path, _where: str) -> Outcome:
        return Outcome(is_done=False, reason="The loss is no longer a number at step 3.")

    async def run_late(_place: Path, _where: str) -> Outcome:
        return Outcome(is_done=True, ended_by="deadline")

    async def left_out(name: str, *, trained: Callable[..., object] = fail, most: int = 3, left_s: float = 1e4) -> str:
        plan = fill_run(tmp_path / name, model, rows, deadline=time.time() + left_s)
        found = await cross_validate(tmp_path / name, plan, outcome, rows, most=most, train=trained)  # type: ignore[arg-type]
        assert found.figures == ()
        assert not (tmp_path / name / FOLDS).exists()
        return found.sentence

    assert "left out: it would take about 15 minutes more, and 10 are left" in await left_out("short", left_s=600)
    assert "left out: The loss is no longer a number" in await left_out("astray")
    assert "left out: the time for training was over in fold 1 of 3" in await left_out("late", trained=run_late)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / FOLDS).write_text("in the way")
    assert "left out: " in await left_out_with_a_file_in_the_way(tmp_path / "full", model, rows, outcome)
    assert [await left_out(f"off-{most}", most=most) for most in (0, 1)] == ["", ""]


async def left_out_with_a_file_in_the_way(folder: Path, model: Path, rows: list[Example], outcome: Outcome) -> str:
    """Return what is said where the folds' folder cannot be made."""
    plan = fill_run(folder, model, rows)
    return (await cross_validate(folder, plan, outcome, rows, most=2, train=train_here)).sentence


def test_a_margin_is_what_torch_says_and_scoring_holds(tmp_path: Path, base_file: Files) -> None:
    """It is the mean difference of an answer's tokens; while people wait nothing is scored, and a signal ends it."""
    plain, adapted = load_base(base_file("llama")), attach_adapter(load_base(base_file("llama")))
    vote = replace(make_votes(1, people=1)[0], split=Split.TEST)
    write_examples(tmp_path / EXAMPLES, [vote, replace(vote, id="long", prompt_ids=(9,) * 500)])
    watch, pause = Watch(tmp_path, 0.0, Meter()), tmp_path / PAUSE
    pause.touch()
    scoring = threading.Thread(target=leave_margins, args=(adapted, watch), kwargs={"longest": 500})
    scoring.start()
    wait_for(lambda: (found := Progress.read(tmp_path)) and found.is_paused)
    assert not (tmp_path / MARGINS).exists()
    pause.unlink()
    scoring.join()

    text, start = torch.tensor([[*vote.prompt_ids, *vote.completion_ids]]), len(vote.prompt_ids)
    with torch.inference_mode():
        own, base = (model(text).logits[0, :-1].log_softmax(-1) for model in (adapted, plain))
    gain = (own - base).gather(1, text[0, 1:, None])[start - 1 :].mean().item()
    margins = json.loads((tmp_path / MARGINS).read_text())
    assert margins == {vote.id: [pytest.approx(gain, abs=1e-5)]}
    assert abs(gain) > 1e-3
    watch.is_stopped = True
    assert not leave_margins(adapted, watch, longest=500)
