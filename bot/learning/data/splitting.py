"""Who is trained on and who is tested on: nothing that belongs together is torn apart. Pure.

What a person taught is trained on, with everything of its thread and every question like it; held out of it are only
some of its phrasings. All else is split by a hash, so that nothing moves from one side to the other in a later night.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from bot.learning.data.duplicates import Forest
from bot.learning.data.policy import DataPolicy
from bot.learning.examples import Split

BY_THREAD = (
    "The same people are trained on and tested on: too few asked to hold some of them out. Threads are held out."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to learn, as far as a split must know it; *like* is the group of questions that are nearly the same."""

    thread_id: str
    people: tuple[str, ...]
    like: str
    is_fact: bool
    is_liked: bool = False
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Placed:
    """Where things went: a split and a group for each, and what has to be said about it."""

    splits: tuple[Split, ...]
    groups: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Threads:
    """Threads that must stay on one side; a group has the name of its oldest thread."""

    def __init__(self) -> None:
        self._forest = Forest()
        self._first: dict[Hashable, str] = {}

    def tie(self, thread_id: str, reason: Hashable) -> None:
        """Keep a thread with all others that have the same *reason*."""
        self._forest.join(thread_id, self._first.setdefault(reason, thread_id))

    def find(self, thread_id: str) -> str:
        """Return the group of a thread."""
        return self._forest.find(thread_id)


def place(items: Sequence[Item], policy: DataPolicy) -> Placed:
    """Place every item; people are held apart as well where that leaves enough to train and to test on."""
    threads = _join(items)
    taught = {threads.find(item.thread_id) for item in items if item.is_fact}
    free = [item for item in items if threads.find(item.thread_id) not in taught]
    people = _join(free, with_people=True)
    by_person = _spread(free, people, policy)
    sizes = Counter(by_person[people.find(item.thread_id)] for item in free)
    is_apart = sizes[Split.TRAIN] >= len(free) / 2 and sizes[Split.TEST] > 0
    forest = people if is_apart else threads
    where = by_person if is_apart else _spread(free, forest, policy)

    def split_of(item: Item) -> tuple[Split, str]:
        if threads.find(item.thread_id) in taught:
            return Split.TRAIN, threads.find(item.thread_id)
        group = forest.find(item.thread_id)
        return where[group], group

    placed = [split_of(item) for item in items]
    return Placed(
        tuple(split for split, _ in placed),
        tuple(f"thread:{group}" for _, group in placed),
        () if is_apart or not free else (BY_THREAD,),
    )


def _join(items: Sequence[Item], *, with_people: bool = False) -> Threads:
    threads = Threads()
    for item in items:
        threads.tie(item.thread_id, ("like", item.like))
        for person in item.people if with_people else ():
            threads.tie(item.thread_id, ("person", person))
    return threads


def _spread(items: Sequence[Item], threads: Threads, policy: DataPolicy) -> dict[str, Split]:
    """Return the split of each group: by its hash, and the newest ones are only tested on."""
    oldest: dict[str, datetime] = {}
    for item in items:
        group = threads.find(item.thread_id)
        oldest[group] = min(item.asked_at, oldest.get(group, item.asked_at))
    times = sorted(item.asked_at for item in items)
    tail = times[int(len(times) * (1 - policy.tail_share))] if times and policy.tail_share > 0 else None
    return {
        group: Split.TEST if tail and since >= tail and len(oldest) > 1 else by_hash(group, policy)
        for group, since in oldest.items()
    }


def by_hash(name: str, policy: DataPolicy) -> Split:
    """Return the split that a name has in every night."""
    place = int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) / 2**64
    if place < policy.test_share:
        return Split.TEST
    return Split.VALIDATION if place < policy.test_share + policy.validation_share else Split.TRAIN
