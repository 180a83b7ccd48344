"""Who gets which adapter, and how one comes and goes without a question being lost.

The database says what is served; the engine follows. A question that comes while the engine has not got an adapter
yet is answered without it.
"""

import asyncio
import hashlib
import logging
from collections.abc import Collection, Sequence
from datetime import timedelta
from pathlib import Path

from bot.engine.client import EngineClient
from bot.errors import EngineBusy, EngineUnavailable, LearningError
from bot.language import N_, _
from bot.learning import sentences
from bot.learning.rollout.apart import come_together, note_apart
from bot.learning.rollout.evidence import cap_first, choose_floor
from bot.learning.rollout.loading import HeldElsewhere, LoadedAdapters, take_back
from bot.learning.rollout.may_serve import (
    BY_ITSELF,
    check_base,
    check_file,
    check_may_serve,
    check_permitted,
    check_undecided,
)
from bot.learning.views import ACROSS, tell_off
from bot.storage import adapters as store
from bot.storage.audit import record
from bot.storage.db import Database, Session
from bot.storage.learning_tables import Adapter, AdapterState
from bot.storage.leases import wait_in_line
from bot.storage.preferences import BASE, is_choosable
from bot.storage.runs import has_unwilling, is_unwilling_in
from bot.storage.tables import now

HISTORY = timedelta(days=60)  # how far back the votes go that a new adapter is compared with
MOMENT = timedelta(seconds=15)  # within which somebody may not know yet what another changed

log = logging.getLogger(__name__)


