"""`bot users|channels|budget|feedback|data|audit` and the review queue as somebody types them."""

import asyncio
import errno
import hashlib
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from bot.cli import cli
from bot.lock import holding
from bot.settings import load_settings
from bot.storage.db import Database
from bot.storage.feedback import current_correction, save_correction, save_vote
from bot.storage.learning_tables import Adapter, AdapterState, Run, RunExample, RunState
from bot.storage.preference_tables import ANONYMOUS
from bot.storage.preferences import save_preferences
from bot.storage.tables import Vote
from tests.builders import answered, said


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test an empty database in a DATA_DIR of its own, one owner, and the logging that pytest has."""
    (tmp_path / "apprentice.db").touch()
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ADMIN_USER_IDS", "UOWNER")
    monkeypatch.setattr("bot.logs.set_up_logging", lambda *_, **__: None)
    return tmp_path


def bot(*arguments: str, answer: str = "") -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli, arguments, input=answer)


def fill() -> str:
    """Let somebody ask and correct, and a run learn from it; return the correction's id."""

    async def work() -> str:
        database = Database(load_settings().database())
        await database.migrate()
        async with database.begin() as session:
            message = await said(session, "where is the platypus?", user="U1")
            answer = await answered(session, message, "nowhere", prompt_tokens=70)
            await save_vote(session, answer, user_id="U1", vote=Vote.DOWN, reason="wrong")
            await save_correction(session, answer, user_id="U1", text="in the river\x1b]0;x\x07\x1b[2J\u202e\x9b2J")
            correction = await current_correction(session, answer.id, user_id="U1")
            assert correction is not None
            quoted = [{"row": f"corrections:{correction.id}", "question": "where is the platypus?"}]
            runs = [
                Run(trigger="cli", state=RunState.DONE, progress={}, report={"before_after": quoted, "page": "x"}),
                Run(trigger="cli", state=RunState.DONE, progress={}, report={}),
                Run(trigger="cli", state=RunState.TRAINING, progress={}, report={}),
            ]
            session.add_all(runs)
            await session.flush()
            row = {"row_table": "corrections", "row_id": correction.id, "source": "correction", "split": "train"}
            session.add(RunExample(run_id=runs[0].id, user_id="U1", weight=1.0, sha256="0" * 64, **row))
            for run, name, state in zip(
                runs[:2], ("apprentice-1", "apprentice-2"), (AdapterState.ACTIVE, AdapterState.RETIRED), strict=True
            ):
                values = {"path": "x", "sha256": "0" * 64, "base_sha256": "0" * 64, "state": state}
                session.add(Adapter(run_id=run.id, name=name, watch={"replaced": "apprentice-2"}, **values))
            row_id = correction.id
        await database.close()
        return row_id

    return asyncio.run(work())


def test_people_are_decided_about(folder: Path) -> None:
    """Roles, blocks and their way back; not about an owner, and only after a question."""
    assert bot("users", "role", "U1", "reviewer").stdout.startswith("U1 is reviewer now")
    assert "Aborted" in bot("users", "block", "U1", answer="n\n").output
    assert "before: reviewer" in bot("users", "block", "U1", "--yes").stdout
    assert bot("users", "block", "UOWNER", "--yes").exit_code != 0
    listed = bot("users", "list").stdout
    assert [line.split()[:2] for line in listed.splitlines()] == [["UOWNER", "owner"], ["U1", "blocked"]]
    lifted = bot("users", "role", "U1", "member").stdout
    assert "U1 is member now; before: blocked, which has ended with it." in lifted
    bot("users", "reset", "U1")
    assert bot("users", "allow", "U2").exit_code == 0
    assert "U1" not in bot("users", "list").stdout


@pytest.mark.parametrize(
    "order",
    [
        ("users", "role", "Tom", "admin"),
        ("users", "role", "", "admin"),
        ("users", "block", "@tom", "--yes"),
        ("channels", "mode", "general", "off"),
        ("budget", "set", "tom", "100"),
        ("data", "forget", "tom", "--yes"),
        ("data", "retention", "#general", "30"),
    ],
)
def test_a_name_is_no_id(order: tuple[str, ...]) -> None:
    """Nobody is made an admin, muted or forgotten by a name, as if it had been done; the mend is said."""
    result = bot(*order)
    assert result.exit_code == 2
    assert "id, such as" in result.stderr


