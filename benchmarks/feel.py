"""`make bench`: how quick the product feels on this machine, each figure beside its goal.

- acknowledgement of events at 50 a second while the engine is saturated; the peer is a bare Bolt app that
  acknowledges and stores nothing, measured in turns (A B A B) against the same playground
- a message to its first visible text, idle, with the starter model
- `bot --help`
- a second start of `bot demo` until it is ready
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from benchmarks.processes import free_port, process, until_ok

EVENTS_PER_S = 50
EVENTS = 500
ROUNDS = 2
QUESTIONS = ("hello", "What is a code review?", "What is a stand-up?", "thanks")
KEY = "bench-key"
BOT = [sys.executable, "-m", "bot"]


async def main() -> None:
    """Measure everything and print one table."""
    print("| what | figure | goal |\n|---|---|---|")
    print(f"| `bot --help` | {measure_help():.2f} s | ≤ 0.5 s |", flush=True)
    first, second = await measure_demo()
    print(f"| ready after `bot demo`, first start | {first:.1f} s | |")
    print(f"| ready after `bot demo`, second start | {second:.1f} s | ≤ 5 s |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        texts, ours, bare = await measure_conversation(Path(folder))
    print(f"| message to first visible text, idle, median | {statistics.median(texts):.0f} ms | ≤ 300 ms |")
    print(f"| acknowledgement p50 at {EVENTS_PER_S}/s, engine saturated | {quantile(ours, 50):.1f} ms | |")
    print(f"| acknowledgement p99 at {EVENTS_PER_S}/s, engine saturated | {quantile(ours, 99):.1f} ms | ≤ 100 ms |")
    print(f"| peer: bare Bolt app that stores nothing, p50 | {quantile(bare, 50):.1f} ms | |")
    print(f"| peer: bare Bolt app that stores nothing, p99 | {quantile(bare, 99):.1f} ms | |")


def measure_help() -> float:
    """Return the median seconds of `bot --help`."""
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([*BOT, "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


async def measure_demo() -> tuple[float, float]:
    """Return the seconds until the demo says that it is ready: in a new folder, and again in the same one."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DATA_DIR": folder, "LOG_LEVEL": "WARNING"}
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            command = [*BOT, "demo", "--port", str(free_port())]
            demo = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
            assert demo.stdout is not None
            async for line in demo.stdout:
                if b"ready" in line:
                    seconds.append(time.perf_counter() - began)
                    break
            demo.terminate()
            await demo.wait()
    return seconds[0], seconds[1]


async def measure_conversation(folder: Path) -> tuple[list[float], list[float], list[float]]:
    """Return the milliseconds to first text, of our acknowledgements, and of the bare app's."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        page, engine = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
        await stack.enter_async_context(process([*BOT, "playground", "--port", page.rpartition(":")[2]]))
        port = engine.rpartition(":")[2]
        command = [*BOT, "engine", "--port", port, "--threads", "1"]
        await stack.enter_async_context(process(command, ENGINE_API_KEY=KEY))
        await until_ok(http, f"{page}/health")
        await until_ok(http, f"{engine}/health", key=KEY)
        slack = {
            "SLACK_API_URL": f"{page}/api/",
            "SLACK_BOT_TOKEN": "xoxb-playground",
            "SLACK_APP_TOKEN": "xapp-playground",
            "HTTP_PORT": "0",
            "LOG_LEVEL": "WARNING",
            "MESSAGES_PER_PERSON": "0",
        }
        ours = {**slack, "ENGINE_URL": engine, "ENGINE_API_KEY": KEY, "DATA_DIR": str(folder)}
        async with process([*BOT, "run"], **ours):
            await until_connected(http, page)
            texts = [await first_text(http, page, QUESTIONS[index % len(QUESTIONS)]) for index in range(22)][2:]
        acks: dict[str, list[float]] = {"ours": [], "bare": []}
        for _ in range(ROUNDS):
            async with process([*BOT, "run"], **ours), saturated(http, engine):
                acks["ours"] += await acknowledgements(http, page)
            async with process([sys.executable, "-m", "benchmarks.bare_bolt"], **slack), saturated(http, engine):
                acks["bare"] += await acknowledgements(http, page)
    return texts, acks["ours"], acks["bare"]


async def until_connected(http: aiohttp.ClientSession, page: str) -> None:
    """Wait until the app listens."""
    for _ in range(1200):
        async with http.get(f"{page}/page/state", params={"user": "U0MAYA"}) as response:
            if (await response.json())["app"]["connected"]:
                return
        await asyncio.sleep(0.05)
    raise TimeoutError("the app did not connect")


async def direct_channel(http: aiohttp.ClientSession, page: str) -> str:
    """Return Maya's direct message with the app."""
    async with http.get(f"{page}/page/state", params={"user": "U0MAYA"}) as response:
        state = await response.json()
    channels = state["channels"]
    return str(next(c["id"] for c in channels if c["kind"] == "im" and c["user"] == state["app"]["bot_user_id"]))


async def say(http: aiohttp.ClientSession, page: str, channel: str, text: str, thread_ts: str | None = None) -> str:
    """Write as Maya and return the message's timestamp."""
    body = {"user": "U0MAYA", "channel": channel, "text": text, "thread_ts": thread_ts}
    async with http.post(f"{page}/page/messages", json=body, headers={"Origin": page}) as response:
        return str((await response.json())["message"]["ts"])


async def first_text(http: aiohttp.ClientSession, page: str, question: str) -> float:
    """Return the milliseconds from sending a message until the page is told the first words of its answer."""
    channel = await direct_channel(http, page)
    async with http.ws_connect(f"{page}/page/live", params={"user": "U0MAYA"}, origin=page) as live:
        began = time.perf_counter()
        ts = await say(http, page, channel, question)
        elapsed = 0.0
        async for frame in live:
            data = frame.json()
            message = data.get("message") or {}
            if message.get("bot_id") and message.get("thread_ts") == ts:
                elapsed = elapsed or (time.perf_counter() - began) * 1000
                if not message["streaming"]:
                    break
    return elapsed


async def acknowledgements(http: aiohttp.ClientSession, page: str) -> list[float]:
    """Send events at a steady rate into one thread and return how long each acknowledgement took."""
    await until_connected(http, page)
    channel = await direct_channel(http, page)
    async with http.get(f"{page}/page/log", params={"after": "0"}) as response:
        before = {entry["id"] for entry in (await response.json())["entries"]}
    root = await say(http, page, channel, "hello")
    began = time.perf_counter()
    for index in range(EVENTS):
        await say(http, page, channel, f"message {index}", root)
        await asyncio.sleep(max(0, began + (index + 1) / EVENTS_PER_S - time.perf_counter()))
    await asyncio.sleep(3)
    async with http.get(f"{page}/page/log", params={"after": "0"}) as response:
        entries = (await response.json())["entries"]
    fresh = [entry for entry in entries if entry["id"] not in before and entry["kind"] == "event"]
    return [entry["ms"] for entry in fresh if entry["name"].startswith("message") and entry["ms"] is not None]


@asynccontextmanager
async def saturated(http: aiohttp.ClientSession, engine: str) -> AsyncIterator[None]:
    """Keep more long answers under way than the engine has sequences."""

    async def ask() -> None:
        body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1500, "ignore_eos": True}
        while True:
            async with http.post(
                f"{engine}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"}
            ) as response:
                await response.read()

    load = [asyncio.create_task(ask()) for _ in range(10)]
    try:
        yield
    finally:
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)


def quantile(values: list[float], percent: int) -> float:
    """Return a percentile."""
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    asyncio.run(main())
