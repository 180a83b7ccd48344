"""The doctor against an installation with one thing wrong: it names that thing, its mend, and nothing else."""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from bot import doctor
from bot.cli import cli
from bot.errors import StorageError
from bot.findings import Finding, Verdict, is_sound, render_findings
from bot.playground.testing import Playground
from bot.settings import STARTER_MODEL, Settings
from bot.slack.commands.doctor import build_doctor_command
from bot.slack.commands.orders import Call, Role
from bot.slack.setup.checkup import examine_slack
from bot.slack.setup.checkup_questions import Account
from bot.slack.setup.manifest import SCOPES, build_manifest
from bot.slack.sightings import name_event
from bot.storage.db import Database
from bot.storage.installations import save_installation
from bot.storage.keyring import Keyring, make_key
from bot.storage.learning_tables import Adapter, AdapterState, Run
from bot.storage.sightings import note_sighting
from bot.storage.troubles import is_away
from tests.scenarios.test_workspaces import installed

SEEN = frozenset({"app_mention", "message.channels", "message.im"})
CONFIG = "xoxe.xoxp-playground"


def manifest(**changes: Any) -> dict[str, Any]:
    """Build our manifest with some parts changed: `settings__interactivity__is_enabled=False`."""
    built = build_manifest(name="Apprentice", request_url=None)
    for path, value in changes.items():
        *folders, last = path.split("__")
        part = built
        for folder in folders:
            part = part[folder]
        part[last] = value
    return built


def account(playground: Playground, **changes: Any) -> Account:
    """Describe an installation in which nothing is wrong."""
    values = {
        "api_url": playground.api_url,
        "bot_token": "xoxb-playground",
        "app_token": "xapp-playground",
        "signing_secret": "playground-signing-secret",
        "config_token": CONFIG,
        "admins": ("U0MAYA",),
        "admin_channel": "C0SUPPORT",
        "sightings": SEEN,
    }
    return Account(**{**values, **changes})


async def look(asked: Account) -> list[Finding]:
    """Examine the Slack side."""
    return [finding async for finding in examine_slack(asked)]


def bad(findings: list[Finding]) -> list[Finding]:
    """Return what is wrong or could be better; each has its mend."""
    found = [finding for finding in findings if finding.verdict in {Verdict.WRONG, Verdict.WARNING}]
    assert all(finding.mend for finding in found)
    return found


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    """Open a workspace in which the app is installed by our own manifest."""
    async with Playground(manifest=manifest()) as opened:
        yield opened


async def test_a_sound_installation_has_nothing_wrong(playground: Playground) -> None:
    """Everything is looked at, and all of it is in order."""
    findings = await look(account(playground))

    assert bad(findings) == []
    assert [finding.topic for finding in findings if finding.verdict is Verdict.OK] == [
        "Bot token",
        "Scopes",
        "Clock",
        "App set-up",
        "Events",
        "Admins",
        "Admin channel",
        "Messages tab",
        "App token",
        "Socket",
    ]


WRONG_ACCOUNTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no bot token": ({"bot_token": ""}, "Bot token", "not set"),
    "tokens swapped": ({"bot_token": "xapp-playground"}, "Bot token", "app-level token"),
    "a person's token": ({"bot_token": "xoxp-1"}, "Bot token", "a person's token"),
    "a space in the token": ({"bot_token": "xoxb-a b"}, "Bot token", "spaces"),
    "an unknown token": ({"bot_token": "xoxb-unknown"}, "Bot token", "invalid_auth"),
    "a wrong address": ({"api_url": "http://127.0.0.1:9/api/"}, "Bot token", "cannot be reached"),
    "nobody as admin": ({"admins": ()}, "Admins", "nobody can steer"),
    "a stranger as admin": ({"admins": ("U0NOBODY",)}, "Admins", "U0NOBODY is nobody"),
    "a guest as admin": ({"admins": ("U0SAM",)}, "Admins", "guest"),
    "a channel of others too": ({"admin_channel": "C0NORTHWIND"}, "Admin channel", "another organisation reads"),
    "a channel that is none": ({"admin_channel": "C0NOWHERE"}, "Admin channel", "channel_not_found"),
    "no app token": ({"app_token": ""}, "App token", "not set"),
    "the bot token twice": ({"app_token": "xoxb-playground"}, "App token", "a bot token"),
    "an unknown app token": ({"app_token": "xapp-unknown"}, "App token", "invalid_auth"),
    "no signing secret": ({"is_http": True, "signing_secret": "", "config_token": ""}, "Signing secret", "not set"),
    "a token for a secret": (
        {"is_http": True, "signing_secret": "xoxb-1", "config_token": ""},
        "Signing secret",
        "is a token",
    ),
    "an old config token": ({"config_token": "xoxe-old"}, "App set-up", "invalid_auth"),
    "no events from channels": (
        {"sightings": frozenset({"app_mention", "message.im"})},
        "Events",
        "message.channels and message.groups are missing",
    ),
}


