"""`make soak`: an hour of steady work at 0.6 of what the product takes; memory, files and latency must stay.

The whole product runs against the playground: people ask in direct messages and in a channel, at random moments that a
seed decides. First it is measured how many questions a minute are answered when people ask without a pause (Slack's own
limits included); then they ask as often as `--load` says, in each twelfth of the time the same at the same moments:
who waits for Slack's one message a second is chance, and so the same chance in all. What drifts is told by comparing
the last third of the time with the first: memory and open files of the bot and of its engine, and the time from
question to finished answer.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.feel import BOT, KEY, until_connected
from benchmarks.figures import measure_drift, quantile
from benchmarks.goal_line import print_goal
from benchmarks.processes import free_port, process, until_ok

PEOPLE = ("U0MAYA", "U0TOM", "U0PRIYA")
QUESTIONS = ("hello", "What is a code review?", "What is a stand-up?", "thanks", "What is a sprint?")
WARM_S = 75.0  # longer than a minute, within which Slack's limits are used up
WINDOWS = 12
SPANS = 36  # of time, that an interval is drawn from: three in each twelfth
PATIENCE_S = 120.0
Question = tuple[str, str, str]  # who asks, in which channel, what
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: when it was asked, after how long its answer stood there, and whether that was an error."""

    at: float
    seconds: float
    is_error: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process uses at a moment."""

    at: float
    memory: int
    files: int


@dataclass(slots=True)
class Track:
    """What was seen of one process."""

    name: str
    pid: int
    samples: list[Sample] = field(default_factory=list)

    def look(self, at: float) -> None:
        """Note what the process uses now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        self.samples.append(Sample(at, pages * PAGE, sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())))


class Crowd:
    """People in the playground who ask and wait for the answer."""

    def __init__(self, http: aiohttp.ClientSession, page: str, seed: int) -> None:
        self._http = http
        self._page = page
        self._random = random.Random(seed)
        self._waiting: dict[str, asyncio.Future[bool]] = {}
        self._places: list[tuple[str, str]] = []

    async def arrive(self) -> None:
        """Find out where each of them can ask."""
        for person in PEOPLE:
            async with self._http.get(f"{self._page}/page/state", params={"user": person}) as response:
                state = await response.json()
            app = state["app"]["bot_user_id"]
            mine = [one["id"] for one in state["channels"] if one["kind"] == "im" and one["user"] == app]
            general = [one["id"] for one in state["channels"] if one["name"] == "general"]
            self._places += [(person, mine[0]), (person, general[0])]

    async def watch(self, person: str) -> None:
        """Hear of every message that *person* can see."""
        async with self._http.ws_connect(
            f"{self._page}/page/live", params={"user": person}, origin=self._page, max_msg_size=0
        ) as live:
            async for frame in live:
                message = frame.json().get("message") or {}
                self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        if not message.get("bot_id") or message.get("streaming"):
            return
        waiting = self._answer_in(str(message.get("thread_ts")))
        if waiting.done():
            return
        kinds = {block.get("type") for block in message.get("blocks") or []}
        text = str(message.get("markdown_text") or message.get("text") or "")
        if "⚠" in text or ":warning:" in text:
            waiting.set_result(True)
        elif "context_actions" in kinds:  # the thumbs: it is whole
            waiting.set_result(False)

    def _answer_in(self, thread_ts: str) -> asyncio.Future[bool]:
        """Return what will say whether the answer in a thread is an error; it can come before anybody asks."""
        return self._waiting.setdefault(thread_ts, asyncio.get_running_loop().create_future())

    def plan(self, seconds: float, *, per_minute: float) -> list[tuple[float, Question]]:
        """Return what is asked at which moments of so many seconds, so many times a minute."""
        moments, at = [], 0.0
        while (at := at + self._random.expovariate(per_minute / 60)) < seconds:
            moments.append((at, self._draw()))
        return moments

    def _draw(self) -> Question:
        return (*self._random.choice(self._places), self._random.choice(QUESTIONS))

    async def ask(self, began: float, question: Question | None = None) -> Asked:
        """Ask something somewhere and wait for the answer."""
        person, channel, text = question or self._draw()
        words = text if channel.startswith("D") else f"<@U0APPRENTICE> {text}"
        body = {"user": person, "channel": channel, "text": words}
        asked = time.monotonic()
        url, headers = f"{self._page}/page/messages", {"Origin": self._page}
        async with self._http.post(url, json=body, headers=headers) as response:
            ts = str((await response.json())["message"]["ts"])
        try:
            async with asyncio.timeout(PATIENCE_S):
                is_error = await self._answer_in(ts)
        except TimeoutError:
            is_error = True
        del self._waiting[ts]
        return Asked(asked - began, time.monotonic() - asked, is_error)

    async def ask_without_pause(self, seconds: float, *, at_once: int) -> float:
        """Return how many answers a minute come when *at_once* people ask as soon as they were answered."""
        began, ends = time.monotonic(), []

        async def go_on() -> None:
            while time.monotonic() - began < seconds:
                await self.ask(began)
                ends.append(time.monotonic() - began)

        await asyncio.gather(*(go_on() for _ in range(at_once)))
        settled = [end for end in ends if seconds / 3 <= end <= seconds]
        return len(settled) / (seconds * 2 / 3) * 60

    async def ask_steadily(self, began: float, seconds: float, *, per_minute: float) -> list[Asked]:
        """Ask at the moments of one plan again and again, however long the answers take."""
        window, tasks = seconds / WINDOWS, []
        plan = self.plan(window, per_minute=per_minute)
        for turn in range(WINDOWS):
            for at, question in plan:
                await asyncio.sleep(max(0.0, began + turn * window + at - time.monotonic()))
                tasks.append(asyncio.create_task(self.ask(began, question)))
        return list(await asyncio.gather(*tasks))


