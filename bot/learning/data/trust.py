"""Whose word counts how far: against few people who would bend what everybody gets. Pure.

What a reviewer has approved has the word of a second person, and is let through.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.language import N_
from bot.learning.data.policy import Trust
from bot.storage.signals import CORRECTIONS, PAIRS, Signal

NEW_HERE = N_("its author is new here, and no reviewer has approved it yet")
CONTRARY = N_("put aside: its author nearly always votes against all others")
TOO_FAST = N_("one person gave more within a week than one person may")
ONE_MESSAGE = N_("one message gave more answers to learn from than one may")


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known beside the signals: who has been here for long (None: nobody has), which rows were approved."""

    established: frozenset[str] | None = None
    approved: frozenset[str] = frozenset()


def keep_trusted(
    signals: Sequence[Signal], *, trust: Trust, standing: Standing, left_out: Counter[str]
) -> list[Signal]:
    """Return what counts of *signals*, in their order, which says what is kept of too many."""
    contrary = find_contrary(signals, trust)
    weeks: Counter[tuple[str, int]] = Counter()
    answers: dict[str, set[str]] = defaultdict(set)
    kept = []
    for signal in signals:
        bar = ""
        if signal.row_id not in standing.approved:
            bar = _find_doubt(signal, standing.established, contrary)
            bar = bar or _find_excess(signal, trust, weeks, answers)
        if bar:
            left_out[bar] += 1
        else:
            kept.append(signal)
    return kept


def find_contrary(signals: Iterable[Signal], trust: Trust) -> set[str]:
    """Return whoever votes against the majority of all others nearly always, of answers that others voted on too.

    Whoever prefers one answer to another has voted for the one and against the other.
    """
    votes: dict[str, dict[str, bool]] = defaultdict(dict)
    for signal in signals:
        if signal.is_liked is not None:
            votes[signal.answer_id][signal.user_id] = signal.is_liked
        elif signal.table == PAIRS:
            votes[signal.answer_id][signal.user_id] = True
            votes[signal.other_id].setdefault(signal.user_id, False)
    shared: Counter[str] = Counter()
    against: Counter[str] = Counter()
    for by_person in votes.values():
        likes = sum(by_person.values())
        for person, is_liked in by_person.items():
            lead = 2 * (likes - is_liked) - (len(by_person) - 1)  # of likes over dislikes, among all others
            if lead:
                shared[person] += 1
                against[person] += is_liked != (lead > 0)
    return {
        person
        for person, count in shared.items()
        if count >= trust.least_shared and against[person] >= trust.most_against * count
    }


def is_outvoted(same: Sequence[Signal], opposite: Collection[Signal], votes: Mapping[str, list[Signal]]) -> bool:
    """Whether as many people say the opposite of a preference: by one of their own, or by thumbs on its two answers."""
    chosen, rejected = same[0].answer_id, same[0].other_id
    thumbs = [*((vote, True) for vote in votes.get(chosen, ())), *((vote, False) for vote in votes.get(rejected, ()))]
    people = {signal.user_id for signal in same}
    against = {signal.user_id for signal in opposite}
    people |= {vote.user_id for vote, is_good in thumbs if vote.is_liked is is_good}
    against |= {vote.user_id for vote, is_good in thumbs if vote.is_liked is not is_good}
    return len(against - people) >= len(people - against)


def _find_doubt(signal: Signal, established: frozenset[str] | None, contrary: Collection[str]) -> str:
    if established is not None and signal.user_id not in established:
        return NEW_HERE
    return CONTRARY if signal.user_id in contrary else ""


def _find_excess(signal: Signal, trust: Trust, weeks: Counter[tuple[str, int]], answers: dict[str, set[str]]) -> str:
    """Count a signal, and return why it is one too many; empty: it is not."""
    if signal.table != CORRECTIONS and signal.answer_id not in answers[signal.message_id]:
        if len(answers[signal.message_id]) >= trust.message_cap:
            return ONE_MESSAGE
        answers[signal.message_id].add(signal.answer_id)
    week = signal.user_id, signal.created_at.date().toordinal() // 7
    if weeks[week] >= trust.week_cap:
        return TOO_FAST
    weeks[week] += 1
    return ""
