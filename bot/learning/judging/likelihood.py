"""What the models' own probabilities say: of liked and corrected answers, of preferences, of the base's words."""

import asyncio
import math
from collections.abc import Sequence

import numpy as np

from bot.language import N_
from bot.learning.examples import Example, Source, Split, Use
from bot.learning.figures import Figure, Role
from bot.learning.judging.contest import Contest, compare_rows, note_few, pair_of
from bot.learning.judging.declaring import PAIRS
from bot.learning.judging.intervals import bootstrap, mean_of, shuffle_labels
from bot.learning.judging.measures import area_of, calibration_error, rank, rank_area, without_length
from bot.learning.judging.people import leave_out_people, leave_out_voters
from bot.learning.judging.scoring import Floats
from bot.learning.proof.scores import measure_divergence

OWN_WORDS = {Source.REGENERATED, Source.COMPARED}  # both answers are a model's, so their style says nothing
DRIFT_PROMPTS = 24
MOST_ROWS = 400
FEWEST_GROUPS = 8


def held_out(examples: Sequence[Example]) -> list[Example]:
    """Return the examples that nothing was trained or chosen by."""
    return [example for example in examples if example.split is Split.TEST and example.source is not Source.CANARY]


def liked_answers(examples: Sequence[Example]) -> list[Example]:
    """Return one example for each held-out answer that was liked or given as a correction."""
    good = {
        (example.prompt_ids, example.completion_ids): example
        for example in held_out(examples)
        if example.source is not Source.REHEARSAL and (example.use is not Use.THUMB or example.is_liked)
    }
    return list(good.values())[:MOST_ROWS]


async def judge_liked(contest: Contest, examples: Sequence[Example]) -> list[Figure]:
    """How well held-out good answers are expected, in nats a token; and perplexity, which says the same."""
    rows = liked_answers(examples)
    if not rows:
        return []
    texts = [pair_of(row) for row in rows]
    own, other = [
        np.array([-logs.mean() for logs in await contest.log_probs(texts, model=model)]) for model in contest.both
    ]
    loss = compare_rows(
        "liked_nll",
        N_("Surprise at held-out liked and corrected answers"),
        Role.GUARD,
        candidate=own,
        incumbent=other,
        groups=[row.group for row in rows],
        seed=contest.seed,
        is_higher_better=False,
        unit="nats a token",
    )
    perplexity = Figure(
        metric="perplexity",
        label=N_("Perplexity of the same answers"),
        role=Role.NOTE,
        candidate=math.exp(loss.candidate),
        incumbent=math.exp(loss.incumbent),
        n=loss.n,
        is_higher_better=False,
    )
    return [loss, perplexity]


async def judge_own_answers(contest: Contest, examples: Sequence[Example]) -> list[Figure]:
    """Whether each corrected question gains its own answer more than another question's.

    The plain likelihood of corrections also grows when only their style was learned; this does not.
    """
    taught = {Source.CORRECTION, Source.PHRASING}
    rows = [row for row in held_out(examples) if row.source in taught and row.use is Use.SFT][:MOST_ROWS]
    by_group = {row.group: row for row in rows}
    order = sorted(by_group)
    if len(order) < 2:
        return []
    next_group = dict(zip(order, [*order[1:], order[0]], strict=True))
    own = [pair_of(row) for row in rows]
    others = [(row.prompt_ids, by_group[next_group[row.group]].completion_ids) for row in rows]
    values = []
    for model in contest.both:
        right, wrong = await asyncio.gather(contest.margins(own, model=model), contest.margins(others, model=model))
        values.append(_beats(right - wrong))
    label = N_("The taught answer gains more than another question's answer")
    return [compare_gains("right_answer", label, rows, *values, seed=contest.seed)]


async def judge_pairs(contest: Contest, examples: Sequence[Example]) -> list[Figure]:
    """Whether the preferred of two answers of the model itself gains more than the other."""
    rows = [row for row in held_out(examples) if row.use is Use.PAIR and row.source in OWN_WORDS][:MOST_ROWS]
    if not rows:
        return []
    chosen, rejected = [pair_of(row) for row in rows], [(row.prompt_ids, row.rejected_ids) for row in rows]
    values = []
    for model in contest.both:
        better, worse = await asyncio.gather(
            contest.margins(chosen, model=model), contest.margins(rejected, model=model)
        )
        values.append(_beats(better - worse))
    label = N_("The preferred of two answers gains more")
    return [compare_gains(PAIRS, label, rows, *values, seed=contest.seed)]


