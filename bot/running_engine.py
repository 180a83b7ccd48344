"""The engine that the bot asks: the server of ENGINE_URL, or one of our own that is started and looked after."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.admin.model import CHOICE, find_choice
from bot.engine.client import EngineClient
from bot.engine.supervisor import EngineSupervisor
from bot.hub import Access
from bot.lock import temporary_folder
from bot.logs import BARE
from bot.model_files import resolve_mmproj, resolve_model
from bot.settings import Settings

Eyes = Mapping[Path, Path]  # by which file a model sees; another model would see what is not there
ENGINE = "apprentice-engine-"  # begins the name of the folder with the engine's socket and copies of adapters
LONGEST_LOAD_S = 900  # a large model from a slow disk


@dataclass(frozen=True, slots=True)
class RunningEngine:
    """An engine to ask, who looks after it if it is our own, and the file that it is to serve."""

    client: EngineClient
    supervisor: EngineSupervisor | None
    model_path: Path | None
    serve: Callable[[Path], Awaitable[None]] | None = None  # lets our own engine serve another file
    configured: Path | None = None  # the file that the settings name; an admin may have chosen another


@asynccontextmanager
async def running_engine(settings: Settings) -> AsyncIterator[RunningEngine]:
    """Connect to ENGINE_URL, or start an engine of our own and look after it."""
    key = settings.engine_api_key.get_secret_value()
    async with AsyncExitStack() as stack:
        if settings.engine_url:
            client = await stack.enter_async_context(EngineClient(settings.engine_url, api_key=key))
            yield RunningEngine(client, None, settings.model_path if settings.model_path.is_file() else None)
            return
        configured, eyes = await asyncio.to_thread(_resolve, settings)
        model = find_choice(settings.data_dir / CHOICE, configured) or configured
        # A short path in a private folder: a socket's path must stay below 108 characters.
        folder = stack.enter_context(temporary_folder(ENGINE))
        socket_path = folder / "engine.sock"
        command = engine_command(settings, model=model, eyes=eyes, socket_path=socket_path)
        scratch = {"TMPDIR": str(folder), "CUDA_CACHE_PATH": str((settings.data_dir / "cache" / "cuda").resolve())}
        supervisor = await stack.enter_async_context(EngineSupervisor(command, socket_path=socket_path, env=scratch))
        client = await stack.enter_async_context(EngineClient(socket_path=socket_path))

        async def serve(path: Path) -> None:
            await supervisor.switch(engine_command(settings, model=path, eyes=eyes, socket_path=socket_path))
            await supervisor.wait_ready(LONGEST_LOAD_S)

        yield RunningEngine(client, supervisor, model, serve, configured)


def _resolve(settings: Settings) -> tuple[Path, Eyes]:
    """Return the model's file, and the one by which it alone sees, downloaded if they have to be."""
    access = Access(settings.hf_endpoint, settings.hf_token.get_secret_value())
    repo, folder = settings.model_repo, settings.data_dir / "models"
    model = resolve_model(path=settings.model_path, repo=repo, file=settings.model_file, folder=folder, access=access)
    mmproj = resolve_mmproj(settings.model_mmproj, repo=repo, folder=folder, access=access)
    return model, {model.resolve(): mmproj} if mmproj else {}


def engine_command(settings: Settings, *, model: Path, socket_path: Path, eyes: Eyes | None = None) -> list[str]:
    """Return the command of the engine process: everything it may know stands in it, and no secret does."""
    adapters = settings.data_dir / "learning"
    adapters.mkdir(parents=True, exist_ok=True)  # what is not there cannot be left to the engine
    options = {
        "--model": model.resolve(),
        "--socket": socket_path,
        "--n-ctx": settings.engine_n_ctx,
        "--max-sequences": settings.engine_max_sequences,
        "--n-gpu-layers": settings.engine_n_gpu_layers,
        "--threads": settings.engine_threads,
        "--kv-type": settings.engine_kv_type,
        "--flash-attention": settings.engine_flash_attention,
        "--host-cache-mb": settings.engine_host_cache_mb,
        "--queue-limit": settings.engine_queue_limit,
        "--longest-wait": settings.engine_longest_wait_seconds,
        "--requests-per-minute": settings.engine_requests_per_minute,
        "--tokens-per-minute": settings.engine_tokens_per_minute,
        "--cache-dir": (settings.data_dir / "cache").resolve(),
        "--state-dir": socket_path.parent,
        "--sha256": ",".join(settings.model_sha256),
        "--confine-to": adapters.resolve(),
        "--log-level": settings.log_level,
        "--log-format": BARE,
    }
    if mmproj := (eyes or {}).get(model.resolve()):
        options["--mmproj"] = mmproj.resolve()
    pairs = [str(part) for pair in options.items() for part in pair]
    return [sys.executable, "-m", "bot", "engine", *pairs, "--exit-with-stdin"]
