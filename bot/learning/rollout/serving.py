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
from bot.engine.types import ModelInfo
from bot.errors import EngineError, EngineUnavailable, LearningError
from bot.learning.rollout.evidence import choose_floor
from bot.storage import adapters as store
from bot.storage.audit import record
from bot.storage.db import Database, Session
from bot.storage.learning_tables import Adapter, AdapterState
from bot.storage.tables import now

PREFIX = "apprentice-"  # adapters of other names are somebody else's
LINGER = timedelta(minutes=2)  # what was just taken back stays loaded for the answers that still wait with it
HISTORY = timedelta(days=60)  # how far back the votes go that a new adapter is compared with

log = logging.getLogger(__name__)


class Rollout:
    """The adapters that people get."""

    def __init__(self, database: Database, client: EngineClient) -> None:
        self._database = database
        self._client = client
        self._loading = asyncio.Lock()
        self._known: tuple[tuple[str, str], ...] | None = None

    async def choose(self, user_id: str, served: Collection[str]) -> str:
        """Return the adapter that answers a person's question, of those that the engine serves; empty: the base."""
        async with self._database.read() as session:
            found = {adapter.state: adapter for adapter in await store.served_adapters(session)}
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
                known = is_drawn(canary.name, user_id, canary.canary_share, chosen=chosen, assigned=all_assigned)
                store.assign(session, canary.id, user_id, is_canary=known)
        return known

    async def follow(self) -> None:
        """Let the engine serve what the database says; what it refuses is retired with its reason.

        Cheap while nothing has changed: called every second.
        """
        async with self._database.read() as session:
            wanted = await store.served_adapters(session)
            previous = await self._previous(session, wanted)
            leaving = await store.changed_since(session, now() - LINGER)
        key = tuple((adapter.name, str(adapter.state)) for adapter in (*wanted, *previous, *leaving))
        if key == self._known:
            return
        async with self._loading:
            models = await self._client.models()
            served = {model.id for model in models}
            keep = {adapter.name for adapter in (*wanted, *previous, *leaving)}
            for name in served - keep:
                if name.startswith(PREFIX):
                    await self._client.unload_adapter(name)
            for adapter in (*wanted, *previous):
                if adapter.name not in served:
                    await self._load_or_retire(adapter, models[0])
        self._known = key

    def engine_restarted(self) -> None:
        """Look at the engine again at the next *follow*: a new one may have forgotten its adapters."""
        self._known = None

    async def _previous(self, session: Session, wanted: Sequence[Adapter]) -> Sequence[Adapter]:
        """Return what a rollback would bring back, so that it is there at once."""
        names = {str(adapter.watch.get("replaced", "")) for adapter in wanted} - {adapter.name for adapter in wanted}
        found = [await store.find_adapter(session, name) for name in sorted(names - {""})]
        return [adapter for adapter in found if adapter is not None and adapter.state == AdapterState.RETIRED]

    async def _load_or_retire(self, adapter: Adapter, base: ModelInfo) -> None:
        try:
            await self.load(adapter, base)
        except EngineUnavailable:
            raise
        except (EngineError, LearningError) as error:
            log.warning("learning: adapter %s cannot be served: %s", adapter.name, error)
            async with self._database.begin() as session:
                fresh = await store.find_adapter(session, adapter.name)
                if fresh is not None and fresh.state == adapter.state:
                    await store.move_adapter(session, fresh, AdapterState.RETIRED, by="engine", reasons=[str(error)])

    async def load(self, adapter: Adapter, base: ModelInfo) -> None:
        """Let the engine try and serve an adapter; *LearningError* or *EngineError* says why it does not."""
        if base.sha256 and adapter.base_sha256 != base.sha256:
            raise LearningError(
                f"{adapter.name} was trained on another model ({adapter.base_sha256[:12]}) than the one that is "
                f"served now ({base.sha256[:12]}): the next run trains one for this model."
            )
        await self._client.load_adapter(adapter.name, Path(adapter.path), sha256=adapter.sha256)

    async def ensure_loaded(self, adapter: Adapter) -> None:
        """Let the engine serve an adapter if it does not yet."""
        async with self._loading:
            models = await self._client.models()
            if adapter.name not in {model.id for model in models}:
                await self.load(adapter, models[0])

    async def unload(self, name: str) -> None:
        """Let the engine forget an adapter, if it can be asked."""
        async with self._loading:
            try:
                await self._client.unload_adapter(name)
            except EngineError as error:
                log.info("learning: %s was not unloaded: %s", name, error)

    async def start_canary(self, adapter: Adapter, *, share: float, by: str, reasons: Sequence[str]) -> None:
        """Serve an adapter to a share of the people; an earlier canary retires."""
        async with self._database.begin() as session:
            fresh = await self._need(session, adapter.name)
            await _retire(session, AdapterState.CANARY, by=by, successor=fresh.name)
            active = await store.adapter_in(session, AdapterState.ACTIVE)
            watch = await _begin_watch(session, active)
            await store.move_adapter(
                session, fresh, AdapterState.CANARY, by=by, reasons=reasons, canary_share=share, watch=watch
            )
        await self.follow()

    async def promote(self, name: str, *, by: str, reasons: Sequence[str]) -> str:
        """Serve an adapter to everybody; return the name of what it replaces, empty for the base.

        It is loaded before anything changes, so that no question meets a gap.
        """
        async with self._database.read() as session:
            adapter = await self._need(session, name)
        if adapter.state == AdapterState.ACTIVE:
            raise LearningError(f"{adapter.name} is served to everybody already.")
        if adapter.state == AdapterState.TAINTED:
            raise LearningError(f"{adapter.name} learned from words that were deleted since, and is not served again.")
        try:
            await self.ensure_loaded(adapter)
        except EngineUnavailable:  # it is loaded when the engine is back, and the base answers until then
            log.info("learning: %s will be loaded by the bot", adapter.name)
        async with self._database.begin() as session:
            fresh = await self._need(session, adapter.name)
            active = await store.adapter_in(session, AdapterState.ACTIVE)
            if fresh.state != AdapterState.CANARY:
                await _retire(session, AdapterState.CANARY, by=by, successor=fresh.name)
            watch = await _begin_watch(session, active)
            await _retire(session, AdapterState.ACTIVE, by=by, successor=fresh.name)
            await store.move_adapter(session, fresh, AdapterState.ACTIVE, by=by, reasons=reasons, watch=watch)
            record(session, "adapter.promote", by=by, target=fresh.name)
        await self._follow_if_possible()
        return active.name if active is not None else ""

    async def roll_back(self, *, by: str, reasons: Sequence[str], name: str = "") -> tuple[str, str]:
        """Take back the canary, or else the active adapter, or the one called *name*; return it and what is served now.

        People get the other one from their next question on; what was begun is completed.
        """
        async with self._database.begin() as session:
            taken = await self._find_served(session, name)
            restored = None
            if taken.state == AdapterState.ACTIVE and taken.watch.get("replaced"):
                restored = await store.find_adapter(session, str(taken.watch["replaced"]))
            await store.move_adapter(session, taken, AdapterState.ROLLED_BACK, by=by, reasons=reasons)
            if restored is not None and restored.state == AdapterState.RETIRED:
                again = f"It is back, because {taken.name} was taken back."
                await store.move_adapter(session, restored, AdapterState.ACTIVE, by=by, reasons=[again])
            record(session, "adapter.rollback", by=by, target=taken.name)
            active = await store.adapter_in(session, AdapterState.ACTIVE)
        await self._follow_if_possible()
        return taken.name, active.name if active is not None else ""

    async def _follow_if_possible(self) -> None:
        """Let the engine follow; one that is away does so when it is back."""
        try:
            await self.follow()
        except EngineUnavailable as error:
            log.info("learning: the engine hears of it later: %s", error)

    async def veto(self, name: str, *, by: str, reason: str) -> None:
        """Reject an adapter that waits for objections, or a canary."""
        async with self._database.begin() as session:
            adapter = await self._need(session, name)
            if adapter.state not in {AdapterState.WAITING, AdapterState.CANARY}:
                raise LearningError(f"{adapter.name} does not wait for objections; it is {adapter.state}.")
            await store.move_adapter(session, adapter, AdapterState.REJECTED, by=by, reasons=[reason])
            record(session, "adapter.veto", by=by, target=adapter.name)

    async def _find_served(self, session: Session, name: str) -> Adapter:
        if name:
            found = await self._need(session, name)
            if found.state in store.SERVED:
                return found
            raise LearningError(f"{found.name} is not served any more ({found.state}); nothing was taken back.")
        for state in (AdapterState.CANARY, AdapterState.ACTIVE):
            adapter = await store.adapter_in(session, state)
            if adapter is not None:
                return adapter
        raise LearningError("The base is served, and there is no adapter to take back.")

    async def _need(self, session: Session, name: str) -> Adapter:
        found = await store.find_adapter(session, name)
        if found is None:
            raise LearningError(f"There is no adapter {name[:64]!r}; `bot adapters list` names them all.")
        return found


def is_drawn(name: str, user_id: str, share: float, *, chosen: int, assigned: int) -> bool:
    """Return whether a person gets a canary: by hash, and at least one of the first 1 / *share* people."""
    if share <= 0:
        return False
    draw = int.from_bytes(hashlib.sha256(f"{name}/{user_id}".encode()).digest()[:8], "big") / 2**64
    return draw < share or (chosen == 0 and (assigned + 1) * share >= 1)


async def _retire(session: Session, state: AdapterState, *, by: str, successor: str) -> None:
    adapter = await store.adapter_in(session, state)
    if adapter is not None and adapter.name != successor:
        await store.move_adapter(
            session, adapter, AdapterState.RETIRED, by=by, reasons=[f"{successor} took its place."]
        )


async def _begin_watch(session: Session, incumbent: Adapter | None) -> dict[str, object]:
    """Return what a new adapter is compared with from now on: the votes on what it replaces, frozen."""
    ups, downs = await store.count_votes(session, incumbent.name if incumbent else None, since=now() - HISTORY)
    floor = choose_floor(ups, downs)
    return {"floor": floor, "ups": ups, "downs": downs, "replaced": incumbent.name if incumbent else ""}
