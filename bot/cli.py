"""The command `bot`. Every heavy import stands inside the command that needs it, so that `bot --help` is quick."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot import __version__

if TYPE_CHECKING:
    from bot.engine.types import EngineOptions
    from bot.settings import Settings

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
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
@click.option("--port", default=3010, show_default=True, help="Port of the playground's page.")
@click.option("--open", "opens_browser", is_flag=True, help="Open the page in your browser.")
def demo(port: int, opens_browser: bool) -> None:
    """Try everything in the browser: playground, engine and bot, with no account and no token."""
    from bot.demo import run_demo
    from bot.lock import holding
    from bot.signals import stop_event

    settings = _start()
    folder = settings.data_dir / "demo"

    async def work() -> None:
        await run_demo(settings, folder, port=port, opens_browser=opens_browser, stop=stop_event(), say=click.echo)

    with holding(folder):
        asyncio.run(work())


@cli.command()
def run() -> None:
    """Run the bot in your Slack. Needs SLACK_BOT_TOKEN and SLACK_APP_TOKEN; starts its own engine."""
    from bot.app import running_bot
    from bot.lock import holding
    from bot.signals import stop_event

    settings = _start()

    async def work() -> None:
        stop = stop_event()
        async with running_bot(settings) as bot:
            await bot.run_until(stop)

    with holding(settings.data_dir):
        asyncio.run(work())


@cli.command()
@click.option("--model", type=click.Path(path_type=Path), help="The GGUF to serve.  [default: MODEL_PATH]")
@click.option("--socket", "socket_path", type=click.Path(path_type=Path), help="Listen on a unix socket at this path.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on without --socket.")
@click.option(
    "--port", default=8080, show_default=True, help="Port to listen on without --socket; needs ENGINE_API_KEY."
)
@click.option(
    "--n-ctx", type=int, help="Tokens of one conversation; 0: what the model offers.  [default: ENGINE_N_CTX]"
)
@click.option("--max-sequences", type=int, help="Conversations at once.  [default: ENGINE_MAX_SEQUENCES]")
@click.option("--n-gpu-layers", type=int, help="Layers on the GPU; -1: all.  [default: ENGINE_N_GPU_LAYERS]")
@click.option("--threads", type=int, help="CPU threads; 0: the physical cores.  [default: ENGINE_THREADS]")
@click.option("--kv-type", type=click.Choice(KV_TYPES), help="Type of keys and values.  [default: ENGINE_KV_TYPE]")
@click.option(
    "--flash-attention",
    type=click.Choice(("auto", "on", "off")),
    help="A quantized --kv-type needs it.  [default: ENGINE_FLASH_ATTENTION]",
)
@click.option(
    "--host-cache-mb",
    type=int,
    help="For remembered conversations; -1: by what is free.  [default: ENGINE_HOST_CACHE_MB]",
)
@click.option("--queue-limit", type=int, help="Requests that may wait.  [default: ENGINE_QUEUE_LIMIT]")
@click.option(
    "--longest-wait", type=float, help="Seconds that one may wait; 0: any.  [default: ENGINE_LONGEST_WAIT_SECONDS]"
)
@click.option("--requests-per-minute", type=int, help="Of one caller.  [default: ENGINE_REQUESTS_PER_MINUTE]")
@click.option("--tokens-per-minute", type=int, help="Of one caller.  [default: ENGINE_TOKENS_PER_MINUTE]")
@click.option("--state-dir", type=click.Path(path_type=Path), help="Remember loaded adapters in this folder.")
@click.option("--cache-dir", type=click.Path(path_type=Path), hidden=True)
@click.option("--log-level", hidden=True)
@click.option("--log-format", hidden=True)
@click.option("--exit-with-stdin", is_flag=True, hidden=True)
def engine(**options: Any) -> None:
    """Serve a model to the bot, or to anything that speaks OpenAI's API, by llama.cpp."""
    from bot.engine.server import serve
    from bot.signals import stop_event

    is_managed = options["exit_with_stdin"]
    if is_managed:  # the bot has said everything on the command line; its secrets are none of the engine's business
        from bot.logs import set_up_logging

        set_up_logging(options["log_level"], options["log_format"])
        values = {**options, "api_key": ""}
    else:
        values = _engine_values(options)

    async def work() -> None:
        await serve(build_options(values), stop=stop_event(with_stdin=is_managed))

    asyncio.run(work())


