"""What reviewers said about corrections, applied to what is learned. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from bot.language import N_
from bot.storage.admin_tables import ReviewState
from bot.storage.reviews import Review
from bot.storage.signals import Signal

REJECTED = N_("a reviewer has rejected it")
WAITING = N_("waits for a reviewer")


def sift(
    corrections: Iterable[Signal],
    reviews: Mapping[str, Review],
    *,
    is_needed: bool,
    is_barred: Callable[[Signal], bool],
    left_out: Counter[str],
) -> list[Signal]:
    """Return the corrections that may be learned from; where a review *is_needed*, only those that had one.

    And none that waits behind what a reviewer approved before.

    What *is_barred* for another reason stays, so that it is counted by that reason alone.
    """
    kept = []
    for signal in corrections:
        state = reviews.get(signal.row_id, Review()).state
        if is_barred(signal):
            kept.append(signal)
        elif state is ReviewState.REJECTED:
            left_out[REJECTED] += 1
        elif signal.is_behind or (state is ReviewState.WAITING and is_needed):
            left_out[WAITING] += 1
        else:
            kept.append(signal)
    return kept


def find_edited(reviews: Mapping[str, Review]) -> dict[str, Review]:
    """Return what is learned in place of what a correction says."""
    return {row_id: one for row_id, one in reviews.items() if one.state is ReviewState.EDITED and one.text}
