"""The composition root: settings in, running parts out; starts them in order and stops them in reverse."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from socket import gethostname

from slack_bolt.async_app import AsyncApp

from bot.admin.budgets import Budgets
from bot.admin.model import ModelSwitch
from bot.conversation.digest import DigestWriter
from bot.conversation.memory import Memory
from bot.conversation.prompt_book import PromptBook
from bot.conversation.recall import Recall
from bot.conversation.turn import Assistant
from bot.doctor import examine
from bot.engine.client import EngineClient
from bot.engine.supervisor import EngineSupervisor
from bot.errors import ApprenticeError, ConfigError, ModelFileError
from bot.files.reader import FileReader
from bot.ground import Ground, grounded
from bot.jobs import Jobs
from bot.learning.control import Learning
from bot.learning.rollout.serving import Rollout
from bot.learning.window import Window
from bot.learning_parts import LearningParts, build_learning
from bot.listening import listening
from bot.running_engine import RunningEngine
from bot.settings import STARTER_MODEL, Settings
from bot.slack.app import build_slack_app
from bot.slack.calls import Calls
from bot.slack.commands.admin import build_admin_commands
from bot.slack.commands.ask import build_ask_commands
from bot.slack.commands.doctor import build_doctor_command
from bot.slack.commands.orders import Command
from bot.slack.commands.prompts import build_prompt_commands
from bot.slack.files.desk import FileDesk
from bot.slack.files.fetch import file_fetcher
from bot.slack.intake import Intake
from bot.slack.learning.news import LearningNews
from bot.slack.people.directory import Directory
from bot.slack.people.rooms import Rooms
from bot.slack.people.speech import Speech
from bot.slack.schedule.digests import ChannelDigests
from bot.slack.signed import Taken
from bot.slack.throttle import Throttle
from bot.slack.tools.tools import Tools
from bot.slack.turns.admission import Admission
from bot.slack.turns.asides import Asides
from bot.slack.turns.catch_up import CatchUp, register_coming_in
from bot.slack.turns.duty import Duty
from bot.slack.turns.turns import Turns
from bot.slack_parts import (
    build_access,
    build_answering,
    build_catch_up,
    build_manners,
    build_reactions,
    build_schedules,
    read_limits,
)
from bot.storage.db import Database
from bot.storage.keyring import OUTDATED

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunningBot:
    """What whoever started the bot may want to know or wait for."""

    engine: EngineClient
    supervisor: EngineSupervisor | None
    http_port: int
    worker: asyncio.Task[None]
    is_outdated: asyncio.Event  # set where it lacks a key that another bot has

    async def run_until(self, stop: asyncio.Event) -> None:
        """Wait for *stop*; raise what makes waiting pointless: a worker that ended, a model or keys of no use.

        The process does nothing else from then on.
        """
        gc.collect()
        gc.freeze()  # what is loaded stays: to look through it again and again holds up every event for 150 ms
        ends = {asyncio.create_task(event.wait()) for event in (stop, self.is_outdated)}
        loading = asyncio.create_task(self.wait_for_engine())
        try:
            await asyncio.wait({*ends, loading, self.worker}, return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                loading.result()
                await asyncio.wait({*ends, self.worker}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*ends, loading):
                task.cancel()
        if self.is_outdated.is_set():
            raise ConfigError(OUTDATED)
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
        ground = await stack.enter_async_context(grounded(settings))
        prompts, running, database, calls = ground.prompts, ground.running, ground.database, ground.calls
        engine, identity, workspaces, jobs = running.client, ground.identity, ground.workspaces, Jobs(ground.database)
        rollout = await _begin_rollout(settings, database, engine)
        memory = await stack.enter_async_context(_memory(settings, database, engine, prompts))
        assistant = _assistant(settings, database, engine, rollout, prompts, memory=memory)
        directory = Directory(calls, database)
        access = build_access(settings, ground, directory)
        files = await stack.enter_async_context(_file_desk(settings, database, calls))
        answering = build_answering(settings, ground, assistant, directory, files=files, access=access)
        admission = Admission(
            database, access, calls, budgets=_budgets(settings), throttle=Throttle(read_limits(settings))
        )
        speech = Speech(database, directory)
        rooms = Rooms(calls, access, workspaces, speech)
        digests = _digests(ground, directory, admission, rooms)
        duty = Duty(database, place=_place(settings, database))
        turns = Turns(database, answering, Asides(calls), admission, speech=speech, duty=duty, workspaces=workspaces)
        parts = _learning(settings, ground, speech, rooms, rollout=rollout, assistant=assistant, turns=turns, jobs=jobs)
        intake, reactions = Intake(database, build_manners(settings)), build_reactions(settings, ground, access)
        slack = build_slack_app(
            ground.client,
            identity=identity,
            signing_secret=settings.slack_signing_secret.get_secret_value(),
            database=database,
            turns=turns,
            answering=answering,
            directory=directory,
            calls=calls,
            engine=engine,
            access=access,
            intake=intake,
            speech=speech,
            tools=Tools(digests, rooms.for_orders(), calls=calls, directory=directory, admission=admission),
            reactions=reactions,
            learning=parts.learning,
            budgets=_budgets(settings),
            folder=settings.data_dir,
            workspaces=workspaces,
            commands=[
                *build_ask_commands(database, assistant, answering, admission, directory=directory),
                *_commands(settings, database, prompts, engine),
                *_admin_commands(settings, database, running, learning=parts.learning, calls=calls, turns=turns),
                *build_schedules(settings, ground, directory, rooms, digests, duty=duty, jobs=jobs.add_schedules),
            ],
        )
        await stack.enter_async_context(_background(parts.runner.work()))
        catch_up = await build_catch_up(settings, ground, intake, turns, answering=answering, reactions=reactions)
        worker = await stack.enter_async_context(_background(turns.run()))
        await stack.enter_async_context(jobs.running())  # they end first: the worker lets end what they have begun
        heard = _hear(settings, ground, slack, worker, catch_up=catch_up, duty=duty, stores=intake.is_storing)
        port = await stack.enter_async_context(heard)
        log.info("ready: %s transport, http://%s:%d/healthz", settings.slack_transport, settings.http_host, port)
        is_outdated = workspaces.is_outdated if workspaces is not None else asyncio.Event()
        yield RunningBot(engine, running.supervisor, port, worker, is_outdated)
        log.info("stopping")


def _hear(
    settings: Settings,
    ground: Ground,
    slack: AsyncApp,
    worker: asyncio.Task[None],
    *,
    catch_up: CatchUp,
    duty: Duty,
    stores: Callable[[], bool],
) -> AbstractAsyncContextManager[int]:
    """Hear Slack; of a database on SQLite this process is the only one, and needs to tell no other what it took."""
    register_coming_in(slack, catch_up)
    taken = None if ground.database.is_sqlite else Taken(ground.database)
    return listening(
        settings,
        slack,
        ground.running.client,
        worker,
        calls=ground.calls,
        catch_up=catch_up,
        workspaces=ground.workspaces,
        keeps=duty.is_sure,
        answers=ground.database.answers,
        stores=stores,
        taken=taken,
    )


def _place(settings: Settings, database: Database) -> str:
    """Name where this process runs: nobody else can while it holds the folder, or the only writer's database."""
    return "here" if database.is_sqlite else f"{gethostname()}:{settings.data_dir.resolve()}"[:255]