def test_channels_and_budgets(folder: Path) -> None:
    """The only workspace that ever asked is meant; numbers, unlimited and default; nonsense is refused."""
    fill()
    assert bot("channels", "mode", "C1", "off").stdout == "C1: off; before: thread.\n"
    assert bot("channels", "list").stdout.split()[:2] == ["C1", "off"]
    assert bot("budget", "set", "U1", "100").stdout == "U1: 100; before: default.\n"
    assert bot("budget", "show", "U1").stdout == "70 of 100 tokens in 1 answers\n"
    assert bot("budget", "set", "U1", "default").stdout == "U1: default; before: 100.\n"
    assert bot("budget", "show", "C1").stdout == "70 of unlimited tokens in 1 answers\n"
    for wrong in ("much", "0", "9" * 30):
        assert bot("budget", "set", "U1", wrong).exit_code == 2


@pytest.mark.parametrize(
    "order",
    [
        ("channels", "mode", "C1TYPO", "off", "--team", "T1"),
        ("budget", "set", "C1TYPO", "5"),
        ("data", "retention", "C1TYPO", "30", "--yes"),
    ],
)
def test_a_channel_that_nobody_knows_may_be_misspelt(folder: Path, order: tuple[str, ...]) -> None:
    """It is refused, and what is near it named; one that is right but new can be said to be, and is known from then."""
    fill()
    assert bot("channels", "mode", "C1TYP0", "off", "--new").exit_code == 0
    refused = bot(*order)
    assert refused.exit_code == 1
    said = "Nothing was heard or chosen in C1TYPO so far. Near it: C1TYP0. If it is right, add --new."
    assert str(refused.exception) == said
    assert "C1TYPO" not in bot("audit", "export").stdout
    assert bot(*order, "--new").exit_code == 0
    assert bot(*order).exit_code == 0
    assert "C1TYPO" in bot("audit", "export").stdout


def test_somebody_of_whom_nothing_was_heard_may_be_misspelt(folder: Path) -> None:
    """It is done, for admins are named before they say a word, and said."""
    fill()
    assert "misspelt" not in bot("users", "role", "U1", "reviewer").stdout
    assert "Nothing was heard of U0TYPO so far" in bot("users", "block", "U0TYPO", "--yes").stdout


def test_a_channel_of_another_workspace_is_not_known(folder: Path) -> None:
    """Else a workspace that is misspelt would be one of its own; what is known is named where nothing is near."""
    fill()
    assert str(bot("channels", "mode", "C1", "off", "--team", "T2").exception).endswith("If it is right, add --new.")
    assert "Known: C1. If" in str(bot("budget", "set", "GSOMETHING", "5").exception)


def test_what_people_think(folder: Path) -> None:
    """The trend in figures, the worst in words."""
    fill()
    assert bot("feedback", "trend", "--weeks", "1").stdout.splitlines()[1].split()[1:] == ["1", "0", "1", "1", "0%"]
    worst = bot("feedback", "worst").stdout
    assert "1 down, 0 up, C1 (wrong)" in worst
    assert "where is the platypus?" in worst


def test_reviews(folder: Path) -> None:
    """Waiting, approved with other words, reopened."""
    correction = fill()
    waiting = bot("dataset", "review").stdout
    assert correction in waiting
    assert "in the river]0;x[2J2J\n" in waiting, "what people write gives a terminal no orders"
    assert "before: waiting" in bot("dataset", "approve", correction, "--text", "in the lake").stdout
    assert correction not in bot("dataset", "review").stdout
    assert "before: edited" in bot("dataset", "reopen", correction).stdout
    assert bot("dataset", "reject", "nothing").exit_code != 0


def test_whoever_wants_no_name_has_none_in_the_queue(folder: Path) -> None:
    """As in Slack, and as beside the worst answers."""
    correction = fill()
    assert f"{correction}  U1 in C1" in bot("dataset", "review").stdout

    async def choose() -> None:
        database = Database(load_settings().database())
        async with database.begin() as session:
            await save_preferences(session, "U1", shown=ANONYMOUS)
        await database.close()

    asyncio.run(choose())
    assert f"{correction}  somebody in C1" in bot("dataset", "review").stdout


