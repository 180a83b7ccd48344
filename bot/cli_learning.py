"""`bot train` and `bot adapters`: the learning loop for whoever has a terminal; the same functions as in Slack."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from bot.cli_opened import name_me, require_database
from bot.errors import LearningError
from bot.start import start

if TYPE_CHECKING:
    from bot.learning.figures import RunReport
    from bot.learning_parts import LearningParts
    from bot.settings import Settings
    from bot.storage.db import Database

LOOK_S = 0.5


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be learned from; train nothing.")
@click.option("--html", is_flag=True, help="Print where the run's page lies, for a browser.")
@click.option("--channel", default="", help="Make the own adapter of the channel with this id, as it asked for.")
def train(dry_run: bool, html: bool, channel: str) -> None:
    """Learn now from what people said, judge the result, and serve it if it is better.

    A bot that runs here does the work, and this command shows how far it is; otherwise it is done here. A run that was
    stopped before its end comes first: the order that it was asked for with goes on with it.
    """
    from bot.lock import FolderInUse, holding

    settings = start()
    require_database(settings)
    try:
        with holding(settings.data_dir):
            report = asyncio.run(_train(settings, is_dry=dry_run, works_here=True, channel_id=channel))
    except FolderInUse:
        report = asyncio.run(_train(settings, is_dry=dry_run, works_here=False, channel_id=channel))
    click.echo(render(report))
    if html and report.page:
        click.echo(report.page)
    if report.decision == "failed":
        sys.exit(1)


@click.group()
def adapters() -> None:
    """What was learned: list, show, promote, rollback, compare."""


@adapters.command("list")
def list_adapters() -> None:
    """List every adapter with its state, the thumbs it got, and why it is in that state."""

    from bot.learning.views import ACROSS, tell_off

    async def work(parts: "LearningParts") -> None:
        lines = await parts.learning.adapters()
        if not lines:
            click.echo("There is no adapter yet: `bot train`, or wait for the night.")
        for line in lines:
            state = "put aside" if line.is_put_aside else line.state
            click.echo(
                f"{line.name:16} {state:12} run {line.run_id:<4} {line.created_at:%Y-%m-%d %H:%M}  "
                f"{line.ups} up, {line.downs} down{f'  for the channel {line.channel_id}' if line.channel_id else ''}"
            )
            for reason in line.reasons:
                click.echo(f"                 {reason}")
        status = await parts.learning.status()
        if status.put_aside:
            click.echo(f"The base answers instead of {', '.join(status.put_aside)}. {tell_off(ACROSS)}")
        if status.run_id is not None:
            where = f" for the channel {status.run_channel}" if status.run_channel else ""
            click.echo(f"Run {status.run_id}{where} is under way: {status.phase or status.run_state}.")
        if status.last_run_id is not None:
            last = await parts.learning.report(str(status.last_run_id))
            click.echo(f"The last run, {last.run_id}: {last.outcome} {last.mend}".rstrip())

    _with_parts(work)


@adapters.command()
@click.argument("name", default="")
@click.option("--html", is_flag=True, help="Print where the run's page lies, for a browser.")
def show(name: str, html: bool) -> None:
    """Show the report of a run, by its number or its adapter's NAME; without one, of the newest."""

    async def work(parts: "LearningParts") -> None:
        report = await parts.learning.report(name)
        if html:
            click.echo(report.page or "This run has no page: it ended before there was anything to show.")
        else:
            click.echo(render(report))

    _with_parts(work)


@adapters.command()
@click.argument("name")
def promote(name: str) -> None:
    """Serve the adapter NAME, or that of the run with this number, to everybody from the next question on."""

    async def work(parts: "LearningParts") -> None:
        replaced = await parts.learning.promote(name, by=name_me())
        own = next(line for line in await parts.learning.adapters() if line.is_called(name))
        where = f" in the channel {own.channel_id}" if own.channel_id else ""
        click.echo(f"{own.name} answers everybody{where} now, in place of {replaced or 'the base'}.")

    _with_parts(work)


@adapters.command()
@click.argument("reason", default="")
@click.option("--name", default="", help="Take back this adapter, also a channel's own, instead of the newest.")
def rollback(reason: str, name: str) -> None:
    """Take back the canary, or else the active adapter; say a REASON for the record. By --name, also what waits."""

    async def work(parts: "LearningParts") -> None:
        waiting = {line.name for line in await parts.learning.adapters() if line.state == "waiting"}
        taken, now_served = await parts.learning.rollback(by=name_me(), reason=reason, name=name)
        end = "will not be served" if taken in waiting else "was taken back"
        click.echo(f"{taken} {end}; {now_served or 'the base'} answers now.")

    _with_parts(work)


@adapters.command()
@click.argument("question")
@click.argument("names", nargs=-1)
def compare(question: str, names: tuple[str, ...]) -> None:
    """Show what the base and the adapters NAMES answer to QUESTION; without names, the served ones. Loads the model."""

    async def work(parts: "LearningParts") -> None:
        for label, answer in await parts.learning.compare(question, names):
            click.echo(click.style(label, bold=True))
            click.echo(f"{answer.strip()}\n")

    _with_parts(work, needs_engine=True)


def _with_parts(work: Any, *, needs_engine: bool = False) -> None:
    settings = start()
    require_database(settings)

    async def run() -> None:
        async with _parts(settings, needs_engine=needs_engine) as (parts, _):
            await work(parts)

    asyncio.run(run())


