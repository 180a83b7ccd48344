"""The composition root: settings in, running parts out; starts them in order and stops them in reverse."""

import asyncio
import logging
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.admin.budgets import Budgets
from bot.conversation.memory import Memory
from bot.conversation.prompt_book import PromptBook
from bot.conversation.prompt_watch import fresh_prompts
from bot.conversation.recall import Recall
from bot.conversation.turn import Assistant
from bot.doctor import examine
from bot.engine.client import EngineClient
from bot.engine.supervisor import EngineSupervisor
from bot.errors import ApprenticeError, ConfigError, ModelFileError
from bot.files.reader import FileReader
from bot.hub import Access as HubAccess
from bot.jobs import Jobs
from bot.learning.rollout.serving import Rollout
from bot.learning.window import Window
from bot.learning_parts import LearningParts, build_learning
from bot.logs import BARE
from bot.model_files import resolve_model
from bot.settings import Settings, Transport
from bot.shipped import shipped
from bot.slack.access import Access, Home
from bot.slack.admission import Admission
from bot.slack.answering import Answering
from bot.slack.app import build_slack_app
from bot.slack.asides import Asides
from bot.slack.calls import Calls, error_code
from bot.slack.directory import Directory
from bot.slack.doctor_commands import build_doctor_command
from bot.slack.file_desk import FileDesk
from bot.slack.file_fetch import file_fetcher
from bot.slack.gating import Guests
from bot.slack.intake import Manners
from bot.slack.learning_news import LearningNews
from bot.slack.orders import Command
from bot.slack.prompt_commands import build_prompt_commands
from bot.slack.turns import Turns
from bot.storage.db import Database, open_database
from bot.web import build_web_app, serving