class Rollout:
    """The adapters that people get; *loaded* are those that the engine has at hand.

    *keeps_apart* puts aside what would answer one workspace with what another one taught.
    """

    def __init__(
        self, database: Database, client: EngineClient, folder: Path | None = None, *, keeps_apart: bool = False
    ) -> None:
        self._database = database
        self._client = client
        self._folder = folder
        self._keeps_apart = keeps_apart
        self.loaded = LoadedAdapters(database, client, folder)

    async def begin(self) -> None:
        """Note that adapters are put aside, or heed what was said while they were; before anybody is answered."""
        await (note_apart if self._keeps_apart else come_together)(self._database)

    async def stay_apart(self) -> None:
        """Note it again, where another bot does not put aside what this one does: cheap, called every second."""
        if self._keeps_apart:
            await note_apart(self._database)

    def puts_aside(self, adapter: Adapter) -> bool:
        """Return whether an adapter answers nobody for now, whatever its row says: the workspaces must not mix.

        A channel's own goes on, unless everybody's is mixed into it: its channel is in the workspace that taught it.
        """
        return self._keeps_apart and not adapter.is_of_one_channel

    def check_apart(self, adapter: Adapter) -> None:
        """Raise *LearningError* if an adapter is put aside."""
        if self.puts_aside(adapter):
            raise LearningError(tell_off(ACROSS))

    async def choose_for(
        self, user_id: str, served: Collection[str], channel_id: str = "", wish: str = ""
    ) -> tuple[str, bool]:
        """Return what answers somebody as `choose` does, unless it can be what they chose; and whether it is that."""
        if wish == BASE:
            return "", True
        if wish and wish in served and not self._keeps_apart:
            async with self._database.read() as session:
                if await is_choosable(session, wish):
                    return wish, True
        return await self.choose(user_id, served, channel_id), False

    async def choose(self, user_id: str, served: Collection[str], channel_id: str = "") -> str:
        """Return the adapter that answers a person's question in a channel, of those that the engine serves.

        Empty: the base. A channel's own goes before what everybody gets; while it is away, everybody's answers.
        """
        async with self._database.read() as session:
            live = [adapter for adapter in await store.served_adapters(session) if not self.puts_aside(adapter)]
        own = next((adapter for adapter in live if adapter.channel_id and adapter.channel_id == channel_id), None)
        if own is not None and own.name in served:
            return own.name
        found = {adapter.state: adapter for adapter in live if not adapter.channel_id}
        canary, active = found.get(AdapterState.CANARY), found.get(AdapterState.ACTIVE)
        if canary is not None and canary.name in served and await self._gets_canary(canary, user_id):
            return canary.name
        return active.name if active is not None and active.name in served else ""

    async def _gets_canary(self, canary: Adapter, user_id: str) -> bool:
        async with self._database.read() as session:
            known = await store.find_assignment(session, canary.id, user_id)
        if known is not None:
            return known
        async with self._database.begin() as session:
            known = await store.find_assignment(session, canary.id, user_id)
            if known is None:
                chosen, all_assigned = await store.count_assignments(session, canary.id)
                drawn = is_drawn(canary.name, user_id, canary.canary_share, chosen=chosen, assigned=all_assigned)
                drawn = drawn and not await is_unwilling_in(session, canary)
                await store.assign(session, canary.id, user_id, is_canary=drawn)
                known = await store.find_assignment(session, canary.id, user_id)
        return bool(known)

    async def start_canary(self, adapter: Adapter, *, share: float, by: str, reasons: Sequence[str]) -> None:
        """Serve an adapter for everybody to a share of the people first; an earlier canary retires.

        Refused where somebody decided about it since *adapter* was read.
        """
        async with self._database.begin() as session:
            await wait_in_line(session, store.QUEUE)
            fresh = await self._need(session, adapter.name)
            if fresh.channel_id:
                sentence = _("{adapter} is for one channel, which gets it as a whole: promote it.")
                raise LearningError(sentence.format(adapter=fresh.name))
            self.check_apart(fresh)
            check_undecided(fresh, seen=adapter.state)
            await check_permitted(session, by=by)
            await check_may_serve(session, fresh)
            await _retire(session, AdapterState.CANARY, by=by, successor=fresh)
            active = await store.adapter_in(session, AdapterState.ACTIVE)
            watch = await _begin_watch(session, active)
            await store.move_adapter(
                session, fresh, AdapterState.CANARY, by=by, reasons=reasons, canary_share=share, watch=watch
            )
        await self._follow_if_possible()

    async def promote(self, name: str, *, by: str, reasons: Sequence[str], seen: AdapterState | None = None) -> str:
        """Serve an adapter to everybody, or a channel's own there; return what answered before, empty for the base.

        It is loaded before anything changes, so that no question meets a gap. Loading takes a while: refused where
        somebody decided about it meanwhile, so that it is not what it was when it was *seen* (None: right now).
        """
        async with self._database.read() as session:
            adapter = await self._need(session, name)
            self.check_apart(adapter)
            await check_may_serve(session, adapter)
        if adapter.state == AdapterState.ACTIVE:
            own, common = (
                _("{adapter} is served to its channel already."),
                _("{adapter} is served to everybody already."),
            )
            raise LearningError((own if adapter.channel_id else common).format(adapter=adapter.name))
        try:
            await self.loaded.ensure_loaded(adapter)
        except HeldElsewhere:
            raise
        except EngineUnavailable:  # it is loaded when the engine is back, and the base answers until then
            await asyncio.to_thread(check_file, adapter, self._folder)
            async with self._database.read() as session:
                await check_base(session, adapter)
            log.info("learning: %s will be loaded by the bot", adapter.name)
        async with self._database.begin() as session:
            await wait_in_line(session, store.QUEUE)
            fresh = await self._need(session, adapter.name)
            await check_permitted(session, by=by)
            await check_may_serve(session, fresh)
            check_undecided(fresh, seen=seen or adapter.state)
            active = await self.find_answering(session, fresh.channel_id)
            if fresh.state != AdapterState.CANARY and not fresh.channel_id:
                await _retire(session, AdapterState.CANARY, by=by, successor=fresh)
            watch = await _begin_watch(session, active, channel_id=fresh.channel_id)
            await _retire(session, AdapterState.ACTIVE, by=by, successor=fresh)
            await store.move_adapter(session, fresh, AdapterState.ACTIVE, by=by, reasons=reasons, watch=watch)
            await _end_waiting(session, fresh, by=by)
            record(session, "adapter.promote", by=by, target=fresh.name)
        await self._follow_if_possible()
        return active.name if active is not None else ""

    async def roll_back(self, *, by: str, reasons: Sequence[str], name: str = "") -> tuple[str, str]:
        """Take back everybody's canary, else the active adapter, or the one called *name*; return it and what is next.

        People get the other one from their next question on; what was begun is completed. What waits is objected to by
        its name. Without a name it is refused where somebody else ended that another is served a moment ago: two who
        order it at once mean the same adapter.
        """
        async with self._database.begin() as session:
            await wait_in_line(session, store.QUEUE)
            taken = await self._find_served(session, name)
            if taken.state == AdapterState.WAITING:
                await _object(session, taken, by=by, reasons=reasons)
                active = await self.find_answering(session, taken.channel_id)
                return taken.name, active.name if active is not None else ""
            if not name and await store.was_taken_by_others(session, MOMENT, than=by):
                sentence = _(
                    "Somebody else changed what is served a moment ago: {adapter} answers now, and nothing was taken "
                    "back. If you mean that one, name it: {order}"
                )
                raise LearningError(sentence.format(adapter=taken.name, order=f"adapters rollback {taken.name}"))
            await take_back(session, taken, AdapterState.ROLLED_BACK, by=by, reasons=reasons)
            await _end_waiting(session, taken, by=by)
            record(session, "adapter.rollback", by=by, target=taken.name)
            active = await self.find_answering(session, taken.channel_id)
        await self._follow_if_possible()
        return taken.name, active.name if active is not None else ""

    async def find_answering(self, session: Session, channel_id: str) -> Adapter | None:
        """Return the adapter that answers in a channel; None for the base."""
        found = await store.find_answering(session, channel_id)
        return found if found is not None and not self.puts_aside(found) else None

    async def fits(self, adapter: Adapter) -> bool:
        """Return whether the model that is served now is the one that an adapter was trained on."""
        return (await self._client.models())[0].sha256 in {None, "", adapter.base_sha256}

    async def bring_back(self) -> None:
        """Serve again what was put away because another model was served, once its own is again.

        What may answer nobody any more by then is taken back, and whoever is told of the watch's deeds hears why.
        """
        async with self._database.read() as session:
            away = await store.put_away_by_engine(session)
        base = (await self._client.models())[0].sha256 if away else ""
        fitting = [adapter.name for adapter, _ in away if adapter.base_sha256 == base]
        if not fitting:
            return
        async with self._database.begin() as session:
            await wait_in_line(session, store.QUEUE)
            for adapter, before in await store.put_away_by_engine(session):
                other = await store.adapter_in(session, before, channel_id=adapter.channel_id)
                if adapter.name not in fitting or other is not None:
                    continue
                try:
                    await check_may_serve(session, adapter)
                except LearningError as error:
                    gone = AdapterState.ROLLED_BACK
                    await store.move_adapter(session, adapter, gone, by="watch", reasons=[str(error)])
                    record(session, "adapter.rollback", by="watch", target=adapter.name)
                else:
                    reasons = [sentences.MODEL_IS_BACK]
                    await store.move_adapter(session, adapter, before, by=store.BY_ENGINE, reasons=reasons)

    async def _follow_if_possible(self) -> None:
        """Let the engine follow; one that is away does so when it is back."""
        try:
            await self.loaded.follow()
        except (EngineUnavailable, EngineBusy) as error:
            log.info("learning: the engine hears of it later: %s", error)

    async def veto(self, name: str, *, by: str, reason: str) -> None:
        """Reject an adapter that waits for objections, or a canary."""
        async with self._database.begin() as session:
            await wait_in_line(session, store.QUEUE)
            adapter = await self._need(session, name)
            if adapter.state not in {AdapterState.WAITING, AdapterState.CANARY}:
                sentence = _("{adapter} does not wait for objections; it is {state}.")
                raise LearningError(sentence.format(adapter=adapter.name, state=adapter.state))
            await _object(session, adapter, by=by, reasons=[reason])

    async def _find_served(self, session: Session, name: str) -> Adapter:
        if name:
            found = await self._need(session, name)
            if found.state in {AdapterState.WAITING, *store.SERVED}:
                return found
            sentence = _("{adapter} is not served any more ({state}); nothing was taken back.")
            raise LearningError(sentence.format(adapter=found.name, state=found.state))
        for state in (AdapterState.CANARY, AdapterState.ACTIVE):
            adapter = await store.adapter_in(session, state)
            if adapter is not None:
                return adapter
        raise LearningError(_("The base is served, and there is no adapter to take back."))

    async def _need(self, session: Session, name: str) -> Adapter:
        found = await store.find_adapter(session, name)
        if found is None:
            sentence = _("There is no adapter {name}; `bot adapters list` names them all.")
            raise LearningError(sentence.format(name=repr(name[:64])))
        return found


