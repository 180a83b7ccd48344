"""A backup while somebody writes, and a restore elsewhere: how long each takes, and what the writer feels of it.

python -m benchmarks.backup_drill [--messages 100000]
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from sqlalchemy import insert

from bot.admin.backup import back_up
from bot.admin.restore import restore
from bot.storage.db import Database, open_database
from bot.storage.inbox import Arrival, accept
from bot.storage.tables import Answer, AnswerState, Message, Thread, new_id

WORDS = "the deploy of the shop failed on Monday because the disk was full, and Anna repaired it in the evening; "
LOT = 5000


async def fill(database: Database, messages: int) -> None:
    """Store so many questions and answers, each with the tokens that the engine read and wrote."""
    for start in range(0, messages, LOT):
        numbers = range(start, min(start + LOT, messages))
        threads = [
            {"id": new_id(), "team_id": "T", "channel_id": "C", "thread_ts": str(number), "audience": "public"}
            for number in numbers
        ]
        said = [
            {"id": new_id(), "thread_id": thread["id"], "ts": thread["thread_ts"], "user_id": f"U{number % 40}"}
            | {"user_name": "Maya", "text": f"{WORDS}{number}", "audience": "public"}
            for number, thread in zip(numbers, threads, strict=True)
        ]
        answers = [
            {"id": new_id(), "message_id": message["id"], "state": AnswerState.COMPLETE, "text": WORDS * 3}
            | {"audience": "public", "reply_ts": ["1.0"], "prompt_token_ids": range(300)}
            for message in said
        ]
        async with database.begin() as session:
            for table, rows in ((Thread, threads), (Message, said), (Answer, answers)):
                await session.execute(insert(table), rows)


async def write(database: Database, waits: list[float]) -> None:
    """Accept an event every 10 ms, as Slack's arrive, and note how long each commit takes."""
    for number in range(10**6):
        begun = time.perf_counter()
        async with database.begin() as session:
            await accept(
                session, Arrival(f"E{number}", "T", "C", f"{number}.5", f"{number}.5", "message", {"event": {}})
            )
        waits.append(time.perf_counter() - begun)
        await asyncio.sleep(0.01)


async def drill(messages: int) -> None:
    """Do it and print it."""
    with tempfile.TemporaryDirectory(prefix="drill-") as name:
        folder = Path(name)
        url, elsewhere = (f"sqlite+aiosqlite:///{folder / part / 'apprentice.db'}" for part in ("old", "new"))
        waits: list[float] = []
        async with open_database(url) as database:
            await fill(database, messages)
            writing = asyncio.create_task(write(database, waits))
            begun = time.perf_counter()
            backup = await back_up(url, folder / "old")
            backed_up = time.perf_counter() - begun
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
        begun = time.perf_counter()
        restored = await restore(elsewhere, folder / "new", backup, is_forced=False, by="the drill")
        took = time.perf_counter() - begun
        size, whole = backup.stat().st_size / 1e6, (folder / "old" / "apprentice.db").stat().st_size / 1e6
        p99 = statistics.quantiles(waits, n=100)[-1]
        print(f"{messages} questions and answers: {restored.rows} rows, {whole:.0f} MB; the backup has {size:.0f} MB")
        print(f"backup  {backed_up:6.1f} s while {len(waits)} events were committed (p99 {p99 * 1000:.0f} ms)")
        print(f"restore {took:6.1f} s, every checksum and every row compared, integrity checked, migrated")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    asyncio.run(drill(parser.parse_args().messages))
