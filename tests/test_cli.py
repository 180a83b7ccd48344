"""The command line as somebody types it: whole processes, their words, and what they leave behind."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pytest

from bot.cli import cli
from bot.cli_engine import build_options
from bot.engine.types import FLASH_ATTENTION, KV_TYPES
from bot.errors import ConfigError
from bot.lock import holding
from bot.running_engine import engine_command
from bot.settings import Settings

BOT = [sys.executable, "-m", "bot"]


def bot(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*BOT, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}, check=False
    )


def free_port() -> int:
    """Return a port that nothing uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def family(pid: int) -> set[int]:
    """Return the process ids below *pid*."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listing.splitlines())}
    found = {child for child, parent in parents.items() if parent == pid}
    return found.union(*(family(child) for child in found)) if found else found


def is_alive(pid: int) -> bool:
    """Return whether a process still runs; a dead one that nobody has collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pids: set[int], *, seconds: float) -> None:
    """Fail unless every process ends within *seconds*."""
    deadline = time.monotonic() + seconds
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still there: {[pid for pid in pids if is_alive(pid)]}"
        time.sleep(0.05)


@contextmanager
def demo(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the demo and yield it with its address once it says that it is ready."""
    environment = {**os.environ, "DATA_DIR": str(folder), "ENGINE_THREADS": "1"}
    command = [*BOT, "demo", "--port", str(free_port())]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if found := re.search(r"ready:\s+(http://127\.0\.0\.1:\d+)$", line.strip()):
            yield process, found[1]
            break
    else:
        raise AssertionError("".join(lines))
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_starts_and_leaves_nothing_behind(tmp_path: Path, how: signal.Signals) -> None:
    """One URL that answers; Ctrl-C or a container's stop ends all processes cleanly."""
    with demo(tmp_path) as (process, url):
        page = urllib.request.urlopen(url, timeout=5).read().decode()
        children = family(process.pid)
        process.send_signal(how)
        code = process.wait(timeout=30)
        assert process.stdout is not None
        rest = process.stdout.read()

    assert "<title>" in page
    assert len(children) == 3  # playground, engine, and the process below it that renders templates
    assert code == 0, rest
    assert "Traceback" not in rest
    wait_until_gone(children, seconds=5)
    assert (tmp_path / "demo" / "apprentice.db").exists()


def test_no_orphan_survives_a_killed_demo(tmp_path: Path) -> None:
    """However the parent dies, playground and engine end with it."""
    with demo(tmp_path) as (process, _):
        children = family(process.pid)
        process.kill()
        process.wait()

        wait_until_gone(children, seconds=10)


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    """The line names the port and the option that takes another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = bot("demo", "--port", str(taken.getsockname()[1]), DATA_DIR=str(tmp_path))

    assert result.returncode == 1
    assert "--port" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_second_bot_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """Two of them would take up each other's work; the line names the folder and the process."""
    with demo(tmp_path) as (process, _):
        result = bot("demo", "--port", str(free_port()), DATA_DIR=str(tmp_path))

    assert result.returncode == 1
    assert f"DATA_DIR: {tmp_path / 'demo'} is in use by the bot with process id {process.pid}" in result.stderr


def test_a_second_bot_on_one_sqlite_file_is_refused(tmp_path: Path) -> None:
    """Another folder of its own does not help it; the line says what would."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'one' / 'apprentice.db'}"
    with holding(tmp_path / "one"):
        result = bot("run", DATA_DIR=str(tmp_path / "two"), DATABASE_URL=url)

    assert result.returncode == 1
    assert f"DATABASE_URL: {tmp_path / 'one'} is in use by the bot with process id {os.getpid()}" in result.stderr
    assert "PostgreSQL" in result.stderr


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    """Where not even a number can be written the bot does not begin."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(ConfigError, match=r"DATA_DIR: cannot write to .*: is the disk full\?"), holding(tmp_path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with holding(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_whoever_does_not_stop_in_time_ends() -> None:
    """Whatever it still waits for; the line says that nothing is lost."""
    script = "import time; from bot.signals import end_within; end_within(0.1); time.sleep(50)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=40, check=False)

    assert result.returncode == 1
    assert "goes on at the next start" in result.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_bot_that_waits_for_slack_can_be_stopped(tmp_path: Path, how: signal.Signals) -> None:
    """It would wait for ever; its engine ends with it."""
    tokens = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SLACK_SIGNING_SECRET": "secret"}
    places = {"SLACK_API_URL": f"http://127.0.0.1:{free_port()}/api/", "DATA_DIR": str(tmp_path), "HTTP_PORT": "0"}
    environment = {**os.environ, **tokens, **places, "ENGINE_THREADS": "1"}
    process = subprocess.Popen([*BOT, "run"], env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = next(line for line in process.stderr if "cannot be reached" in line or process.poll() is not None)
    children = family(process.pid)
    process.send_signal(how)
    code = process.wait(timeout=25)
    rest = process.stderr.read()
    process.stderr.close()

    assert "cannot be reached" in said
    assert code == 0, rest
    assert "Traceback" not in rest
    wait_until_gone(children, seconds=5)


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["run"], {}, "SLACK_BOT_TOKEN is not set"),
        (["run"], {"LOG_FORMAT": "xml"}, "LOG_FORMAT"),
        (["demo"], {"MODEL_PATH": "/nowhere/model.gguf"}, "MODEL_PATH: there is no file /nowhere/model.gguf"),
        (["engine", "--socket", "/nowhere/e.sock", "--model", "missing.gguf"], {}, "missing.gguf"),
        (["engine"], {}, "ENGINE_API_KEY is not set"),
        (["migrate"], {"DATABASE_URL": "postgresql+asyncpg://127.0.0.1:1/x"}, "127.0.0.1:1"),
        (["migrate"], {"DATA_DIR": "/proc/nowhere"}, "DATA_DIR"),
        (["demo"], {"DATA_DIR": "/proc/nowhere"}, "DATA_DIR"),
        (["migrate"], {"DATABASE_URL": "mysql://bot@127.0.0.1/x"}, "DATABASE_URL"),
        (["demo", "--port", "0"], {}, "0 is not in the range"),
        (["doctor"], {"TZ": "Nowhere/Else"}, "TZ is Nowhere/Else"),
        (["playground", "--host", "0.0.0.0"], {}, "loopback"),
        (["dance"], {}, "No such command"),
    ],
)
def test_what_is_wrong_is_said_in_words(arguments: list[str], environment: dict[str, str], said: str) -> None:
    """One sentence with the variable or file at fault; never a traceback."""
    result = bot(*arguments, **environment)

    assert result.returncode != 0
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_misspelt_setting_is_said_at_the_start(tmp_path: Path) -> None:
    """Before anything else, also of a bot that does not begin."""
    (tmp_path / ".env").write_text("MESAGES_PER_PERSON=5\n")
    result = bot("run")

    assert "MESAGES_PER_PERSON is no setting; is MESSAGES_PER_PERSON meant?" in result.stderr