SLACK_TIMEOUT_S = 30

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunningBot:
    """What whoever started the bot may want to know or wait for."""

    engine: EngineClient
    supervisor: EngineSupervisor | None
    http_port: int
    worker: asyncio.Task[None]

    async def run_until(self, stop: asyncio.Event) -> None:
        """Wait for *stop*; raise what makes waiting pointless: a worker that ended, a model that cannot be used."""
        stopping = asyncio.create_task(stop.wait())
        loading = asyncio.create_task(self.wait_for_engine())
        try:
            await asyncio.wait({stopping, loading, self.worker}, return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                loading.result()
                await asyncio.wait({stopping, self.worker}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            loading.cancel()
        if not stop.is_set():
            raise ApprenticeError("The worker that answers messages ended; the lines above say why.")

    async def wait_for_engine(self) -> None:
        """Return when the engine is ready for the first time; raise *ModelFileError* when its model never will be."""
        while not await self.engine.health():
            if self.supervisor is not None and isinstance(self.supervisor.error, ModelFileError):
                raise self.supervisor.error
            await asyncio.sleep(0.1)


@asynccontextmanager
async def running_bot(settings: Settings) -> AsyncIterator[RunningBot]:
    """Run the whole bot for as long as the block runs."""
    settings.require_slack()
    async with AsyncExitStack() as stack:
        prompts = await stack.enter_async_context(fresh_prompts(shipped("prompts"), settings.prompts_dir))
        running = await stack.enter_async_context(running_engine(settings))
        engine = running.client
        database = await stack.enter_async_context(open_database(settings.database()))
        client = await stack.enter_async_context(_slack_client(settings))
        calls = Calls(client)
        identity = await _log_in(client)
        jobs = Jobs(database)
        rollout = Rollout(database, engine)
        memory = await stack.enter_async_context(_memory(settings, database, engine, prompts))
        assistant = _assistant(settings, database, engine, rollout, prompts, memory=memory)
        directory = Directory(calls)
        home = Home(identity.team_id or "", identity.enterprise_id or "", frozenset(settings.allowed_team_ids))
        budgets = Budgets(settings.budget_tokens_per_person, settings.budget_tokens_per_channel)
        access = Access(database, directory, owners=frozenset(settings.admin_user_ids), home=home)
        files = await stack.enter_async_context(_file_desk(settings, database, calls))
        answering = Answering(
            assistant,
            calls=calls,
            directory=directory,
            files=files,
            is_ours=access.is_ours,
            bot_user_id=identity.bot_user_id or "",
        )
        admission = Admission(database, access, calls, budgets=budgets)
        turns = Turns(database, answering, Asides(calls), admission)
        parts = _learning(
            settings,
            database=database,
            running=running,
            rollout=rollout,
            assistant=assistant,
            turns=turns,
            jobs=jobs,
            calls=calls,
        )
        slack = build_slack_app(
            client,
            identity=identity,
            signing_secret=settings.slack_signing_secret.get_secret_value(),
            database=database,
            turns=turns,
            answering=answering,
            directory=directory,
            calls=calls,
            engine=engine,
            access=access,
            manners=_manners(settings),
            learning=parts.learning,
            commands=_commands(settings, database, prompts, engine),
        )
        await stack.enter_async_context(jobs.running())
        await stack.enter_async_context(_background(parts.runner.work()))
        worker = await stack.enter_async_context(_background(turns.run()))
        port = await stack.enter_async_context(_listening(settings, slack, client, engine, worker))
        log.info("ready: %s transport, http://%s:%d/healthz", settings.slack_transport, settings.http_host, port)
        yield RunningBot(engine, running.supervisor, port, worker)
        log.info("stopping")


@asynccontextmanager
async def _listening(
    settings: Settings, slack: AsyncApp, client: AsyncWebClient, engine: EngineClient, worker: asyncio.Task[None]
) -> AsyncIterator[int]:
    """Hear Slack and answer health checks for as long as the block runs; yield the port of the latter."""
    app_token = settings.slack_app_token.get_secret_value()
    is_http = settings.slack_transport is Transport.HTTP
    socket = None if is_http else AsyncSocketModeHandler(slack, app_token, web_client=client)

    async def alive() -> dict[str, bool]:
        return {"worker": not worker.done(), "slack": socket is None or await socket.client.is_connected()}

    async def ready() -> dict[str, bool]:
        return {**await alive(), "engine": await engine.health()}

    web_app = build_web_app(alive=alive, ready=ready, slack=slack if is_http else None)
    async with serving(web_app, host=settings.http_host, port=settings.http_port) as port:
        if socket is None:
            yield port
            return
        async with _socket(socket):
            yield port


def _commands(settings: Settings, database: Database, prompts: PromptBook, engine: EngineClient) -> list[Command]:
    """Build the commands that need what only this module has."""
    return [*build_prompt_commands(database, prompts, engine), build_doctor_command(partial(examine, settings))]


def _manners(settings: Settings) -> Manners:
    return Manners(
        merge_s=settings.merge_seconds,
        idle_s=settings.thread_idle_hours * 3600,
        guests=Guests(frozenset(settings.allowed_team_ids), frozenset(settings.allowed_bot_ids)),
    )


@asynccontextmanager
async def _memory(
    settings: Settings, database: Database, engine: EngineClient, prompts: PromptBook
) -> AsyncIterator[Memory]:
    """Keep corrections and long threads in mind; the summaries are written beside the block."""
    most = settings.corrections_most if settings.corrections_at_once else 0
    recall = Recall(database, engine, most=most, needs_review=settings.review_before_training)
    memory = Memory(database, engine, prompts=prompts, recall=recall)
    async with _background(memory.work()):
        yield memory


def _assistant(
    settings: Settings,
    database: Database,
    engine: EngineClient,
    rollout: Rollout,
    prompts: PromptBook,
    *,
    memory: Memory,
) -> Assistant:
    return Assistant(
        database,
        engine,
        prompts=prompts,
        max_tokens=settings.answer_max_tokens,
        temperature=settings.answer_temperature,
        memory=memory,
        choose_adapter=rollout.choose,
        sees_images={"on": True, "off": False}.get(settings.model_sees_images),
    )


@asynccontextmanager
async def _file_desk(settings: Settings, database: Database, calls: Calls) -> AsyncIterator[FileDesk]:
    """Read the files that people share, within the limits of the settings."""
    most_bytes = settings.file_max_mb * 1_000_000
    async with file_fetcher(api_url=settings.slack_api_url, most_bytes=most_bytes) as fetcher:
        reader = FileReader(settings.speech_model)
        yield FileDesk(database, calls, fetcher, reader, token=settings.slack_bot_token.get_secret_value())


def _learning(
    settings: Settings,
    *,
    database: Database,
    running: "RunningEngine",
    rollout: Rollout,
    assistant: Assistant,
    turns: Turns,
    jobs: Jobs,
    calls: Calls,
) -> LearningParts:
    """Put the learning loop together and let the clock start it."""
    news = LearningNews(database, calls, channel_id=settings.admin_channel_id, admins=settings.admin_user_ids)
    parts = build_learning(
        settings,
        database,
        running.client,
        rollout,
        model_path=running.model_path,
        system=assistant.system_on,
        is_busy=turns.is_busy,
        hear=news.hear,
        tell=news.tell,
        next_run=jobs.next_training,
    )
    window = Window.parse(settings.training_window)
    jobs.add_learning(parts.learning, parts.watch, schedule=settings.training_schedule, window=window)
    jobs.add_news(news.tell_of_promoted)
    jobs.add_tidying(database, settings.data_dir / "learning")
    return parts


@dataclass(frozen=True, slots=True)
class RunningEngine:
    """An engine to ask, who looks after it if it is our own, and the file that it is to serve."""

    client: EngineClient
    supervisor: EngineSupervisor | None
    model_path: Path | None


@asynccontextmanager
async def running_engine(settings: Settings) -> AsyncIterator[RunningEngine]:
    """Connect to ENGINE_URL, or start an engine of our own and look after it."""
    key = settings.engine_api_key.get_secret_value()
    async with AsyncExitStack() as stack:
        if settings.engine_url:
            client = await stack.enter_async_context(EngineClient(settings.engine_url, api_key=key))
            yield RunningEngine(client, None, settings.model_path if settings.model_path.is_file() else None)
            return
        model = await asyncio.to_thread(
            resolve_model,
            path=settings.model_path,
            repo=settings.model_repo,
            file=settings.model_file,
            folder=settings.data_dir / "models",
            access=HubAccess(settings.hf_endpoint, settings.hf_token.get_secret_value()),
        )
        # A short path in a private folder: a socket's path must stay below 108 characters.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="apprentice-")))
        socket_path = folder / "engine.sock"
        command = engine_command(settings, model=model, socket_path=socket_path)
        supervisor = await stack.enter_async_context(EngineSupervisor(command, socket_path=socket_path))
        client = await stack.enter_async_context(EngineClient(socket_path=socket_path))
        yield RunningEngine(client, supervisor, model)


def engine_command(settings: Settings, *, model: Path, socket_path: Path) -> list[str]:
    """Return the command of the engine process: everything it may know stands in it, and no secret does."""
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
        "--log-level": settings.log_level,
        "--log-format": BARE,
    }
    pairs = [str(part) for pair in options.items() for part in pair]
    return [sys.executable, "-m", "bot", "engine", *pairs, "--exit-with-stdin"]


@asynccontextmanager
async def _slack_client(settings: Settings) -> AsyncIterator[AsyncWebClient]:
    """Open one client with kept-alive connections; tries again are our own business, for the SDK would post twice."""
    timeout = aiohttp.ClientTimeout(total=SLACK_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield AsyncWebClient(
            token=settings.slack_bot_token.get_secret_value(),
            base_url=settings.slack_api_url,
            session=session,
            retry_handlers=[],
            timeout=SLACK_TIMEOUT_S,
        )


async def _log_in(client: AsyncWebClient) -> AuthorizeResult:
    """Return who the token is; wait for a Slack that is away, refuse a token that is wrong."""
    delay = 0.1
    while True:
        try:
            who = await client.auth_test()
            return AuthorizeResult(
                enterprise_id=who.get("enterprise_id"),
                team_id=who.get("team_id"),
                bot_user_id=who["user_id"],
                bot_id=who.get("bot_id"),
                bot_token=client.token,
            )
        except SlackApiError as error:
            if error.response.status_code < 500 and error_code(error) != "ratelimited":
                raise ConfigError(
                    f"SLACK_BOT_TOKEN: Slack refuses it ({error_code(error)}). Copy the Bot User OAuth Token again."
                ) from error
            reason = error_code(error)
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = type(error).__name__
        if delay > 1:
            log.warning("slack: %s cannot be reached (%s); trying again", client.base_url, reason)
        await asyncio.sleep(delay)
        delay = min(30, delay * 1.6)


@asynccontextmanager
async def _socket(handler: AsyncSocketModeHandler) -> AsyncIterator[None]:
    try:
        await handler.connect_async()  # type: ignore[no-untyped-call]
    except SlackApiError as error:
        raise ConfigError(
            f"SLACK_APP_TOKEN: Slack refuses it ({error_code(error)}). It needs the scope connections:write, and "
            "Socket Mode must be switched on."
        ) from error
    try:
        yield
    finally:
        await handler.close_async()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def _background(work: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run *work* beside the block and cancel it afterwards."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
