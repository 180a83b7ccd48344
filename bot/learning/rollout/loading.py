"""Which adapters the engine has at hand: those that are served, judged, lent, and what a rollback would bring back.

The database says what is served; the engine follows. What it refuses gives way to what was there before.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from bot.engine.client import EngineClient
from bot.engine.types import MOST_ADAPTERS, ModelInfo
from bot.errors import AdapterAway, EngineBusy, EngineError, EngineUnavailable, LearningError
from bot.learning import sentences
from bot.learning.adapter_place import find_adapter_file, is_of_others
from bot.storage import adapters as store
from bot.storage.audit import record
from bot.storage.db import Database, Session
from bot.storage.learning_tables import Adapter, AdapterState
from bot.storage.leases import wait_in_line
from bot.storage.preferences import chosen_adapters
from bot.storage.runs import has_rejected, is_unwilling_in
from bot.storage.tables import now

PREFIX = "apprentice-"  # adapters of other names are somebody else's
TRIAL = "candidate-"  # as proofs name what they try
LINGER = timedelta(minutes=2)  # what was just taken back stays loaded for the answers that still wait with it
CHECK_S = 3.0  # between two looks at an engine that may have been replaced
SPOILT = {AdapterState.ROLLED_BACK, AdapterState.REJECTED, AdapterState.TAINTED}

log = logging.getLogger(__name__)


class HeldElsewhere(EngineUnavailable):
    """Another bot may have the adapter's file."""