def test_a_promoted_adapter_is_told_by_its_name(folder: Path) -> None:
    """Whether it is ordered by its name or by its run's number."""
    fill()
    file = folder / "adapter.gguf"
    file.write_bytes(b"weights")

    async def change(name: str, **values: str) -> None:
        database = Database(load_settings().database())
        async with database.begin() as session:
            await session.execute(update(Adapter).where(Adapter.name.startswith(name)).values(**values))
        await database.close()

    asyncio.run(change("apprentice-", path=str(file), sha256=hashlib.sha256(b"weights").hexdigest()))
    for order, said_so in (
        ("02", "apprentice-2 answers everybody now, in place of apprentice-1."),
        ("apprentice-1", "apprentice-1 answers everybody now, in place of apprentice-2."),
    ):
        result = bot("adapters", "promote", order)
        assert result.stdout.strip() == said_so, result.output
    assert bot("adapters", "rollback", "2").exit_code != 0, "it is not served any more"
    assert "apprentice-1 was taken back; apprentice-2 answers now." in bot("adapters", "rollback", "1").stdout
    asyncio.run(change("apprentice-1", state="waiting"))
    said = bot("adapters", "rollback", "--name", "apprentice-1").stdout
    assert "apprentice-1 will not be served; apprentice-2 answers now." in said


def refuse(_handle: int) -> None:
    """Be a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_somebody_is_exported_and_forgotten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of theirs in a file; then gone from the database, the runs' folders and reports, and what serves."""
    fill()
    run = folder / "learning" / "runs" / "1"
    run.mkdir(parents=True)
    for name in ("examples.jsonl", "adapter.gguf", "report.html", "curves.png"):
        (run / name).write_text("where is the platypus?")
    exported = folder / "u1.json"
    assert bot("data", "export", "U1", "--output", str(exported)).exit_code == 0
    assert {"messages", "answers", "corrections", "feedback"} <= set(json.loads(exported.read_text())["rows"])
    assert "Aborted" in bot("data", "forget", "U1", answer="n\n").output
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", refuse)
        for what in (("data", "export", "U1"), ("audit", "export")):
            assert "make room" in str(bot(*what, "--output", str(exported)).exception)
    assert json.loads(exported.read_text())["rows"], "what was there is there still, and whole"
    assert not list(folder.glob(".u1.json*"))

    said_so = bot("data", "forget", "U1", "--yes").stdout
    assert "1 messages" in said_so
    assert "1 adapters never served again apprentice-1" in said_so
    assert sorted(path.name for path in run.iterdir()) == ["curves.png"]
    assert json.loads(bot("data", "export", "U1").stdout)["rows"] == {}

    async def look() -> tuple[list[str], list[str], dict[str, object]]:
        from sqlalchemy import select

        database = Database(load_settings().database())
        async with database.read() as session:
            adapters = list(await session.scalars(select(Adapter.state).order_by(Adapter.id)))
            runs = list(await session.scalars(select(Run).order_by(Run.id)))
        await database.close()
        return adapters, [str(run.state) for run in runs], runs[0].report

    adapters, states, report = asyncio.run(look())
    assert adapters == ["tainted", "active"]  # the one from before, which never had their words, is back
    assert states == ["done", "done", "cancelled"]
    assert report == {"before_after": [], "page": ""}


def test_retention(folder: Path) -> None:
    """Days are asked about; forever and default are not."""
    fill()
    assert "Aborted" in bot("data", "retention", "C1", "30", answer="n\n").output
    assert "C1" not in bot("data", "retention").stdout
    assert "C1               30" in bot("data", "retention", "C1", "30", "--yes").stdout
    assert "C1               forever" in bot("data", "retention", "C1", "forever").stdout
    assert "C1" not in bot("data", "retention", "C1", "default").stdout
    assert bot("data", "retention", "C1").exit_code == 2
    for wrong in ("0", "36501", "9999999999", "9" * 30):  # nothing is kept for so long, and 0 would mean for ever
        assert bot("data", "retention", "C1", wrong, "--yes").exit_code == 2


