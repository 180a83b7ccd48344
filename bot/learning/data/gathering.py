"""From the database to drafts, newest first: chosen, cleaned, without repetitions. Reads in small lots."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bot.language import N_
from bot.learning.data.choosing import Choice, Chosen, choose
from bot.learning.data.drafts import Desk, Draft, System, write_draft
from bot.learning.data.duplicates import Likeness
from bot.learning.data.eligibility import find_bar
from bot.learning.data.policy import DataPolicy
from bot.learning.data.reviewed import find_edited, sift
from bot.learning.data.shelf import Shelf
from bot.learning.data.trust import Standing
from bot.storage.admin_tables import APPROVED
from bot.storage.choices import OptedOut, load_opted_out
from bot.storage.db import Database, Session
from bot.storage.grounds import load_grounds
from bot.storage.material import load_corrections, load_material, load_sharings, load_turns
from bot.storage.newcomers import find_established
from bot.storage.reviews import Review, load_reviews
from bot.storage.signals import (
    CORRECTIONS,
    REVIEWS,
    count_people,
    stream_corrections,
    stream_pairs,
    stream_signs,
    stream_votes,
)

LOT = 200
REPEATED = N_("nearly the same as another that is newer")
Say = Callable[[str, int, int], None]


@dataclass(slots=True)
class Harvest:
    """What is being gathered: its counts grow while the drafts are read."""

    policy: DataPolicy
    system: System
    since: datetime
    choice: Choice
    without: OptedOut
    people_used: int
    left_out: Counter[str]
    redacted: Counter[str] = field(default_factory=Counter)
    edits: Mapping[str, Review] = field(default_factory=dict)  # what reviewers made of corrections, by their ids
    likeness: Likeness = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing read."""
        self.likeness = Likeness(self.policy.duplicate_threshold)


async def look(
    database: Database, *, policy: DataPolicy, system: System, since: datetime | None, until: datetime | None = None
) -> Harvest:
    """Choose among all that was said since a moment, at most as old as the policy has it."""
    begin = since or (until or datetime.now(UTC)) - timedelta(days=policy.window_days)
    signs = [stream_signs] if policy.uses_signs else []
    async with database.read() as session:
        without = await load_opted_out(session)
        used = await count_people(session, most=policy.least_people, channel_id=policy.only_channel)
        signals = [
            [
                signal
                async for signal in stream(
                    session, since=begin, most=policy.most_signals, channel_id=policy.only_channel
                )
            ]
            for stream in (stream_corrections, stream_pairs, stream_votes, *signs)
        ]
        reviews = await load_reviews(session, without=without.people)
        standing = await _look_at_people(session, policy, reviews, until=until or datetime.now(UTC))
    left_out: Counter[str] = Counter()
    signals[0] = sift(
        signals[0],
        reviews,
        is_needed=policy.needs_review,
        is_barred=lambda signal: bool(find_bar(signal, policy=policy, without=without)),
        left_out=left_out,
    )
    choice = await asyncio.to_thread(choose, *signals, policy=policy, without=without, standing=standing)
    left_out.update(choice.left_out)
    return Harvest(policy, system, begin, choice, without, used, left_out, edits=find_edited(reviews))


async def _look_at_people(
    session: Session, policy: DataPolicy, reviews: Mapping[str, Review], *, until: datetime
) -> Standing:
    """Return what reviewers approved, and who has been here for long, where that counts."""
    approved = frozenset(row_id for row_id, one in reviews.items() if one.state in APPROVED)
    if policy.trust is None:
        return Standing(approved=approved)
    before = until - timedelta(days=policy.trust.newcomer_days)
    return Standing(await find_established(session, before=before), approved)


async def read_drafts(database: Database, harvest: Harvest, *, say: Say) -> AsyncIterator[tuple[Draft, str]]:
    """Yield each draft with the group of its question, the newest first."""
    ordered = sorted(
        harvest.choice.chosen, key=lambda one: (one.newest.created_at, one.newest.row_id, one.source), reverse=True
    )
    desk = Desk(policy=harvest.policy, without=harvest.without, system=harvest.system, redacted=harvest.redacted)
    for start in range(0, len(ordered), LOT):
        lot = ordered[start : start + LOT]
        shelf = await _fetch(database, lot, harvest.edits)
        for one in await asyncio.to_thread(_write_lot, lot, shelf, desk, harvest):
            yield one
        say("reading", min(start + LOT, len(ordered)), len(ordered))


def _write_lot(lot: Sequence[Chosen], shelf: Shelf, desk: Desk, harvest: Harvest) -> list[tuple[Draft, str]]:
    """Write a lot of drafts and count what is left out; in a thread, so that nobody who chats waits for it."""
    found = []
    for chosen in lot:
        draft = write_draft(chosen, shelf, desk)
        if isinstance(draft, str):
            harvest.left_out[draft] += 1
            continue
        answers = f"{draft.answer}\n{draft.rejected}"
        name, is_repeated = harvest.likeness.add(draft.question, answers, kind=chosen.source)
        if is_repeated and not draft.is_fact:
            harvest.left_out[REPEATED] += 1
        else:
            found.append((draft, name))
    return found


async def _fetch(database: Database, lot: Sequence[Chosen], edits: Mapping[str, Review]) -> Shelf:
    """Read what a lot of drafts is made of."""
    newest = [chosen.newest for chosen in lot]
    answers = {answer for signal in newest for answer in (signal.answer_id, signal.other_id) if answer}
    threads = {signal.thread_id for signal in newest}
    async with database.read() as session:
        corrections = await load_corrections(
            session, [signal.row_id for signal in newest if signal.table == CORRECTIONS]
        )
        return Shelf(
            answers=await load_material(session, answers),
            turns=await load_turns(session, threads),
            sharings=await load_sharings(session, threads),
            grounds=await load_grounds(session, threads),
            corrections={
                row_id: edits[row_id].text if row_id in edits else text for row_id, text in corrections.items()
            },
            edited={
                row_id: (REVIEWS, edits[row_id].words_id, edits[row_id].writer_id)
                for row_id in corrections.keys() & edits.keys()
            },
        )
