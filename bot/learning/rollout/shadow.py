"""Shadow: what was judged well answers questions of the day as well, for nobody to see, before anybody gets it.

The prompts are those that were served just now, token by token. Of the answers in shadow only counts are kept.
"""

import logging
import time
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from bot.engine.client import EngineClient
from bot.errors import EngineBusy, EngineError, EngineUnavailable
from bot.language import N_
from bot.learning import sentences
from bot.learning.judging.measures import is_looping
from bot.learning.proof.served import BACKGROUND
from bot.learning.rollout.evidence import BREACH
from bot.learning.rollout.loading import LoadedAdapters
from bot.storage import adapters as store
from bot.storage.db import Database
from bot.storage.learning_tables import Adapter, AdapterState
from bot.storage.material import Material, find_served_since
from bot.storage.tables import now

AT_ONCE = 5  # answers for which an adapter is loaded: loading costs seconds
LOOK_S = 30.0  # after which no other is begun in one look, so that what is served is watched as well
LENGTHS = (0.2, 5.0)  # of what was served, in all: beyond these nobody would take it for the same assistant
FIELD = "shadow"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of answers in shadow: how many, how many of them were none, and tokens beside those served."""

    answers: int = 0
    broken: int = 0
    tokens: int = 0
    served_tokens: int = 0
    last: str = ""

    @classmethod
    def of(cls, adapter: Adapter) -> "Seen":
        """Return what was seen of an adapter so far."""
        return cls(**adapter.watch.get(FIELD, {}))

    @property
    def length(self) -> float:
        """How long its answers are, beside those that were served."""
        return self.tokens / self.served_tokens if self.served_tokens else 1.0

    def find_breach(self) -> str:
        """Return why nobody is to get the adapter, in words; empty when there is no reason."""
        if self.broken >= BREACH:
            return sentences.BROKEN_IN_SHADOW.format(broken=self.broken, answers=self.answers)
        if self.answers >= AT_ONCE and not LENGTHS[0] <= self.length <= LENGTHS[1]:
            return sentences.LENGTH_IN_SHADOW.format(ratio=self.length)
        return ""

    def say(self) -> str:
        """Say what was seen."""
        if not self.answers:
            return N_("Nobody asked anything that it could have answered in shadow.")
        return sentences.SEEN_IN_SHADOW.format(answers=self.answers, broken=self.broken, ratio=self.length)


class Shadow:
    """Lets adapters that wait answer *wanted* questions in shadow, for *patience* at most."""

    def __init__(
        self, database: Database, client: EngineClient, loaded: LoadedAdapters, *, wanted: int, patience: timedelta
    ) -> None:
        self._database = database
        self._client = client
        self._loaded = loaded
        self._patience = patience
        self.wanted = wanted

    def is_over(self, adapter: Adapter) -> bool:
        """Return whether there is nothing more to wait for."""
        return Seen.of(adapter).answers >= self.wanted or now() - adapter.changed_at >= self._patience

    async def look(self, adapter: Adapter) -> Seen:
        """Let an adapter answer what was asked since it waits, as far as that is worth loading it; return all seen."""
        seen = Seen.of(adapter)
        missing = min(self.wanted - seen.answers, AT_ONCE)
        if missing <= 0:
            return seen
        async with self._database.read() as session:
            served = await find_served_since(
                session,
                seen.last,
                since=adapter.changed_at,
                base_sha256=adapter.base_sha256,
                channel_id=adapter.channel_id,
                limit=missing,
            )
        if len(served) < missing:
            return seen
        room = (await self._client.models())[0].n_ctx
        began = time.monotonic()
        async with self._loaded.lending(adapter):
            for material in served:
                if time.monotonic() - began > LOOK_S:
                    break
                seen = await self._answer(adapter.name, material, seen, room=room)
        await self._keep(adapter, seen)
        return seen

    async def _answer(self, name: str, material: Material, seen: Seen, *, room: int | None) -> Seen:
        """Answer one question, at the lowest priority; an engine that is away or full raises, and is asked later."""
        if is_looping(material.text):  # so would any model's: somebody asked for it
            return replace(seen, last=material.answer_id)
        longest = round(LENGTHS[1] * len(material.completion_ids)) + 16
        if room is not None:
            longest = min(longest, room - len(material.prompt_ids))
        body: dict[str, Any] = {
            "model": name,
            "prompt": list(material.prompt_ids),
            "max_tokens": longest,
            "return_token_ids": True,
            "resumed_tokens": 0,  # the prompt is a conversation's, and so is the answer
            "priority": BACKGROUND,
        }
        text, tokens = "", 0
        try:
            reply: dict[str, Any] = await self._client.complete(body)
            choice = reply["choices"][0]
            text, tokens = str(choice["text"]).strip(), len(choice["token_ids"])
        except (EngineUnavailable, EngineBusy):
            raise
        except EngineError as error:
            log.info("learning: %s had no answer in shadow (%s)", name, type(error).__name__)
        return Seen(
            answers=seen.answers + 1,
            broken=seen.broken + (not text or is_looping(text)),
            tokens=seen.tokens + tokens,
            served_tokens=seen.served_tokens + len(material.completion_ids),
            last=material.answer_id,
        )

    async def _keep(self, adapter: Adapter, seen: Seen) -> None:
        async with self._database.begin() as session:
            fresh = await store.find_adapter(session, adapter.name)
            if fresh is not None and fresh.state == AdapterState.WAITING:
                fresh.watch = adapter.watch = fresh.watch | {FIELD: asdict(seen)}