async def main(options: argparse.Namespace) -> None:
    """Measure, and print a table and the goals."""
    seconds = options.minutes * 60
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        page, engine = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
        quiet = {"LOG_LEVEL": "WARNING", "DATA_DIR": str(folder)}
        await stack.enter_async_context(process([*BOT, "playground", "--port", page.rpartition(":")[2]], **quiet))
        command = [*BOT, "engine", "--port", engine.rpartition(":")[2], "--threads", "1"]
        brain = await stack.enter_async_context(process(command, ENGINE_API_KEY=KEY, **quiet))
        await until_ok(http, f"{page}/health")
        await until_ok(http, f"{engine}/health", key=KEY)
        bot = await stack.enter_async_context(process([*BOT, "run"], **_settings(page, engine, options), **quiet))
        await until_connected(http, page)
        crowd = Crowd(http, page, options.seed)
        await crowd.arrive()
        watching = [asyncio.create_task(crowd.watch(person)) for person in PEOPLE]
        rate = options.per_minute or await crowd.ask_without_pause(options.warm, at_once=8) * options.load
        print(f"{rate:.0f} questions a minute for {options.minutes:g} minutes, seed {options.seed}", flush=True)
        tracks = [Track("bot", bot.pid), Track("engine", brain.pid)]
        began = time.monotonic()
        looking = asyncio.create_task(_look(tracks, began, every=seconds / 120))
        asked = await crowd.ask_steadily(began, seconds, per_minute=rate)
        for task in (looking, *watching):
            task.cancel()
        kept = _measure(folder)
    report(asked, tracks, seconds=seconds, kept=kept)


def _measure(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("apprentice.db*"))


def _settings(page: str, engine: str, options: argparse.Namespace) -> dict[str, str]:
    free = ("MESSAGES_PER_PERSON", "MESSAGES_PER_CHANNEL", "MESSAGES_WAITING")  # three people stand for many
    tokens = {"SLACK_BOT_TOKEN": "xoxb-playground", "SLACK_APP_TOKEN": "xapp-playground"}
    slack = {"SLACK_API_URL": f"{page}/api/", **tokens}
    there = {"ENGINE_URL": engine, "ENGINE_API_KEY": KEY, "HTTP_PORT": "0", "DATABASE_URL": options.database_url}
    return {**slack, **there, **dict.fromkeys(free, "0")}


async def _look(tracks: Sequence[Track], began: float, *, every: float) -> None:
    while True:
        for track in tracks:
            track.look(time.monotonic() - began)
        await asyncio.sleep(every)


def report(asked: Sequence[Asked], tracks: Sequence[Track], *, seconds: float, kept: int) -> None:
    """Print how it went over the time, and what drifted."""
    names = " | ".join(f"{track.name}: MB | files" for track in tracks)
    print(f"\n| minute | questions | errors | p50 s | p95 s | {names} |\n|{'---|' * (5 + 2 * len(tracks))}")
    for index in range(WINDOWS):
        low, high = seconds * index / WINDOWS, seconds * (index + 1) / WINDOWS
        here = [one for one in asked if low <= one.at < high]
        times = [one.seconds for one in here]
        used = []
        for track in tracks:
            there = [sample for sample in track.samples if low <= sample.at < high]
            memory = statistics.median([one.memory for one in there])
            used += [f"{memory / 1e6:.1f}", str(max(one.files for one in there))]
        cells = [f"{high / 60:.1f}", str(len(here)), str(sum(one.is_error for one in here))]
        cells += [f"{quantile(times, share):.2f}" for share in (0.5, 0.95)]
        print(f"| {' | '.join([*cells, *used])} |")
    errors = sum(one.is_error for one in asked)
    print(f"\n{len(asked)} questions, {errors} errors; the database has {kept / 1e6:.1f} MB\n")
    print_goal(f"errors {errors / max(1, len(asked)):.2%}", "≤ 0.01 %", errors <= len(asked) * 0.0001)
    spans = [[one.seconds for one in asked if int(one.at / seconds * SPANS) == span] for span in range(SPANS)]
    early, late = spans[: SPANS // 3], spans[-SPANS // 3 :]
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        drift = measure_drift(early, late, share=share)
        told = f"{name} drifts by {drift.value - 1:+.1%} (95 % interval {drift.low - 1:+.0%} to {drift.high - 1:+.0%})"
        print_goal(told, "≤ 5 %", drift.value <= 1.05)
    for track in tracks:
        first = [one for one in track.samples if seconds / 6 <= one.at < seconds / 3]  # after what is loaded only once
        last = [one for one in track.samples if one.at >= seconds * 2 / 3]
        growth = statistics.median([one.memory for one in last]) / statistics.median([one.memory for one in first]) - 1
        files = round(statistics.median([one.files for one in last]) - statistics.median([one.files for one in first]))
        print_goal(f"{track.name}: memory grows by {growth:+.1%}", "≤ 3 %", growth <= 0.03)
        print_goal(f"{track.name}: open files {files:+d}", "0", files <= 0)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=60, help="how long (default: an hour)")
    parser.add_argument("--load", type=float, default=0.6, help="share of what it takes at most (default: 0.6)")
    parser.add_argument("--per-minute", type=float, default=0, help="questions a minute, instead of measuring first")
    parser.add_argument("--warm", type=float, default=WARM_S, help="seconds of measuring what it takes at most")
    parser.add_argument("--seed", type=int, default=1, help="decides who asks what and when (default: 1)")
    parser.add_argument("--database-url", default="", help="another database than SQLite")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    asyncio.run(main(parse(sys.argv[1:])))
