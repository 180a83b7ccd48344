"""Examines an installation from its settings to Slack, and says what is wrong and exactly how to mend it."""

import asyncio
import gettext
import locale
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.admin.backup import list_backups
from bot.contradictions import look_at_settings
from bot.conversation.prompt_book import PromptBook
from bot.engine.client import EngineClient
from bot.engine.files.checksum import check_gguf, recall_hash
from bot.engine.files.gguf_check import check_header
from bot.engine.files.gguf_header import read_header
from bot.engine.files.mmproj import check_mmproj
from bot.errors import ApprenticeError, ConfigError, EngineError, LearningError, PromptError, StorageError
from bot.findings import Finding, ok, skipped, warning, wrong
from bot.jobs import read_cron
from bot.language import ENGLISH, LANGUAGES, LOCALE
from bot.learning.adapter_place import find_adapter_file
from bot.learning.training_extra import check_training_extra
from bot.lock import find_holder
from bot.settings import Settings, Transport
from bot.shipped import shipped
from bot.slack.setup.checkup import examine_slack
from bot.slack.setup.checkup_questions import Account
from bot.slack.setup.checkup_workspaces import check_workspaces
from bot.storage.adapters import served_adapters
from bot.storage.addresses import find_file
from bot.storage.clocks import check_clock
from bot.storage.db import Database
from bot.storage.file_watch import MOVED
from bot.storage.learning_tables import Adapter
from bot.storage.sightings import load_sightings
from bot.storage.tables import now

DISK_WRONG, DISK_WARNING = 200_000_000, 2_000_000_000
SEEN_WITHIN = timedelta(days=30)
FIT_S = 120
MEND_FILE = (
    "give the user that runs the bot the right to read and write {file} and its folder, or restore a backup; if it is "
    "a copy that you put there, stop the bot, remove {file}-wal and {file}-shm, and put it there again."
)


async def examine(settings: Settings, *, manifest: Mapping[str, Any] | None = None) -> AsyncIterator[Finding]:
    """Yield what there is to say about everything, nearest things first."""
    holder = await asyncio.to_thread(find_holder, settings.data_dir)
    for finding in _look_around(settings):
        yield finding
    sightings: frozenset[str] = frozenset()
    async for finding, seen in _look_into_database(settings):
        sightings |= seen
        yield finding
    async for finding in _look_at_model(settings, is_running=holder is not None):
        yield finding
    account = Account(
        api_url=settings.slack_api_url,
        bot_token=settings.slack_bot_token.get_secret_value(),
        app_token=settings.slack_app_token.get_secret_value(),
        signing_secret=settings.slack_signing_secret.get_secret_value(),
        config_token=settings.slack_config_token.get_secret_value(),
        is_http=settings.slack_transport is Transport.HTTP,
        has_oauth=settings.has_oauth,
        is_running=holder is not None,
        admins=settings.admin_user_ids,
        admin_channel=settings.admin_channel_id,
        sightings=sightings,
        manifest=manifest,
    )
    async for finding in examine_slack(account):
        yield finding


def _look_around(settings: Settings) -> Iterator[Finding]:
    yield ok("Settings", "every variable can be read.")
    yield from look_at_settings(settings)
    yield _check_disk(settings.data_dir)
    yield _check_prompts(settings)
    yield _check_languages()
    yield _check_training(settings)
    yield _check_backups(settings)


def _check_disk(folder: Path) -> Finding:
    topic = "Disk"
    there = _nearest(folder)
    if not os.access(there, os.W_OK | os.X_OK) or not there.is_dir():
        return wrong(topic, f"DATA_DIR: {folder} cannot be written to.", f"chown or chmod {there}, or set DATA_DIR.")
    closed = [path for path in folder.glob("*") if not os.access(path, os.R_OK | os.W_OK)]
    closed += [path for path in (folder / "learning").rglob("*") if not os.access(path, os.R_OK)]
    if names := sorted(str(path.relative_to(folder)) for path in closed):
        sentence = f"DATA_DIR: this user may not read or write {', '.join(names)} in {folder}."
        return wrong(topic, sentence, f"chown -R {folder} to the user that runs the bot.")
    free = shutil.disk_usage(there).free
    sentence = f"{free / 1e9:.1f} GB are free for {folder}"
    mend = "make room there, or set DATA_DIR to a larger disk."
    if free < DISK_WRONG:
        return wrong(topic, f"{sentence}: not enough for the database.", mend)
    if free < DISK_WARNING:
        return warning(topic, f"{sentence}: little for a training.", mend)
    return ok(topic, f"{sentence}.")