@pytest.mark.parametrize("seed", WRONG_ACCOUNTS)
async def test_a_wrong_setting_is_named(playground: Playground, seed: str) -> None:
    """One thing is wrong, and that one thing is said."""
    changes, topic, said = WRONG_ACCOUNTS[seed]
    findings = bad(await look(account(playground, **changes)))

    first = next(finding for finding in findings if finding.topic == topic)
    assert said in first.sentence
    assert {finding.topic for finding in findings} <= {topic, "App token"}  # a wrong address is wrong for both


WRONG_APPS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a Messages tab that is off": ({"features__app_home__messages_tab_enabled": False}, "Messages tab", "off"),
    "a Messages tab that only reads": (
        {"features__app_home__messages_tab_read_only_enabled": True},
        "Messages tab",
        "only reads",
    ),
    "a Home tab that is off": ({"features__app_home__home_tab_enabled": False}, "Home tab", "off"),
    "no buttons": ({"settings__interactivity__is_enabled": False}, "Interactivity", "no button works"),
    "Socket Mode off": ({"settings__socket_mode_enabled": False}, "Transport", "must be on"),
    "rotating tokens": ({"settings__token_rotation_enabled": True}, "Token rotation", "expires"),
    "no command": (
        {"features__slash_commands": [{"command": "/other", "description": "x"}]},
        "Slash command",
        "/apprentice is missing",
    ),
    "an event is missing": (
        {"settings__event_subscriptions__bot_events": ["app_mention", "message.im"]},
        "Events",
        "message.channels",
    ),
}


@pytest.mark.parametrize("seed", WRONG_APPS)
async def test_a_wrong_set_up_is_named(seed: str) -> None:
    """What somebody forgot or changed at api.slack.com shows against our own manifest."""
    changes, topic, said = WRONG_APPS[seed]
    async with Playground(manifest=manifest(**changes)) as playground:
        findings = bad(await look(account(playground)))

    assert {finding.topic for finding in findings} == {topic}
    assert any(said in finding.sentence for finding in findings)


async def test_missing_and_surplus_scopes_are_named() -> None:
    """What lacks is wrong, with what it is for; what nobody needs is a warning."""
    lacking = [scope for scope in SCOPES if scope != "channels:history"]
    async with Playground(manifest=manifest(oauth_config__scopes__bot=lacking)) as playground:
        missing = bad(await look(account(playground, config_token="")))
    async with Playground(manifest=manifest(oauth_config__scopes__bot=[*SCOPES, "admin"])) as playground:
        surplus = bad(await look(account(playground)))

    assert [(one.topic, one.verdict) for one in missing] == [("Scopes", Verdict.WRONG)]
    assert "channels:history" in missing[0].sentence
    assert "channels:history" in missing[0].mend
    assert [(one.topic, one.verdict) for one in surplus] == [("Scopes", Verdict.WARNING)]
    assert "admin" in surplus[0].sentence


async def test_a_messages_tab_that_is_off_shows_without_a_config_token() -> None:
    """It tries, where an admin alone would see it, and Slack says no."""
    changed = manifest(features__app_home__messages_tab_enabled=False)
    async with Playground(manifest=changed) as playground:
        findings = bad(await look(account(playground, config_token="")))

    assert [finding.topic for finding in findings] == ["Messages tab"]


@pytest.mark.parametrize(("seconds", "verdict"), [(60, Verdict.WARNING), (400, Verdict.WRONG)])
async def test_a_wrong_clock_is_named(playground: Playground, seconds: int, verdict: Verdict) -> None:
    """The playground's time runs ahead, so this machine seems to be behind."""
    await playground.advance(seconds)
    (finding,) = bad(await look(account(playground)))

    assert (finding.topic, finding.verdict) == ("Clock", verdict)
    assert "behind" in finding.sentence


