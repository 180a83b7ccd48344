"""The review queue: corrections that somebody looks at before, or after, they are learned from."""

from collections.abc import Sequence

from bot.errors import AdminError
from bot.language import _
from bot.storage import reviews
from bot.storage.admin_tables import ReviewState
from bot.storage.audit import record
from bot.storage.db import Database
from bot.storage.reviews import Candidate


async def list_waiting(database: Database, *, most: int, before_id: str = "") -> Sequence[Candidate]:
    """Return the corrections that nobody has decided about, the newest first."""
    async with database.read() as session:
        return await reviews.find_candidates(session, most=most, before_id=before_id)


async def decide(
    database: Database, correction_id: str, state: ReviewState, *, by: str, text: str = "", is_new: bool = False
) -> ReviewState:
    """Approve or reject a correction; return what had been decided before. Nobody approves their own.

    Approved with another *text*, it is edited: that text is learned instead. *is_new*: whoever decides has seen that
    nobody had, and does not undo what another reviewer decided meanwhile.
    """
    async with database.begin() as session:
        found = await reviews.find_candidate(session, correction_id)
        if found is None:
            raise AdminError(_("This correction is gone, or it was not for everybody."))
        if state is not ReviewState.REJECTED and found.user_id == by:
            raise AdminError(_("You wrote this correction yourself: another reviewer has to look at it."))
        if is_new and found.state is not ReviewState.WAITING:
            raise AdminError(_("Another reviewer decided about it meanwhile: it is {state}.").format(state=found.state))
        is_edited = state is ReviewState.APPROVED and text not in {"", found.text}
        state = ReviewState.EDITED if is_edited else state
        before = await reviews.decide_review(session, correction_id, state, by=by, text=text if is_edited else "")
        record(session, "dataset.review", by=by, target=correction_id, state=str(state), before=str(before))
    return before