def build_options(values: dict[str, Any]) -> "EngineOptions":
    """Return the engine's options from the command line's, whose names and units are a person's."""
    from bot.engine.types import EngineOptions

    megabytes = values["host_cache_mb"]
    foreign = {"model", "longest_wait", "host_cache_mb", "exit_with_stdin", "log_level", "log_format"}
    return EngineOptions(
        **{name: value for name, value in values.items() if name not in foreign},
        model_path=values["model"],
        longest_wait_seconds=values["longest_wait"],
        host_cache_bytes=megabytes if megabytes < 0 else megabytes * 1_000_000,
    )


def _engine_values(options: dict[str, Any]) -> dict[str, Any]:
    """Complete the options of the command line from the settings."""
    from bot.errors import ConfigError
    from bot.model_files import resolve_model

    settings = _start()
    key = settings.engine_api_key.get_secret_value()
    if options["socket_path"] is None and not key:
        raise ConfigError("ENGINE_API_KEY is not set: a port needs a key. Or use --socket PATH.")
    given = options["model"]
    model = resolve_model(
        path=given or settings.model_path,
        repo="" if given else settings.model_repo,
        file=settings.model_file,
        folder=settings.data_dir / "models",
    )
    defaults = {
        "n_ctx": settings.engine_n_ctx,
        "max_sequences": settings.engine_max_sequences,
        "n_gpu_layers": settings.engine_n_gpu_layers,
        "threads": settings.engine_threads,
        "kv_type": settings.engine_kv_type,
        "flash_attention": settings.engine_flash_attention,
        "host_cache_mb": settings.engine_host_cache_mb,
        "queue_limit": settings.engine_queue_limit,
        "longest_wait": settings.engine_longest_wait_seconds,
        "requests_per_minute": settings.engine_requests_per_minute,
        "tokens_per_minute": settings.engine_tokens_per_minute,
        "cache_dir": settings.data_dir / "cache",
    }
    chosen = {name: value if options[name] is None else options[name] for name, value in defaults.items()}
    return {**options, **chosen, "model": model, "api_key": key}


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
@click.option("--port", default=3010, show_default=True, help="Port to listen on.")
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
        _start()

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

    settings = _start()

    async def work() -> None:
        async with open_database(settings.database()) as database:
            click.echo(f"{database.place()} is at revision {(await database.revision())[0]}.")

    asyncio.run(work())


@cli.command()
@click.option("--http", "request_url", help="The app is reached by HTTP at this public URL instead of Socket Mode.")
@click.option("--name", default="Apprentice", show_default=True, help="The app's name in Slack.")
def manifest(request_url: str | None, name: str) -> None:
    """Print the app manifest to paste at api.slack.com/apps → Create New App → From a manifest."""
    import json

    from bot.slack.manifest import build_manifest

    click.echo(json.dumps(build_manifest(name=name, request_url=request_url), indent=2))


def _start() -> "Settings":
    """Read the settings and set up logging."""
    from bot.logs import set_up_logging
    from bot.settings import load_settings

    os.umask(0o077)  # what a team writes is nobody else's to read, whatever mode DATA_DIR has
    settings = load_settings()
    set_up_logging(settings.log_level, settings.log_format)
    return settings


def main() -> None:
    """Run the command line; an error that we raise on purpose is one clear line, anything else a traceback."""
    try:
        cli(prog_name="bot")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from bot.errors import ApprenticeError
        from bot.playground.errors import PlaygroundError

        if not isinstance(error, ApprenticeError | PlaygroundError):
            raise
        click.echo(f"bot: {error}", err=True)
        sys.exit(1)