async def test_tokens_of_two_apps_are_told_apart(playground: Playground) -> None:
    """Both work, and nothing ever arrives: the socket belongs to another app."""
    playground.hub.sockets._app_id = "A0OTHER"
    (finding,) = bad(await look(account(playground)))

    assert finding.topic == "Socket"
    assert "A0OTHER" in finding.sentence


async def test_socket_faults_are_named(playground: Playground) -> None:
    """The app token lacks its scope; too many bots hold sockets; the app is not in its admin channel."""
    playground.fault("missing_method", methods="apps.connections.open", error="missing_scope")
    (scope,) = bad(await look(account(playground)))
    playground.fault("missing_method", enabled=False)
    playground.hub.workspace.channels["C0SUPPORT"].members.remove("U0APPRENTICE")
    (channel,) = bad(await look(account(playground)))

    assert "connections:write" in scope.sentence
    assert channel.topic == "Admin channel"
    assert "not in #support" in channel.sentence


async def test_http_delivery_means_no_socket_mode() -> None:
    """The app delivers by HTTP, and the settings say socket."""
    async with Playground(manifest=manifest(), events_url="http://127.0.0.1:9/slack/events") as playground:
        (finding,) = bad(await look(account(playground)))

    assert finding.topic == "App token"
    assert "Socket Mode is switched off" in finding.sentence


# --- what needs no Slack ---------------------------------------------------------------------------------------


def settings_for(tmp_path: Path, **changes: Any) -> Settings:
    """Build settings in which nothing of this machine is wrong."""
    return Settings(**{"data_dir": tmp_path / "data", "engine_threads": 1, **changes})


def around(settings: Settings) -> list[Finding]:
    """Look at what needs neither database nor model."""
    found = bad(list(doctor._look_around(settings)))
    return [finding for finding in found if finding.topic != "Languages"]


def test_this_machine_is_sound(tmp_path: Path) -> None:
    """The settings of the tests have nothing wrong."""
    assert around(settings_for(tmp_path)) == []


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    """It works as if the variable were not there, which nobody would notice."""
    (tmp_path / ".env").write_text("MESAGES_PER_PERSON=5\n")
    (finding,) = around(settings_for(tmp_path))
    assert (finding.topic, finding.verdict) == ("Settings", Verdict.WARNING)
    assert "MESSAGES_PER_PERSON" in finding.sentence


def test_what_is_wrong_around_is_named(tmp_path: Path) -> None:
    """A folder that is a file, a broken prompt, a window and a schedule that cannot be."""
    file = tmp_path / "file"
    file.write_text("x")
    own = tmp_path / "prompts"
    own.mkdir()
    (own / "system.md").write_text("---\n---\n{{ moon }}")
    seeds: dict[str, dict[str, Any]] = {
        "Disk": {"data_dir": file},
        "Prompts": {"prompts_dir": own},
    }
    for topic, changes in seeds.items():
        (finding,) = around(settings_for(tmp_path, **changes))
        assert (finding.topic, finding.verdict) == (topic, Verdict.WRONG)
    for changes in ({"training_window": "night"}, {"training_schedule": "0 12 * * *"}, {"training_schedule": "often"}):
        (finding,) = around(settings_for(tmp_path, **changes))
        assert (finding.topic, finding.verdict) == ("Training", Verdict.WRONG)


def test_what_belongs_to_another_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One `sudo bot …` is enough, and the bot can neither lock its folder nor store anything; root may do all."""
    settings = settings_for(tmp_path)
    settings.data_dir.mkdir(parents=True)
    for name in (".lock", "apprentice.db", "mine"):
        (settings.data_dir / name).touch()
    may = os.access
    roots = {settings.data_dir / ".lock", settings.data_dir / "apprentice.db"}
    monkeypatch.setattr(os, "access", lambda path, mode: may(path, mode) and not (path in roots and mode & os.W_OK))
    (finding,) = around(settings)

    assert (finding.topic, finding.verdict) == ("Disk", Verdict.WRONG)
    assert ".lock, apprentice.db in" in finding.sentence


@pytest.mark.parametrize(("free", "verdict"), [(100_000_000, Verdict.WRONG), (1_000_000_000, Verdict.WARNING)])
def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: Verdict) -> None:
    """Before the database cannot be written to any more."""
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _path: usage)
    (finding,) = around(settings_for(tmp_path))

    assert (finding.topic, finding.verdict) == ("Disk", verdict)


def test_a_missing_training_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install, or how to do without."""
    monkeypatch.setattr("bot.learning.training_extra.PACKAGES", ("not_a_package",))
    (finding,) = around(settings_for(tmp_path))

    assert "not_a_package" in finding.sentence
    assert "apprentice[train]" in finding.mend


