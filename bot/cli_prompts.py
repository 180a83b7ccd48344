"""`bot prompts`: see every prompt, try a change on cases before people meet it, and have a running bot read anew."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.start import start

if TYPE_CHECKING:
    from bot.conversation.prompt_book import PromptBook
    from bot.conversation.prompt_trial import Outcome
    from bot.settings import Settings


@click.group()
def prompts() -> None:
    """What the assistant is told: list, show, test, reload. Set PROMPTS_DIR for prompts of your own."""


@prompts.command("list")
def list_prompts() -> None:
    """List every prompt and persona with its version, what it is for, and the file that it comes from."""
    book = _book(start())
    for name in book.names():
        prompt = book.get(name)
        click.echo(f"{name:20} {prompt.version}  {prompt.purpose}\n{'':20} {book.path(name)}")


@prompts.command()
@click.argument("name", default="system")
def show(name: str) -> None:
    """Show the prompt NAME (or personas/NAME) as it stands in its file."""
    prompt = (book := _book(start())).get(name)
    known = ", ".join(sorted(prompt.declared)) or "none"
    click.echo(
        f"{name}, version {prompt.version}, from {book.path(name)}\nVariables: {known}\n\n{prompt.template.strip()}"
    )


@prompts.command()
@click.option(
    "--cases",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML or JSONL file of cases. [default: cases.toml beside the prompts]",
)
@click.option("--accept", "accepts", is_flag=True, help="Keep these answers: the next test compares with them.")
def test(cases: Path | None, accepts: bool) -> None:
    """Answer the cases with the prompts as they are, and show how the answers differ from the accepted ones.

    Ends with 1 while there are answers that nobody has accepted.
    """
    settings = start()
    outcomes = asyncio.run(_test(settings, cases, accepts=accepts))
    for outcome in outcomes:
        click.echo(render(outcome))
    if accepts:
        click.echo(f"Accepted: {len(outcomes)} answers.")
    elif not all(outcome.is_same for outcome in outcomes):
        click.echo("Run it with --accept if the new answers are what you want.")
        sys.exit(1)


@prompts.command()
def reload() -> None:
    """Check every prompt, and have the bot that runs here read them anew; it also notices changes by itself."""
    import os
    import signal

    from bot.lock import find_holder

    settings = start()
    book = _book(settings)  # raises what is wrong
    holder = find_holder(settings.data_dir)
    if holder is None:
        click.echo(f"{len(book.names())} prompts are in order. No bot runs in {settings.data_dir}.")
        return
    os.kill(holder, signal.SIGHUP)
    click.echo(f"{len(book.names())} prompts are in order; the bot with process id {holder} reads them anew.")


def render(outcome: "Outcome") -> str:
    """Say what became of one case."""
    if outcome.is_same:
        return f"same     {outcome.name}"
    if outcome.accepted is None:
        return f"new      {outcome.name}\n" + "\n".join(f"  {line}" for line in outcome.answer.splitlines())
    return f"changed  {outcome.name}\n" + "\n".join(f"  {line}" for line in outcome.diff())


def _book(settings: "Settings") -> "PromptBook":
    from bot.conversation.prompt_book import PromptBook
    from bot.shipped import shipped

    return PromptBook(shipped("prompts"), settings.prompts_dir)


async def _test(settings: "Settings", path: Path | None, *, accepts: bool) -> "list[Outcome]":
    from bot.conversation.prompt_trial import Accepted, load_cases, run_cases
    from bot.running_engine import running_engine

    book = _book(settings)
    path = path or book.cases()
    cases, accepted = load_cases(path), Accepted.beside(path)
    async with running_engine(settings) as running:
        while not await running.client.health():
            if running.supervisor is not None and running.supervisor.error is not None:
                raise running.supervisor.error
            await asyncio.sleep(0.1)
        outcomes = await run_cases(running.client, book, cases, accepted)
    if accepts:
        accepted.write(outcomes)
    return outcomes
