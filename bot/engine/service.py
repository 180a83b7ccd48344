"""The engine as asyncio sees it: loads in a thread, encodes prompts in others, and streams what the loop delivers.

Knows no HTTP.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Literal

from bot.engine.checksum import hash_model, is_quick
from bot.engine.loaded import LoadedModel, load_model
from bot.engine.loop import EngineLoop
from bot.engine.metrics import EngineMetrics
from bot.engine.prompt import Prompt
from bot.engine.template import Message
from bot.engine.types import Delta, EngineOptions, ModelFacts, ModelInfo, Request

log = logging.getLogger(__name__)

STALL_SECONDS = 120.0
State = Literal["loading", "ready", "failed", "stopped"]


class EngineService:
    """One served model; made, started and stopped inside one running event loop."""

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self.metrics = EngineMetrics()
        self.error: Exception | None = None
        self.sha256: str | None = None
        self.ended = asyncio.Event()
        self._state: State = "loading"
        self._created = int(time.time())
        self._loaded: LoadedModel | None = None
        self._loop: EngineLoop | None = None
        self._inboxes: dict[str, asyncio.Queue[Delta]] = {}
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._asyncio_loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to load the model in the thread that will own it."""
        self._thread.start()

    async def stop(self) -> None:
        """End open requests and the thread."""
        if self._loop:
            self._loop.close()
        await asyncio.to_thread(self._thread.join, 5.0)

    @property
    def state(self) -> State | Literal["stalled"]:
        """Whether the model loads, answers, failed or hangs."""
        if self._state == "ready" and self._loop and time.monotonic() - self._loop.beat > STALL_SECONDS:
            return "stalled"
        return self._state

    @property
    def loaded(self) -> LoadedModel:
        """The model; only there when the state is ready."""
        if self._loaded is None:
            raise RuntimeError("the model is not loaded yet")
        return self._loaded

    @property
    def loop(self) -> EngineLoop:
        """The running loop; only there when the state is ready."""
        if self._loop is None:
            raise RuntimeError("the model is not loaded yet")
        return self._loop

    @property
    def facts(self) -> ModelFacts:
        """What the model turned out to be."""
        return self.loaded.facts

    def describe(self) -> tuple[ModelInfo, int]:
        """Return the served model and when it was started."""
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
        }
        return ModelInfo(facts.name, "apprentice", meta), self._created

    async def encode_chat(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> Prompt:
        """Render and tokenize a conversation away from the event loop; the template may take its time."""
        encoder = self.loaded.encoder
        return await asyncio.to_thread(encoder.encode, messages, add_generation_prompt=add_generation_prompt)

    async def encode_text(self, text: str, *, add_special: bool = True) -> tuple[int, ...]:
        """Tokenize plain text; control tokens in it are only text."""
        model = self.loaded.model
        tokens = await asyncio.to_thread(model.tokenize, text, add_special=add_special, parse_special=False)
        return tuple(tokens)

    def has_room(self, count: int) -> bool:
        """Whether *count* more requests may wait; ask before anything is answered."""
        return len(self._inboxes) + count <= self.options.max_sequences + self.options.queue_limit

    async def generate(self, requests: Sequence[Request]) -> AsyncGenerator[list[Delta], None]:
        """Yield what the engine adds to *requests* until all are finished; leaving early cancels the rest."""
        loop = self.loop
        inbox: asyncio.Queue[Delta] = asyncio.Queue()
        open_ids = {request.request_id for request in requests}
        self._inboxes |= dict.fromkeys(open_ids, inbox)
        try:
            loop.submit(*requests)
            while open_ids:
                deltas = [await inbox.get()]
                while not inbox.empty():
                    deltas.append(inbox.get_nowait())
                open_ids -= {delta.request_id for delta in deltas if delta.finish_reason}
                yield deltas
        finally:
            for request in requests:
                del self._inboxes[request.request_id]
            for request_id in open_ids:
                loop.cancel(request_id)

    def _run(self) -> None:
        """The thread's life: load, serve, say how it ended."""
        loop: EngineLoop | None = None
        try:
            loaded = load_model(self.options)
            if is_quick(self.options.model_path):
                self.sha256 = hash_model(self.options.model_path)
            else:
                threading.Thread(target=self._hash, name="checksum", daemon=True).start()
            loop = EngineLoop(
                loaded.model,
                loaded.context,
                max_running=self.options.max_sequences,
                deliver=self._deliver,
                metrics=self.metrics,
            )
            self._call(self._on_ready, loaded, loop)
            loop.run()
            loop.shut_down("The engine is stopping.")
            loaded.close()
        except Exception as error:
            log.debug("the engine's thread ended", exc_info=True)
            if loop:
                loop.shut_down("The engine failed.")
            self._call(self._on_failed, error)

    def _hash(self) -> None:
        with suppress(OSError):
            self.sha256 = hash_model(self.options.model_path, self.options.cache_dir)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        """Run *function* in the event loop, unless that is gone already."""
        with suppress(RuntimeError):
            self._asyncio_loop.call_soon_threadsafe(function, *arguments)

    def _on_ready(self, loaded: LoadedModel, loop: EngineLoop) -> None:
        self._loaded, self._loop, self._state = loaded, loop, "ready"

    def _on_failed(self, error: Exception) -> None:
        self.error, self._state = error, "failed"
        self.ended.set()

    def _deliver(self, deltas: Sequence[Delta]) -> None:
        """Hand one step's results to the event loop in one call."""
        self._call(self._dispatch, deltas)

    def _dispatch(self, deltas: Sequence[Delta]) -> None:
        for delta in deltas:
            inbox = self._inboxes.get(delta.request_id)
            if inbox:
                inbox.put_nowait(delta)