async def inside(settings: Settings) -> list[Finding]:
    """Look into the database."""
    return bad([finding async for finding, _ in doctor._look_into_database(settings)])


async def migrated(settings: Settings) -> None:
    """Make the database, and close it."""
    database = Database(settings.database())
    await database.migrate()
    await database.close()


def remove_log(file: Path) -> None:
    """Do what the mend says."""
    for name in ("-wal", "-shm"):
        file.with_name(file.name + name).unlink(missing_ok=True)


def test_missed_backups_are_named(tmp_path: Path) -> None:
    """Two that the clock should have made; one by hand is enough for a while."""
    by_hand, broken = settings_for(tmp_path), settings_for(tmp_path, backup_schedule="nightly")
    by_clock = settings_for(tmp_path, backup_schedule="0 3 * * *")
    assert around(by_hand) == []
    assert [(one.topic, one.verdict) for one in around(broken)] == [("Backups", Verdict.WRONG)]
    assert [(one.topic, one.verdict) for one in around(by_clock)] == [("Backups", Verdict.WARNING)]
    path = tmp_path / "data" / "backups" / "one.tar.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert around(by_clock) == []
    old = time.time() - 3 * 86_400
    os.utime(path, (old, old))
    (finding,) = around(by_clock)
    assert "72 hours old" in finding.sentence


async def test_what_is_wrong_with_the_database_is_named(tmp_path: Path) -> None:
    """No address, nobody there, a newer program's, one that was never migrated."""
    (nonsense,) = await inside(settings_for(tmp_path, database_url="what"))
    (nobody,) = await inside(settings_for(tmp_path, database_url="postgresql://a:secret@127.0.0.1:9/b"))
    settings = settings_for(tmp_path)
    opened = Database(settings.database())
    await opened.migrate()
    assert await inside(settings) == []
    async with opened.begin() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    (newer,) = await inside(settings)
    async with opened.begin() as session:
        await session.execute(text("DELETE FROM alembic_version"))
    (older,) = await inside(settings)
    await opened.close()

    assert nonsense.topic == nobody.topic == "Database"
    assert "secret" not in nobody.sentence
    assert (newer.topic, newer.verdict) == ("Migrations", Verdict.WRONG)
    assert (older.topic, older.verdict) == ("Migrations", Verdict.WARNING)


async def test_a_database_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    """Whoever looks changes nothing; and the mend of a file is about that file."""
    file = tmp_path / "other.db"
    settings = settings_for(tmp_path, database_url=f"sqlite:///{file}")
    assert await inside(settings) == []
    assert not file.exists()
    file.write_bytes(b"no database at all, whatever its name says" * 100)
    (garbage,) = await inside(settings)
    assert str(file) in garbage.mend


async def test_a_log_of_another_version_beside_a_copy_is_named(tmp_path: Path) -> None:
    """Whoever goes back to the copy from before an upgrade, after a kill, would have the newer log read into it."""
    settings = settings_for(tmp_path)
    file = tmp_path / "data" / "apprentice.db"
    older, newer = tmp_path / "before.db", tmp_path / "newer-wal"
    await migrated(settings)
    shutil.copy(file, older)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("CREATE TABLE later (word text)")
        for number in range(60):
            connection.execute(f"CREATE TABLE later_{number} ({'a_long_name_' * 20} text)")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("CREATE INDEX ix_again ON later (word)")
        connection.commit()
        shutil.copy(f"{file}-wal", newer)
    shutil.copy(older, file)
    shutil.copy(newer, f"{file}-wal")
    found = await inside(settings)
    assert any(finding.verdict is Verdict.WRONG and "apprentice.db-wal" in finding.mend for finding in found)
    remove_log(file)
    shutil.copy(older, file)
    assert await inside(settings) == []


