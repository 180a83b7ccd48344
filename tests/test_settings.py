"""Settings: read once, strict, and clear about what is wrong."""

from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.learning_parts import read_config
from bot.settings import Settings, find_misspelt, load_settings


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HTTP_PORT", "99999", "HTTP_PORT"),
        ("SLACK_TRANSPORT", "pigeon", "SLACK_TRANSPORT"),
        ("SLACK_API_URL", "slack.com", "SLACK_API_URL: must start with http"),
        ("ENGINE_MAX_SEQUENCES", "0", "ENGINE_MAX_SEQUENCES"),
        ("ENGINE_N_GPU_LAYERS", "many", "ENGINE_N_GPU_LAYERS"),
        ("HF_ENDPOINT", "file:///etc", "HF_ENDPOINT: must start with http"),
        ("ENGINE_KV_TYPE", "q3", "ENGINE_KV_TYPE"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT"),
        ("MODEL_REPO", "someone/something", "MODEL_FILE"),
        ("GATE_LIMITS", "knowledge_soft=0.05", "GATE_LIMITS is not JSON"),
        ("GATE_LIMITS", '{"knowledge_soft": NaN}', "GATE_LIMITS"),
        ("CANARY_HOURS", "inf", "CANARY_HOURS"),
        ("VETO_MINUTES", "1e300", "VETO_MINUTES"),
        ("RETENTION_DAYS", "99999999999", "RETENTION_DAYS"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    """The sentence names the variable that is wrong."""
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError, match=said):
        load_settings()


def test_a_secret_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the settings' text nor an error about them has a token in it."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-very-secret")
    assert "very-secret" not in repr(load_settings())

    monkeypatch.setenv("HTTP_PORT", "xoxb-very-secret")
    with pytest.raises(ConfigError) as raised:
        load_settings()
    assert "very-secret" not in str(raised.value)


@pytest.mark.parametrize(("transport", "missing"), [("socket", "SLACK_APP_TOKEN"), ("http", "SLACK_SIGNING_SECRET")])
def test_what_slack_needs_depends_on_the_transport(
    monkeypatch: pytest.MonkeyPatch, transport: str, missing: str
) -> None:
    """Each missing token is named with the page where to copy it."""
    monkeypatch.setenv("SLACK_TRANSPORT", transport)

    with pytest.raises(ConfigError) as raised:
        load_settings().require_slack()
    assert "SLACK_BOT_TOKEN is not set" in str(raised.value)
    assert f"{missing} is not set" in str(raised.value)
    assert "bot demo" in str(raised.value)


def test_forms_that_people_write_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists with commas, lower-case levels, addresses without the last slash, empty values."""
    monkeypatch.setenv("ADMIN_USER_IDS", "U1, U2 U3")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    monkeypatch.setenv("SLACK_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("MODEL_PATH", "")
    monkeypatch.setenv("FEEDBACK_UP_EMOJI", ":+1:, heart")
    settings = load_settings()

    assert settings.admin_user_ids == ("U1", "U2", "U3")
    assert settings.feedback_up_emoji == ("+1", "heart")
    assert settings.log_level == "DEBUG"
    assert settings.slack_api_url == "http://127.0.0.1:9/api/"
    assert settings.model_path == Settings.model_fields["model_path"].default


def test_the_gates_thresholds_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any of them by its name; a name that the gate does not have is a clear error."""
    monkeypatch.setenv("GATE_LIMITS", '{"knowledge_soft": 0.05}')
    assert read_config(load_settings(), None).limits.knowledge_soft == 0.05

    monkeypatch.setenv("GATE_LIMITS", '{"knowlege": 0.05}')
    with pytest.raises(ConfigError, match="GATE_LIMITS names knowlege; the gate has"):
        read_config(load_settings(), None)


def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In `.env` and, as in a container, in the environment; other programs' variables are theirs."""
    (tmp_path / ".env").write_text("MESAGES_PER_PERSON=5\nadmin_user_id=U1\nRETENTION_DAYS=3\nPOSTGRES_PASSWORD=x\n")
    for name in ("HTTP_PROXY", "HF_HUB_ENDPOINT", "XDG_DATA_DIRS", "DATADIR"):
        monkeypatch.setenv(name, "x")
    assert find_misspelt() == [
        "ADMIN_USER_ID is no setting; is ADMIN_USER_IDS meant?",
        "DATADIR is no setting; is DATA_DIR meant?",
        "MESAGES_PER_PERSON is no setting; is MESSAGES_PER_PERSON meant?",
    ]


@pytest.mark.parametrize(
    ("address", "hidden"),
    [
        ("postgresql+asyncpg://u:PWa[b]c@127.0.0.1/x", {"PWa[b]c"}),
        ("postgresql://u:p%40ss@host:5432/x?user=v@w", {"p%40ss", "p@ss"}),
        ("postgresql://u:walk@moon@host/x", {"walk", "walk@moon"}),
        ("postgresql://u@/x?host=/run/pg&password=moonwalk", {"moonwalk"}),
        ("sqlite+aiosqlite:////data/a:b@c.db", set()),
    ],
)
def test_a_databases_password_is_a_secret(monkeypatch: pytest.MonkeyPatch, address: str, hidden: set[str]) -> None:
    """However it stands in the address, also where that is wrong."""
    monkeypatch.setenv("DATABASE_URL", address)
    assert hidden <= set(load_settings().secrets())
    assert "data" not in str(load_settings().secrets())


@pytest.mark.parametrize(
    ("name", "address", "hidden"),
    [
        ("ENGINE_URL", "http://usr:p%40ss@host:8080/v1", {"p%40ss", "p@ss"}),
        ("ENGINE_URL", "https://walk:oh@moon@host", {"oh@moon"}),
        ("ENGINE_URL", "https://moonwalk@host/v1", {"moonwalk"}),
        ("ENGINE_URL", "https://moonwalk:@host/v1", {"moonwalk"}),
        ("ENGINE_URL", "https://usr:12/moon@host/v1", {"12/moon"}),
        ("MLFLOW_TRACKING_URI", "https://usr:moonwalk@host", {"moonwalk"}),
        ("https_proxy", "http://usr:moonwalk@host:3128", {"moonwalk"}),
    ],
)
def test_what_opens_another_server_is_a_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str, hidden: set[str]
) -> None:
    """In every address that may have it; what people are shown of the model's server has nothing of it."""
    monkeypatch.setenv(name, address)
    settings = load_settings()
    assert hidden <= set(settings.secrets())
    assert not any(word in settings.engine_place() for word in hidden)


