"""Settings that can be read one by one and yet lead nowhere: what `bot run` refuses, and what changes nothing."""

import logging
import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from bot.errors import ConfigError
from bot.findings import Finding, Verdict, warning, wrong
from bot.jobs import read_cron, read_schedule
from bot.learning.window import Window
from bot.learning_parts import read_limits
from bot.settings import STARTER_MODEL, Settings, Transport, find_misspelt
from bot.slack.setup.checkup_questions import check_shape
from bot.storage.keyring import Keyring

SAME = {"thumbsup": "+1", "thumbsdown": "-1"}  # Slack's other names of an emoji
NO_EMOJI = "none"
CORRECT = "correct it in .env or in the environment; .env.example explains each one."

log = logging.getLogger(__name__)


def refuse_contradictions(settings: Settings) -> None:
    """Raise *ConfigError* that names all that cannot work; log what changes nothing."""
    findings = list(look_at_settings(settings))
    for finding in findings:
        if finding.verdict is Verdict.WARNING:
            log.warning("settings: %s Mend: %s", finding.sentence, finding.mend)
    findings += _look_at_tokens(settings)
    lines = [f"{finding.sentence} Mend: {finding.mend}" for finding in findings if finding.verdict is Verdict.WRONG]
    if lines:
        raise ConfigError("\n".join(lines))


