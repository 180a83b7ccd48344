"""Engine processes killed under load: every answer that was on its way is completed, word for word."""

import asyncio
import os
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bot.engine.client import EngineClient
from bot.engine.supervisor import EngineSupervisor
from bot.engine.types import AnswerOptions, Chunk
from bot.errors import EngineBusy, EngineUnavailable
from tests.engine.conftest import wait_healthy
from tests.engine.test_supervisor import command, is_alive, until

PEOPLE = 20
ENDS = (signal.SIGKILL, signal.SIGABRT, signal.SIGSTOP, signal.SIGSEGV)
PATIENCE_SECONDS = 90.0


EXACT = ("--kv-type", "f32", "--flash-attention", "off")  # the next engine computes the same keys in other batches


@asynccontextmanager
async def engine_with(model: Path, *options: str) -> AsyncIterator[tuple[EngineSupervisor, EngineClient]]:
    """Run an engine process with some further options."""
    with TemporaryDirectory(prefix="engine-") as folder:
        path = Path(folder) / "engine.sock"
        started = [*command(model, path), *options]
        async with EngineSupervisor(started, socket_path=path) as supervisor, EngineClient(socket_path=path) as client:
            yield supervisor, client


@dataclass
class Received:
    """What one reader has of an answer, as the bot keeps it."""

    prompt: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()
    text: str = ""
    finish_reason: str | None = None

    def take(self, chunk: Chunk) -> None:
        """Write a piece down."""
        self.prompt = chunk.prompt_token_ids or self.prompt
        self.tokens += chunk.token_ids
        self.text += chunk.text
        self.finish_reason = chunk.finish_reason or self.finish_reason


@dataclass
class Tally:
    """What happened to everybody."""

    answers: int = 0
    breaks: int = 0
    wrong: list[int] = field(default_factory=list)
    open_now: int = 0


def attempt(client: EngineClient, received: Received, number: int) -> AsyncIterator[Chunk]:
    """Ask, or go on from where an earlier attempt broke off."""
    options = AnswerOptions(
        temperature=0, max_tokens=20 + number * 3, scope=f"talk {number}", user=f"user {number % 5}"
    )
    if received.prompt and received.tokens:
        return client.resume(received.prompt, received.tokens, options)
    return client.chat([{"role": "user", "content": f"Question {number}: {'why ' * number}"}], options)


async def answer(client: EngineClient, number: int, tally: Tally) -> Received:
    """Return a whole answer, however often the engine dies meanwhile; the same way as the bot."""
    received, deadline, is_away = Received(), time.monotonic() + PATIENCE_SECONDS, False
    while received.finish_reason is None:
        try:
            async for chunk in attempt(client, received, number):
                received.take(chunk)
                is_away = False
                deadline = time.monotonic() + PATIENCE_SECONDS
        except (EngineUnavailable, EngineBusy):
            tally.breaks += not is_away
            is_away = True
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
    return received


async def keep_asking(
    client: EngineClient, tally: Tally, expected: list[Received], *, seed: int, stop: asyncio.Event
) -> None:
    """Ask one question after the other and compare every answer with the undisturbed one."""
    rng = random.Random(seed)
    while not stop.is_set():
        number = rng.randrange(len(expected))
        tally.open_now += 1
        received = await answer(client, number, tally)
        tally.open_now -= 1
        tally.answers += 1
        if (received.text, received.tokens) != (expected[number].text, expected[number].tokens):
            tally.wrong.append(number)


def children_of(pid: int) -> list[int]:
    """Return the processes that an engine has started."""
    return [int(child) for tasks in Path(f"/proc/{pid}/task").iterdir() for child in read_children(tasks)]


def read_children(task: Path) -> list[str]:
    """Return what one thread has started."""
    return (task / "children").read_text().split()


async def kill_once(supervisor: EngineSupervisor, client: EngineClient, number: signal.Signals) -> float:
    """End the engine, wait for the next one, and return how long nobody was there."""
    pid = supervisor.pid
    assert pid is not None
    children = children_of(pid)
    supervisor._breaker.crashes.clear()  # as after a quiet minute
    started = time.monotonic()
    os.kill(pid, number)
    await until(lambda: supervisor.pid not in {None, pid} and supervisor.state == "ready")
    await wait_healthy(client)
    assert not is_alive(pid)
    await until(lambda: not any(is_alive(child) for child in children), seconds=5)
    return time.monotonic() - started


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=[pytest.mark.nightly, pytest.mark.timeout(7200)])])
async def test_killed_under_load_nothing_is_lost(slow_model: Path, kills: int) -> None:
    """Twenty answers on their way while the engine is killed, aborted and stopped: all are whole and the right ones."""
    rng, tally, stop, away, used = random.Random(kills), Tally(), asyncio.Event(), [], Counter[str]()
    async with engine_with(slow_model, *EXACT) as (supervisor, client):
        await supervisor.wait_ready(60)
        expected = [await answer(client, number, tally) for number in range(12)]
        assert tally.breaks == 0
        people = [
            asyncio.create_task(keep_asking(client, tally, expected, seed=seed, stop=stop)) for seed in range(PEOPLE)
        ]
        for kill in range(kills):
            await asyncio.sleep(rng.uniform(0.05, 2.0))
            assert tally.open_now == PEOPLE
            number = ENDS[kill % len(ENDS)]
            away.append(await kill_once(supervisor, client, number))
            used[number.name] += 1
        stop.set()
        await asyncio.gather(*people)
        assert supervisor.restarts == kills

    print(f"\nkilled engines: {kills} {dict(used)}, answers {tally.answers}, broken off and resumed {tally.breaks},")
    print(f"wrong answers {len(tally.wrong)}, away {statistics.median(away):.1f} s (median), at most {max(away):.1f} s")
    assert tally.wrong == []
    assert tally.answers >= PEOPLE
    assert tally.breaks >= kills
    assert max(away) < 60