async def test_a_database_that_cannot_be_reached_or_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that lies elsewhere than DATA_DIR, of which another user owns the file, or a folder above it."""
    place = tmp_path / "box" / "data"
    place.mkdir(parents=True)
    settings = settings_for(tmp_path, database_url=f"sqlite:///{place / 'a.db'}")
    await migrated(settings)
    assert await inside(settings) == []
    may, closed = os.access, place / "a.db"
    monkeypatch.setattr(os, "access", lambda path, mode: may(path, mode) and not (path == closed and mode & os.W_OK))
    (file,) = await inside(settings)
    assert f"{closed} cannot be written" in file.sentence
    monkeypatch.setattr(os, "access", may)
    closed = place.parent
    monkeypatch.setattr(
        os, "access", lambda path, mode: (path == closed and mode == os.F_OK) or not Path(path).is_relative_to(closed)
    )
    (folder,) = await inside(settings)
    assert f"{place / 'a.db'} cannot be reached" in folder.sentence


async def test_a_database_without_room_for_every_character_is_named(tmp_path: Path, postgres: str) -> None:
    """A plain createdb makes one where the server's language is no UTF-8: emoji and Chinese could not be stored."""
    engine = create_async_engine(postgres, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text("DROP DATABASE IF EXISTS narrow"))
        make = "CREATE DATABASE narrow ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        await connection.execute(text(make))
    url = postgres.replace("/postgres?", "/narrow?")
    found = await inside(settings_for(tmp_path, database_url=url))
    database = Database(url)
    try:
        assert any("LATIN1" in finding.sentence for finding in found)
        with pytest.raises(StorageError, match="ENCODING 'UTF8' TEMPLATE template0"):
            await database.migrate()
        with pytest.raises(DBAPIError) as failed:
            async with database.read() as session:
                await session.execute(text("SELECT CAST(:word AS text)"), {"word": "你好"})
        assert not is_away(failed.value), "it would be tried for ever"
    finally:
        await database.close()
        async with engine.connect() as connection:
            await connection.execute(text("DROP DATABASE narrow WITH (FORCE)"))
        await engine.dispose()


async def test_keys_that_open_nothing_are_named(tmp_path: Path) -> None:
    """A workspace's token was locked with a key that is gone; with it all is well again."""
    old, new = make_key(), make_key()
    oauth = {"slack_client_id": "1", "slack_client_secret": "2", "install_url": "https://a.b"}
    settings = settings_for(tmp_path, **oauth, token_encryption_keys=new)
    opened = Database(settings.database())
    await opened.migrate()
    async with opened.begin() as session:
        await save_installation(session, installed(), Keyring([old]))
    await opened.close()
    (lost,) = await inside(settings)

    assert lost.topic == "Workspaces"
    assert await inside(settings_for(tmp_path, **oauth, token_encryption_keys=f"{new},{old}")) == []


async def test_a_workspace_whose_token_is_dead_is_named(tmp_path: Path, playground: Playground) -> None:
    """By its name and id, and never by its token; a Slack that does not answer is nothing against it."""
    oauth = {"slack_client_id": "1", "slack_client_secret": "2", "install_url": "https://a.b"}
    settings = settings_for(tmp_path, **oauth, token_encryption_keys=make_key(), slack_api_url=playground.api_url)
    opened = Database(settings.database())
    await opened.migrate()
    async with opened.begin() as session:
        for team_id, token in (("T1", "xoxb-dead"), ("T2", "xoxb-playground")):
            one = installed(team_id=team_id, name=f"Office {team_id}", token=token)
            await save_installation(session, one, Keyring(settings.token_encryption_keys))
    await opened.close()
    (dead,) = await inside(settings)

    assert (dead.topic, dead.verdict) == ("Workspaces", Verdict.WRONG)
    assert dead.sentence == "2 have installed it, and Slack refuses the token of Office T1 (T1): invalid_auth."
    assert "https://a.b/slack/install" in dead.mend
    playground.fault("server_error", methods="auth.test")
    assert await inside(settings) == []


async def test_with_oauth_no_token_is_needed(playground: Playground) -> None:
    """Workspaces bring their own."""
    assert bad(await look(account(playground, bot_token="", has_oauth=True))) == []


async def test_adapters_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """Their files are gone, or they were trained on another model."""
    settings = settings_for(tmp_path)
    opened = Database(settings.database())
    await opened.migrate()
    path = tmp_path / "a.gguf"
    async with opened.begin() as session:
        run = Run(trigger="test", requested_by="test")
        session.add(run)
        await session.flush()
        session.add(
            Adapter(
                run_id=run.id,
                name="run-1",
                path=str(path),
                sha256="0" * 64,
                base_sha256="1" * 64,
                state=AdapterState.ACTIVE,
            )
        )
    (lost,) = await inside(settings)
    path.write_text("x")
    (stranger,) = await inside(settings)
    await opened.close()

    assert "gone" in lost.sentence
    assert "another model" in stranger.sentence