class LoadedAdapters:
    """The adapters that the engine has at hand; runs keep theirs in *folder*."""

    def __init__(self, database: Database, client: EngineClient, folder: Path | None = None) -> None:
        self._database = database
        self._client = client
        self._folder = folder
        self._loading = asyncio.Lock()
        self._known: tuple[tuple[str, str], ...] | None = None
        self._look_again = 0.0
        self._refused: set[str] = set()
        self._elsewhere: set[str] = set()
        self._lent: Counter[str] = Counter()

    async def follow(self) -> None:
        """Let the engine serve what the database says; what it refuses gives way to what was there before.

        Cheap while nothing has changed: called every second. Every few seconds the engine is asked all the same, for a
        new one may have forgotten its adapters.
        """
        async with self._database.read() as session:
            judged = await store.adapters_in(session, AdapterState.BUILT)
            live = await store.served_adapters(session)
            lent = {name for name, count in self._lent.items() if count} - {adapter.name for adapter in live}
            room = MOST_ADAPTERS - bool(judged) - len(lent)
            wanted = choose_needed(live, room=room, judged=judged)
            spare = [] if judged else [*await self._previous(session, wanted), *await chosen_adapters(session)]
            previous = list({adapter.name: adapter for adapter in spare}.values())[: max(0, room - len(wanted))]
            leaving = await store.changed_since(session, now() - LINGER)
        key = tuple((adapter.name, str(adapter.state)) for adapter in (*wanted, *judged, *previous, *leaving))
        is_new = key != self._known
        if not is_new and (not key or time.monotonic() < self._look_again):
            return
        async with self._loading:
            models = await self._client.models()
            served = {model.id for model in models}
            if is_new:
                self._refused.clear()
                keep = {adapter.name for adapter in (*wanted, *judged, *previous, *leaving)}
                await self._unload_others(served, keep)
            for adapter in (*wanted, *previous):
                if adapter.name not in served and adapter.name not in self._refused:
                    await self._load_or_give_way(adapter, models[0])
        self._known, self._look_again = key, time.monotonic() + CHECK_S

    def engine_restarted(self) -> None:
        """Look at the engine again at the next *follow*: a new one may have forgotten its adapters."""
        self._known = None

    async def _previous(self, session: Session, wanted: Sequence[Adapter]) -> Sequence[Adapter]:
        """Return what a rollback would bring back, so that it is there at once."""
        names = {str(adapter.watch.get("replaced", "")) for adapter in wanted} - {adapter.name for adapter in wanted}
        found = [await store.find_adapter(session, name) for name in sorted(names - {""})]
        return [adapter for adapter in found if adapter is not None and adapter.state == AdapterState.RETIRED]

    async def _unload_others(self, served: Collection[str], keep: Collection[str]) -> bool:
        """Unload what nobody needs; return whether there was anything."""
        others = [name for name in served if name.startswith(PREFIX) and name not in keep and not self._lent[name]]
        for name in others:
            await self._client.unload_adapter(name)
        return bool(others)

    async def _load_or_give_way(self, adapter: Adapter, base: ModelInfo) -> None:
        """Load an adapter; one that is refused is taken back, and what it replaced is served again."""
        try:
            await self._load_with_room(adapter, base)
            self._elsewhere.discard(adapter.name)
        except HeldElsewhere as error:  # what others serve is not for this one to take back
            if adapter.name not in self._elsewhere:
                log.warning("learning: adapter %s is not served by this bot: %s", adapter.name, error)
            self._elsewhere.add(adapter.name)
        except (EngineUnavailable, EngineBusy):
            raise
        except (EngineError, LearningError) as error:
            if isinstance(error, EngineError) and len(await self._client.models()) > MOST_ADAPTERS:
                log.info("learning: adapter %s waits for a place in the engine", adapter.name)
                return
            log.warning("learning: adapter %s cannot be served: %s", adapter.name, error)
            self._refused.add(adapter.name)
            is_other_base = bool(base.sha256) and adapter.base_sha256 != base.sha256
            state = AdapterState.RETIRED if is_other_base else AdapterState.ROLLED_BACK
            async with self._database.begin() as session:
                await wait_in_line(session, store.QUEUE)
                fresh = await store.find_adapter(session, adapter.name)
                if fresh is not None and fresh.state == adapter.state:
                    await take_back(
                        session, fresh, state, by=store.BY_ENGINE, reasons=[str(error)], base=base.sha256 or ""
                    )

    async def load(self, adapter: Adapter, base: ModelInfo) -> None:
        """Let the engine try and serve an adapter; *LearningError* or *EngineError* says why it does not."""
        if base.sha256 and adapter.base_sha256 != base.sha256:
            own, served = adapter.base_sha256[:12], base.sha256[:12]
            raise LearningError(sentences.FOR_OTHER_MODEL.format(adapter=adapter.name, hash=own, served_hash=served))
        path = await asyncio.to_thread(find_adapter_file, adapter, self._folder)
        try:
            await self._client.load_adapter(adapter.name, path, sha256=adapter.sha256)
        except AdapterAway as error:
            if not is_of_others(adapter, self._folder):
                raise
            raise HeldElsewhere(str(error)) from error

    async def _load_with_room(self, adapter: Adapter, base: ModelInfo) -> None:
        """Load an adapter, and once more without those that are only kept at hand, for an engine takes a few."""
        try:
            await self.load(adapter, base)
        except (EngineUnavailable, EngineBusy, LearningError):
            raise
        except EngineError:
            if not await self._unload_spare(beside=adapter):
                raise
            await self.load(adapter, base)

    async def _unload_spare(self, *, beside: Adapter | None = None) -> bool:
        """Unload what is not needed, so that one more has its place; return whether there was anything."""
        name = beside.name if beside is not None else ""
        served = {model.id for model in await self._client.models()}
        async with self._database.read() as session:
            judged = await store.adapters_in(session, AdapterState.BUILT)
            live = [adapter for adapter in await store.served_adapters(session) if adapter.name != name]
        others = [adapter for adapter in judged if adapter.name in served and adapter.name != name]
        needed = [*others, *choose_needed(live, room=MOST_ADAPTERS - 1 - bool(others), judged=judged)]
        return await self._unload_others(served, {name, *(adapter.name for adapter in needed)})

    async def make_room(self) -> None:
        """Unload what is only kept at hand, and what a trial that was killed has left: a new trial needs the place.

        For the process alone that works on a run.
        """
        async with self._loading:
            await self._unload_spare()
            for model in await self._client.models():
                if model.id.startswith(TRIAL):
                    await self._client.unload_adapter(model.id)

    async def ensure_loaded(self, adapter: Adapter) -> None:
        """Let the engine serve an adapter if it does not yet."""
        async with self._loading:
            models = await self._client.models()
            if adapter.name not in {model.id for model in models}:
                await self._load_with_room(adapter, models[0])

    @asynccontextmanager
    async def lending(self, adapter: Adapter) -> AsyncIterator[None]:
        """Let the engine serve an adapter that people do not get, while the block runs."""
        self._lent[adapter.name] += 1
        try:
            await self.ensure_loaded(adapter)
            yield
        finally:
            self._lent[adapter.name] -= 1
            self.engine_restarted()  # so that it is unloaded, unless it is needed

    async def unload(self, name: str) -> None:
        """Let the engine forget an adapter, if it can be asked."""
        async with self._loading:
            try:
                await self._client.unload_adapter(name)
            except EngineError as error:
                log.info("learning: %s was not unloaded: %s", name, error)


