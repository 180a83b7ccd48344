"""Settings that each can be read, and together lead nowhere: refused at the start, and named by the doctor."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from bot.cli import cli
from bot.contradictions import look_at_settings, refuse_contradictions
from bot.errors import ConfigError
from bot.findings import Verdict
from bot.settings import load_settings

Set = Mapping[str, str]

OAUTH = {"SLACK_CLIENT_ID": "1", "SLACK_CLIENT_SECRET": "2", "INSTALL_URL": "https://bot.example.com"}
WRONG: list[tuple[Set, str]] = [
    ({"FEEDBACK_UP_EMOJI": "+1,eyes", "FEEDBACK_DOWN_EMOJI": "eyes"}, "eyes stands in both"),
    ({"FEEDBACK_UP_EMOJI": "+1", "FEEDBACK_DOWN_EMOJI": "thumbsup"}, "thumbsup stands in both"),
    ({"FEEDBACK_UP_EMOJI": "👍"}, "FEEDBACK_UP_EMOJI has '👍'"),
    ({"ADMIN_USER_IDS": "maya"}, "ADMIN_USER_IDS has 'maya'"),
    ({"ADMIN_CHANNEL_ID": "#general"}, "ADMIN_CHANNEL_ID has '#general'"),
    ({"ALLOWED_TEAM_IDS": "acme"}, "ALLOWED_TEAM_IDS has 'acme'"),
    ({"ALLOWED_BOT_IDS": "@github"}, "ALLOWED_BOT_IDS has '@github'"),
    ({"SPEECH_MODEL": "/nowhere/whisper"}, "SPEECH_MODEL is /nowhere/whisper"),
    ({"TRAINING_BASE": "/nowhere/base"}, "TRAINING_BASE is /nowhere/base"),
    ({"MODEL_SEES_IMAGES": "on"}, "MODEL_SEES_IMAGES is on"),
    ({"ENGINE_KV_TYPE": "q8_0", "ENGINE_FLASH_ATTENTION": "off"}, "ENGINE_KV_TYPE is q8_0"),
    ({"HTTP_PORT": "0", "SLACK_TRANSPORT": "http"}, "HTTP_PORT is 0"),
    ({"GATE_LIMITS": '{"knowlege": 1}'}, "GATE_LIMITS names knowlege"),
    ({"GATE_LIMITS": '{"knowledge_soft": -1}'}, "knowledge_soft is -1"),
    ({"GATE_LIMITS": '{"knowledge_soft": 0.5}'}, "knowledge_soft (0.5) is above knowledge_hard (0.1)"),
    ({"GATE_LIMITS": '{"alpha": 5}'}, "alpha is 5"),
    ({"GATE_LIMITS": '{"length_low": 1.5}'}, "length_low (1.5) is above length_high (1.25)"),
    ({"TRAINING_SCHEDULE": "0 12 * * *"}, "TRAINING_SCHEDULE is '0 12 * * *'"),
    ({"TRAINING_WINDOW": "night"}, "TRAINING_WINDOW is 'night'"),
    ({"MODEL_REPO": "https://huggingface.co/a/b", "MODEL_FILE": "c.gguf"}, "MODEL_REPO is https://huggingface.co/a/b"),
    ({"MODEL_PATH": "~/models/a.gguf"}, "MODEL_PATH is ~/models/a.gguf"),
    ({"DATA_DIR": "~/data"}, "DATA_DIR is ~/data"),
    ({"TOKEN_ENCRYPTION_KEYS": "abc", **OAUTH}, "TOKEN_ENCRYPTION_KEYS: a key in it is not one"),
    ({"BACKUP_SCHEDULE": "0 3 31 2 *"}, "BACKUP_SCHEDULE is '0 3 31 2 *'"),
]
IDLE: list[tuple[Set, str]] = [
    ({"MODEL_PATH": "/models/a.gguf", "MODEL_REPO": "a/b", "MODEL_FILE": "c.gguf"}, "MODEL_PATH is /models/a.gguf"),
    ({"ENGINE_URL": "http://127.0.0.1:9", "MODEL_SHA256": "0" * 64}, "MODEL_SHA256"),
    ({"ENGINE_URL": "http://127.0.0.1:9", "MODEL_MMPROJ": "/models/eyes.gguf"}, "MODEL_MMPROJ"),
    ({"TRAINING_FOLDS": "1"}, "TRAINING_FOLDS is 1"),
    ({"MESAGES_PER_PERSON": "1"}, "MESAGES_PER_PERSON"),
]
UNREAD: list[tuple[Set, str]] = [
    ({"DATABASE_URL": "sqlite+aiosqlite:///:memory:"}, "DATABASE_URL"),
    ({"DATABASE_URL": "sqlite+aiosqlite://"}, "DATABASE_URL"),
    ({"DATABASE_URL": "sqlite:///file:a?mode=memory&uri=true"}, "DATABASE_URL"),
    ({"ENGINE_URL": "localhost:8080"}, "ENGINE_URL"),
    ({"HF_ENDPOINT": "https://"}, "HF_ENDPOINT"),
    ({"ENGINE_THREADS": "1000000"}, "ENGINE_THREADS"),
    ({"ENGINE_N_CTX": "99999999999"}, "ENGINE_N_CTX"),
    ({"TRAINING_THREADS": "1000000"}, "TRAINING_THREADS"),
    ({"ENGINE_N_GPU_LAYERS": "99999999999"}, "ENGINE_N_GPU_LAYERS"),
]


def put(monkeypatch: pytest.MonkeyPatch, values: Set) -> None:
    """Set variables of the environment."""
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("values", "said"), WRONG)
def test_what_leads_nowhere_is_refused_and_named(monkeypatch: pytest.MonkeyPatch, values: Set, said: str) -> None:
    """Variable, value and mend, by `bot run` and by the doctor."""
    put(monkeypatch, values)
    settings = load_settings()
    (finding,) = look_at_settings(settings)

    assert finding.verdict is Verdict.WRONG
    assert said in finding.sentence
    assert finding.mend
    with pytest.raises(ConfigError, match=next(iter(values))):
        refuse_contradictions(settings)


@pytest.mark.parametrize(("values", "said"), IDLE)
def test_what_changes_nothing_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, values: Set, said: str
) -> None:
    """The bot works as if it were not there, and says so in its log."""
    put(monkeypatch, values)
    settings = load_settings()
    (finding,) = look_at_settings(settings)
    refuse_contradictions(settings)

    assert finding.verdict is Verdict.WARNING
    assert said in finding.sentence
    assert said in caplog.text


@pytest.mark.parametrize(("values", "said"), UNREAD)
def test_what_cannot_be_is_refused_by_every_command(monkeypatch: pytest.MonkeyPatch, values: Set, said: str) -> None:
    """A value that no bot could use."""
    put(monkeypatch, values)
    with pytest.raises(ConfigError, match=said):
        load_settings()


def test_sound_settings_say_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As they are shipped, and with all of it set as it is meant."""
    assert list(look_at_settings(load_settings())) == []
    (tmp_path / "model.bin").touch()
    (tmp_path / "config.json").touch()
    monkeypatch.setattr("bot.contradictions.find_spec", lambda _name: True)
    values = {
        "FEEDBACK_UP_EMOJI": "none",
        "FEEDBACK_DOWN_EMOJI": "none",
        "ADMIN_USER_IDS": "U012AB3CD,W012AB3CD",
        "ADMIN_CHANNEL_ID": "C012AB3CD",
        "ALLOWED_TEAM_IDS": "T012AB3CD,E012AB3CD",
        "ALLOWED_BOT_IDS": "B012AB3CD",
        "SPEECH_MODEL": str(tmp_path),
        "TRAINING_BASE": str(tmp_path),
        "ENGINE_URL": "http://127.0.0.1:8080/v1",
        "MODEL_SEES_IMAGES": "on",
        "GATE_LIMITS": '{"knowledge_soft": 0.05}',
        "BACKUP_SCHEDULE": "* * * * *",
        "DATABASE_URL": "sqlite+aiosqlite:////var/lib/memory.db",
    }
    put(monkeypatch, values)
    assert list(look_at_settings(load_settings())) == []
    monkeypatch.setattr("bot.contradictions.find_spec", lambda _name: None)
    (finding,) = look_at_settings(load_settings())
    assert (finding.verdict, "apprentice[voice]" in finding.mend) == (Verdict.WARNING, True)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"SLACK_BOT_TOKEN": "xapp-1"}, "SLACK_BOT_TOKEN is an app-level token; it must begin with xoxb-"),
        ({"SLACK_APP_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN is a bot token; it must begin with xapp-"),
        ({"SLACK_APP_TOKEN": "xapp-1 "}, "SLACK_APP_TOKEN has spaces"),
    ],
)
def test_a_token_in_the_wrong_place_is_refused(monkeypatch: pytest.MonkeyPatch, values: Set, said: str) -> None:
    """Before Slack is asked for a minute; the doctor says the same where it comes to the token."""
    put(monkeypatch, values)
    with pytest.raises(ConfigError, match=said):
        refuse_contradictions(load_settings())


def test_a_line_that_sets_nothing_is_a_warning(tmp_path: Path) -> None:
    """In `.env`, whoever forgets the sign between name and value."""
    (tmp_path / ".env").write_text("LOG_LEVEL=INFO\nHTTP_PORT 3000\n")
    (finding,) = look_at_settings(load_settings())
    assert (finding.verdict, ".env: line 2 " in finding.sentence) == (Verdict.WARNING, True)


def test_run_names_all_of_them_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And makes nothing before it has looked."""
    put(monkeypatch, {"ADMIN_USER_IDS": "maya", "SPEECH_MODEL": "/nowhere", "SLACK_BOT_TOKEN": "xoxb-1"})
    monkeypatch.setattr("bot.logs.set_up_logging", lambda *_, **__: None)
    ended = CliRunner().invoke(cli, ["run"])

    assert isinstance(ended.exception, ConfigError)
    assert [line.split()[0] for line in str(ended.exception).splitlines()] == ["ADMIN_USER_IDS", "SPEECH_MODEL"]
    assert not (tmp_path / "data").exists()
