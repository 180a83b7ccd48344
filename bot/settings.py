"""Every setting, read once from the environment and `.env`; below `app.py` only plain values travel."""

import os
import re
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    SettingsConfigDict,
    SettingsError,
)

from bot.errors import ConfigError

PLAYGROUND_TOKEN = "xoxb-playground"  # noqa: S105 - everybody may know it
ALIKE = 0.85  # MESAGES_PER_PERSON is a setting misspelt, HF_HUB_ENDPOINT is another program's
LONGEST = 100_000  # hours or minutes: what is longer means never, and overflows
MOST_THREADS, MOST_LAYERS, MOST_CONTEXT = 1024, 10_000, 100_000_000  # beyond any machine; llama.cpp would overflow
IN_MEMORY = re.compile(r"sqlite[^:]*:/*($|\?|.*:memory:|.*[?&]mode=memory)")
# Up to the first @, as it is read, up to the last, as somebody may mean it; a user alone is a key on the web; and where
# libpq takes one as well.
PASSWORDS = re.compile(
    r"https?://([^:/@]+):?@|://[^:/?]*:(?=([^@]*)@)(.*)@|[?&](?:ssl)?password=([^&]*)", re.DOTALL | re.IGNORECASE
)
ELSEWHERE = {"MLFLOW_TRACKING_URI", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}  # addresses that others read
STARTER_MODEL = Path(__file__).parent / "models" / "starter.gguf"


class Transport(StrEnum):
    """How Slack's events reach the bot."""

    SOCKET = "socket"
    HTTP = "http"