def _nearest(path: Path) -> Path:
    """Return the first of a path and the folders above it that can be reached."""
    return next((one for one in (path, *path.absolute().parents) if os.access(one, os.F_OK)), Path("/"))


def _check_prompts(settings: Settings) -> Finding:
    try:
        book = PromptBook(shipped("prompts"), settings.prompts_dir)
    except PromptError as error:
        first, *others = str(error).splitlines()
        more = f" (and {len(others)} more)" if others else ""
        return wrong("Prompts", f"{first}{more}", "mend the file, then `bot prompts list`.")
    return ok("Prompts", f"{len(book.names())} are in order.")


def _check_languages() -> Finding:
    topic = "Languages"
    if locale.getpreferredencoding(do_setlocale=False).upper().replace("-", "") != "UTF8":
        mend = "set LANG=C.UTF-8 (or PYTHONUTF8=1) for the bot's process."
        return warning(topic, f"files are read as {locale.getpreferredencoding(do_setlocale=False)}.", mend)
    missing = [code for code in LANGUAGES if code != ENGLISH and gettext.find("bot", LOCALE, [code]) is None]
    if missing:
        mend = "install the package again: its catalogues are built with it."
        return warning(topic, f"no catalogue for {', '.join(missing)}: those people read English.", mend)
    return ok(topic, f"{', '.join(LANGUAGES.values())}.")


def _check_training(settings: Settings) -> Finding:
    topic = "Training"
    if settings.learning_off_by:
        return ok(topic, f"switched off by {settings.learning_off_by}.")
    try:
        check_training_extra()
    except LearningError as error:
        return warning(topic, str(error), "pip install 'apprentice[train]', or set TRAINING_ENABLED=false.")
    return ok(topic, f"its packages are here; TRAINING_SCHEDULE is {settings.training_schedule}.")


def _check_backups(settings: Settings) -> Finding:
    """Look whether the clock's last two backups, at least, were not both missed."""
    topic = "Backups"
    try:
        made = [path.stat().st_mtime for path in list_backups(settings.database(), settings.data_dir.resolve())]
        trigger = read_cron("BACKUP_SCHEDULE", settings.backup_schedule) if settings.backup_schedule else None
    except (OSError, ConfigError):
        return skipped(topic, "what is said above of BACKUP_SCHEDULE or of DATA_DIR comes first.")
    newest = f"{(now().timestamp() - max(made)) / 3600:.0f} hours old" if made else "not there"
    if trigger is None:
        return ok(topic, f"made by hand alone (BACKUP_SCHEDULE is empty); the newest is {newest}.")
    first = trigger.get_next_fire_time(None, now())
    second = trigger.get_next_fire_time(first, first) if first else None
    if first and second and (not made or max(made) < now().timestamp() - 2 * (second - first).total_seconds()):
        return warning(topic, f"the newest is {newest}.", "look in the bot's log why; `bot backup` tries it now.")
    return ok(topic, f"the newest is {newest}.")


