"""How much one person or one channel may give, so that nobody steers what everybody gets. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from bot.learning.data.policy import Cap
from bot.storage.signals import Signal


def find_limit(counts: Mapping[str, int], cap: Cap) -> int:
    """Return the most that one may give: *cap*'s share of what all together keep, at least an equal part, and *least*.

    The share is of what is kept, not of what came: somebody who says ten times as much may not say more by that. One
    who is alone may say all.
    """
    if not counts:
        return cap.least
    share = max(cap.share, 1 / len(counts))
    low, high = cap.least, max(cap.least, *counts.values())
    while low < high:
        middle = (low + high + 1) // 2
        if middle <= share * sum(min(count, middle) for count in counts.values()) + 1e-9:
            low = middle
        else:
            high = middle - 1
    return low


def keep_within(
    signals: Iterable[Signal], cap: Cap, *, owner: Callable[[Signal], str]
) -> tuple[list[Signal], Counter[str]]:
    """Return the first *signals* of each owner up to the limit, and how many of each owner's are left out."""
    found = list(signals)
    counts = Counter(owner(signal) for signal in found)
    limit = find_limit(counts, cap)
    kept: list[Signal] = []
    given: Counter[str] = Counter()
    for signal in found:
        given[owner(signal)] += 1
        if given[owner(signal)] <= limit:
            kept.append(signal)
    return kept, Counter({name: count - limit for name, count in counts.items() if count > limit})
