"""`bot dataset`: what a training would learn from, counted or written out. Imports nothing heavy before it runs."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli_opened import OUTPUT, one_line, require_database, writing_to
from bot.start import start

if TYPE_CHECKING:
    from bot.storage.db import Database

FORMATS = ("sft", "dpo", "kto")


@click.group()
def dataset() -> None:
    """What people said to the assistant, as far as it may be learned from."""


@dataset.command()
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="What it is to be trained with.")
@OUTPUT
def export(form: str, output: Path | None) -> None:
    """Write the data set as JSON lines in TRL's conversational formats: answers, preferences or thumbs.

    The same is chosen, left out and redacted as for a training, it needs the same permission by an admin, and what
    switches learning off ends it too.
    """
    from bot.learning.data.export import Format, export_dataset

    async def work() -> int:
        async with _opened(is_to_learn=True) as (database, known, is_allowed):
            with writing_to(output) as file:
                return await export_dataset(database, file, form=Format(form), is_allowed=is_allowed, **known)

    count = asyncio.run(work())
    click.echo(f"{count} examples{f' in {output}' if output else ''}.", err=True)


@dataset.command()
def stats() -> None:
    """Count what a training would learn from now, and what it would leave out and why. No text is shown."""
    from bot.learning.data.export import survey

    async def work() -> list[str]:
        async with _opened() as (database, known, is_allowed):
            return (await survey(database, **known)).render(is_allowed=is_allowed)

    for line in asyncio.run(work()):
        click.echo(line)


@dataset.command()
@click.option("--most", default=20, show_default=True, type=click.IntRange(1, 1000))
def review(most: int) -> None:
    """Show what nobody has decided about, the newest of each author first; then approve, or reject it."""
    from bot.admin.reviews import list_waiting

    async def work() -> None:
        async with _opened() as (database, _known, _is_allowed):
            waiting = await list_waiting(database, most=most)
            if not waiting:
                click.echo("No correction waits for a reviewer.", err=True)
            for one in waiting:
                author = one.user_id if one.is_named else "somebody"
                click.echo(f"{one.correction_id}  {author} in {one.channel_id}, {one.created_at:%Y-%m-%d}")
                before = [("approved before:", one.approved)] if one.approved else []
                for label, text in (("Q", one.question), ("A", one.answer), *before, ("=", one.text)):
                    click.echo(f"  {label} {one_line(text, most=400)}")

    asyncio.run(work())


@dataset.command()
@click.argument("correction")
@click.option("--text", default="", help="What is to be learned instead of what the correction says.")
def approve(correction: str, text: str) -> None:
    """Let CORRECTION be learned."""
    _decide(correction, "approved", text)


@dataset.command()
@click.argument("correction")
def reject(correction: str) -> None:
    """Let CORRECTION not be learned."""
    _decide(correction, "rejected", "")


@dataset.command()
@click.argument("correction")
def reopen(correction: str) -> None:
    """Decide nothing about CORRECTION any more."""
    _decide(correction, "waiting", "")


def _decide(correction: str, state: str, text: str) -> None:
    from bot.admin.reviews import decide
    from bot.storage.admin_tables import ReviewState

    async def work() -> None:
        async with _opened() as (database, _known, _is_allowed):
            done = await decide(database, correction, ReviewState(state), by="cli", text=text, is_alone=True)
            click.echo(f"{correction} is {done.state}; before: {done.before}. {done.tell_known()}".strip())

    asyncio.run(work())


@asynccontextmanager
async def _opened(*, is_to_learn: bool = False) -> "AsyncIterator[tuple[Database, dict[str, Any], bool]]":
    """Open the database; yield it with what every look at the data set needs, and whether learning is permitted.

    What *is_to_learn* is refused where learning is switched off.
    """
    from bot.conversation.prompt_book import PromptBook
    from bot.learning.data.policy import DataPolicy
    from bot.learning.permission import find_permission
    from bot.learning.views import check_on
    from bot.shipped import shipped
    from bot.storage.db import open_database

    settings = start()
    require_database(settings)
    check_on(settings.learning_off_by if is_to_learn else "")
    policy = replace(
        DataPolicy() if settings.is_playground else DataPolicy().among_people(),
        least_points=settings.training_least_signal,
        needs_review=settings.review_before_training,
        uses_signs=settings.implicit_feedback,
    )
    prompts = PromptBook(shipped("prompts"), settings.prompts_dir)
    async with open_database(settings.database()) as database:
        async with database.read() as session:
            permission = await find_permission(session, needs_one=not settings.is_playground)
        yield (
            database,
            {"policy": policy, "system": prompts.system_on, "say": _show_progress},
            permission is not None,
        )


def _show_progress(phase: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{phase}: {done} of {total}" if done < total else "\r\x1b[K", nl=False, err=True)
