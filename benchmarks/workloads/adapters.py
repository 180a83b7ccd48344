"""W5: adapters come and go while people read their answers; does anybody notice?

Half of the readers talk to the model, half to an adapter that stays. In the turn "changing" a second adapter is loaded,
asked once and unloaded again, over and over. Ours only: llama-server reads its adapters at start and never again.
"""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.arms import OURS, Arm, start_ours
from benchmarks.bench import Bench, in_turns, quiet_client, summarise
from benchmarks.client import GREEDY, Ask, Reply
from benchmarks.random_model import write_random_adapter

NAME = "W5"
READERS = 4
PROMPT, ANSWER = 64, 48
QUIET, CHANGING = "quiet", "changing"


async def run(bench: Bench) -> None:
    """Measure the same readers with and without changes, in turns."""
    serving = bench.sized(n_ctx=512, sequences=8)
    with TemporaryDirectory(prefix="bench-lora-") as name:
        folder = Path(name)
        for index in range(2):
            path = folder / f"{index}.gguf"
            write_random_adapter(path, matrices=bench.matrices, layers=bench.n_layers, seed=index)
        async with start_ours(serving) as arm:
            await load(arm, "stays", folder / "0.gguf")
            before = await write_greedily(bench, arm)
            await read_for(bench, arm, seconds=2, turn=-1)
            for turn, case in in_turns([QUIET, CHANGING], bench.plan.rounds):
                values: dict[str, float] = {}
                with quiet_client(values):
                    replies, changes, failed = await measure(bench, arm, case, turn, folder / "1.gguf")
                values |= {"answers": len(replies), "changes": changes, "failed_changes": failed}
                values["same_after"] = float(await write_greedily(bench, arm) == before)
                bench.add(NAME, case, OURS, turn, summarise(replies) | values)
            bench.results.configs[f"{NAME} {bench.name} {OURS}"] = arm.config


async def measure(bench: Bench, arm: Arm, case: str, turn: int, path: Path) -> tuple[list[Reply], int, int]:
    """Return the readers' replies, how often the adapter was changed, and how often that failed."""
    readers = asyncio.create_task(read_for(bench, arm, seconds=bench.plan.seconds, turn=turn))
    changes = failed = 0
    while not readers.done() and case == CHANGING:
        name = f"comes-{turn}-{changes}"
        is_loaded = await load(arm, name, path)
        prompt, text = bench.words.draw(PROMPT, seed=(NAME, name))
        reply = (await arm.client.ask(Ask(tokens=prompt, text=text, max_tokens=8, model=name))).read()
        is_unloaded = await post(arm, "unload_lora_adapter", {"lora_name": name})
        failed += not (is_loaded and is_unloaded and not reply.error)
        changes += 1
    return await readers, changes, failed


async def read_for(bench: Bench, arm: Arm, *, seconds: float, turn: int) -> list[Reply]:
    """Let every reader ask one question after the other for a while."""
    end = time.perf_counter() + seconds

    async def read(reader: int) -> list[Reply]:
        replies: list[Reply] = []
        while time.perf_counter() < end:
            prompt, text = bench.words.draw(PROMPT, seed=(NAME, turn, reader, len(replies)))
            model = "stays" if reader % 2 else ""
            replies.append(await arm.client.ask(Ask(tokens=prompt, text=text, max_tokens=ANSWER, model=model)))
        return replies

    return [reply.read() for replies in await asyncio.gather(*map(read, range(READERS))) for reply in replies]


async def write_greedily(bench: Bench, arm: Arm) -> list[str]:
    """Return what the model and the adapter that stays say without chance."""
    prompt, text = bench.words.draw(PROMPT, seed=(NAME, "greedy"))
    asks = [Ask(tokens=prompt, text=text, max_tokens=24, sampling=dict(GREEDY), model=name) for name in ("", "stays")]
    return [(await arm.client.ask(ask)).read().text for ask in asks]


async def load(arm: Arm, name: str, path: Path) -> bool:
    """Load an adapter; say whether it is served."""
    return await post(arm, "load_lora_adapter", {"lora_name": name, "lora_path": str(path)})


async def post(arm: Arm, call: str, body: dict[str, str]) -> bool:
    """Call one of the adapter calls."""
    async with arm.client.session.post(f"{arm.client.url}/v1/{call}", json=body) as response:
        return response.ok
