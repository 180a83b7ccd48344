"""The engine as asyncio sees it: loads in a thread, encodes prompts in others, and streams what the loop delivers.

Knows no HTTP.
"""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from bot.engine.adapter_store import KeptAdapter, has_state
from bot.engine.chat.prompt import Prompt
from bot.engine.chat.template import NO_EXTRAS, Extras, Message
from bot.engine.files.checksum import hash_model, is_quick
from bot.engine.handover import Handover
from bot.engine.lanes import Lane, Lanes
from bot.engine.loaded import LoadedModel, load_model
from bot.engine.metrics import EngineMetrics
from bot.engine.roster import Roster, Served, recall
from bot.engine.sight.gallery import Gallery
from bot.engine.types import Delta, EngineOptions, ModelFacts, ModelInfo, Request

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "failed", "stopped"]


class EngineService:
    """One model and its adapters; made, started and stopped inside one running event loop.

    *is_alone* when the process does nothing else.
    """

    def __init__(self, options: EngineOptions, *, is_alone: bool = False) -> None:
        self.options = options
        self._is_alone = is_alone
        self.metrics = EngineMetrics()
        self.error: Exception | None = None
        self.sha256: str | None = None
        self.ended = asyncio.Event()
        self._state: State = "loading"
        self._created = int(time.time())
        self._loaded: LoadedModel | None = None
        self._lanes: Lanes | None = None
        self._roster: Roster | None = None
        self._gallery: Gallery | None = None
        self._inboxes: dict[str, asyncio.Queue[Delta]] = {}
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._handover = Handover[Callable[[], None]](lambda function: function())

    def start(self) -> None:
        """Begin to load the model in the thread that will own it."""
        self._thread.start()

    async def stop(self) -> None:
        """End open requests and the thread."""
        if self._roster:
            await asyncio.to_thread(self._roster.stop)
        if self._gallery:
            self._gallery.close()
        if self._lanes:
            self._lanes.end()
        if self._thread.ident is not None:  # it was started
            await asyncio.to_thread(self._thread.join, 5.0)
        if not self._thread.is_alive():
            self._handover.close()

    @property
    def state(self) -> State | Literal["stalled"]:
        """Whether the model loads, answers, failed or hangs."""
        if self._state == "ready" and self._lanes and self._lanes.is_stalled:
            return "stalled"
        return self._state

    @property
    def loaded(self) -> LoadedModel:
        """The model; only there when the state is ready."""
        if self._loaded is None:
            raise RuntimeError("the model is not loaded yet")
        return self._loaded

    @property
    def roster(self) -> Roster:
        """What is served by name; only there when the state is ready."""
        if self._roster is None:
            raise RuntimeError("the model is not loaded yet")
        return self._roster

    @property
    def gallery(self) -> Gallery:
        """Who looks at pictures; only there when the model sees."""
        if self._gallery is None:
            raise RuntimeError("the model does not see")
        return self._gallery

    @property
    def facts(self) -> ModelFacts:
        """What the model turned out to be."""
        return self.loaded.facts

    def list_models(self) -> list[tuple[ModelInfo, int]]:
        """Return what is served and since when, the base model first."""
        base = self._describe_base()
        adapters = [
            (replace(base, id=served.name, root=str(served.path), parent=base.id), served.created)
            for served in self.roster.adapters
        ]
        return [(base, self._created), *adapters]

    def _describe_base(self) -> ModelInfo:
        facts = self.facts
        meta = {
            "n_ctx": facts.n_ctx,
            "n_ctx_train": facts.n_ctx_train,
            "n_params": facts.n_params,
            "n_vocab": facts.n_vocab,
            "size": facts.size,
            "sha256": self.sha256,
            "description": facts.description,
            "max_sequences": facts.max_sequences,
            "gpu_layers": facts.gpu_layers,
            **({"mmproj": facts.mmproj, "picture_tokens": facts.picture_tokens} if facts.mmproj else {}),
        }
        return ModelInfo(facts.name, "apprentice", meta, root=facts.name, sees=bool(facts.mmproj))

    async def load_adapter(self, name: str, path: Path, *, sha256: str = "") -> None:
        """Serve an adapter beside what is served, or raise *AdapterRefused*; nothing that runs is disturbed."""
        if self.sha256 is None:
            self.sha256 = await asyncio.to_thread(hash_model, self.options.model_path, self.options.cache_dir)
        await self.roster.load(name, path, sha256=sha256, model_sha256=self.sha256)

    async def encode_chat(self, messages: Sequence[Message], extras: Extras = NO_EXTRAS) -> Prompt:
        """Render and tokenize a conversation away from the event loop; the template may take its time."""
        encoder, views = self.loaded.encoder, {}
        for picture in (picture for message in messages for picture in message.pictures):
            views[picture.mark] = await self.gallery.look(picture.data)
        return await asyncio.to_thread(encoder.encode, messages, extras, views)

    async def see(self, request: Request) -> None:
        """Compute what a request reads in place of its pictures' tokens, while answers go on."""
        await self.gallery.see(request.pictures, scope=request.scope)

    async def encode_text(self, text: str, *, add_special: bool = True) -> tuple[int, ...]:
        """Tokenize plain text; control tokens in it are only text."""
        model = self.loaded.model
        tokens = await asyncio.to_thread(model.tokenize, text, add_special=add_special, parse_special=False)
        return tuple(tokens)

    async def embed(self, tokens: Sequence[int]) -> list[float]:
        """Return the vector of a text, computed between two steps; *ValueError* if there is none."""
        if self._lanes is None:
            raise RuntimeError("the model is not loaded yet")
        return await asyncio.wrap_future(self._lanes.embed(tokens))

    def forget(self, scope: str) -> None:
        """Keep nothing of a conversation as cache, because words in it were deleted."""
        if self._lanes:
            self._lanes.forget(scope)

    async def generate(self, served: Served, requests: Sequence[Request]) -> AsyncGenerator[list[Delta], None]:
        """Yield what the engine adds to *requests* until all are finished; leaving early cancels the rest."""
        loop = served.lane.loop
        inbox: asyncio.Queue[Delta] = asyncio.Queue()
        open_ids = {request.request_id for request in requests}
        self._inboxes |= dict.fromkeys(open_ids, inbox)
        for request in requests:
            served.backlog.enter(request.request_id)
        try:
            loop.submit(*requests)
            while open_ids:
                deltas = [await inbox.get()]
                while not inbox.empty():
                    deltas.append(inbox.get_nowait())
                for delta in deltas:
                    served.backlog.hear(delta.request_id)
                    if delta.finish_reason:
                        open_ids.discard(delta.request_id)
                        is_complete = delta.finish_reason in {"stop", "length"}
                        served.backlog.leave(delta.request_id, is_complete=is_complete)
                yield deltas
        finally:
            for request in requests:
                del self._inboxes[request.request_id]
            for request_id in open_ids:
                served.backlog.leave(request_id, is_complete=False)
                loop.cancel(request_id)

    def _run(self) -> None:
        """The thread's life: load, serve, say how it ended."""
        lanes: Lanes | None = None
        try:
            loaded = load_model(self.options)
            if is_quick(self.options.model_path) or has_state(self.options.state_dir):
                self.sha256 = hash_model(self.options.model_path, self.options.cache_dir)
            else:
                threading.Thread(target=self._hash, name="checksum", daemon=True).start()
            lanes = Lanes(self.options, loaded, deliver=self._deliver, metrics=self.metrics)
            adapters = recall(self.options, lanes, self.sha256 or "")
            self._handover.put(partial(self._on_ready, loaded, lanes, adapters))
            lanes.run()
            lanes.shut_down("The engine is stopping.")
            lanes.free()
            loaded.close()
        except Exception as error:
            log.debug("the engine's thread ended", exc_info=True)
            if lanes:
                lanes.shut_down("The engine failed.")
            self._handover.put(partial(self._on_failed, error))

    def _hash(self) -> None:
        with suppress(OSError):
            self.sha256 = hash_model(self.options.model_path, self.options.cache_dir)

    def _on_ready(self, loaded: LoadedModel, lanes: Lanes, adapters: list[tuple[KeptAdapter, Lane]]) -> None:
        self._loaded, self._lanes = loaded, lanes
        if self._is_alone:
            gc.collect()
            gc.freeze()  # what is loaded stays: to look through it again and again stops all answers for 50 ms
        if loaded.eyes:
            self._gallery = Gallery(loaded.eyes, n_batch=loaded.facts.n_batch)
        self._roster = Roster(self.options, lanes, created=self._created)
        self._roster.recall(adapters)
        self._state = "ready"  # the last of all: whoever is told so asks at once

    def _on_failed(self, error: Exception) -> None:
        self.error, self._state = error, "failed"
        self.ended.set()

    def _deliver(self, deltas: Sequence[Delta]) -> None:
        """Hand one step's results to the event loop at once."""
        self._handover.put(partial(self._dispatch, deltas))

    def _dispatch(self, deltas: Sequence[Delta]) -> None:
        for delta in deltas:
            inbox = self._inboxes.get(delta.request_id)
            if inbox:
                inbox.put_nowait(delta)