async def test_events_that_came_are_remembered(database: Database) -> None:
    """Both kinds of database remember each event once."""
    async with database.begin() as session:
        await note_sighting(session, "app_mention")
        await note_sighting(session, "app_mention")

    assert name_event({"type": "message", "channel_type": "group"}) == "message.groups"
    assert name_event({"type": "app_mention"}) == "app_mention"
    assert name_event({"type": "message"}) == ""


async def model(settings: Settings, *, is_running: bool = True) -> list[Finding]:
    """Look at the model."""
    return bad([finding async for finding in doctor._look_at_model(settings, is_running=is_running)])


async def test_what_is_wrong_with_the_model_is_named(tmp_path: Path) -> None:
    """Not there, no model at all, cut in the middle, not downloaded, an engine that is away."""
    page, cut = tmp_path / "page.gguf", tmp_path / "cut.gguf"
    page.write_text("<html>")
    cut.write_bytes(STARTER_MODEL.read_bytes()[:100_000])
    seeds: list[tuple[dict[str, Any], str]] = [
        ({"model_path": tmp_path / "none.gguf"}, "does not exist"),
        ({"model_path": page}, "not a GGUF"),
        ({"model_path": cut}, "cut.gguf"),
        ({"model_repo": "a/b", "model_file": "c.gguf"}, "not downloaded"),
        ({"model_mmproj": tmp_path / "none.gguf"}, "does not exist"),
        ({"model_mmproj": STARTER_MODEL}, "is no mmproj"),
        ({"engine_url": "http://127.0.0.1:9"}, "cannot be used"),
        ({"engine_url": "http://usr:hunter2@127.0.0.1:9"}, "ENGINE_URL: http://***@127.0.0.1:9 cannot be used"),
    ]
    for changes, said in seeds:
        (finding,) = await model(settings_for(tmp_path, **changes))
        assert said in finding.sentence, finding
    assert await model(settings_for(tmp_path)) == []


async def test_a_model_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """A process of its own plans it, with these settings, and says what to change."""
    (finding,) = await model(settings_for(tmp_path, engine_n_ctx=4_000_000), is_running=False)

    assert (finding.topic, finding.verdict) == ("Memory", Verdict.WRONG)
    assert "ENGINE_N_CTX" in finding.mend


# --- both faces -------------------------------------------------------------------------------------------------


def test_the_terminal_says_it_and_ends_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each, or JSON; a manifest from a file is compared; a setting that cannot be read is a finding too."""
    file = tmp_path / "app.json"
    file.write_text(json.dumps(manifest()))
    monkeypatch.setattr(doctor, "_check_memory", quick_memory)
    terminal = CliRunner()
    said = terminal.invoke(cli, ["doctor", "--manifest", str(file)])
    plain = terminal.invoke(cli, ["doctor", "--json"])
    monkeypatch.setenv("HTTP_PORT", "many")
    unread = terminal.invoke(cli, ["doctor", "--json"])

    assert said.exit_code == plain.exit_code == unread.exit_code == 1
    assert "wrong    Bot token        SLACK_BOT_TOKEN is not set." in said.output
    assert {"topic", "verdict", "sentence", "mend"} == set(json.loads(plain.stdout)[0])
    assert "HTTP_PORT" in json.loads(unread.stdout)[0]["sentence"]
    assert not (tmp_path / "data").exists()  # it only looks


async def quick_memory(*_: object) -> Finding:
    """Stand in for the process that plans, which another test starts."""
    return Finding("Memory", Verdict.OK, "it fits.")


async def test_admins_get_the_same_in_slack(playground: Playground, tmp_path: Path, monkeypatch: Any) -> None:
    """The whole examination of a bot that runs here: nothing wrong but what is not set."""
    settings = settings_for(
        tmp_path,
        slack_api_url=playground.api_url,
        slack_bot_token="xoxb-playground",
        slack_app_token="xapp-playground",
        admin_user_ids="U0MAYA",
    )
    monkeypatch.setattr(doctor, "_check_memory", quick_memory)
    command = build_doctor_command(lambda: doctor.examine(settings))
    reply = await command.run(Call(user_id="U0MAYA", team_id="T", channel_id="C", words="", role=Role.ADMIN))
    findings = [finding async for finding in doctor.examine(settings)]

    assert command.role == Role.ADMIN
    assert is_sound(findings), render_findings(findings)
    shown = str(reply.blocks)
    assert all(finding.topic in shown for finding in findings)
    assert len(reply.blocks) < 50
    assert "xoxb-playground" not in shown
