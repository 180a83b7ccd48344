"""The command `bot engine`: its options, completed from the settings. Imports nothing heavy before it runs."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.start import start

if TYPE_CHECKING:
    from bot.engine.types import EngineOptions
    from bot.settings import Settings

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
FLASH_ATTENTION = ("auto", "on", "off")
COUNT, COUNT_OR_AUTO = click.IntRange(min=0), click.IntRange(min=-1)
PORT = click.IntRange(1, 65535)  # one that the system chooses would be known to nobody
PATH = click.Path(path_type=Path)
FOREIGN = {
    "model",
    "mmproj",
    "longest_wait",
    "host_cache_mb",
    "exit_with_stdin",
    "confine_to",
    "sha256",
    "log_level",
    "log_format",
    "fit",
}


@click.command()
@click.option("--model", type=PATH, help="The GGUF to serve.  [MODEL_PATH]")
@click.option("--mmproj", type=PATH, help="What lets that model see pictures.  [MODEL_MMPROJ]")
@click.option("--fit", is_flag=True, help="Print what would be used and why, and load nothing.")
@click.option("--socket", "socket_path", type=PATH, help="Listen on a unix socket at this path.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on without --socket.")
@click.option("--port", type=PORT, default=8080, show_default=True, help="Port without --socket; needs ENGINE_API_KEY.")
@click.option("--n-ctx", type=COUNT, help="Tokens of a conversation; 0: what memory allows.  [ENGINE_N_CTX]")
@click.option("--max-sequences", type=click.IntRange(1, 256), help="Conversations at once.  [ENGINE_MAX_SEQUENCES]")
@click.option("--n-gpu-layers", type=COUNT_OR_AUTO, help="On the GPU; -1: all that fit.  [ENGINE_N_GPU_LAYERS]")
@click.option("--threads", type=COUNT, help="CPU threads; 0: by the physical cores.  [ENGINE_THREADS]")
@click.option("--kv-type", type=click.Choice(KV_TYPES), help="Type of keys and values.  [ENGINE_KV_TYPE]")
@click.option(
    "--flash-attention",
    type=click.Choice(FLASH_ATTENTION),
    help="Needed by a quantized --kv-type.  [ENGINE_FLASH_ATTENTION]",
)
@click.option("--host-cache-mb", type=COUNT_OR_AUTO, help="For idle conversations.  [ENGINE_HOST_CACHE_MB]")
@click.option("--queue-limit", type=COUNT, help="Requests that may wait.  [ENGINE_QUEUE_LIMIT]")
@click.option("--longest-wait", type=float, help="Seconds one may wait; 0: any.  [ENGINE_LONGEST_WAIT_SECONDS]")
@click.option("--requests-per-minute", type=COUNT, help="Of one caller.  [ENGINE_REQUESTS_PER_MINUTE]")
@click.option("--tokens-per-minute", type=COUNT, help="Of one caller.  [ENGINE_TOKENS_PER_MINUTE]")
@click.option("--state-dir", type=PATH, help="Remember loaded adapters in this folder.")
@click.option("--cache-dir", type=PATH, hidden=True)
@click.option("--sha256", help="Load no model but those with these SHA-256, between commas.  [MODEL_SHA256]")
@click.option("--confine-to", type=PATH, hidden=True)
@click.option("--log-level", hidden=True)
@click.option("--log-format", hidden=True)
@click.option("--exit-with-stdin", is_flag=True, hidden=True)
def engine(**options: Any) -> None:
    """Serve a model to the bot, or to anything that speaks OpenAI's API, by llama.cpp.

    What is not said here comes from the setting in brackets.
    """
    is_managed = options["exit_with_stdin"]
    if is_managed:  # the bot has said everything on the command line; its secrets are none of the engine's business
        from bot.logs import set_up_logging

        set_up_logging(options["log_level"], options["log_format"])
        if options["confine_to"]:
            _confine(options)
        values = {**options, "api_key": ""}
    else:
        values = complete(options, start(is_serving=not options["fit"]))
    chosen = build_options(values)
    if options["fit"]:
        print_fit(chosen)
    else:
        _serve(chosen, is_managed=is_managed)


def _confine(options: dict[str, Any]) -> None:
    """Leave this process its model, the adapters, and what it keeps itself; a model's file is other people's."""
    import logging

    from bot.confine import confine
    from bot.model_files import list_parts

    model: Path = options["model"]
    parts = list_parts(model.name) if model.suffix == ".gguf" else [model.name]
    for folder in (kept := [options["state_dir"], options["cache_dir"]]):
        folder.mkdir(parents=True, exist_ok=True)
    read = [*(model.with_name(part) for part in parts), *filter(None, [options["mmproj"]]), options["confine_to"]]
    closed = confine(read=read, write=kept)
    logging.getLogger(__name__).info("The engine is confined; closed to it: %s", closed)


def _serve(options: "EngineOptions", *, is_managed: bool) -> None:
    from bot.engine.api.server import serve
    from bot.signals import stop_event

    async def work() -> None:
        await serve(options, stop=stop_event(with_stdin=is_managed), is_alone=True)

    asyncio.run(work())


def print_fit(options: "EngineOptions") -> None:
    """Print how the model would be served on this machine; exit with 1 and the mend when it does not fit."""
    from bot.engine.loaded import plan_model

    plan = plan_model(options)
    click.echo(plan.render())
    if lack := plan.explain_lack():
        click.echo(f"bot: {lack}", err=True)
        sys.exit(1)


def build_options(values: dict[str, Any]) -> "EngineOptions":
    """Return the engine's options from the command line's, whose names and units are a person's."""
    from bot.engine.types import EngineOptions

    given = {name: value for name, value in values.items() if value is not None}
    megabytes = given.get("host_cache_mb", -1)
    return EngineOptions(
        **{name: value for name, value in given.items() if name not in FOREIGN},
        model_path=given["model"],
        mmproj_path=given.get("mmproj"),
        pinned=tuple(filter(None, given.get("sha256", "").lower().split(","))),
        longest_wait_seconds=given.get("longest_wait", 0),
        host_cache_bytes=megabytes if megabytes < 0 else megabytes * 1_000_000,
    )


def complete(options: dict[str, Any], settings: "Settings") -> dict[str, Any]:
    """Return the options of the command line, with the settings where nothing was said."""
    from bot.errors import ConfigError
    from bot.hub import Access
    from bot.model_files import resolve_mmproj, resolve_model

    key = settings.engine_api_key.get_secret_value()
    if options["socket_path"] is None and not key and not options["fit"]:
        raise ConfigError("ENGINE_API_KEY is not set: a port needs a key. Or use --socket PATH.")
    given, folder = options["model"], settings.data_dir / "models"
    repo = "" if given else settings.model_repo
    access = Access(settings.hf_endpoint, settings.hf_token.get_secret_value())
    path = given or settings.model_path
    model = resolve_model(path=path, repo=repo, file=settings.model_file, folder=folder, access=access)
    eyes = options["mmproj"] or (None if given else settings.model_mmproj)  # it belongs to the model of the settings
    mmproj = resolve_mmproj(eyes, repo=repo, folder=folder, access=access)
    defaults = {**read_defaults(settings), "cache_dir": settings.data_dir / "cache"}
    chosen = {name: value if options[name] is None else options[name] for name, value in defaults.items()}
    return {**options, **chosen, "model": model, "mmproj": mmproj, "api_key": key}


def read_defaults(settings: "Settings") -> dict[str, Any]:
    """Return what the settings say about the engine, by the names of the command line."""
    return {
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
        "sha256": ",".join(settings.model_sha256),
    }
