"""The review queue: corrections that somebody looks at before, or after, they are learned from."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from bot.errors import AdminError
from bot.language import _
from bot.storage import reviews
from bot.storage.adapters import served_adapters
from bot.storage.admin_tables import ReviewState
from bot.storage.audit import record
from bot.storage.db import Database, Session
from bot.storage.reviews import Candidate
from bot.storage.runs import runs_of_row


async def list_waiting(database: Database, *, most: int, before_id: str = "") -> Sequence[Candidate]:
    """Return the corrections that nobody has decided about, the newest first."""
    async with database.read() as session:
        return await reviews.find_candidates(session, most=most, before_id=before_id)


class WordsChanged(AdminError):  # noqa: N818 - reads as a state
    """Another reviewer put other words there than those that were looked at."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a correction is now, and was before; *is_own*: whoever decided wrote the words that it would teach.

    *known_by* names the adapters that have learned a rejected one and answer people.
    """

    state: ReviewState
    before: ReviewState
    is_own: bool = False
    known_by: tuple[str, ...] = ()

    def tell_known(self) -> str:
        """Say what goes on answering although it learned what was rejected; empty: nothing does."""
        if not self.known_by:
            return ""
        said = _(
            "{adapters} learned it, and will go on answering until the next run makes one without it, or an admin "
            "takes it back: {order}"
        )
        return said.format(adapters=", ".join(self.known_by), order=f"`adapters rollback {self.known_by[0]}`")


def digest(words: str) -> str:
    """Return the checksum by which a form tells which words stood in it."""
    return sha256(words.encode()).hexdigest()[:16]


async def find_waiting(database: Database, correction_id: str) -> Candidate | None:
    """Return a correction as it stands now."""
    async with database.read() as session:
        return await reviews.find_candidate(session, correction_id)


async def decide(
    database: Database,
    correction_id: str,
    state: ReviewState,
    *,
    by: str,
    text: str = "",
    seen: str | None = None,
    is_alone: bool = False,
) -> Decision:
    """Approve or reject a correction. Nobody approves their own.

    Approved with another *text*, it is edited: that text is learned instead, once somebody else approves it as it
    stands; *is_alone*: there is nobody else, so that it counts. Whoever decides below a form has *seen* words, by their
    checksum, about which nobody had decided: what another reviewer wrote or decided meanwhile is not undone.
    """
    async with database.begin() as session:
        found = await reviews.find_candidate(session, correction_id, is_locked=True)
        if found is None:
            raise AdminError(_("This correction is gone, or it was not for everybody."))
        words = text or found.text
        writer = found.user_id if words == found.original else found.writer_id if words == found.text else by
        if state is not ReviewState.REJECTED and by == found.user_id == writer:
            raise AdminError(_("You wrote this correction yourself: another reviewer has to look at it."))
        if seen is not None and found.state is not ReviewState.WAITING:
            raise AdminError(_("Another reviewer decided about it meanwhile: it is {state}.").format(state=found.state))
        if seen not in {None, digest(found.text)}:
            raise WordsChanged(_("Another reviewer changed the words meanwhile: these are theirs."))
        is_own = state is ReviewState.APPROVED and by == writer
        is_edited = state is ReviewState.APPROVED and words != found.original
        if is_edited:
            state = ReviewState.WAITING if is_own and not is_alone else ReviewState.EDITED
        before = await reviews.decide_review(session, correction_id, state, by=by, text=words if is_edited else "")
        record(session, "dataset.review", by=by, target=correction_id, state=str(state), before=str(before))
        known_by = await _find_known_by(session, correction_id) if state is ReviewState.REJECTED else ()
    return Decision(state, before, is_own, known_by)


async def _find_known_by(session: Session, correction_id: str) -> tuple[str, ...]:
    runs = await runs_of_row(session, "corrections", correction_id)
    return tuple(adapter.name for adapter in await served_adapters(session) if adapter.run_id in runs)
