"""Everything at once: twelve people, three adapters that come and go, schemas, scores, and people who leave."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from bot.engine.client import EngineClient
from bot.errors import EngineError
from tests.engine.conftest import serving
from tests.engine.test_api import CHAT, TEXT, Http
from tests.engine.test_bound import TICKET, bound_to
from tests.engine.tiny_adapter import write_tiny_adapter


def choose_request(rng: random.Random) -> tuple[str, dict]:
    """Return some request that the API allows."""
    body = {
        "model": rng.choice(["tiny", "tiny", "x0", "x1", "x2"]),
        "max_tokens": rng.randint(1, 120),
        "temperature": rng.choice([0, 1]),
        "cache_salt": rng.choice(["", f"thread {rng.randrange(9)}"]),
        "user": f"user {rng.randrange(9)}",
        "ignore_eos": rng.random() < 0.5,
    }
    kind = rng.randrange(4)
    if kind == 0:
        return TEXT, body | {"prompt": [rng.randrange(256) for _ in range(rng.randint(1, 300))], "prompt_logprobs": 1}
    body |= {"messages": [{"role": "user", "content": "w" * rng.randint(1, 200)}], "n": rng.choice([1, 1, 3])}
    if kind == 1:
        return CHAT, body | bound_to(TICKET)
    return CHAT, body | ({"presence_penalty": 1, "logit_bias": {"65": 5}} if kind == 2 else {})


async def ask_for_a_while(http: Http, seconds: float, *, seed: int) -> Counter[int]:
    """Ask one thing after the other, leave every fifth, and count the answers' statuses."""
    rng, seen, end = random.Random(seed), Counter[int](), asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        asking = asyncio.create_task(http.post(*choose_request(rng)))
        if rng.random() < 0.2:
            await asyncio.sleep(rng.random() * 0.05)
            asking.cancel()
        results = await asyncio.gather(asking, return_exceptions=True)
        seen.update(result[0] for result in results if isinstance(result, tuple))
    return seen


async def change_adapters(client: EngineClient, paths: list[Path], *, rounds: int) -> int:
    """Load and unload at random; return how often that was possible."""
    rng, changes = random.Random(0), 0
    for _ in range(rounds):
        number = rng.randrange(len(paths))
        try:
            if rng.random() < 0.6:
                await client.load_adapter(f"x{number}", paths[number])
            else:
                await client.unload_adapter(f"x{number}")
            changes += 1
        except EngineError:
            await asyncio.sleep(0.05)
    return changes


@pytest.mark.parametrize("rounds", [6, pytest.param(200, marks=[pytest.mark.nightly, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("kv_unified", [True, False])
async def test_nothing_fails_whatever_comes(tiny_model: Path, tmp_path: Path, kv_unified: bool, rounds: int) -> None:
    """Under memory pressure every answer is complete or its adapter is not there; nothing else, and nobody dies."""
    paths = [write_tiny_adapter(tmp_path / f"{seed}.gguf", seed=seed) for seed in range(3)]
    async with serving(tiny_model, kv_cells=1024, kv_unified=kv_unified) as client:
        http = Http(client._socket_path)
        people = [asyncio.create_task(ask_for_a_while(http, rounds * 0.4, seed=seed)) for seed in range(12)]
        changes = await change_adapters(client, paths, rounds=rounds)
        seen = sum(await asyncio.gather(*people), Counter[int]())
        assert await client.health()
        await http.session.close()

    assert changes > 0
    assert set(seen) <= {200, 404}
    assert seen[200] > rounds  # how many more is a matter of the machine