def is_drawn(name: str, user_id: str, share: float, *, chosen: int, assigned: int) -> bool:
    """Return whether a person gets a canary: by hash, and at least one of the first 1 / *share* people."""
    if share <= 0:
        return False
    draw = int.from_bytes(hashlib.sha256(f"{name}/{user_id}".encode()).digest()[:8], "big") / 2**64
    return draw < share or (chosen == 0 and (assigned + 1) * share >= 1)


async def _object(session: Session, adapter: Adapter, *, by: str, reasons: Sequence[str]) -> None:
    await store.move_adapter(session, adapter, AdapterState.REJECTED, by=by, reasons=reasons)
    record(session, "adapter.veto", by=by, target=adapter.name)


async def _retire(session: Session, state: AdapterState, *, by: str, successor: Adapter) -> None:
    adapter = await store.adapter_in(session, state, channel_id=successor.channel_id)
    if adapter is None or adapter.name == successor.name:
        return
    reason = sentences.TOOK_ITS_PLACE.format(adapter=successor.name)
    await store.move_adapter(session, adapter, AdapterState.RETIRED, by=by, reasons=[reason])
    if state == AdapterState.ACTIVE and not adapter.channel_id:
        await _take_back_mixtures(session, by=by)


async def _take_back_mixtures(session: Session, *, by: str) -> None:
    """Take channels' own back in which an older one of everybody's has learned from any that said no since.

    Those were told that it goes with the next training, which is everybody's. The channels get that, and make anew.
    """
    for mixed in await store.adapters_in(session, AdapterState.WAITING, *store.SERVED):
        part = await store.find_adapter(session, mixed.mixed_with) if mixed.mixed_with else None
        if part is not None and await has_unwilling(session, part.run_id):
            reason = sentences.UNWILLING_PART.format(adapter=part.name)
            await store.move_adapter(session, mixed, AdapterState.ROLLED_BACK, by=by, reasons=[reason])
            record(session, "adapter.rollback", by=by, target=mixed.name, because_of=part.name)


