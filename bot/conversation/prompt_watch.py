"""Keeps the prompts fresh while the assistant runs: when a file changes, and when the process gets SIGHUP."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from bot.conversation.prompt_book import PromptBook, Reloaded
from bot.signals import on_hangup

LOOK_S = 1.0

log = logging.getLogger(__name__)


@asynccontextmanager
async def fresh_prompts(folder: Path, own: Path | None) -> AsyncIterator[PromptBook]:
    """Open the prompts, and read what changes for as long as the block runs; raise *PromptError* if one is broken."""
    book = await asyncio.to_thread(PromptBook, folder, own)
    watching = asyncio.create_task(_watch(book))
    try:
        with on_hangup(lambda: tell(book.reload())):
            yield book
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(book: PromptBook) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        if await asyncio.to_thread(book.has_changed):
            tell(await asyncio.to_thread(book.reload))


def tell(reloaded: Reloaded) -> None:
    """Say in the log what was read anew and what stayed as it was."""
    if reloaded.changed:
        log.info("prompts: read anew: %s", ", ".join(reloaded.changed))
    for problem in reloaded.problems:
        log.warning("prompts: the old one stays: %s", problem)
