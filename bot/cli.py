"""The command `bot`. Every heavy import stands inside the command that needs it, so that `bot --help` is quick."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot import __version__
from bot.cli_admin import budget, channels, users
from bot.cli_backup import backup, restore
from bot.cli_dataset import dataset
from bot.cli_doctor import doctor
from bot.cli_engine import PORT, engine
from bot.cli_learning import adapters, train
from bot.cli_models import models
from bot.cli_prompts import prompts
from bot.cli_records import audit, data, feedback
from bot.start import start

if TYPE_CHECKING:
    from bot.settings import Settings

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="bot")
def cli() -> None:
    """Apprentice: a Slack assistant on your own hardware that learns from your team.

    \b
    Try it without a Slack account:   bot demo
    Use it in your Slack:             bot manifest, then bot run

    Settings come from the environment and from a file .env; .env.example explains each one.
    """


@cli.command()
@click.option("--port", type=PORT, default=3010, show_default=True, help="Port of the playground's page.")
@click.option("--open", "opens_browser", is_flag=True, help="Open the page in your browser.")
def demo(port: int, opens_browser: bool) -> None:
    """Try everything in the browser: playground, engine and bot, with no account and no token."""
    from bot.demo import MANIFEST, run_demo
    from bot.lock import guarding
    from bot.signals import run_stoppable, stop_event
    from bot.slack.setup.manifest import build_manifest, render_json

    settings = start(is_serving=True)
    folder = settings.data_dir / "demo"

    async def work() -> None:
        stop = stop_event()
        run = partial(run_demo, settings, folder, port=port, opens_browser=opens_browser, stop=stop, say=click.echo)
        await run_stoppable(run, stop)

    with guarding(folder):
        _fetch_model(settings)
        # The playground knows the app as Slack would: by its manifest, with its commands, scopes and events.
        manifest = render_json(build_manifest(name="Apprentice", request_url=None))
        (folder / MANIFEST).write_text(manifest, encoding="utf-8")
        asyncio.run(work())


for one in (engine, models, train, adapters, dataset, prompts, doctor):
    cli.add_command(one)
for one in (users, channels, budget, feedback, data, audit, backup, restore):
    cli.add_command(one)


@cli.command()
def run() -> None:
    """Run the bot in your Slack. Needs SLACK_BOT_TOKEN and SLACK_APP_TOKEN; starts its own engine."""
    from bot.app import running_bot
    from bot.contradictions import refuse_contradictions
    from bot.lock import ONE_WRITER, guarding
    from bot.signals import STOP_S, end_within, run_stoppable, stop_event
    from bot.storage.addresses import find_file

    settings = start(is_serving=True)
    refuse_contradictions(settings)

    async def work() -> None:
        stop = stop_event()

        async def serve(begin: Callable[[], None]) -> None:
            async with running_bot(settings) as bot:
                begin()
                try:
                    await bot.run_until(stop)
                finally:
                    end_within(STOP_S)

        await run_stoppable(serve, stop)

    with ExitStack() as held:
        held.enter_context(guarding(settings.data_dir))
        file = find_file(settings.database())
        if file is not None and file.parent != settings.data_dir.resolve():
            held.enter_context(guarding(file.parent, setting="DATABASE_URL", mend=ONE_WRITER))
        _fetch_model(settings)
        asyncio.run(work())


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
@click.option("--port", type=PORT, default=3010, show_default=True, help="Port to listen on.")
@click.option("--events-url", help="Deliver events by signed HTTP to this URL instead of Socket Mode.")
@click.option("--app-name", help="The app's name in the sidebar.")
@click.option(
    "--manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your app's manifest (JSON)."
)
@click.option("--data", type=click.Path(dir_okay=False, path_type=Path), help="Keep the workspace in this file.")
@click.option("--exit-with-stdin", is_flag=True, hidden=True)
def playground(exit_with_stdin: bool, **options: Any) -> None:
    """Run a small Slack on this machine, for any Bolt app: set its SLACK_API_URL to the printed address."""
    from bot.playground.options import PlaygroundOptions
    from bot.playground.server import serve
    from bot.signals import stop_event

    if not exit_with_stdin:
        start()

    async def work() -> None:
        serving = asyncio.create_task(serve(PlaygroundOptions(**options)))
        stopping = asyncio.create_task(stop_event(with_stdin=exit_with_stdin).wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving

    asyncio.run(work())


@cli.command()
def migrate() -> None:
    """Bring the database to the newest revision; `bot run` does it by itself."""
    from bot.storage.db import open_database

    settings = start()

    async def work() -> None:
        async with open_database(settings.database()) as database:
            click.echo(f"{database.place()} is at revision {(await database.revision())[0]}.")

    asyncio.run(work())


@cli.command()
@click.option("--http", "request_url", help="The app is reached by HTTP at this public URL instead of Socket Mode.")
@click.option("--oauth", "install_url", help="Other workspaces may install it at this public URL.")
@click.option("--org", "is_for_org", is_flag=True, help="A whole organisation may install it at once; needs --oauth.")
@click.option("--name", default="Apprentice", show_default=True, help="The app's name in Slack, at most 35 characters.")
@click.option(
    "--format", "form", type=click.Choice(["json", "yaml"]), default="json", show_default=True, help="YAML has reasons."
)
@click.option("--explain", "explains", is_flag=True, help="Only say what each scope and event is for.")
def manifest(
    *, request_url: str | None, install_url: str | None, is_for_org: bool, name: str, form: str, explains: bool
) -> None:
    """Print the app manifest to paste at api.slack.com/apps → Create New App → From a manifest."""
    from bot.slack.setup.manifest import build_manifest, explain, render_json, render_yaml

    if not 1 <= len(name) <= 35:
        raise click.BadParameter("Slack takes 1 to 35 characters.", param_hint="--name")
    if is_for_org and not install_url:
        raise click.UsageError("--org needs --oauth URL: an organisation installs the app through it.")
    if explains:
        click.echo(explain())
        return
    built = build_manifest(name=name, request_url=request_url, install_url=install_url, is_for_org=is_for_org)
    click.echo(render_json(built) if form == "json" else render_yaml(built))


@cli.command("new-key")
def new_key() -> None:
    """Print a new key for TOKEN_ENCRYPTION_KEYS; put it before the old ones, and remove those after the next start."""
    from bot.storage.keyring import make_key

    click.echo(make_key())


def _fetch_model(settings: "Settings") -> None:
    """Download the model while Ctrl-C still ends the process at once; what is here already costs nothing."""
    from bot.hub import Access
    from bot.model_files import pull, resolve_mmproj

    if settings.model_repo and not settings.engine_url:
        access = Access(settings.hf_endpoint, settings.hf_token.get_secret_value())
        folder = settings.data_dir / "models"
        pull(settings.model_repo, settings.model_file, folder, access)
        resolve_mmproj(settings.model_mmproj, repo=settings.model_repo, folder=folder, access=access)


def main() -> None:
    """Run the command line; what the system refuses, or we on purpose, is one clear line, anything else a traceback."""
    try:
        cli(prog_name="bot")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from bot.errors import explain
        from bot.logs import say_last
        from bot.playground.errors import PlaygroundError

        sentence = str(error) if isinstance(error, PlaygroundError) else explain(error)
        if sentence is None:
            raise
        say_last(sentence)
        sys.exit(1)
