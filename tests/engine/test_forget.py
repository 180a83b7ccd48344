"""Deleted words leave the engine's memory: the cells, host memory, and what is still being computed from them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.engine.api.api_error import ApiError
from bot.engine.api.wire import parse_forget
from bot.engine.batching.host_tier import HostTier
from bot.engine.client import EngineClient
from bot.engine.llama.model import Model, start_backend
from bot.engine.types import MOST_FORGOTTEN, AnswerOptions
from tests.engine.test_host_tier import crowd
from tests.engine.test_loop import Rig, ask

PROMPT = tuple(range(150))


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Iterator[Model]:
    """Return the loaded tiny model."""
    start_backend()
    loaded = Model(tiny_model, n_gpu_layers=0)
    yield loaded
    loaded.close()


def cached(rig: Rig, name: str, scope: str) -> int:
    """Return how much of the conversation a request of *scope* finds."""
    rig.run(ask(name, (*PROMPT, 1), scope=scope, max_tokens=1))
    return rig.last_of(name).cached_tokens


def test_nothing_of_a_forgotten_thread_is_found_again(model: Model) -> None:
    """In no slot and not in host memory, and another thread with the same words keeps its own."""
    rig = Rig(model, n_cells=512, n_slots=3, max_running=2, host=HostTier(10**9))
    rig.run(ask("one", PROMPT, scope="thread", max_tokens=1))
    assert cached(rig, "known", "thread") > 100
    rig.loop.forget("thread")
    while rig.loop.step():
        pass
    assert all(rig.context.length(slot) == 0 for slot in range(3)), "the cells are free"
    assert cached(rig, "unknown", "thread") == 0

    rig.run(ask("other", PROMPT, scope="other", max_tokens=1))
    crowd(rig, 0)
    assert {saved.scope for saved in rig.loop.scheduler.host._held} >= {"thread", "other"}
    rig.loop.forget("thread")
    rig.loop.step()
    assert "thread" not in {saved.scope for saved in rig.loop.scheduler.host._held}
    assert cached(rig, "kept", "other") > 100
    assert cached(rig, "gone", "thread") == 0
    rig.context.close()


def test_an_answer_under_way_is_completed_and_then_forgotten(model: Model) -> None:
    """Whoever reads along loses no word; what was computed for it is not kept."""
    rig = Rig(model)
    rig.loop.submit(ask("one", PROMPT, scope="thread", max_tokens=5))
    rig.loop.step()
    rig.loop.forget("thread")
    while rig.loop.step():
        pass
    assert len(rig.tokens_of("one")) == 5
    assert cached(rig, "two", "thread") == 0
    rig.context.close()


async def test_the_client_can_have_a_thread_forgotten(client: EngineClient) -> None:
    """Over the API, with an adapter's lanes or without."""
    options = AnswerOptions(max_tokens=2, temperature=0, scope="T/C/1")
    messages = [{"role": "user", "content": "The secret meeting is in the Lantern room, on the third floor, at noon."}]

    async def count() -> int:
        chunks = [chunk async for chunk in client.chat(messages, options)]
        return next(chunk.usage.cached_tokens for chunk in chunks if chunk.usage)

    await count()
    assert await count() > 20
    await client.forget([f"T/C/{number}" for number in range(2, 2 * MOST_FORGOTTEN)])
    assert await count() > 20
    await client.forget([*(f"T/C/{number}" for number in range(2, 2 * MOST_FORGOTTEN)), "T/C/1"])
    assert await count() < 5


@pytest.mark.parametrize("salt", [None, "", [], ["a", ""], [1], {"a": 1}, "x" * 513, ["x"] * (MOST_FORGOTTEN + 1)])
def test_what_names_no_conversation_is_refused(salt: object) -> None:
    """One is named by a text and several by a list; the wrong value is not repeated."""
    assert parse_forget({"cache_salt": "T/C/1"}) == ["T/C/1"]
    assert parse_forget({"cache_salt": ["T/C/1", "T/C/2"]}) == ["T/C/1", "T/C/2"]
    with pytest.raises(ApiError, match=r"^cache_salt must"):
        parse_forget({"cache_salt": salt})