async def _look_into_database(settings: Settings) -> AsyncIterator[tuple[Finding, frozenset[str]]]:
    """Yield findings, and with one of them the events that have come."""
    nothing: frozenset[str] = frozenset()
    topic, mend = "Database", "look at DATABASE_URL: host, name, user and password; .env.example has an example."
    if own := find_file(settings.database()):
        mend = MEND_FILE.format(file=own)
        if finding := await asyncio.to_thread(_look_at_file, own, settings.data_dir):
            yield finding, nothing
            return
    try:
        database = Database(settings.database())
    except StorageError as error:
        yield wrong(topic, str(error), "set DATABASE_URL as .env.example shows, or leave it empty for SQLite."), nothing
        return
    try:
        try:
            found, newest = await database.revision()
        except Exception as error:  # noqa: BLE001 - whatever the driver says
            yield wrong(topic, f"{database.place()} cannot be opened ({type(error).__name__}).", mend), nothing
            return
        try:
            await database.check_encoding()
        except StorageError as error:
            yield wrong(topic, str(error), "`bot backup` and `bot restore` take along what is there."), nothing
        yield ok(topic, f"{database.place()} answers."), nothing
        yield _judge_revision(found, newest), nothing
        if not database.is_sqlite:
            yield await check_clock(database), nothing
        if found == newest:
            async with database.read() as session:
                seen = await load_sightings(session, since=now() - SEEN_WITHIN)
                adapters = list(await served_adapters(session))
            yield await asyncio.to_thread(_check_adapters, settings, adapters), seen
            if settings.has_oauth:
                keys, urls = settings.token_encryption_keys, (settings.slack_api_url, settings.install_url)
                yield await check_workspaces(database, keys, *urls), nothing
    finally:
        await database.close()


def _look_at_file(file: Path, folder: Path) -> Finding | None:
    """Say what keeps a bot from using an SQLite file, or that it is not there yet; None if all is well."""
    topic, there = "Database", _nearest(file)
    if not os.access(there, os.W_OK) or (there.is_dir() and not os.access(there, os.X_OK)):
        cannot = "cannot be written to" if there == file else "cannot be reached"
        return wrong(topic, f"{file} {cannot}: {there} is closed to this user.", MEND_FILE.format(file=file))
    if there == file:
        return None
    if find_holder(folder) is None:
        return ok(topic, f"{file} will be made at the first start.")
    return wrong(topic, f"{file} {MOVED}.", "the bot that runs here can store nothing until then.")


def _judge_revision(found: str | None, newest: str | None) -> Finding:
    topic = "Migrations"
    if found == newest:
        return ok(topic, f"at the newest revision, {newest}.")
    if found is not None and newest is not None and found > newest:
        mend = "run the version of Apprentice that wrote it, or restore the backup from before it."
        return wrong(topic, f"the database is at revision {found}, newer than this program's {newest}.", mend)
    return warning(topic, f"at revision {found or 'none'} of {newest}.", "`bot migrate`; `bot run` does it by itself.")


def _check_adapters(settings: Settings, adapters: list[Adapter]) -> Finding:
    topic = "Adapters"
    if not adapters:
        return ok(topic, "none is served.")
    folder = (settings.data_dir / "learning").resolve()
    lost = [one.name for one in adapters if not find_adapter_file(one, folder).exists()]
    if lost:
        mend = f"restore DATA_DIR/learning from the backup, or `bot adapters rollback --name {lost[0]}`."
        return wrong(topic, f"the files of {', '.join(lost)} are gone.", mend)
    if settings.engine_url or not settings.model_path.is_file():
        sentence = f"{len(adapters)} served; which model they fit shows when the engine loads them."
        return skipped(topic, f"{sentence}{_tell_aside(settings, adapters)}")
    model = recall_hash(settings.model_path, settings.data_dir / "cache")
    strangers = [one.name for one in adapters if model and one.base_sha256 != model]
    if strangers:
        mend = "set MODEL_PATH back to the model that they were trained on, or train again: `bot train`."
        sentence = f"{', '.join(strangers)} were trained on another model than {settings.model_path.name}."
        return wrong(topic, sentence, mend)
    return ok(topic, f"{len(adapters)} served, made for this model.{_tell_aside(settings, adapters)}")


def _tell_aside(settings: Settings, adapters: list[Adapter]) -> str:
    """Say which adapters answer nobody while the workspaces must not mix; nothing where there are none."""
    aside = [one.name for one in adapters if settings.keeps_apart and not one.is_of_one_channel]
    reason = "put aside by LEARN_ACROSS_WORKSPACES, so that what one workspace taught does not answer the others"
    return f" The base answers instead of {', '.join(aside)}: {reason}." if aside else ""


