"""What is served, by name: the model and its adapters, loaded and let go while others answer.

Knows no HTTP; the checks of an adapter stand in `adapters.py`, what is kept of it in `adapter_store.py`.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.engine.adapter_store import AdapterStore, KeptAdapter
from bot.engine.adapters import NAME, TRIED, AdapterRefused, NoRoom, admit
from bot.engine.api.line import Line
from bot.engine.backlog import Backlog
from bot.engine.lanes import Lane, Lanes
from bot.engine.types import EngineOptions
from bot.errors import EngineError, ModelFileError
from bot.lock import sweep_temporary

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Served:
    """A name that requests can ask for; a retired one only ends what it began."""

    lane: Lane
    created: int
    backlog: Backlog
    line: Line
    path: Path | None = None
    users: int = 0
    is_retired: bool = False

    @property
    def name(self) -> str:
        """What requests call it."""
        return self.lane.name


class Roster:
    """The names of one engine; one thread of its own loads and frees, so that no answer waits for it."""

    def __init__(self, options: EngineOptions, lanes: Lanes, *, created: int) -> None:
        self._options = options
        self._lanes = lanes
        self._served: dict[str, Served] = {}
        self._changes = asyncio.Lock()
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="adapters")
        self._store = AdapterStore(options.state_dir) if options.state_dir else None
        sweep_temporary(TRIED)  # what an engine had left that was killed while it tried an adapter
        self._add(lanes.base, created=created)

    @property
    def adapters(self) -> list[Served]:
        """The adapters that are offered."""
        return [served for served in self._served.values() if served.path]

    def backlogs(self) -> dict[str, Backlog]:
        """Return how much every served model and adapter has to do."""
        return {name: served.backlog for name, served in self._served.items()}

    def has(self, name: str) -> bool:
        """Whether *name* is the model or an adapter that is served."""
        return name in self._served

    @contextmanager
    def use(self, name: str) -> Iterator[Served]:
        """Hold what *name* stands for, the base model if it is empty; *LookupError* if there is none."""
        served = self._served[name or self._lanes.base.name]
        served.users += 1
        try:
            yield served
        finally:
            served.users -= 1
            self._free_if_unused(served)

    def recall(self, loaded: list[tuple[KeptAdapter, Lane]]) -> None:
        """Offer what an engine before this one had offered."""
        for adapter, lane in loaded:
            self._lanes.begin(lane)
            self._add(lane, created=adapter.created, path=Path(adapter.root))

    async def load(self, name: str, path: Path, *, sha256: str, model_sha256: str) -> None:
        """Serve an adapter beside what is served, or raise *AdapterRefused*; nothing that runs is disturbed."""
        async with self._changes:
            if not NAME.fullmatch(name):
                raise AdapterRefused("lora_name must be 1 to 128 letters, digits and ._:/@+- only.")
            if name in self._served:
                raise AdapterRefused(f"{name} is served already: unload it first, or choose another name.")
            if len(self._served) > self._options.max_adapters:
                raise AdapterRefused(f"{self._options.max_adapters} adapters are served already: unload one first.")
            model_path, created = self._options.model_path, int(time.time())
            async with admit(path, model_path=model_path, base_sha256=model_sha256, sha256=sha256) as (copy, found):
                lane = await self._open(name, copy)
                if self._store:
                    kept = self._store.build(name, path, sha256=found, model_sha256=model_sha256, created=created)
                    await self._keep(kept, copy, lane)
            self._lanes.begin(lane)
            self._add(lane, created=created, path=path)

    async def _open(self, name: str, path: Path) -> Lane:
        opening = asyncio.get_running_loop().run_in_executor(self._loader, self._lanes.open, name, path)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._drop)
            raise
        except (ValueError, ModelFileError) as error:
            raise AdapterRefused(f"{name} passed its trial, but cannot be served: {error}") from error

    def _drop(self, opening: "asyncio.Future[Lane]") -> None:
        """Free what was loaded for somebody who has left."""
        if not opening.cancelled() and opening.exception() is None:
            self._close(opening.result())

    async def _keep(self, adapter: KeptAdapter, copy: Path, lane: Lane) -> None:
        """Remember an adapter for the next engine; one that cannot be remembered is not offered."""
        if not self._store:
            return
        try:
            await asyncio.to_thread(self._store.keep, adapter, copy)
        except BaseException as error:
            self._close(lane)
            if isinstance(error, OSError):
                raise NoRoom.because(error) from error
            raise

    def unload(self, name: str) -> None:
        """Offer an adapter no more; it is freed when its last answer is complete. *LookupError* if there is none."""
        served = self._served[name]
        if served.path is None:
            raise LookupError(name)
        del self._served[name]
        served.is_retired = True
        if self._store:
            try:
                self._store.forget(name)
            except OSError as error:
                log.warning("The adapter %s may be served again after a restart (%s).", name, error.strerror)
        self._free_if_unused(served)

    def stop(self) -> None:
        """Wait until nothing is being loaded or freed, and begin nothing more."""
        self._loader.shutdown()

    def _add(self, lane: Lane, *, created: int, path: Path | None = None) -> None:
        backlog = Backlog(self._options.max_sequences)
        line = Line(lambda: lane.loop.waiting_order, backlog)
        self._served[lane.name] = Served(lane, created, backlog, line, path)

    def _free_if_unused(self, served: Served) -> None:
        if served.is_retired and not served.users:
            self._close(served.lane)

    def _close(self, lane: Lane) -> None:
        try:
            self._loader.submit(self._lanes.close, lane)
        except RuntimeError:  # the engine is stopping, and frees everything itself
            log.debug("%s is not freed any more", lane.name)


def recall(options: EngineOptions, lanes: Lanes, model_sha256: str) -> list[tuple[KeptAdapter, Lane]]:
    """Load what an engine before this one had served; for the engine's thread, before it begins to work."""
    if not options.state_dir:
        return []
    store, loaded = AdapterStore(options.state_dir), []
    try:
        for adapter, copy in store.recall(model_sha256):
            try:
                loaded.append((adapter, lanes.open(adapter.name, copy)))
            except (EngineError, ValueError) as error:
                log.warning("The adapter %s is not served again: %s", adapter.name, error)
            else:
                store.settle(adapter)
    except OSError as error:
        log.warning("%s cannot be used (%s): not every adapter is served again.", options.state_dir, error.strerror)
    if loaded:
        log.info("Served again: %s", ", ".join(adapter.name for adapter, _ in loaded))
    return loaded
