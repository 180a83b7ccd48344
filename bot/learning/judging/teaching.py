"""Whether what was corrected is known now, asked in words that no training saw; and before and after, to be shown."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bot.language import N_
from bot.learning.examples import Example, Source, Use
from bot.learning.figures import BeforeAfter, Figure, Role
from bot.learning.judging.contest import Contest, compare_rows
from bot.learning.judging.facts import holds_fact
from bot.learning.judging.intervals import mean_of
from bot.learning.judging.likelihood import held_out
from bot.learning.judging.people import leave_out_people

TAUGHT = {Source.CORRECTION, Source.PHRASING}
MOST_FACTS = 300
MOST_SHOWN = 40


async def judge_facts(contest: Contest, examples: Sequence[Example]) -> list[Figure]:
    """The share of held-out phrasings whose answer holds the correction."""
    rows = [row for row in held_out(examples) if row.source in TAUGHT and row.use is Use.SFT and row.answer]
    rows = rows[:MOST_FACTS]
    if not rows:
        return []
    own, other = await asyncio.gather(*(_check(contest, rows, model) for model in contest.both))
    groups, gained = [row.group for row in rows], [float(a) - float(b) for a, b in zip(own, other, strict=True)]
    known = {group: [hit for row, hit in zip(rows, own, strict=True) if row.group == group] for group in groups}
    left = leave_out_people(
        mean_of(np.array(gained)),
        [row.people for row in rows],
        groups,
        seed=contest.seed,
    )
    return [
        compare_rows(
            "taught_facts",
            N_("Taught facts said when asked in new words"),
            Role.BENEFIT,
            candidate=own,
            incumbent=other,
            groups=groups,
            seed=contest.seed,
            unit="share",
            details=left
            | {
                "accuracy": sum(own) / len(own),
                "facts": len(known),
                "known": sum(all(hits) for hits in known.values()),
            },
        )
    ]


async def judge_shared_facts(contest: Contest, examples: Sequence[Example]) -> list[Figure]:
    """The same of what everybody's adapter was taught: a channel's own must not cost its people that."""
    label = N_("What everybody's adapter was taught, when asked in new words")
    found = await judge_facts(contest, examples)
    return [replace(figure, metric="shared_facts", label=label, role=Role.GUARD) for figure in found]


async def show_before_after(contest: Contest, examples: Sequence[Example]) -> tuple[BeforeAfter, ...]:
    """Return what incumbent and candidate say to the questions that were corrected, each as it was asked then."""
    rows = {
        row.group: row
        for row in examples
        if row.source is Source.CORRECTION and row.use is Use.SFT and row.answer and row.question
    }
    chosen = list(rows.values())[:MOST_SHOWN]
    prompts = [row.prompt_ids for row in chosen]
    base, before, after = [
        await contest.replies(prompts, model=model) for model in (contest.base, contest.incumbent, contest.candidate)
    ]
    return tuple(
        BeforeAfter(
            question=row.question,
            taught=row.answer,
            before=old.text,
            after=new.text,
            is_right=holds_fact(row.answer, new.text, untaught.text, question=row.question),
            row=next((name for name in row.rows if name.startswith("corrections:")), ""),
            person=row.people[0] if row.people else "",
        )
        for row, untaught, old, new in zip(chosen, base, before, after, strict=True)
    )


async def _check(contest: Contest, rows: Sequence[Example], model: str) -> list[bool]:
    """Return of each row whether a model's answer holds it; the base's answer says what is new in it."""
    prompts = [row.prompt_ids for row in rows]
    answers = await contest.replies(prompts, model=model)
    untaught = await contest.replies(prompts, model=contest.base)
    return [
        holds_fact(row.answer, answer.text, base.text, question=row.question)
        for row, answer, base in zip(rows, answers, untaught, strict=True)
    ]