def compare_gains(metric: str, label: str, rows: Sequence[Example], own: Floats, other: Floats, *, seed: int) -> Figure:
    """Return the share of rows that gain more than their rival, beside the incumbent's."""
    groups, gain = voted_on(rows), mean_of(own - other)
    if metric == PAIRS:
        left = leave_out_voters(gain, rows, groups, seed=seed)
    else:
        left = leave_out_people(gain, [row.people for row in rows], groups, seed=seed)
    return compare_rows(
        metric,
        label,
        Role.BENEFIT,
        candidate=own,
        incumbent=other,
        groups=groups,
        seed=seed,
        unit="share",
        details=left | {"accuracy": float(own.mean())},
    )


async def judge_thumbs(contest: Contest, examples: Sequence[Example]) -> list[Figure]:
    """Whether liked answers gain more than disliked ones (AUC), with and without what length explains."""
    rows = [row for row in held_out(examples) if row.use is Use.THUMB][:MOST_ROWS]
    good = np.array([bool(row.is_liked) for row in rows], np.bool_)
    if not rows or good.all() or not good.any():
        return []
    texts = [pair_of(row) for row in rows]
    own, other = [await contest.margins(texts, model=model) for model in contest.both]
    errors = []
    for model in contest.both:
        chances = [math.exp(float(logs.mean())) for logs in await contest.log_probs(texts, model=model)]
        errors.append(calibration_error(chances, good.tolist()))
    calibration = Figure(
        metric="calibration",
        label=N_("Distance of sureness from being liked (ECE)"),
        role=Role.NOTE,
        candidate=errors[0],
        incumbent=errors[1],
        n=len(rows),
        is_higher_better=False,
    )
    return [compare_thumbs(rows, own, other, seed=contest.seed), calibration]


def compare_thumbs(rows: Sequence[Example], own: Floats, other: Floats, *, seed: int) -> Figure:
    """Return how well the margins of candidate and incumbent tell liked from disliked answers."""
    good, groups = np.array([bool(row.is_liked) for row in rows], np.bool_), voted_on(rows)
    ours, theirs = area_of(own, good), area_of(other, good)

    def gain(drawn: Floats) -> Floats:
        return ours(drawn) - theirs(drawn)

    interval = bootstrap(gain, groups, seed=seed)
    lengths = np.array([len(row.completion_ids) for row in rows], np.float64)
    shuffled = shuffle_labels(rank(own) - rank(other), good)
    fewest = 0.5 ** len(set(groups))  # nothing is rarer by luck
    return Figure(
        metric="thumbs_auc",
        label=note_few(N_("Liked answers gain more than disliked ones (AUC)"), interval.clusters),
        role=Role.BENEFIT,
        candidate=rank_area(own, good),
        incumbent=rank_area(other, good),
        n=len(rows),
        low=interval.low,
        high=interval.high,
        details=interval.describe()
        | {"p": max(interval.p, shuffled, fewest), "without_length": rank_area(without_length(own, lengths), good)}
        | leave_out_voters(gain, rows, groups, seed=seed),
    )


def voted_on(rows: Sequence[Example]) -> list[str]:
    """Return what a bootstrap draws: groups, or single questions where whole people are held out as a few groups.

    Then the figure is about these people's taste; whether it hangs on some of them is asked by leaving them out.
    """
    groups = [row.group for row in rows]
    is_few = len(set(groups)) < FEWEST_GROUPS and not any(group.startswith("fact:") for group in groups)
    return [str(row.prompt_ids) for row in rows] if is_few else groups


async def judge_drift(contest: Contest, answers: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Figure]:
    """How far the models are from the base on the base's own answers: a lower bound of the divergence."""
    rows = [row for row in answers if len(row[1]) > 1][:DRIFT_PROMPTS]
    if not rows:
        return []
    scored = {
        model: await asyncio.gather(*(contest.scorer.scores(*row, model=model) for row in rows))
        for model in dict.fromkeys((contest.base, *contest.both))
    }
    own, other = [
        [
            float(np.mean(measure_divergence([left], [right], shared_with=())))
            for left, right in zip(scored[contest.base], scored[model], strict=True)
        ]
        for model in contest.both
    ]
    return [
        compare_rows(
            "drift",
            N_("Distance from the base on its own answers"),
            Role.GUARD,
            candidate=own,
            incumbent=other,
            groups=[str(number) for number in range(len(rows))],
            seed=contest.seed,
            is_higher_better=False,
            unit="nats a token",
        )
    ]


def _beats(differences: Floats) -> Floats:
    """Return 1 for what is ahead, 0 for what is behind, a half for what is level."""
    return (np.sign(differences) + 1) / 2