async def _train(settings: "Settings", *, is_dry: bool, works_here: bool, channel_id: str) -> "RunReport":
    """Queue a run and see it through; one like it that was stopped in this folder goes on instead."""
    async with _parts(settings, needs_engine=works_here) as (parts, database):
        status = await parts.learning.status()
        if status.is_paused:
            raise LearningError("Learning is paused: say `/apprentice train resume` in Slack first.")
        where = "here" if works_here else "by the bot that runs in this folder"
        if works_here and status.run_id is not None:
            run_id = status.run_id
            if (is_dry, channel_id) != (status.is_run_dry, status.run_channel):
                raise LearningError(_tell_stopped(run_id, status.run_channel, is_dry=status.is_run_dry))
            click.echo(f"Run {run_id} has not ended yet; it goes on, {where}, within a minute.", err=True)
        else:
            run_id = await parts.learning.request_run(by=name_me(), trigger="cli", is_dry=is_dry, channel_id=channel_id)
            click.echo(f"Run {run_id}, {where}.", err=True)
        working = asyncio.create_task(parts.runner.work()) if works_here else None
        try:
            await _follow(database, run_id)
        finally:
            if working is not None:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
        return await parts.learning.report(str(run_id))


def _tell_stopped(run_id: int, channel_id: str, *, is_dry: bool) -> str:
    """Say that another run than the one that is asked for comes first, and how to bring that to its end."""
    order = f"bot train{' --dry-run' if is_dry else ''}{f' --channel {channel_id}' if channel_id else ''}"
    what = f"Run {run_id}{f' for the channel {channel_id}' if channel_id else ''}"
    return (
        f"{what} was stopped before its end and comes first, so nothing was done: `{order}` goes on with it, and "
        "`/apprentice train cancel` ends it."
    )


async def _follow(database: "Database", run_id: int) -> None:
    """Show how far a run is until it has ended."""
    from bot.storage.learning_tables import ENDED, Run

    said, is_terminal = "", sys.stderr.isatty()
    while True:
        async with database.read() as session:
            run = await session.get_one(Run, run_id)
        if run.state in ENDED:
            click.echo("", err=True)
            return
        line = _describe(str(run.state), run.progress)
        if line != said and (is_terminal or line.split(",")[0] != said.split(",", maxsplit=1)[0]):
            click.echo(f"\r\x1b[K{line}" if is_terminal else line, err=True, nl=not is_terminal)
        said = line
        await asyncio.sleep(LOOK_S)


def _describe(state: str, progress: dict[str, Any]) -> str:
    parts = [state]
    if state == "training" and progress.get("steps"):
        parts.append(f" {progress['phase']} step {progress['step']} of {progress['steps']}")
        if progress.get("loss") is not None:
            parts.append(f" loss {progress['loss']:.3f}")
        if progress.get("is_paused"):
            parts.append(" held still while people wait for answers")
    elif state in {"queued", "collecting", "proving", "judging"} and progress.get("phase"):
        parts.append(f" {progress['phase']}")
    return ",".join(parts)


def render(report: "RunReport") -> str:
    """Return a report as lines for a terminal."""
    from bot.learning.figures import say_change, say_value

    where = f" for the channel {report.channel_id}" if report.channel_id else ""
    lines = [f"Run {report.run_id}{where}: {report.outcome or report.decision}"]
    lines += [report.mend] if report.mend else []
    lines += [f"  because  {reason}" for reason in report.reasons]
    lines += [f"  learned  {count} {what}" for what, count in report.learned_from.items()]
    lines += [f"  left out {count} {what}" for what, count in report.left_out.items()]
    lines += [f"  {'holds ' if holds else 'FAILS '} {sentence}" for _, holds, sentence in report.proofs]
    for figure in report.figures:
        before, after = (say_value(figure, value) for value in (figure.incumbent, figure.candidate))
        unit = f" {figure.unit}" if figure.unit not in {"", "share"} else ""
        interval = ""
        if figure.low is not None and figure.high is not None:
            interval = f"  ({say_change(figure, figure.low)} to {say_change(figure, figure.high)})"
        lines.append(f"  {figure.label}: {before} -> {after}{unit}{interval}")
    lines += [f"  folds    {report.cross_validation}"] if report.cross_validation else []
    if report.train_seconds:
        rate = f"{report.tokens_per_second:,.0f} tokens/s"
        lines.append(f"  took     {report.seconds:.0f} s, of which {report.train_seconds:.0f} s training at {rate}")
    lines += [f"  page     {report.page}"] if report.page else []
    return "\n".join(lines)


@asynccontextmanager
async def _parts(settings: "Settings", *, needs_engine: bool) -> AsyncIterator[tuple["LearningParts", "Database"]]:
    """Open the database, and an engine where one is needed; otherwise the running bot's engine follows by itself."""
    from bot.conversation.prompt_book import PromptBook
    from bot.engine.client import EngineClient
    from bot.learning.rollout.serving import Rollout
    from bot.learning_parts import build_learning
    from bot.running_engine import RunningEngine, running_engine
    from bot.shipped import shipped
    from bot.storage.db import open_database

    prompts = PromptBook(shipped("prompts"), settings.prompts_dir)
    async with AsyncExitStack() as stack:
        if needs_engine:
            running = await stack.enter_async_context(running_engine(settings))
        else:
            nowhere = EngineClient(socket_path=settings.data_dir / "no-engine.sock")
            running = RunningEngine(await stack.enter_async_context(nowhere), None, None)
        database = await stack.enter_async_context(open_database(settings.database()))
        folder = (settings.data_dir / "learning").resolve()
        yield (
            build_learning(
                settings,
                database,
                running.client,
                Rollout(database, running.client, folder, keeps_apart=settings.keeps_apart),
                model_path=running.model_path,
                system=prompts.system_on,
                is_busy=lambda: False,
                hear=None,  # the bot tells of it, now or when it is started again
                tell=_say_nothing,
                next_run=lambda: None,
            ),
            database,
        )


async def _say_nothing(_what: object) -> None:
    """Nothing is watched here."""
