"""What `bot …` says where a file of DATA_DIR is another user's: that file and the mend, and never that all is well."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.test_cli import BOT
from tests.test_cli_admin import fill

# An administrator may read everything; without these two rights, only what the modes of files allow.
AS_USER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
RUN = "learning/runs/1"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fill DATA_DIR: a database, a run with an adapter, a folder of backups."""
    monkeypatch.setattr("bot.logs.set_up_logging", lambda *_, **__: None)
    fill()
    data = tmp_path / "data"
    (data / RUN).mkdir(parents=True)
    (data / "backups").mkdir()
    for name in ("adapter.gguf", "manifest.jsonl"):
        (data / RUN / name).write_text('{"rows": []}\n')
    return data


@contextmanager
def closed(path: Path) -> Iterator[None]:
    """Let nobody read a file or folder."""
    mode = path.stat().st_mode
    path.chmod(0)
    yield
    path.chmod(mode)


def bot(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user."""
    environment = {**os.environ, "LOG_LEVEL": "ERROR"}
    return subprocess.run([*AS_USER, *BOT, *words], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("name", [f"{RUN}/adapter.gguf", RUN, "learning/runs", "learning"])
def test_a_backup_names_the_file_that_stops_it(folder: Path, name: str) -> None:
    """Not the archive, which could be written; and none is made that lacks what cannot be read."""
    with closed(folder / name):
        ended = bot("backup")

    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1), ended
    assert f"{folder / name}" in ended.stderr
    assert "cannot be read (Permission denied)" in ended.stderr
    assert "chown" in ended.stderr
    assert list((folder / "backups").iterdir()) == []


@pytest.mark.parametrize("name", [f"{RUN}/manifest.jsonl", RUN, "learning/runs", "learning", "backups"])
def test_a_proof_never_says_that_nothing_is_left_where_it_could_not_look(folder: Path, name: str) -> None:
    """It names what it could not look into."""
    with closed(folder / name):
        ended = bot("data", "prove")

    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert f"{folder / name}" in said
    assert "give this user the right" in said
    assert "nothing of it was found" not in said


@pytest.mark.parametrize("words", [("backup",), ("data", "prove"), ("data", "export", "U1")])
@pytest.mark.parametrize("name", ["apprentice.db", ""])
def test_a_database_of_another_user_is_one_clear_line(folder: Path, name: str, words: tuple[str, ...]) -> None:
    """No trace, each time: the thread that could not open it has ended before the process does."""
    for _ in range(3):
        with closed(folder / name):
            ended = bot(*words)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1), ended.stderr
        assert str(folder / "apprentice.db") in ended.stderr
        assert "give this user the right" in ended.stderr


@pytest.mark.parametrize("name", [f"{RUN}/adapter.gguf", RUN, "learning", "backups"])
def test_the_doctor_names_it_too(folder: Path, name: str) -> None:
    """Before the clock's backup fails at night."""
    with closed(folder / name):
        ended = bot("doctor")

    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("wrong    Disk")]
    assert name in line
