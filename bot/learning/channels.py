"""Channels that want an adapter of their own: asked for, given up, and since when there is new signal for one."""

from datetime import datetime

from bot.errors import LearningError
from bot.language import N_, _
from bot.learning.figures import Decision, Verdict
from bot.storage.adapters import QUEUE, adapter_in, find_adapter, move_adapter, newest_of_channel
from bot.storage.channels import channel_audiences, own_channels, wants_own
from bot.storage.choices import CHANNEL, OWN_ADAPTER, newest_choice, save_choice
from bot.storage.db import Session
from bot.storage.learning_tables import AdapterState
from bot.storage.leases import wait_in_line
from bot.storage.runs import has_unwilling, last_learned_at
from bot.storage.tables import Audience

MOST_OWN = 2  # an engine serves four adapters: everybody's, the one that is to replace it, and these
JUDGED = (AdapterState.ACTIVE, AdapterState.WAITING, AdapterState.REJECTED, AdapterState.ROLLED_BACK)


async def ask_for_own(session: Session, channel_id: str, *, by: str) -> None:
    """Keep that a channel wants an adapter of its own, or raise *LearningError* with why it cannot have one."""
    await wait_in_line(session, QUEUE)
    audiences = await channel_audiences(session, channel_id)
    if channel_id.startswith("D") or Audience.DIRECT in audiences:
        raise LearningError("A direct message has no adapter of its own; a channel can have one.")
    if Audience.SHARED in audiences:
        raise LearningError(
            "This channel is or was shared with another organisation, and such ones are not learned from."
        )
    others = [channel for channel in await own_channels(session) if channel != channel_id]
    if len(others) >= MOST_OWN:
        raise LearningError(
            f"{MOST_OWN} channels have an adapter of their own already, and the engine has no room for more beside "
            "everybody's: give up one of them first, with `learn-from-channel shared` there."
        )
    learned_from = await newest_choice(session, kind=CHANNEL, subject_id=channel_id)
    if learned_from is None or not learned_from.is_allowed:
        await save_choice(session, kind=CHANNEL, subject_id=channel_id, is_allowed=True, by=by)
    await save_choice(session, kind=OWN_ADAPTER, subject_id=channel_id, is_allowed=True, by=by)


async def give_up_own(session: Session, channel_id: str, *, by: str) -> None:
    """Let a channel have what everybody gets from the next question on; its adapter is retired."""
    await wait_in_line(session, QUEUE)
    if not await wants_own(session, channel_id):
        return
    await save_choice(session, kind=OWN_ADAPTER, subject_id=channel_id, is_allowed=False, by=by)
    for state in (AdapterState.ACTIVE, AdapterState.WAITING):
        adapter = await adapter_in(session, state, channel_id=channel_id)
        if adapter is not None:
            reason = N_("Its channel does without an adapter of its own.")
            await move_adapter(session, adapter, AdapterState.RETIRED, by=by, reasons=[reason])


async def check_wants_own(session: Session, channel_id: str) -> None:
    """Raise *LearningError* unless a channel, if there is one, wants an adapter of its own."""
    if channel_id and not await wants_own(session, channel_id):
        sentence = _(
            "The channel {channel} has no adapter of its own: an admin can ask for one there, with "
            "`/apprentice learn-from-channel own`."
        )
        raise LearningError(sentence.format(channel=channel_id))


async def new_since(session: Session, channel_id: str) -> datetime | None:
    """Return since when signal is new to a channel's next adapter; None: all of it.

    What was judged and is served, or was not good enough, waits for more to be said. What is gone for another's fault
    (its base changed, the adapter in it was taken back or has to go because somebody said no, the channel did without
    for a while) can be made again at once.
    """
    newest = await newest_of_channel(session, channel_id)
    if newest is None or newest.state not in JUDGED:
        return None
    part = await find_adapter(session, newest.mixed_with) if newest.mixed_with else None
    if part is not None:
        was_taken_with_it = AdapterState.ROLLED_BACK == newest.state == part.state
        if was_taken_with_it or await has_unwilling(session, part.run_id):
            return None
    return await last_learned_at(session, channel_id=channel_id)


def go_to_all(verdict: Verdict) -> Verdict:
    """Return what the gate's decision means for a channel's own adapter: it asked for one, so no part goes first."""
    if verdict.decision is Decision.REJECT:
        return verdict
    note = N_("The channel asked for an adapter of its own: all its people get it at once, and it is watched.")
    return Verdict(Decision.PROMOTE, (*verdict.reasons[:-1], note))  # the last one says who gets it first