async def _end_waiting(session: Session, decided: Adapter, *, by: str) -> None:
    """Let nothing that waits come by the clock once a person has decided what answers beside *decided*."""
    for adapter in () if by in BY_ITSELF else await store.adapters_in(session, AdapterState.WAITING):
        if adapter.channel_id == decided.channel_id:
            reason = N_(
                "Somebody has decided since what answers, and it was judged beside another one: promote it to serve it "
                "all the same."
            )
            await store.move_adapter(session, adapter, AdapterState.REJECTED, by="watch", reasons=[reason])


async def _begin_watch(session: Session, incumbent: Adapter | None, *, channel_id: str = "") -> dict[str, object]:
    """Return what a new adapter is compared with from now on: the votes on what it replaces, there, frozen."""
    name = incumbent.name if incumbent is not None else None
    since = now() - HISTORY
    votes = await store.votes_by_person(session, name, since=since, channel_id=channel_id)
    people = await store.count_people(session, since=since, channel_id=channel_id)
    ups, downs = cap_first(votes, people=people)
    is_same_kind = incumbent is not None and incumbent.channel_id == channel_id
    replaced = name if is_same_kind else ""  # a rollback brings no adapter back that was everybody's
    return {"floor": choose_floor(ups, downs), "ups": ups, "downs": downs, "replaced": replaced}
