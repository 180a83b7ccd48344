"""The data set as JSON lines that TRL and its like take: conversations as texts, chosen and cleaned as ever."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TextIO

from bot.errors import LearningError
from bot.learning.data.drafts import Draft, System
from bot.learning.data.facts import open_thread
from bot.learning.data.gathering import Say, look, read_drafts
from bot.learning.data.points import show
from bot.learning.data.policy import DataPolicy
from bot.learning.data.report import SOURCE_WORDS
from bot.learning.examples import Source
from bot.storage.db import Database
from bot.storage.preferences import find_unseen

FORBIDDEN = (
    "Nobody has allowed yet that the workspace's conversations are learned from, so none of them leave the database: "
    "an admin can, with `/apprentice train on` in Slack."
)


class Format(StrEnum):
    """What TRL's trainers call what they train on."""

    SFT = "sft"
    DPO = "dpo"
    KTO = "kto"


async def export_dataset(
    database: Database,
    file: TextIO,
    *,
    form: Format,
    policy: DataPolicy,
    system: System,
    is_allowed: bool,
    say: Say,
    since: datetime | None = None,
) -> int:
    """Write every example of a format to *file* and return how many; raise *LearningError* without permission.

    What was taught by those alone who want none of it shown is learned, but written nowhere for people to read.
    """
    if not is_allowed:
        raise LearningError(FORBIDDEN)
    harvest = await look(database, policy=policy, system=system, since=since)
    async with database.read() as session:
        unseen = await find_unseen(session)
    count = 0
    async for draft, _ in read_drafts(database, harvest, say=say):
        if draft.is_fact and unseen.issuperset(draft.said_by):
            continue
        for row in _rows(draft, form, system):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a training would learn from, in signals, and what it would leave out."""

    signals: Mapping[str, int]
    left_out: Mapping[str, int]
    redacted: Mapping[str, int]
    points: float
    points_needed: float
    people: int
    notes: tuple[str, ...]

    def render(self, *, is_allowed: bool) -> list[str]:
        """Return the survey as lines for a terminal."""
        people = "1 person" if self.people == 1 else f"{self.people} people"
        lines = [
            f"{show(self.points)} of {show(self.points_needed)} points, by {people}."
            + ("" if is_allowed else " Nobody has allowed learning yet.")
        ]
        for title, counts in (("kept", self.signals), ("left out", self.left_out), ("redacted", self.redacted)):
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            lines += [f"  {title:<9} {count:>6}  {what}" for what, count in ordered]
        return [*lines, *self.notes]


async def survey(
    database: Database, *, policy: DataPolicy, system: System, say: Say, since: datetime | None = None
) -> Survey:
    """Read everything as for a training, without an engine, and count it."""
    harvest = await look(database, policy=policy, system=system, since=since)
    signals: Counter[str] = Counter()
    people: set[str] = set()
    points = 0.0
    async for draft, _ in read_drafts(database, harvest, say=say):
        signals[SOURCE_WORDS[draft.chosen.source]] += len(draft.chosen.signals)
        people |= set() if draft.chosen.source is Source.IMPLICIT else {one.user_id for one in draft.chosen.signals}
        points += draft.chosen.points(policy.points)
    return Survey(
        signals=signals,
        left_out=harvest.left_out,
        redacted=harvest.redacted,
        points=points,
        points_needed=policy.least_points,
        people=len(people),
        notes=harvest.choice.notes,
    )


def _rows(draft: Draft, form: Format, system: System) -> Iterator[dict[str, Any]]:
    source = draft.chosen.source
    prompt = list(draft.messages)
    if form is Format.SFT and draft.is_fact:
        prompt = open_thread(system, draft.asked_at.astimezone().date(), draft.question)
    if form is Format.SFT and source in {Source.CORRECTION, Source.LIKED}:
        yield {"prompt": prompt, "completion": _answer(draft.answer)}
    if form is Format.DPO and draft.rejected:
        yield {"prompt": prompt, "chosen": _answer(draft.answer), "rejected": _answer(draft.rejected)}
    if form is Format.KTO and source in {Source.LIKED, Source.DISLIKED}:
        yield {"prompt": prompt, "completion": _answer(draft.answer), "label": source is Source.LIKED}


def _answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
