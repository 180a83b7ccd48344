"""Taste: after thumbs that dislike long answers, are new answers shorter, and still right?

    python -m benchmarks.taste               # five minutes on two free cores
    python -m benchmarks.taste --votes 60    # fewer

People like an answer's first sentence and dislike the whole of it, on a part of the starter's own questions. The
product's trainer learns from these votes by the product's own recipe; questions that nobody voted on are asked before
and after. An answer is right if its first sentence says what the starter's own first sentence said.
"""

import argparse
import asyncio
import dataclasses
import statistics
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from benchmarks.goal_line import print_goal
from benchmarks.processes import STARTER as MODEL
from benchmarks.processes import serve_starter
from benchmarks.recall import BREADTH, PARAMETERS, train
from benchmarks.refusals import SYSTEM, Answered, answer_pool
from bot.engine.client import EngineClient
from bot.engine.files.checksum import hash_model
from bot.learning.data.rehearsal import rehearse
from bot.learning.examples import Example, Source, Split, Use, write_examples
from bot.learning.judging.contest import Contest
from bot.learning.judging.facts import agreement
from bot.learning.judging.scoring import Reply, Scorer
from bot.learning.plan import ADAPTER, EXAMPLES, PROOF_TEXTS, Plan, write_json
from bot.learning.training.recipe import choose_recipe

ALIKE = 0.8  # of the words of a sentence, for it to say the same


def vote(pool: Sequence[Answered], *, seed: int) -> list[Example]:
    """Return each question's short answer liked and its whole answer disliked, one of the two by each person."""
    rng, rows = Random(seed), []
    for number, answered in enumerate(pool):
        is_liked = rng.random() < 0.5
        given = answered.short if is_liked else answered.whole
        source = Source.LIKED if is_liked else Source.DISLIKED
        split = Split.VALIDATION if number % 10 == 0 else Split.TRAIN
        row = dataclasses.replace(given, group=f"g{number}", source=source, split=split)
        rows.append(dataclasses.replace(row, id=f"t{number}", use=Use.THUMB, is_liked=is_liked))
        if is_liked:
            rows.append(dataclasses.replace(row, id=f"s{number}"))
    return rows


async def rehearsal(client: EngineClient, votes: Sequence[Example], *, seed: int) -> list[Example]:
    """Return the base's own answers, as many as the bot puts beside so many liked ones."""
    liked = sum(row.use is Use.SFT for row in votes)
    count = round(liked * BREADTH.rehearsal_share / (1 - BREADTH.rehearsal_share))
    found = await rehearse(client, model=MODEL.stem, system=SYSTEM, count=count, seed=seed)
    return [
        Example(
            id=f"r{number}",
            use=Use.SFT,
            source=Source.REHEARSAL,
            split=Split.TRAIN,
            group=f"r{number}",
            prompt_ids=one.prompt_ids,
            completion_ids=one.completion_ids,
        )
        for number, one in enumerate(found)
    ]


def write_run(folder: Path, votes: Sequence[Example], *, seed: int) -> None:
    """Write the run folder as the bot writes it, with the recipe that it would choose."""
    counts = Counter(str(row.source) for row in votes)
    recipe = choose_recipe(parameters=PARAMETERS, rows=counts)
    write_examples(folder / EXAMPLES, votes)
    write_json(folder / PROOF_TEXTS, [[*votes[0].prompt_ids, *votes[0].completion_ids]])
    base = hash_model(MODEL)
    Plan(
        run_id="taste",
        model_path=str(MODEL),
        base_sha256=base,
        template_sha256="",
        dataset_sha256="",
        recipe=recipe,
        seed=seed,
    ).write(folder)
    print(f"votes: {counts}\nrecipe: {recipe}", flush=True)


def is_right(reply: Reply, answered: Answered) -> bool:
    """Whether the first sentence of an answer says what the starter's own first sentence said."""
    return agreement(reply.text.partition(". ")[0], answered.short.answer) >= ALIKE


async def measure(folder: Path, *, votes: int, held_out: int, seed: int) -> None:
    """Learn from the votes and ask what nobody voted on."""
    async with serve_starter(folder) as client:
        pool = await answer_pool(client)
        Random(seed).shuffle(pool)
        asked, learned = pool[:held_out], pool[held_out : held_out + votes]
        rows = vote(learned, seed=seed)
        write_run(folder, [*rows, *await rehearsal(client, rows, seed=seed)], seed=seed)
        outcome = await train(folder)
        await client.load_adapter("taste", folder / ADAPTER)
        async with Scorer(client, system=SYSTEM) as scorer:
            contest = Contest(scorer=scorer, candidate="taste", incumbent=MODEL.stem, base=MODEL.stem, seed=seed)
            prompts = [one.whole.prompt_ids for one in asked]
            before, after = [await contest.replies(prompts, model=name) for name in (MODEL.stem, "taste")]
    lengths = [statistics.median(reply.length for reply in replies) for replies in (before, after)]
    right = [
        sum(is_right(reply, one) for reply, one in zip(replies, asked, strict=True)) for replies in (before, after)
    ]
    print(f"training: {outcome.seconds:.0f} s, {outcome.tokens_per_second:,.0f} tokens/s; {'; '.join(outcome.notes)}")
    print(f"{len(asked)} new questions: right {right[0]} before, {right[1]} after")
    share = lengths[1] / lengths[0]
    print_goal(
        f"median length {lengths[0]:.0f} -> {lengths[1]:.0f} tokens, {share:.2f} of before", "≤ 0.5", share <= 0.5
    )
    print_goal(f"right on new questions {right[0]} -> {right[1]} of {len(asked)}", "not fewer", right[1] >= right[0])


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=int, default=120, help="questions that somebody votes on")
    parser.add_argument("--held-out", type=int, default=60, help="questions that are asked before and after")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="taste-") as folder:
        asyncio.run(measure(Path(folder), votes=chosen.votes, held_out=chosen.held_out, seed=chosen.seed))


if __name__ == "__main__":
    main()