@pytest.mark.parametrize("name", ["SLACK_API_URL", "HF_ENDPOINT", "INSTALL_URL", "ENGINE_URL", "MODEL_REPO"])
@pytest.mark.parametrize(
    "address",
    [
        "https://usr:moonwalk@host/v1",
        "https://host/v1?api_key=moonwalk",
        "https://host/#moonwalk",
        "https://usr:moon/walk@host",
        "https://usr:[moon]walk@host",
        "https://usr:moon?walk@host",
    ],
)
def test_an_address_that_cannot_hold_a_secret_is_refused_without_it(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    """What is shown, what paths are put behind, and what cannot be read as an address."""
    monkeypatch.setenv(name, address)
    if (name, address) == ("ENGINE_URL", "https://usr:moonwalk@host/v1"):
        assert load_settings().engine_place() == "https://***@host/v1"
        return
    with pytest.raises(ConfigError, match=f"{name}: must ") as raised:
        load_settings()
    assert "moon" not in str(raised.value)
    assert "walk" not in str(raised.value)


def test_a_password_and_a_key_for_the_same_server_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """They travel in the same header."""
    monkeypatch.setenv("ENGINE_URL", "http://usr:moonwalk@host")
    monkeypatch.setenv("ENGINE_API_KEY", "sunwalk")
    with pytest.raises(ConfigError, match=r"ENGINE_URL .* ENGINE_API_KEY") as raised:
        load_settings()
    assert "walk" not in str(raised.value)
