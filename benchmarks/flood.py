"""What one person's flood costs the others: their time to the first word, without and with it, in turns (A B A B).

Without it the same person writes as much where the assistant is not: what the playground, which stands for Slack's own
machines, takes of this machine for a thousand messages is the same both times.
"""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from benchmarks.feel import BOT, until_connected
from benchmarks.processes import free_port, process, until_ok

FLOOD = 1000
SPREAD_S = 20.0  # over which the flood comes: fifty messages a second
OTHERS = ("U0TOM", "U0PRIYA")  # members: a guest would only be refused
QUESTIONS = ("hello", "What is a code review?", "Who are you?", "What is a stand-up?")
ASKED = 24  # questions of a turn, spread over the same time
MAYA, ELSEWHERE = "U0MAYA", "C0LEADS"


async def measure_flood(folder: Path, *, rounds: int) -> tuple[float, float]:
    """Return others' p95 in ms without and with the flood."""
    quiet: list[float] = []
    flooded: list[float] = []
    for _ in range(rounds):
        quiet += await _measure(folder / "quiet", is_flooded=False)
        flooded += await _measure(folder / "flooded", is_flooded=True)
    return quantile(quiet), quantile(flooded)


def quantile(times: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(times, n=20)[-1]


async def _measure(folder: Path, *, is_flooded: bool) -> list[float]:
    """Return the milliseconds to the first word of everybody's answers in a workspace of their own."""
    async with _workspace(folder) as (http, page):
        channels = {user: await _direct(http, page, user) for user in (MAYA, *OTHERS)}
        for user in OTHERS:
            await _first_word(http, page, user, channels[user], "hello")
        async with asyncio.TaskGroup() as group:
            flood = group.create_task(_flood(http, page, channels[MAYA] if is_flooded else ELSEWHERE))
            asked = []
            for number in range(ASKED):
                await asyncio.sleep(SPREAD_S / ASKED)
                user = OTHERS[number % len(OTHERS)]
                question = QUESTIONS[number % len(QUESTIONS)]
                asked.append(group.create_task(_first_word(http, page, user, channels[user], question)))
        if flood.result() != FLOOD:
            raise AssertionError(f"only {flood.result()} messages were sent")
        return [task.result() for task in asked]


@asynccontextmanager
async def _workspace(folder: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """Run playground and bot, which starts its own engine with the starter model, as they are shipped."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        page = f"http://127.0.0.1:{free_port()}"
        await stack.enter_async_context(process([*BOT, "playground", "--port", page.rpartition(":")[2]]))
        await until_ok(http, f"{page}/health")
        environment = {
            "SLACK_API_URL": f"{page}/api/",
            "SLACK_BOT_TOKEN": "xoxb-playground",
            "SLACK_APP_TOKEN": "xapp-playground",
            "HTTP_PORT": str(port := free_port()),
            "DATA_DIR": str(folder),
            "LOG_LEVEL": "WARNING",
            "PATH": os.environ["PATH"],
        }
        await stack.enter_async_context(process([*BOT, "run"], **environment))
        await until_connected(http, page)
        await until_ok(http, f"http://127.0.0.1:{port}/readyz")
        yield http, page


async def _direct(http: aiohttp.ClientSession, page: str, user: str) -> str:
    async with http.get(f"{page}/page/state", params={"user": user}) as response:
        state = await response.json()
    bot = state["app"]["bot_user_id"]
    return str(next(c["id"] for c in state["channels"] if c["kind"] == "im" and c["user"] == bot))


async def _say(http: aiohttp.ClientSession, page: str, user: str, channel: str, text: str) -> str:
    body = {"user": user, "channel": channel, "text": text, "thread_ts": None}
    async with http.post(f"{page}/page/messages", json=body, headers={"Origin": page}) as response:
        return str((await response.json())["message"]["ts"])


async def _flood(http: aiohttp.ClientSession, page: str, channel: str) -> int:
    """Write as one person, each message a question of its own; return how many."""
    began = time.perf_counter()
    for number in range(FLOOD):
        await _say(http, page, MAYA, channel, f"What is a code review, number {number}?")
        await asyncio.sleep(max(0, began + (number + 1) * SPREAD_S / FLOOD - time.perf_counter()))
    return FLOOD


async def _first_word(http: aiohttp.ClientSession, page: str, user: str, channel: str, question: str) -> float:
    """Return the milliseconds from sending a message until the person's page is told the first words of its answer."""
    async with http.ws_connect(f"{page}/page/live", params={"user": user}, origin=page) as live:
        began = time.perf_counter()
        ts = await _say(http, page, user, channel, question)
        async for frame in live:
            message = frame.json().get("message") or {}
            if message.get("bot_id") and message.get("thread_ts") == ts:
                return (time.perf_counter() - began) * 1000
    raise TimeoutError(f"{question} had no answer")
