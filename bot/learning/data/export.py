"""The data set as JSON lines that TRL and its like take: conversations as texts, chosen and cleaned as ever."""

import json
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any, TextIO

from bot.errors import LearningError
from bot.learning.data.drafts import Draft, System
from bot.learning.data.facts import open_thread
from bot.learning.data.gathering import Say, look, read_drafts
from bot.learning.data.policy import DataPolicy
from bot.learning.examples import Source
from bot.storage.db import Database

FORBIDDEN = (
    "Nobody has permitted that the workspace's conversations are learned from, so none leave the database: an admin "
    "permits it with `bot train --allow` or with `/apprentice train allow` in Slack."
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
    """Write every example of a format to *file* and return how many; raise *LearningError* without permission."""
    if not is_allowed:
        raise LearningError(FORBIDDEN)
    harvest = await look(database, policy=policy, system=system, since=since)
    count = 0
    async for draft, _ in read_drafts(database, harvest, say=say):
        for row in _rows(draft, form, system):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


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