def choose_needed(served: Sequence[Adapter], *, room: int, judged: Sequence[Adapter]) -> list[Adapter]:
    """Return what of the *served* has to be at hand where the engine has *room* for so many.

    A channel's own gives way to what everybody gets, for as long as another adapter is *judged*: its people get
    everybody's then. The channel for which one is judged comes before others, since the two are compared.
    """
    channels = {adapter.channel_id for adapter in judged}
    ranked = sorted(served, key=lambda adapter: bool(adapter.channel_id) and adapter.channel_id not in channels)
    return ranked[: max(room, 0)]


async def take_back(
    session: Session, adapter: Adapter, state: AdapterState, *, by: str, reasons: Sequence[str], base: str = ""
) -> None:
    """Take an adapter back, and let people have what it replaced, if that fits the *base* that is known.

    Channels' own adapters that have it mixed in go with it. What learned from a correction that a reviewer has
    rejected since does not come back, but what that had replaced; nor does what learned from somebody who has said no.
    """
    was_active = adapter.state == AdapterState.ACTIVE
    replaced = str(adapter.watch.get("replaced", ""))
    await store.move_adapter(session, adapter, state, by=by, reasons=reasons)
    restored = await _find_before(session, replaced) if was_active else None
    for mixed in await store.mixed_with(session, adapter.name) if state == AdapterState.ROLLED_BACK else ():
        because = [sentences.MIXED_IN.format(adapter=adapter.name), *reasons]
        await store.move_adapter(session, mixed, AdapterState.ROLLED_BACK, by=by, reasons=because)
        record(session, "adapter.rollback", by=by, target=mixed.name, because_of=adapter.name)
    is_ours = restored is not None and restored.channel_id == adapter.channel_id
    if restored is None or not is_ours or await find_spoilt_part(session, restored):
        return
    if await is_unwilling_in(session, restored):
        return
    if restored.state == AdapterState.RETIRED and base in {"", restored.base_sha256}:
        again = sentences.BACK_AGAIN.format(adapter=adapter.name)
        await store.move_adapter(session, restored, AdapterState.ACTIVE, by=by, reasons=[again])


async def _find_before(session: Session, name: str) -> Adapter | None:
    """Return an adapter that was replaced, or the newest before it that learned nothing which was rejected since."""
    seen: set[str] = set()  # two may have replaced each other
    found = await store.find_adapter(session, name)
    while found is not None and found.state == AdapterState.RETIRED and await has_rejected(session, found.run_id):
        seen.add(found.name)
        before = str(found.watch.get("replaced", ""))
        found = await store.find_adapter(session, before) if before not in seen else None
    return found


async def find_spoilt_part(session: Session, adapter: Adapter) -> str:
    """Return the adapter that is mixed into a channel's own and is not to be served any more; empty: there is none."""
    part = await store.find_adapter(session, adapter.mixed_with) if adapter.mixed_with else None
    return part.name if part is not None and part.state in SPOILT else ""
