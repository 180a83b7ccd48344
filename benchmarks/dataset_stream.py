"""How long a data set takes from a database with a million messages, and how much memory.

    python -m benchmarks.dataset_stream [--messages 1000000] [--checks-served] [--database FILE]

The database is made first (and kept where --database names it): threads of four messages, each answered, one in ten
voted on, one in a thousand corrected. Then a process of its own reads, filters, redacts, splits and writes, with the
engine and the starter model beside it; what the engine would have to make up (other words, rehearsal) is left out.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.goal_line import print_goal
from benchmarks.processes import free_port, process
from bot.engine.client import EngineClient
from bot.learning.data.build import build_dataset
from bot.learning.data.policy import DataPolicy
from bot.settings import STARTER_MODEL
from bot.storage.db import Database, open_database

LONGEST_S, MOST_MB = 60, 500
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = [
    "about",
    "report",
    "release",
    "meeting",
    "ladder",
    "printer",
    "budget",
    "server",
    "quarter",
    "review",
    "sprint",
]
AUDIENCES = ["public"] * 16 + ["direct"] * 2 + ["private", "shared"]
LOT = 20_000
END = 2  # of a turn, in the starter's vocabulary
NAMES = {
    "threads": "id, team_id, channel_id, thread_ts, audience, created_at",
    "messages": "id, thread_id, ts, user_id, user_name, text, audience, created_at",
    "answers": "id, message_id, state, text, audience, reply_ts, model, model_sha256, prompt_name, prompt_version, "
    "prompt_token_ids, completion_token_ids, sampling, messages_used, messages_total, finish_reason, created_at",
    "feedback": "id, answer_id, user_id, vote, created_at",
    "corrections": "id, answer_id, user_id, text, audience, is_for_everyone, created_at",
}


def make_rows(messages: int, sha256: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the rows of a year of a busy team, the same in every run."""
    chance = random.Random(1)
    for number in range(messages):
        thread, place = divmod(number, 4)
        audience = AUDIENCES[thread % len(AUDIENCES)]
        name, at = f"{number:026d}", str(BEGAN + timedelta(seconds=30 * number)).removesuffix("+00:00") + ".000000"
        if place == 0:
            yield "threads", (f"{thread:026d}", "T1", f"C{thread % 40}", f"{thread}.0", audience, at)
        asker = f"U{thread % 200}"
        text = f"{_say(chance, 14)} {number}?"
        if number % 97 == 0:
            text += f" Write to person{number}@acme.example."
        yield "messages", (name, f"{thread:026d}", f"{number:012d}.0", asker, asker, text, audience, at)
        prompt = array("i", chance.choices(range(300, 2000), k=60 + 60 * place)).tobytes()
        answer = array("i", [*chance.choices(range(300, 2000), k=40), END]).tobytes()
        served = (prompt, answer, "{}", place, place, "stop", at)
        about = ("complete", f"{_say(chance, 30)} {number}.", audience, "[]", "starter", sha256, "system", "1")
        yield "answers", (name, name, *about, *served)
        if number % 10 == 3:
            yield "feedback", (name, name, f"U{chance.randrange(200)}", chance.choice(["up", "up", "down"]), at)
        if number % 1000 == 4:
            yield "corrections", (name, name, asker, f"It is {_say(chance, 6)} {number}.", audience, False, at)


def _say(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words - 2)) + f" {chance.getrandbits(32):x} {chance.getrandbits(32):x}"


def fill(path: Path, messages: int, sha256: str) -> None:
    """Write the rows into a database that the migrations have built."""
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-200000;")
    waiting: dict[str, list[tuple[Any, ...]]] = {table: [] for table in NAMES}

    def store() -> None:
        for table, rows in waiting.items():
            if rows:
                marks = ",".join("?" * len(rows[0]))
                connection.executemany(f"INSERT INTO {table} ({NAMES[table]}) VALUES ({marks})", rows)
                rows.clear()

    for table, row in make_rows(messages, sha256):
        waiting[table].append(row)
        if len(waiting["messages"]) >= LOT:
            store()
    store()
    connection.commit()
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def system(today: date) -> str:
    """Return a system prompt."""
    return f"You are Apprentice, the assistant of this team.\nToday is {today:%A, %-d %B %Y}."


async def build(path: Path, url: str, folder: Path, *, checks_served: bool) -> None:
    """Make the data set and print what it took; runs in a process of its own."""
    policy = replace(DataPolicy(), phrasings=0, rehearsal_share=0.0, window_days=100_000, checks_served=checks_served)
    began = time.monotonic()
    async with EngineClient(url, api_key="bench") as client:
        database = Database(f"sqlite+aiosqlite:///{path}")
        report = await build_dataset(
            database, client, folder, policy=policy, base_model="starter", seed=1, system=system, say=lambda *_: None
        )
        await database.close()
    seconds = time.monotonic() - began
    busy = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    kept = {"signals": dict(report.signals), "left_out": dict(report.left_out), "rendered": report.rendered}
    print(json.dumps({"seconds": seconds, "busy": busy, "peak_mb": peak, "examples": report.examples, **kept}))


async def until_healthy(client: EngineClient) -> None:
    """Wait until the engine has loaded its model."""
    for _ in range(600):
        if await client.health():
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("the engine did not start")


async def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Make the database where there is none, and measure beside an engine."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    engine = [sys.executable, "-m", "bot", "engine", "--model", str(STARTER_MODEL), "--port", str(port)]
    with tempfile.TemporaryDirectory(prefix="dataset-") as folder:
        path = chosen.database or Path(folder) / "stream.db"
        async with (
            process([*engine, "--threads", "1"], ENGINE_API_KEY="bench", LOG_LEVEL="WARNING"),
            EngineClient(url, api_key="bench") as client,
        ):
            await until_healthy(client)
            if not path.exists():
                began = time.monotonic()
                async with open_database(f"sqlite+aiosqlite:///{path}"):
                    pass
                fill(path, chosen.messages, (await client.models())[0].sha256 or "")
                print(f"The database took {time.monotonic() - began:.0f} s and {path.stat().st_size / 2**30:.1f} GiB.")
            command = [sys.executable, "-m", "benchmarks.dataset_stream", "--build", url, "--database", str(path)]
            command += ["--checks-served"] if chosen.checks_served else []
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--database", type=Path)
    parser.add_argument("--checks-served", action="store_true", help="render each prompt again, as a training does")
    parser.add_argument("--build", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.build:
        with tempfile.TemporaryDirectory(prefix="run-") as folder:
            return asyncio.run(build(chosen.database, chosen.build, Path(folder), checks_served=chosen.checks_served))
    found = asyncio.run(measure(chosen))
    print(f"{chosen.messages:,} messages, {os.cpu_count()} cores: {found['examples']:,} examples")
    for name in ("signals", "left_out"):
        print(f"  {name.replace('_', ' ')}: " + ", ".join(f"{count:,} {what}" for what, count in found[name].items()))
    print(f"  {found['rendered']:,} conversations were rendered by the engine")
    print(f"  {found['busy']:,.0f} seconds of one core, without the engine's")
    for what, value, most in (("seconds", found["seconds"], LONGEST_S), ("MB at most", found["peak_mb"], MOST_MB)):
        print_goal(f"{value:,.0f} {what}", f"≤ {most}", value <= most)
    return None


if __name__ == "__main__":
    main()
