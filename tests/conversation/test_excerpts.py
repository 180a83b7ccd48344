"""What is read of files that do not fit: chosen while everybody else is heard."""

import asyncio
import time
from collections.abc import Sequence

from bot.conversation.excerpts import Excerpt, choose_excerpts
from bot.storage.file_tables import FileState, MessageFile
from bot.storage.files import ThreadFile

BEAT_S = 0.02


async def test_many_long_files_hold_up_nobody() -> None:
    """Six files of the longest that is kept take seconds to look through; whoever else asks is heard meanwhile."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            began = time.monotonic()
            await asyncio.sleep(BEAT_S)
            longest = max(longest, time.monotonic() - began - BEAT_S)

    async def count(excerpts: Sequence[Excerpt]) -> int:
        return sum(len(excerpt.text) for excerpt in excerpts) // 4

    rows = [
        MessageFile(id=str(number), name="a.csv", kind="csv", state=FileState.READ, text="a\n" * 200_000, pages=[])
        for number in range(6)
    ]
    beating = asyncio.create_task(beat())
    files = [ThreadFile(row, "1.000001") for row in rows]
    began = time.monotonic()
    chosen = await choose_excerpts(files, "what is a?", own={"1.000001"}, count=count, room=1000, free=1000)
    took = time.monotonic() - began
    beating.cancel()

    assert 0 < await count(chosen) <= 1000
    assert longest < took / 3