def _digests(ground: Ground, directory: Directory, admission: Admission, rooms: Rooms) -> ChannelDigests:
    writer = DigestWriter(ground.running.client, ground.prompts, ground.database)
    return ChannelDigests(ground.calls, directory, writer, admission, rooms, database=ground.database)


def _admin_commands(
    settings: Settings, database: Database, running: RunningEngine, *, learning: Learning, calls: Calls, turns: Turns
) -> list[Command]:
    switch = None
    if running.serve is not None and running.model_path is not None:
        folders = [settings.data_dir / "models"]
        if settings.model_path != STARTER_MODEL:
            folders.append(settings.model_path.parent)
        switch = ModelSwitch(
            database,
            current=running.model_path,
            configured=running.configured or running.model_path,
            folders=folders,
            folder=settings.data_dir,
            serve=running.serve,
            hold=turns.holding,
            tell=learning.use_model,
        )
    return build_admin_commands(
        database,
        running.client,
        learning,
        calls,
        owners=frozenset(settings.admin_user_ids),
        budgets=_budgets(settings),
        retention_days=settings.retention_days,
        folder=settings.data_dir,
        switch=switch,
    )


def _budgets(settings: Settings) -> Budgets:
    return Budgets(settings.budget_tokens_per_person, settings.budget_tokens_per_channel)


def _commands(settings: Settings, database: Database, prompts: PromptBook, engine: EngineClient) -> list[Command]:
    """Build the commands that need what only this module has."""
    return [*build_prompt_commands(database, prompts, engine), build_doctor_command(partial(examine, settings))]


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
        asks_certainty=settings.answer_certainty,
        choose_adapter=rollout.choose_for,
        sees_images={"on": True, "off": False}.get(settings.model_sees_images),
    )


async def _begin_rollout(settings: Settings, database: Database, engine: EngineClient) -> Rollout:
    """Know who gets which adapter, with what was said while some were put aside."""
    folder = (settings.data_dir / "learning").resolve()
    rollout = Rollout(database, engine, folder, keeps_apart=settings.keeps_apart)
    await rollout.begin()
    return rollout


@asynccontextmanager
async def _file_desk(settings: Settings, database: Database, calls: Calls) -> AsyncIterator[FileDesk]:
    """Read the files that people share, within the limits of the settings."""
    most_bytes = settings.file_max_mb * 1_000_000
    async with file_fetcher(api_url=settings.slack_api_url, most_bytes=most_bytes) as fetcher:
        reader = FileReader(settings.speech_model)
        yield FileDesk(database, calls, fetcher, reader)


def _learning(
    settings: Settings,
    ground: Ground,
    speech: Speech,
    rooms: Rooms,
    *,
    rollout: Rollout,
    assistant: Assistant,
    turns: Turns,
    jobs: Jobs,
) -> LearningParts:
    """Put the learning loop together and let the clock start it."""
    database, running = ground.database, ground.running
    news = LearningNews(database, rooms, speech, channel_id=settings.admin_channel_id, admins=settings.admin_user_ids)
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
    jobs.add_reports(news.posted.follow)
    jobs.add_tidying(database, settings.data_dir / "learning", forget=running.client.forget)
    jobs.add_retention(database, settings.retention_days)
    jobs.add_backups(settings.database(), settings.data_dir.resolve(), settings.backup_schedule, settings.backup_keep)
    return parts


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