async def _look_at_model(settings: Settings, *, is_running: bool) -> AsyncIterator[Finding]:
    if settings.engine_url:
        yield await _check_engine(settings)
        return
    path, topic = settings.model_path, "Model"
    if settings.model_repo:
        path = settings.data_dir / "models" / settings.model_file
        if not path.is_file():
            mend = f"`bot models pull {settings.model_repo} {settings.model_file}`; `bot run` does it by itself."
            yield warning(topic, f"{settings.model_file} is not downloaded yet.", mend)
            return
    try:
        await asyncio.to_thread(check_gguf, path, "MODEL_PATH")
        await asyncio.to_thread(lambda: check_header(read_header(path)))
    except EngineError as error:
        mend = "set MODEL_PATH to a GGUF file that is whole; `bot models list` shows those here."
        yield wrong(topic, str(error), mend)
        return
    yield ok(topic, f"{path.name} is a GGUF file that can be read.")
    if settings.model_mmproj:
        yield await asyncio.to_thread(_check_mmproj, settings, settings.model_mmproj)
    if is_running:
        yield ok("Memory", "the engine of the bot that runs here has its part.")
    else:
        yield await _check_memory(settings, path)


def _check_mmproj(settings: Settings, given: Path) -> Finding:
    """Look at the header of what makes the model see; whether it fits the model is tried when the engine starts."""
    topic, here = "Pictures", settings.data_dir / "models" / given
    if settings.model_repo and not given.is_file() and not here.is_file():
        mend = f"`bot models pull {settings.model_repo} {given}`; `bot run` does it by itself."
        return warning(topic, f"{given.name} is not downloaded yet.", mend)
    try:
        check_mmproj(given if given.is_file() or not settings.model_repo else here)
    except EngineError as error:
        mend = "set MODEL_MMPROJ to the mmproj that was published with the model, or leave it empty."
        return wrong(topic, str(error), mend)
    return ok(topic, f"the model sees pictures by {given.name}.")


async def _check_engine(settings: Settings) -> Finding:
    topic = "Engine"
    try:
        async with EngineClient(settings.engine_url, api_key=settings.engine_api_key.get_secret_value()) as client:
            served = await client.models()
    except ApprenticeError as error:
        mend = "start that server, or correct ENGINE_URL and ENGINE_API_KEY; empty means an engine of our own."
        return wrong(topic, f"ENGINE_URL: {settings.engine_place()} cannot be used ({error})", mend)
    if not served:
        return wrong(topic, f"{settings.engine_place()} serves no model.", "load one there.")
    return ok(topic, f"{settings.engine_place()} serves {served[0].id}.")


async def _check_memory(settings: Settings, model: Path) -> Finding:
    """Let a process of its own plan how the model would be served: a strange file must not bring this one down."""
    topic = "Memory"
    options = {
        "--model": model,
        "--n-ctx": settings.engine_n_ctx,
        "--max-sequences": settings.engine_max_sequences,
        "--n-gpu-layers": settings.engine_n_gpu_layers,
        "--threads": settings.engine_threads,
        "--kv-type": settings.engine_kv_type,
        "--flash-attention": settings.engine_flash_attention,
        "--host-cache-mb": settings.engine_host_cache_mb,
    }
    if settings.model_mmproj and settings.model_mmproj.is_file():
        options["--mmproj"] = settings.model_mmproj
    pairs = [str(part) for pair in options.items() for part in pair]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "engine", "--fit", *pairs),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(FIT_S):
            said, complaint = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return skipped(topic, "planning took too long.")
    if process.returncode:
        lines = complaint.decode(errors="replace").strip().splitlines() or ["it could not be planned"]
        sentence, _, mend = lines[-1].removeprefix("bot: ").partition(" You can ")
        return wrong(topic, sentence, mend or "`bot engine --fit` says more.")
    plan = [line.strip() for line in said.decode(errors="replace").splitlines()]
    needed = next((line for line in plan if line.startswith("main memory")), "it fits")
    return ok(topic, needed.removeprefix("main memory").strip())