def test_the_log_tells_it_and_proves_it(folder: Path) -> None:
    """Every change left a row by whoever typed it; the proof holds, and misses a seal that is not there."""
    bot("users", "role", "U1", "admin")
    bot("budget", "set", "U1", "5")
    rows = bot("audit", "last").stdout.splitlines()
    assert [line.split()[3:] for line in rows] == [["budget.set", "U1"], ["users.role", "U1"]]
    assert all(line.split()[2].startswith("cli") for line in rows)
    assert "users.role" not in bot("audit", "last", "--find", "budget").stdout
    exported = [json.loads(line) for line in bot("audit", "export").stdout.splitlines()]
    assert [row["number"] for row in exported] == [1, 2]
    proof = bot("audit", "verify").stdout
    assert proof.startswith("All 3 rows hold")
    assert bot("audit", "verify", proof.split()[-1]).exit_code == 0
    assert bot("audit", "verify", "0" * 64).exit_code != 0
    assert "it is empty" in bot("audit", "verify", "").output


@pytest.mark.parametrize(
    "order",
    [
        ("users", "block", "U1", "--yes"),
        ("data", "forget", "U1", "--yes"),
        ("data", "prove", "U1"),
        ("backup",),
        ("dataset", "stats"),
        ("dataset", "approve", "1"),
        ("adapters", "list"),
        ("adapters", "promote", "1"),
        ("train", "--dry-run"),
    ],
)
def test_a_database_that_is_not_there_is_not_made(folder: Path, order: tuple[str, ...]) -> None:
    """Whoever is in another folder than the bot would be told that somebody is blocked, forgotten or saved there."""
    (folder / "apprentice.db").unlink()
    refused = bot(*order)
    assert refused.exit_code == 1
    assert f"no database at {folder / 'apprentice.db'}" in str(refused.exception)
    assert not list(folder.iterdir())


APART = {
    "SLACK_CLIENT_ID": "1",
    "SLACK_CLIENT_SECRET": "2",
    "INSTALL_URL": "https://a.b",
    "TOKEN_ENCRYPTION_KEYS": "x",
}


@pytest.mark.parametrize(
    ("variables", "said"),
    [({"TRAINING_ENABLED": "false"}, "TRAINING_ENABLED=true"), (APART, "LEARN_ACROSS_WORKSPACES=true")],
)
def test_where_learning_is_off_no_data_set_leaves(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    """It says what a training says; no file is made, and what is there can be counted still."""
    fill()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    refused = bot("dataset", "export", "--format", "sft", "--output", str(folder / "sft.jsonl"))
    assert refused.exit_code == 1
    assert said in str(refused.exception)
    assert not (folder / "sft.jsonl").exists()
    assert bot("dataset", "stats").exit_code == 0


def test_a_terminal_serves_nothing_to_workspaces_that_must_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list says what is put aside, and promote refuses with the sentence of a training."""
    fill()
    for name, value in APART.items():
        monkeypatch.setenv(name, value)
    listed = bot("adapters", "list").stdout
    assert "apprentice-1     put aside" in listed
    assert "The base answers instead of apprentice-1. Training is off where several workspaces are served" in listed
    assert "LEARN_ACROSS_WORKSPACES=true" in str(bot("adapters", "promote", "apprentice-2").exception)


def test_no_look_migrates_under_a_running_bot(folder: Path) -> None:
    """A newer version is installed beside it: the database would be too new for the one that works with it."""
    fill()
    with closing(sqlite3.connect(folder / "apprentice.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0004'")
        connection.commit()
    with holding(folder):
        refused = bot("users", "list")
    with closing(sqlite3.connect(folder / "apprentice.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0004",)]
    assert refused.exit_code == 1
    assert "at revision 0004" in str(refused.exception)


@pytest.mark.parametrize("order", [("backup",), ("audit", "export", "--output"), ("data", "export", "U1", "--output")])
def test_nothing_is_written_over_a_database(folder: Path, order: tuple[str, ...]) -> None:
    """A backup that is named like the database would take its place, also while a bot writes into it."""
    fill()
    before = (folder / "apprentice.db").read_bytes()
    assert "is a database" in bot(*order, str(folder / "apprentice.db")).output
    assert (folder / "apprentice.db").read_bytes() == before


def test_lists_in_which_nothing_stands_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has just installed it sees a sentence, and not nothing."""
    monkeypatch.setenv("ADMIN_USER_IDS", "")
    assert "Nothing is decided about anybody" in bot("users", "list").stdout
    assert "Nothing is chosen for any channel" in bot("channels", "list", "--team", "T1").stdout
    assert "Nobody has disliked" in bot("feedback", "worst").stdout
