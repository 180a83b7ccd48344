"""May an adapter begin to answer somebody? Asked in the transaction in which it would, whoever orders it."""

from datetime import timedelta
from pathlib import Path

from bot.engine.files.checksum import hash_model
from bot.errors import LearningError
from bot.language import N_, _
from bot.learning import sentences
from bot.learning.adapter_place import find_adapter_file
from bot.learning.channels import check_wants_own
from bot.learning.permission import find_permission
from bot.learning.rollout.loading import find_spoilt_part
from bot.storage import adapters as store
from bot.storage.db import Session
from bot.storage.learning_tables import ENDED, Adapter, AdapterState, Run, RunState
from bot.storage.runs import has_rejected, has_taken_back, is_unwilling_in
from bot.storage.tables import now

BY_ITSELF = {"watch", "gate", store.BY_ENGINE}  # who decides where no person does
UNSERVED = {AdapterState.BUILT, AdapterState.WAITING, AdapterState.REJECTED}  # what nobody got yet


def check_file(adapter: Adapter, folder: Path | None) -> None:
    """Raise *LearningError* if an adapter's file is not the one that was judged; the engine looks when it is there."""
    path = find_adapter_file(adapter, folder)
    if not path.is_file():
        sentence = _("{path} is there no more, so {adapter} cannot be served: put it back, or train anew.")
        raise LearningError(sentence.format(path=path, adapter=adapter.name))
    if hash_model(path) != adapter.sha256:
        sentence = _("{path} was changed since {adapter} was judged: put the right one back, or train anew.")
        raise LearningError(sentence.format(path=path, adapter=adapter.name))


async def check_base(session: Session, adapter: Adapter) -> None:
    """Raise *LearningError* if an adapter is for another model than the one that answers, where no engine tells."""
    served = await store.find_served_base(session)
    if served and served != adapter.base_sha256:
        own, other = adapter.base_sha256[:12], served[:12]
        raise LearningError(_(sentences.FOR_OTHER_MODEL).format(adapter=adapter.name, hash=own, served_hash=other))


def check_not_tainted(adapter: Adapter) -> None:
    """Raise *LearningError* if an adapter learned from words that went: nobody may ask it anything any more."""
    if adapter.state == AdapterState.TAINTED:
        sentence = _("{adapter} learned from words that were deleted since, and is not served again.")
        raise LearningError(sentence.format(adapter=adapter.name))


async def check_judged(session: Session, name: str) -> None:
    """Raise *LearningError* if nobody knows what an adapter is, or if its proofs do not hold."""
    adapter = await store.find_adapter(session, name)
    if adapter is None:
        return
    run = await session.get_one(Run, adapter.run_id)
    report = run.report or {}
    if adapter.state == AdapterState.BUILT and run.state not in ENDED:
        raise LearningError(
            _("{adapter} is not judged yet: wait until its run has ended.").format(adapter=adapter.name)
        )
    if adapter.state == AdapterState.REJECTED and run.state != RunState.DONE and not report.get("decision"):
        sentence = _("{adapter} was never judged, because its run ended before that: the next run makes another.")
        raise LearningError(sentence.format(adapter=adapter.name))
    if failed := [sentences.say_again(said) for _name, holds, said in report.get("proofs") or () if not holds]:
        sentence = _("{adapter} is not served, because its file did not pass its proofs: {reasons}")
        raise LearningError(sentence.format(adapter=adapter.name, reasons=" ".join(failed)))


async def check_nothing_came_of(session: Session, run_id: int) -> None:
    """Raise *LearningError* if a run that was cancelled had decided before that somebody gets its adapter."""
    made = await store.adapter_of_run(session, run_id)
    if made is not None and made.state in {AdapterState.WAITING, *store.SERVED}:
        sentence = _("Run {run} had decided already: {adapter} is {state} now, and stays so until you take it back.")
        raise LearningError(sentence.format(run=run_id, adapter=made.name, state=made.state))


class SwitchedOff(LearningError):  # noqa: N818 - reads as a state, not as a mistake
    """Training was switched off, and nothing gets to more people by itself."""


async def check_permitted(session: Session, *, by: str) -> None:
    """Raise *SwitchedOff* if nobody ordered it, and training is off by now."""
    if by in BY_ITSELF and await find_permission(session, needs_one=False) is None:
        raise SwitchedOff(N_("Training was switched off before the run had ended."))


async def had_time_to_object(session: Session, adapter: Adapter, time: timedelta) -> bool:
    """Return whether people had so long to object to what waits; it begins when they are told of the run."""
    if not time:
        return True
    told_at = (await session.get_one(Run, adapter.run_id)).reported_at
    return told_at is not None and now() - max(told_at, adapter.changed_at) >= time


async def check_may_serve(session: Session, adapter: Adapter, *, was_away: bool = False) -> None:
    """Raise *LearningError* if nobody may begin to get an adapter, or its channel does not want it.

    Asked whenever one comes to somebody who did not get it before; what is served goes on until it is replaced, unless
    it *was_away*, and answered nobody for a while.
    """
    check_not_tainted(adapter)
    comes = was_away or adapter.state != AdapterState.ACTIVE
    if comes and await is_unwilling_in(session, adapter):
        raise LearningError(_(sentences.UNWILLING).format(adapter=adapter.name))
    # Whoever gets one already goes on getting it, and what a reviewer rejects comes to nobody else.
    is_new = adapter.state in UNSERVED and await has_taken_back(session, adapter.run_id)
    if is_new or (comes and await has_rejected(session, adapter.run_id)):
        raise LearningError(_(sentences.HAS_TAKEN_BACK).format(adapter=adapter.name))
    if part := await find_spoilt_part(session, adapter):
        sentence = _(
            "{adapter} has {part} mixed into it, which was taken back since: the next run makes one without it."
        )
        raise LearningError(sentence.format(adapter=adapter.name, part=part))
    await check_wants_own(session, adapter.channel_id)


def check_undecided(fresh: Adapter, *, seen: AdapterState) -> None:
    """Raise *LearningError* if somebody else decided about an adapter after it was *seen*."""
    if fresh.state != seen:
        sentence = _("Somebody decided about {adapter} meanwhile: it is {state} now.")
        raise LearningError(sentence.format(adapter=fresh.name, state=fresh.state))
