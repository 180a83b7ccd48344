"""Looks at what people say to the served adapters, and takes one back, or lets a canary become active."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from bot.errors import DeliveryError, EngineBusy, EngineError, EngineUnavailable, LearningError
from bot.learning import sentences
from bot.learning.permission import find_permission
from bot.learning.rollout.evidence import ALPHA_WITHOUT, Evidence, cap_votes, find_breach, is_broken, leave_one_out
from bot.learning.rollout.may_serve import BY_ITSELF, SwitchedOff, had_time_to_object
from bot.learning.rollout.serving import Rollout
from bot.learning.rollout.shadow import Shadow
from bot.storage import adapters as store
from bot.storage.audit import is_off_since
from bot.storage.db import Database, Session
from bot.storage.learning_tables import Adapter, AdapterState, DecisionRow
from bot.storage.leases import wait_in_line
from bot.storage.tables import now

NEWS = timedelta(days=1)  # what was done longer ago is none
LOOKED_AT = 200  # answers, at most
PEOPLE_TIME = timedelta(days=30)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """What the watch did: *adapter* was taken back or became active, and why."""

    adapter: str
    is_rollback: bool
    reasons: tuple[str, ...]
    serves_now: str = ""
    channel_id: str = ""  # whose own adapter it is; empty: everybody's
    was_served: bool = True  # False: it went before anybody got it


class Watch:
    """Watches the canary and the active adapters, everybody's and channels' own; *tell* hears of what it does."""

    def __init__(
        self,
        database: Database,
        rollout: Rollout,
        *,
        canary_time: timedelta,
        veto_time: timedelta,
        shadow: Shadow | None = None,
        tell: Callable[[Event], Awaitable[None]],
        is_off: bool = False,
    ) -> None:
        self._database = database
        self._rollout = rollout
        self._canary_time = canary_time
        self._veto_time = veto_time
        self._shadow = shadow
        self._tell = tell
        self._is_off = is_off  # by the settings

    async def look(self) -> None:
        """Look once; whatever it decides is done and said when it returns, or said at the next look.

        Since an admin said `train off`, nothing gets to more people by itself, and what waited then waits for a person.
        So it does for as long as the settings switch learning off.
        """
        await self._tell_news()  # of a bot that was killed right after the deed
        async with self._database.begin() as session:
            await store.catch_up_with_clock(session)
        async with self._database.read() as session:
            is_forbidden = self._is_off or await find_permission(session, needs_one=False) is None
            served = await store.served_adapters(session)
            all_waiting = await store.adapters_in(session, AdapterState.WAITING)
            released = [one for one in all_waiting if not self._rollout.puts_aside(one)]
            waiting = [one for one in released if not await is_off_since(session, one.changed_at)]
        for adapter in served:
            await self._judge(adapter, may_grow=not is_forbidden and not self._rollout.puts_aside(adapter))
        for adapter in () if is_forbidden else waiting:
            await self._wait_with(adapter)
        if not is_forbidden:
            await self._rollout.bring_back()
        await self._tell_news()

    async def _tell_news(self) -> None:
        """Say what was done of late and not said yet."""
        async with self._database.read() as session:
            lately = await store.changed_since(session, now() - NEWS)
            found = [(news, adapter) for adapter in lately if (news := await _find_news(session, adapter)) is not None]
        for decision, adapter in sorted(found, key=lambda pair: pair[0].id):
            try:
                await self._tell(await self._describe(adapter, decision))
            except DeliveryError as error:
                log.info("learning: %s", error)
                return
            async with self._database.begin() as session:
                await store.note_told(session, adapter.id, decision.id)

    async def _describe(self, adapter: Adapter, decision: DecisionRow) -> Event:
        is_rollback = decision.to_state != AdapterState.ACTIVE
        async with self._database.read() as session:
            answering = await self._rollout.find_answering(session, adapter.channel_id)
        return Event(
            adapter.name,
            is_rollback,
            tuple(decision.reasons),
            serves_now=answering.name if answering is not None else "",
            channel_id=adapter.channel_id,
            was_served=not is_rollback or decision.from_state != AdapterState.WAITING,
        )

    async def _judge(self, adapter: Adapter, *, may_grow: bool) -> None:
        since, place = adapter.changed_at, adapter.channel_id
        async with self._database.read() as session:
            votes = await store.votes_by_person(session, adapter.name, since=since)
            all_votes = await store.votes_by_person(session, adapter.name, since=since, is_helped_too=True)
            answers = await store.newest_answers(session, adapter.name, since=since, limit=LOOKED_AT)
            people = await store.count_people(session, since=now() - PEOPLE_TIME, channel_id=place)
        floor, votes = float(adapter.watch.get("floor", 0.05)), cap_votes(votes, people=people)
        said = Evidence(floor, sum(ups for ups, _ in votes.values()), sum(count for _, count in votes.values()))
        by_others = Evidence(floor, *leave_one_out(votes, people=people, is_liked=False))
        broken = [person if is_broken(answer) else "" for answer, person in reversed(answers)]
        breach = find_breach(broken, people=people)
        if breach or (said.shows_harm() and by_others.shows_harm(alpha=ALPHA_WITHOUT)):
            await self._take_back(adapter, [breach] if breach else [said.say()])
            return
        if adapter.state == AdapterState.CANARY and may_grow:
            liked = leave_one_out(votes, people=people, is_liked=True)
            reason = Evidence(floor, *liked).allows_promotion(now() - since)
            is_quiet = answers and not any(count for _, count in all_votes.values())
            if not reason and is_quiet and now() - since >= self._canary_time:
                reason = _say_quiet(len(answers), now() - since)
            if reason:
                await self._promote(adapter, reason)

    async def _take_back(self, adapter: Adapter, reasons: list[str]) -> None:
        try:
            taken, _ = await self._rollout.roll_back(by="watch", reasons=reasons, name=adapter.name)
        except LearningError as error:  # a channel's own may have gone with everybody's that is mixed into it
            log.info("learning: %s need not be taken back: %s", adapter.name, error)
            return
        log.warning("learning: %s was taken back", taken)

    async def _promote(self, adapter: Adapter, reason: str) -> None:
        try:
            await self._rollout.promote(adapter.name, by="watch", reasons=[reason], seen=adapter.state)
        except LearningError as error:
            log.info("learning: %s stays a canary: %s", adapter.name, error)

    async def _wait_with(self, adapter: Adapter) -> None:
        """Let what waits answer in shadow, and be served when nothing speaks against it; it may wait for a person."""
        if not self._veto_time and self._shadow is None:
            return
        if not await self._rollout.fits(adapter):  # an admin tries another model
            return
        reasons = [sentences.NOBODY_OBJECTED.format(time=self._veto_time)] if self._veto_time else []
        if self._shadow is not None:
            try:
                seen = await self._shadow.look(adapter)
            except (EngineError, LearningError) as error:
                await self._give_up(adapter, error)
                return
            if breach := seen.find_breach():
                await self._reject(adapter, by="watch", reason=breach)
                return
            reasons.append(seen.say())
        is_shadow_over = self._shadow is None or self._shadow.is_over(adapter)
        async with self._database.read() as session:
            could_object = await had_time_to_object(session, adapter, self._veto_time)
        if is_shadow_over and could_object:
            await self._release(adapter, reasons)

    async def _release(self, adapter: Adapter, reasons: list[str]) -> None:
        """Let what waited be served as the gate decided; one that cannot be served waits no longer."""
        try:
            if adapter.watch.get("decision") != "promote":
                share = adapter.canary_share
                await self._rollout.start_canary(adapter, share=share, by="gate", reasons=reasons)
                return
            await self._rollout.promote(adapter.name, by="gate", reasons=reasons, seen=adapter.state)
        except (EngineError, LearningError) as error:
            await self._give_up(adapter, error)

    async def _give_up(self, adapter: Adapter, error: EngineError | LearningError) -> None:
        """Reject what cannot be served; an engine that is away or full is asked again later."""
        if isinstance(error, EngineUnavailable | EngineBusy):
            raise error
        if isinstance(error, SwitchedOff):  # since the watch looked at what waits: it waits for a person now
            log.info("learning: %s goes on waiting: %s", adapter.name, error)
            return
        log.warning("learning: %s cannot be served: %s", adapter.name, error)
        await self._reject(adapter, by="engine", reason=str(error))

    async def _reject(self, adapter: Adapter, *, by: str, reason: str) -> None:
        """Throw away what waits, and say why, unless somebody decided meanwhile."""
        async with self._database.begin() as session:
            await wait_in_line(session, store.QUEUE)
            fresh = await store.find_adapter(session, adapter.name)
            if fresh is None or fresh.state != AdapterState.WAITING:
                return
            await store.move_adapter(session, fresh, AdapterState.REJECTED, by=by, reasons=[reason])


async def _find_news(session: Session, adapter: Adapter) -> DecisionRow | None:
    """Return the newest decision about an adapter if it was the watch's and was not told of yet."""
    decision = next(reversed(await store.decisions_of(session, adapter.id)), None)
    if decision is None or decision.id == adapter.watch.get(store.TOLD) or decision.by not in BY_ITSELF:
        return None
    if decision.to_state == AdapterState.ACTIVE:
        return decision if decision.from_state in {AdapterState.CANARY, AdapterState.WAITING} else None
    is_taken_back = decision.to_state in {AdapterState.ROLLED_BACK, AdapterState.REJECTED}
    is_ours = decision.by == "watch" or decision.from_state in {AdapterState.WAITING, *store.SERVED}
    return decision if is_taken_back and is_ours else None


def _say_quiet(answers: int, time: timedelta) -> str:
    hours = round(time.total_seconds() / 3600)
    sentence = sentences.NOBODY_DISLIKED if hours != 1 else sentences.NOBODY_DISLIKED_ONE_HOUR
    return sentence.format(answers=answers, hours=hours)
