"""Nothing that belongs together is trained on and tested on, and nothing moves in a later night."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.learning.data.duplicates import Forest, Likeness
from bot.learning.data.policy import DataPolicy
from bot.learning.data.splitting import BY_THREAD, Item, place
from bot.learning.examples import Split

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
PLAIN = DataPolicy(tail_share=0.0)


def item(thread: int, person: int, like: int, *, is_fact: bool = False, minute: int = 0) -> Item:
    """Build an item."""
    return Item(
        thread_id=f"{thread:03d}",
        people=(f"U{person}",),
        like=f"{like:03d}",
        is_fact=is_fact,
        asked_at=BEGAN + timedelta(minutes=minute),
    )


items = st.lists(
    st.builds(
        item,
        st.integers(0, 60),
        st.integers(0, 40),
        st.integers(0, 80),
        is_fact=st.booleans(),
        minute=st.integers(0, 9999),
    ),
    max_size=120,
)


@given(items)
@settings(max_examples=60, deadline=None)
def test_threads_and_like_questions_stay_on_one_side(found: list[Item]) -> None:
    """Whatever people say, a thread and a group of nearly equal questions are in one split; facts are trained on."""
    placed = place(found, DataPolicy())
    sides = defaultdict(set)
    for one, split, group in zip(found, placed.splits, placed.groups, strict=True):
        sides["thread", one.thread_id].add(split)
        sides["like", one.like].add(split)
        sides["group", group].add(split)

    assert all(len(splits) == 1 for splits in sides.values())
    assert all(split is Split.TRAIN for one, split in zip(found, placed.splits, strict=True) if one.is_fact)


@given(items)
@settings(max_examples=60, deadline=None)
def test_people_stay_on_one_side_or_it_is_said(found: list[Item]) -> None:
    """What is not taught is held apart by person too; where too few asked for that, the report says so."""
    placed = place(found, DataPolicy())
    threads = Forest()
    for one in found:
        threads.join(f"t{one.thread_id}", f"l{one.like}")
    taught = {threads.find(f"t{one.thread_id}") for one in found if one.is_fact}
    sides = defaultdict(set)
    for one, split in zip(found, placed.splits, strict=True):
        if threads.find(f"t{one.thread_id}") not in taught:
            sides[one.people].add(split)

    assert placed.notes == (BY_THREAD,) or all(len(splits) == 1 for splits in sides.values())


def test_a_team_of_many_is_split_by_person() -> None:
    """A hundred people who ask in their own threads leave a fifth of them to test on."""
    found = [item(thread, thread // 3, thread) for thread in range(300)]
    placed = place(found, PLAIN)
    tested = {one.people for one, split in zip(found, placed.splits, strict=True) if split is Split.TEST}

    assert placed.notes == ()
    assert 10 <= len(tested) <= 30


def test_nothing_moves_in_a_later_night() -> None:
    """New threads change nothing about where the old ones are."""
    old = [item(thread, thread, thread) for thread in range(200)]
    new = [item(thread, thread, thread) for thread in range(200, 300)]

    assert place([*old, *new], PLAIN).splits[:200] == place(old, PLAIN).splits


def test_the_newest_threads_are_only_tested_on() -> None:
    """What came last is the nearest to what will be asked next."""
    found = [item(thread, thread, thread, minute=thread) for thread in range(200)]
    placed = place(found, DataPolicy(tail_share=0.1))

    assert set(placed.splits[-20:]) == {Split.TEST}
    assert Split.TRAIN in placed.splits[:-20]


def test_nearly_the_same_is_found_and_other_things_are_not() -> None:
    """Case, spaces and a word more or less do not make another question; another subject does."""
    likeness = Likeness(0.85)
    base = "How do I hand in my expenses for a journey that I made last month with a colleague of mine?"
    first, is_repeated = likeness.add(
        base, "In the portal, under Journeys, before the tenth of the month.", kind="liked"
    )
    assert not is_repeated
    again, is_repeated = likeness.add(
        base.upper().replace("  ", " ") + "?",
        "In the portal, under Journeys, before the tenth of the month!",
        kind="liked",
    )
    assert is_repeated
    third, is_repeated = likeness.add(base, "Ask Maya, she knows how it is done and when.", kind="liked")
    assert not is_repeated
    other, _ = likeness.add("Where is the key of the bicycle cellar?", "With Maya.", kind="liked")

    assert likeness.group(first) == likeness.group(again) == likeness.group(third)
    assert likeness.group(other) != likeness.group(first)