class Settings(BaseSettings):
    """The settings of one bot process; `.env.example` explains each one."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True, allow_inf_nan=False
    )

    slack_bot_token: SecretStr = SecretStr("")
    slack_app_token: SecretStr = SecretStr("")
    slack_signing_secret: SecretStr = SecretStr("")
    slack_config_token: SecretStr = SecretStr("")
    slack_client_id: str = ""
    slack_client_secret: SecretStr = SecretStr("")
    token_encryption_keys: Annotated[tuple[str, ...], NoDecode] = Field(default=(), repr=False)
    install_url: str = ""
    learn_across_workspaces: bool = False
    slack_api_url: str = "https://slack.com/api/"
    slack_transport: Transport = Transport.SOCKET
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=3000, ge=0, le=65535)

    data_dir: Path = Path("data")
    database_url: str = ""

    model_path: Path = STARTER_MODEL
    model_repo: str = ""
    model_file: str = ""
    model_mmproj: Path | None = None
    model_sha256: Annotated[tuple[str, ...], NoDecode] = ()
    hf_endpoint: str = "https://huggingface.co"
    hf_token: SecretStr = SecretStr("")
    engine_url: str = ""
    engine_api_key: SecretStr = SecretStr("")
    engine_n_gpu_layers: int = Field(default=-1, ge=-1, le=MOST_LAYERS)
    engine_n_ctx: int = Field(default=0, ge=0, le=MOST_CONTEXT)
    engine_max_sequences: int = Field(default=8, ge=1, le=256)
    engine_threads: int = Field(default=0, ge=0, le=MOST_THREADS)
    engine_kv_type: Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"] = "f16"
    engine_flash_attention: Literal["auto", "on", "off"] = "auto"
    engine_host_cache_mb: int = Field(default=-1, ge=-1)
    engine_queue_limit: int = Field(default=200, ge=0)
    engine_longest_wait_seconds: float = Field(default=0, ge=0)
    engine_requests_per_minute: int = Field(default=0, ge=0)
    engine_tokens_per_minute: int = Field(default=0, ge=0)

    answer_max_tokens: int = Field(default=600, ge=16)
    side_by_side_share: float = Field(default=0, ge=0, le=1)
    answer_temperature: float = Field(default=0.3, ge=0, le=2)
    answer_certainty: bool = True
    corrections_at_once: bool = True
    corrections_most: int = Field(default=3, ge=1, le=10)
    prompts_dir: Path | None = None
    file_max_mb: int = Field(default=20, ge=1, le=1000)
    model_sees_images: Literal["auto", "on", "off"] = "auto"
    speech_model: Path | None = None

    merge_seconds: float = Field(default=1.5, ge=0, le=10)
    thread_idle_hours: float = Field(default=24, gt=0, le=LONGEST)
    catch_up_hours: float = Field(default=4, ge=0, le=24)
    schedule_late_hours: float = Field(default=24, ge=0, le=LONGEST)
    allowed_team_ids: Annotated[tuple[str, ...], NoDecode] = ()
    allowed_bot_ids: Annotated[tuple[str, ...], NoDecode] = ()

    training_enabled: bool = True
    training_schedule: str = "0 2 * * *"
    training_window: str = "01:00-06:00"
    training_base: Path | None = None
    training_least_signal: float = Field(default=50, gt=0)
    training_threads: int = Field(default=0, ge=0, le=MOST_THREADS)
    training_max_minutes: int = Field(default=240, ge=1, le=LONGEST)
    training_search: int = Field(default=0, ge=0, le=50)
    training_folds: int = Field(default=3, ge=0, le=10)
    training_watts: float = Field(default=0, ge=0)
    training_price_per_kwh: float = Field(default=0, ge=0)
    canary_share: float = Field(default=0.25, gt=0, le=1)
    canary_hours: float = Field(default=24, gt=0, le=LONGEST)
    canary_from_people: int = Field(default=8, ge=0)
    gate_limits: dict[str, float] = Field(default_factory=dict)
    veto_minutes: float = Field(default=0, ge=0, le=LONGEST)
    shadow_answers: int = Field(default=0, ge=0, le=1000)
    channel_team_scale: float = Field(default=0.5, ge=0, le=1)

    feedback_up_emoji: Annotated[tuple[str, ...], NoDecode] = ("+1", "thumbsup", "white_check_mark", "heart")
    feedback_down_emoji: Annotated[tuple[str, ...], NoDecode] = ("-1", "thumbsdown", "x")
    implicit_feedback: bool = False
    feedback_hint_answers: int = Field(default=20, ge=0)
    feedback_hint_weeks: float = Field(default=4, gt=0, le=520)

    messages_per_person: int = Field(default=20, ge=0)
    messages_per_channel: int = Field(default=60, ge=0)
    messages_waiting: int = Field(default=200, ge=0)
    budget_tokens_per_person: int = Field(default=0, ge=0)
    budget_tokens_per_channel: int = Field(default=0, ge=0)
    retention_days: int = Field(default=0, ge=0, le=36_500)
    backup_schedule: str = ""
    backup_keep: int = Field(default=7, ge=1)
    review_before_training: bool = False

    admin_channel_id: str = ""
    admin_user_ids: Annotated[tuple[str, ...], NoDecode] = ()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"

    @field_validator(
        "admin_user_ids",
        "token_encryption_keys",
        "allowed_team_ids",
        "allowed_bot_ids",
        "feedback_up_emoji",
        "feedback_down_emoji",
        mode="before",
    )
    @classmethod
    def split_ids(cls, value: object) -> object:
        """Accept `U1,U2` as people write lists in an environment file, and emoji with the colons that Slack shows."""
        if isinstance(value, str):
            return tuple(part for word in value.replace(",", " ").split() if (part := word.strip(":")))
        return value

    @field_validator("model_sha256", mode="before")
    @classmethod
    def are_checksums(cls, value: object) -> object:
        """Accept checksums between commas; one that is none would let nothing be served, or worse."""
        parts = value.lower().replace(",", " ").split() if isinstance(value, str) else value
        if isinstance(parts, list) and not all(re.fullmatch("[0-9a-f]{64}", part) for part in parts):
            raise ValueError("must be SHA-256 checksums of 64 hexadecimal digits, separated by commas")
        return parts

    @field_validator("slack_api_url", "hf_endpoint", "engine_url", "install_url")
    @classmethod
    def is_address(cls, value: str) -> str:
        """Only the web is asked, people install the app only there, and paths are put behind what is given."""
        try:
            parts = urlsplit(value)
            is_whole = bool(parts.hostname) and parts.port != 0 and not re.search("[?#]", value)
        except ValueError:  # its words are pieces of the value
            is_whole = False
        if value and not (is_whole and value.startswith(("http://", "https://"))):
            raise ValueError(
                "must start with http:// or https://, name a host, and have no ? and no #; in a password / is written "
                "%2F, ? %3F, # %23 and [ %5B"
            )
        return value.rstrip("/")

    @field_validator("slack_api_url", "hf_endpoint", "install_url", "model_repo")
    @classmethod
    def is_shown(cls, value: str) -> str:
        """People are shown these, and what opens them has a variable of its own, or could not be sent."""
        if re.search("[@?#]", value):
            raise ValueError(
                "must have no @, ? or # in it: people are shown it, so no user, password or key belongs there"
            )
        return value

    @field_validator("slack_api_url")
    @classmethod
    def end_with_slash(cls, value: str) -> str:
        """Slack's clients append the method's name, so the address must end with a slash."""
        return value.rstrip("/") + "/"

    @field_validator("database_url")
    @classmethod
    def is_kept(cls, value: str) -> str:
        """Each connection would have a database of its own, and nothing would be kept."""
        if IN_MEMORY.match(value):
            raise ValueError("must name a file, not memory, where nothing is kept; empty: a file in DATA_DIR")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def upper_case(cls, value: object) -> object:
        """Accept `debug` as well as `DEBUG`."""
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def both_model_names(self) -> Self:
        """A repository without a file name, or the other way round, can never be downloaded."""
        if bool(self.model_repo) != bool(self.model_file):
            raise ValueError("MODEL_REPO and MODEL_FILE belong together: set both, or MODEL_PATH instead")
        return self

    @model_validator(mode="after")
    def one_way_in(self) -> Self:
        """A user and password travel in the same header as a key."""
        if self.engine_api_key.get_secret_value() and "@" in urlsplit(self.engine_url).netloc:
            raise ValueError(
                "ENGINE_URL has a user or a password in it and ENGINE_API_KEY is set: only one of them can be sent, so "
                "take the other away"
            )
        return self

    @model_validator(mode="after")
    def whole_oauth(self) -> Self:
        """What lets other workspaces install the app belongs together; without it there is one workspace."""
        parts = {
            "SLACK_CLIENT_ID": self.slack_client_id,
            "SLACK_CLIENT_SECRET": self.slack_client_secret.get_secret_value(),
            "TOKEN_ENCRYPTION_KEYS": self.token_encryption_keys,
            "INSTALL_URL": self.install_url,
        }
        missing = [name for name, value in parts.items() if not value]
        if missing and len(missing) < len(parts):
            raise ValueError(f"{', '.join(missing)}: set it too, or none of {', '.join(parts)}")
        return self

    @property
    def has_oauth(self) -> bool:
        """Return whether other workspaces may install the app."""
        return bool(self.slack_client_id)

    def secrets(self) -> tuple[str, ...]:
        """Return every value that must show up nowhere."""
        values = [value.get_secret_value() for value in vars(self).values() if isinstance(value, SecretStr)]
        addresses = [value for name, value in os.environ.items() if name.upper() in ELSEWHERE]
        addresses += [self.database_url, self.engine_url]
        found = [word for one in addresses for words in PASSWORDS.findall(one) for word in words if word]
        return tuple(filter(None, (*values, *self.token_encryption_keys, *found, *map(unquote, found))))

    def engine_place(self) -> str:
        """Name the model's server without what opens it."""
        return re.sub("(?s)//.*@", "//***@", self.engine_url)

    @property
    def is_playground(self) -> bool:
        """Return whether Slack is a playground on this machine, where nobody is real; a proxy to Slack is none."""
        is_here = urlsplit(self.slack_api_url).hostname in {"127.0.0.1", "localhost", "::1"}
        return is_here and self.slack_bot_token.get_secret_value() == PLAYGROUND_TOKEN

    @property
    def keeps_apart(self) -> bool:
        """Return whether workspaces are served of which none may learn what another one taught."""
        return self.has_oauth and not self.learn_across_workspaces

    @property
    def learning_off_by(self) -> str:
        """Return the variable that switches learning off; empty: it is on.

        It is off where workspaces that know nothing of each other would mix.
        """
        if not self.training_enabled:
            return "TRAINING_ENABLED"
        return "LEARN_ACROSS_WORKSPACES" if self.keeps_apart else ""

    def database(self) -> str:
        """Return the SQLAlchemy address: `DATABASE_URL`, or SQLite under `DATA_DIR`."""
        return self.database_url or f"sqlite+aiosqlite:///{(self.data_dir / 'apprentice.db').resolve()}"

    def require_slack(self) -> None:
        """Raise *ConfigError* that names what Slack needs and where to get it."""
        missing = []
        if not self.has_oauth:
            missing.append(("SLACK_BOT_TOKEN", "OAuth & Permissions → Bot User OAuth Token", self.slack_bot_token))
        if self.slack_transport is Transport.SOCKET:
            where = "Basic Information → App-Level Tokens, scope connections:write"
            missing.append(("SLACK_APP_TOKEN", where, self.slack_app_token))
        else:
            missing.append(("SLACK_SIGNING_SECRET", "Basic Information → Signing Secret", self.slack_signing_secret))
        lines = [
            f"{name} is not set: copy it from api.slack.com/apps → your app → {where}."
            for name, where, value in missing
            if not value.get_secret_value()
        ]
        if lines:
            lines.append("No Slack at hand? `bot demo` needs no account and no token.")
            raise ConfigError("\n".join(lines))


def load_settings() -> Settings:
    """Read the settings; raise *ConfigError* that names each wrong variable."""
    try:
        return Settings()
    except UnicodeDecodeError as error:
        raise ConfigError(".env is not UTF-8 text: save it as UTF-8.") from error
    except SettingsError as error:  # the one that is JSON
        raise ConfigError('GATE_LIMITS is not JSON: write it as {"knowledge_soft": 0.05}.') from error
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(item) for item in error.errors())) from error


def _explain(item: ErrorDetails) -> str:
    """Turn one of pydantic's findings into a line that names the environment variable, without its value."""
    name = "_".join(str(part) for part in item["loc"]).upper()
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{name}: {message}." if name else f"{message}."


def find_misspelt() -> list[str]:
    """Return a sentence on each variable, here or in `.env`, that is no setting and nearly one: it changes nothing."""
    known = [name.upper() for name in Settings.model_fields]
    sources = EnvSettingsSource(Settings), DotEnvSettingsSource(Settings)
    given = {name.upper() for source in sources for name in source.env_vars}
    near = {name: get_close_matches(name, known, n=1, cutoff=ALIKE) for name in sorted(given) if name not in known}
    return [f"{name} is no setting; is {found[0]} meant?" for name, found in near.items() if found]