def test_migrate_says_where_and_how_far(tmp_path: Path) -> None:
    """An admin sees which database is at which revision."""
    result = bot("migrate", DATA_DIR=str(tmp_path))

    assert result.returncode == 0, result.stderr
    assert re.search(r"apprentice\.db is at revision 0\d+\.", result.stdout)


@pytest.mark.parametrize("arguments", [[], ["--http", "https://bot.example.com/"]])
def test_the_manifest_is_what_slack_takes(arguments: list[str]) -> None:
    """Valid JSON, within Slack's lengths, with the Messages tab writable and each transport's own fields."""
    manifest = json.loads(bot("manifest", *arguments).stdout)
    settings = manifest["settings"]

    assert manifest["features"]["app_home"]["messages_tab_read_only_enabled"] is False
    assert len(manifest["display_information"]["description"]) <= 140
    assert len(manifest["features"]["agent_view"]["agent_description"]) <= 300
    assert len(manifest["features"]["agent_view"]["suggested_prompts"]) <= 4
    assert {"message.im", "app_mention", "agent_session_stopped"} <= set(settings["event_subscriptions"]["bot_events"])
    assert settings["socket_mode_enabled"] is not bool(arguments)
    if arguments:
        url = "https://bot.example.com/slack/events"
        assert settings["event_subscriptions"]["request_url"] == url
        assert settings["interactivity"]["request_url"] == url
        assert manifest["features"]["slash_commands"][0]["url"] == url


def test_the_command_line_offers_what_the_engine_knows() -> None:
    """Settings, command line and engine name the same kinds; importing the engine for its list would be slow."""
    options = {option.name: option for option in cli.commands["engine"].params}

    for name, kinds in (("kv_type", KV_TYPES), ("flash_attention", FLASH_ATTENTION)):
        assert tuple(options[name].type.to_info_dict()["choices"]) == kinds
        assert get_args(Settings.model_fields[f"engine_{name}"].annotation) == kinds


def test_every_setting_of_the_engine_reaches_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command that the bot starts has a value for each, and the engine's options take them."""
    monkeypatch.setenv("ENGINE_HOST_CACHE_MB", "12")
    monkeypatch.setenv("ENGINE_KV_TYPE", "q8_0")
    monkeypatch.setenv("ENGINE_LONGEST_WAIT_SECONDS", "90")
    model, eyes = tmp_path / "m.gguf", tmp_path / "mmproj.gguf"
    command = engine_command(Settings(), model=model, socket_path=tmp_path / "e.sock", eyes={model: eyes})
    given = cli.commands["engine"].make_context("engine", command[command.index("engine") + 1 :]).params
    options = build_options({**given, "api_key": ""})

    assert [name for name, value in given.items() if value is None] == []
    assert options.host_cache_bytes == 12_000_000
    assert options.kv_type == "q8_0"
    assert options.longest_wait_seconds == 90
    assert options.state_dir == tmp_path