def look_at_settings(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with them together, each with its variable, its value and the mend."""
    for sentence in find_misspelt():
        yield warning("Settings", sentence, "correct it in .env or in the environment; .env.example has them all.")
    yield from _look_at_lines()
    yield from _look_at_ids(settings)
    yield from _look_at_emoji(settings)
    yield from _look_at_model(settings)
    yield from _look_at_folders(settings)
    yield from _look_at_times(settings)
    try:
        if settings.has_oauth:
            Keyring(settings.token_encryption_keys)
    except ConfigError as error:
        yield wrong("Workspaces", str(error), CORRECT)
    if settings.http_port == 0 and (settings.slack_transport is Transport.HTTP or settings.install_url):
        sentence = "HTTP_PORT is 0, another port at each start, and Slack or people's browsers are to reach it."
        yield wrong("Settings", sentence, "set HTTP_PORT to the port to which you send them, such as 3000.")


def _look_at_tokens(settings: Settings) -> Iterator[Finding]:
    """Look at the form of what is there; the doctor does so where it comes to each."""
    bot, app = settings.slack_bot_token.get_secret_value(), settings.slack_app_token.get_secret_value()
    checks = [("SLACK_BOT_TOKEN", bot, "xoxb-", "OAuth & Permissions")]
    if settings.slack_transport is Transport.SOCKET:
        checks.append(("SLACK_APP_TOKEN", app, "xapp-", "Basic Information → App-Level Tokens"))
    for name, token, prefix, where in checks:
        if token and (finding := check_shape("Settings", name, token, prefix, where)):
            yield finding


def _look_at_lines() -> Iterator[Finding]:
    file = Path(str(Settings.model_config.get("env_file")))
    if file.is_file():
        for line in parse_stream(StringIO(file.read_text(encoding="utf-8"))):
            if line.error:
                sentence = f"{file}: line {line.original.line} cannot be read, and sets nothing."
                yield warning("Settings", sentence, "write it as NAME=value.")


def _look_at_ids(settings: Settings) -> Iterator[Finding]:
    given: list[tuple[str, Iterable[str], str, str]] = [
        ("ADMIN_USER_IDS", settings.admin_user_ids, "[UW]", "a person's id is U012AB3CD (Profile, Copy member ID)"),
        ("ADMIN_CHANNEL_ID", filter(None, [settings.admin_channel_id]), "[CDG]", "a channel's id is C012AB3CD"),
        ("ALLOWED_TEAM_IDS", settings.allowed_team_ids, "[TE]", "a workspace's id is T012AB3CD"),
        ("ALLOWED_BOT_IDS", settings.allowed_bot_ids, "[BUW]", "a bot's id is B012AB3CD, its user's U012AB3CD"),
    ]
    for name, values, first, form in given:
        for value in values:
            if not re.fullmatch(f"{first}[A-Z0-9]+", value):
                yield wrong("Settings", f"{name} has {value!r}, which is no id of Slack's and nobody.", f"{form}.")


def _look_at_emoji(settings: Settings) -> Iterator[Finding]:
    ups, downs = settings.feedback_up_emoji, settings.feedback_down_emoji
    for name, values in (("FEEDBACK_UP_EMOJI", ups), ("FEEDBACK_DOWN_EMOJI", downs)):
        for value in values:
            if not any(letter.isalnum() for letter in value):
                sentence = f"{name} has {value!r}, and Slack tells of emoji by their names."
                yield wrong(
                    "Settings", sentence, "write the name that Slack shows between colons, such as +1 or heart."
                )
    liked = {SAME.get(value, value) for value in ups} - {NO_EMOJI}
    if both := sorted(value for value in downs if SAME.get(value, value) in liked):
        sentence = f"FEEDBACK_UP_EMOJI and FEEDBACK_DOWN_EMOJI: {', '.join(both)} stands in both."
        yield wrong("Settings", sentence, "leave it in one of them; an emoji is either a 👍 or a 👎.")


def _look_at_model(settings: Settings) -> Iterator[Finding]:
    """Look at what the model's variables make of each other."""
    if not re.fullmatch(r"|([\w.-]+/)?[\w.-]+", settings.model_repo):
        sentence = f"MODEL_REPO is {settings.model_repo}, and a repository is named as owner/name."
        yield wrong("Settings", sentence, "write its name as the hub shows it; HF_ENDPOINT names another hub.")
    if settings.model_repo and settings.model_path != STARTER_MODEL:
        sentence = f"MODEL_PATH is {settings.model_path}, and changes nothing: MODEL_REPO is served."
        yield warning("Settings", sentence, "leave one of them empty.")
    if settings.engine_url:
        idle = {"MODEL_SHA256": settings.model_sha256, "MODEL_MMPROJ": settings.model_mmproj}
        for name in (name for name, value in idle.items() if value):
            sentence = f"{name} is set, and changes nothing: ENGINE_URL names a server that chooses its own files."
            yield warning("Settings", sentence, f"leave {name} empty, and see to it at that server.")
        return
    if settings.model_sees_images == "on" and not settings.model_mmproj:
        sentence = "MODEL_SEES_IMAGES is on, and MODEL_MMPROJ is empty: our own engine would refuse every picture."
        yield wrong("Settings", sentence, "set MODEL_MMPROJ to the model's mmproj, or MODEL_SEES_IMAGES=auto.")
    is_quantized = settings.engine_kv_type not in {"f32", "f16", "bf16"}
    if is_quantized and settings.engine_flash_attention == "off":
        sentence = (
            f"ENGINE_KV_TYPE is {settings.engine_kv_type}, which needs what ENGINE_FLASH_ATTENTION=off switches off."
        )
        yield wrong("Settings", sentence, "set ENGINE_FLASH_ATTENTION=auto, or ENGINE_KV_TYPE=f16.")


def _look_at_folders(settings: Settings) -> Iterator[Finding]:
    """Look whether the folders of models are there, as they are when they are needed."""
    speech, base = settings.speech_model, settings.training_base
    for name, value in vars(settings).items():
        if isinstance(value, Path) and value.parts[:1] == ("~",):
            sentence = f"{name.upper()} is {value}, and ~ means nothing here but a folder of that name."
            yield wrong("Settings", sentence, "write the whole path, from / on.")
    if speech is not None and not (speech / "model.bin").is_file():
        sentence = f"SPEECH_MODEL is {speech}, and no Whisper model in CTranslate2's form is there (model.bin)."
        yield wrong("Settings", sentence, "name its folder; empty: voice clips are not written down.")
    elif speech is not None and find_spec("faster_whisper") is None:
        sentence = f"SPEECH_MODEL is {speech}, and what runs it is not installed."
        yield warning("Settings", sentence, "pip install 'apprentice[voice]', or leave SPEECH_MODEL empty.")
    if base is not None and not settings.learning_off_by and not (base / "config.json").is_file():
        sentence = f"TRAINING_BASE is {base}, and no transformers model is there (config.json)."
        yield wrong("Settings", sentence, "name its folder; empty: the GGUF that is served is trained on.")


def _look_at_times(settings: Settings) -> Iterator[Finding]:
    """Look at what the clock and the gate are to do."""
    try:
        read_schedule(settings.training_schedule, Window.parse(settings.training_window))
    except ConfigError as error:
        yield wrong("Training", str(error), CORRECT)
    try:
        read_limits(settings.gate_limits, canary_from_people=settings.canary_from_people)
    except ConfigError as error:
        yield wrong("Settings", str(error), CORRECT)
    try:
        if settings.backup_schedule:
            read_cron("BACKUP_SCHEDULE", settings.backup_schedule)
    except ConfigError as error:
        yield wrong("Backups", str(error), CORRECT)
    if settings.training_folds == 1:
        sentence = "TRAINING_FOLDS is 1, and changes nothing: one part leaves none to learn from."
        yield warning("Settings", sentence, "set it to 0, or from 2 to 10.")
