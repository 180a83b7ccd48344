"""May this signal be learned from? Pure: who said what where, and what they want."""

from collections.abc import Collection

from bot.language import N_
from bot.learning.data.policy import DataPolicy
from bot.storage.choices import OptedOut
from bot.storage.grounds import Ground
from bot.storage.signals import CORRECTIONS, Signal
from bot.storage.tables import Audience

SHARED_PLACE = N_("said in a channel that is shared with another organisation")
OTHER_CHANNEL = N_("said in another channel")
NOT_AGREED = N_("said in a channel that no admin has turned on")
OWN_CHANNEL = N_("said in a private channel that has an adapter of its own")
NOT_PUBLIC = N_("said where not everybody could read it")
UNWILLING = N_("somebody in it does not want to be learned from")
UNWILLING_CHANNEL = N_("its channel does not want to be learned from")
HELPED = N_("a vote on an answer for which a correction was looked up")
OUTDATED = N_("its question was made another one afterwards")
MADE_OF_GONE = N_("an answer in it was made from something that was deleted since")
UNFINISHED = N_("the answer failed, was stopped or was cut off")


def is_for_all(signal: Signal) -> bool:
    """Whether the author of a correction made a question of their own and its answer everybody's."""
    return signal.table == CORRECTIONS and signal.is_for_everyone and signal.user_id == signal.asker_id


def find_bar(signal: Signal, *, policy: DataPolicy, without: OptedOut) -> str:
    """Return in words why nothing may be learned from *signal*; empty: it may, as far as is known without its texts."""
    if bar := _find_bar_of_place(signal, policy=policy, without=without):
        return bar
    if not signal.audiences <= policy.audiences and not is_for_all(signal):
        return NOT_PUBLIC
    if without.people & {signal.user_id, signal.asker_id}:
        return UNWILLING
    if signal.channel_id in without.channels:
        return UNWILLING_CHANNEL
    is_direct = Audience.DIRECT in signal.audiences  # then its author gave it to everyone, and nobody else decides
    if policy.needs_consent and not is_direct and signal.channel_id not in without.agreed:
        return NOT_AGREED
    return _find_bar_of_answer(signal)


def _find_bar_of_answer(signal: Signal) -> str:
    """Return why the answer itself is nothing to learn from: a correction stands for itself, a vote does not."""
    if signal.is_outdated:
        return OUTDATED
    if signal.table == CORRECTIONS:
        return ""
    if not signal.is_finished:
        return UNFINISHED
    return HELPED if signal.is_helped else ""


def _find_bar_of_place(signal: Signal, *, policy: DataPolicy, without: OptedOut) -> str:
    """Return why nothing said in this place may be learned from, whatever its author wants."""
    if Audience.SHARED in signal.audiences:
        return SHARED_PLACE
    if policy.only_channel:
        is_there = signal.channel_id == policy.only_channel and Audience.DIRECT not in signal.audiences
        return "" if is_there else OTHER_CHANNEL
    is_private = signal.audiences != {Audience.PUBLIC}
    return OWN_CHANNEL if is_private and signal.channel_id in without.own else ""


def find_bar_in_prompt(
    people: Collection[str], audiences: Collection[Audience], *, policy: DataPolicy, without: OptedOut
) -> str:
    """Return in words why a prompt may not be learned from: everybody whose words are in it has a say."""
    if without.people & set(people):
        return UNWILLING
    if Audience.SHARED in audiences:
        return SHARED_PLACE
    return "" if set(audiences) <= policy.audiences else NOT_PUBLIC


def find_bar_behind(grounds: Collection[Ground], *, policy: DataPolicy, without: OptedOut) -> str:
    """Return why what answers were made from may not be learned from: a correction stands in them word by word."""
    if any(ground.is_gone for ground in grounds):
        return MADE_OF_GONE
    taught = (ground.taught for ground in grounds if ground.taught is not None)
    return next(filter(None, (find_bar(one, policy=policy, without=without) for one in taught)), "")
