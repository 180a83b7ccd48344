"""From every earlier revision with rows in it to the newest: nothing is lost, and SQLite is copied before."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Connection, Inspector, inspect, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from bot.errors import StorageError
from bot.storage.addresses import find_file
from bot.storage.audit import verify_chain
from bot.storage.correction_index import index_missing
from bot.storage.db import Database, alembic_config
from bot.storage.learning_tables import AuditRow, RunExample
from bot.storage.person_data import collect_person, forget_person
from bot.storage.refused_words import is_refused
from bot.storage.schedule_tables import Kind, Schedule
from bot.storage.schedules import add_schedule, remove_schedule

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
# What a revision's tables had to be told; every other column gets a value of its type.
VALUES = {
    "audience": "public",
    "state": "done",
    "vote": "up",
    "kind": "message",
    "user_id": "U1",
    "details": "{}",
    "watch": "{}",
}


def revisions() -> list[str]:
    """Return every revision but the newest, the oldest first."""
    scripts = ScriptDirectory.from_config(alembic_config())
    return [script.revision for script in reversed(list(scripts.walk_revisions()))][:-1]


def upgrade(connection: Connection, revision: str) -> None:
    """Build the tables of a revision, as the version of then did."""
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def fill(connection: Connection) -> dict[str, int]:
    """Put two rows into every table that there is, whatever its columns; return how many each has."""
    look = inspect(connection)
    tables = [name for name, _ in look.get_sorted_table_and_fkc_names() if name and name != "alembic_version"]
    tables = [table for table in tables if not (table == "audit" and _is_sealed(look))]
    for table in tables:
        columns = look.get_columns(table)
        parents = {key["constrained_columns"][0]: key["referred_table"] for key in look.get_foreign_keys(table)}
        alone = look.get_pk_constraint(table)["constrained_columns"]
        for number in (1, 2):
            row = dict(_values(columns, parents, number))
            row |= {name: f"U{number}" for name in alone if alone == ["user_id"]}
            names, marks = ", ".join(f'"{name}"' for name in row), ", ".join(f":{name}" for name in row)
            connection.execute(text(f'INSERT INTO "{table}" ({names}) VALUES ({marks})'), row)
    return dict.fromkeys(tables, 2)


def _is_sealed(look: Inspector) -> bool:
    """Return whether the audit log is chained already: nobody puts a row into that by hand."""
    return any(column["name"] == "seal" for column in look.get_columns("audit"))


def _values(columns: list, parents: dict[str, str], number: int) -> Iterator[tuple[str, object]]:
    for column in columns:
        name, kind = column["name"], column["type"].python_type
        if name == "replaces_id" or (kind is int and name == "id"):
            continue
        if name in parents or name == "id":
            yield name, number if kind is int else f"{number:026}"
        elif name in VALUES:
            yield name, VALUES[name]
        elif kind is datetime:
            # PostgreSQL's driver wants a moment, and SQLite's text has what the product's own type would write.
            yield name, MOMENT if getattr(column["type"], "timezone", False) else f"{MOMENT:%F %T.000000}"
        elif isinstance(column["type"], JSON):
            yield name, "{}"
        elif kind is bytes:
            yield name, bytes([number, 0, 0, 0])
        else:
            yield name, kind(number) if kind is not str else f"{name} {number} 早"[: column["type"].length or 99]


@pytest.mark.parametrize("revision", revisions())
async def test_every_row_of_an_earlier_revision_is_there_afterwards(database_url: str, revision: str) -> None:
    """Rows of all tables, their texts, and what is done with them then: index, audit chain, a person's data."""
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade, revision)
        counts = await connection.run_sync(fill)
    await engine.dispose()

    database = Database(database_url)
    await database.migrate()
    found, newest = await database.revision()
    assert found == newest != revision
    async with database.begin() as session:
        for table, count in counts.items():
            assert await session.scalar(text(f'SELECT count(*) FROM "{table}"')) == count, table
        assert set(await session.scalars(text("SELECT text FROM messages"))) == {"text 1 早", "text 2 早"}
        chain = await verify_chain(session)
        assert (chain.broken_at, chain.count) == (None, counts.get("audit", 0))
        await index_missing(session)
        person = await collect_person(session, "U1")
        assert len(person["messages"]) == 2
        await forget_person(session, "U1")
        assert await session.scalar(text("SELECT count(*) FROM answers")) == 0
    await database.close()
    file = find_file(database_url)
    if file is not None:
        with closing(sqlite3.connect(file.parent / "backups" / f"before-{newest}.db")) as copy:
            assert copy.execute("SELECT version_num FROM alembic_version").fetchone() == (revision,)
            assert copy.execute("SELECT count(*) FROM messages").fetchone() == (2,)


async def test_whose_words_a_review_has_is_found_out(database_url: str) -> None:
    """Of what another approved, whoever had it wait for that; else whoever decided; and what was learned of it."""
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade, "0005")
        await connection.run_sync(fill)
        one, two = f"{1:026}", f"{2:026}"
        columns = "answer_id, text, audience, is_for_everyone, created_at, superseded_at"
        for statement in (
            f"INSERT INTO corrections (id, user_id, {columns}) SELECT '3', 'U3', {columns} FROM corrections LIMIT 1",
            """INSERT INTO reviews (correction_id, state, text, "by", at)
               SELECT '3', 'approved', '', 'US', at FROM reviews LIMIT 1""",
            f"UPDATE reviews SET state = 'edited', \"by\" = 'US' WHERE correction_id = '{one}'",
            f"UPDATE reviews SET state = 'waiting', \"by\" = 'UW' WHERE correction_id = '{two}'",
            f"UPDATE run_examples SET row_table = 'corrections', row_id = '{one}' WHERE id = 1",
        ):
            await connection.execute(text(statement))
        for number, actor, state in ((1, "UR", "waiting"), (2, "US", "edited")):
            decided = AuditRow.__table__.insert().values(
                id=str(number),
                at=MOMENT,
                actor=actor,
                action="dataset.review",
                target=one,
                details={"state": state},
                number=number,
                seal="",
            )
            await connection.execute(decided)
    await engine.dispose()

    database = Database(database_url)
    await database.migrate()
    async with database.read() as session:
        found = (await session.execute(text("SELECT user_id, id FROM reviews ORDER BY correction_id"))).all()
        traced = select(RunExample.row_id, RunExample.user_id).where(RunExample.row_table == "reviews")
        rows = [tuple(row) for row in await session.execute(traced)]
    await database.close()
    assert [row[0] for row in found] == ["UR", "UW", None]
    assert len({row[1] for row in found}) == 3
    assert rows == [(found[0][1], "UR")]


async def test_where_a_run_learned_is_found_out(database_url: str) -> None:
    """In the channel of its message, as long as that is there."""
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade, "0006")
        await connection.run_sync(fill)
        message = await connection.scalar(text("SELECT min(id) FROM messages"))
        place = f"(SELECT thread_id FROM messages WHERE id = '{message}')"
        await connection.execute(text(f"UPDATE threads SET channel_id = 'C7' WHERE id = {place}"))
        learned = "UPDATE run_examples SET row_table = 'messages', row_id = :row WHERE id = :id"
        await connection.execute(text(learned), [{"row": message, "id": 1}, {"row": "gone", "id": 2}])
    await engine.dispose()

    database = Database(database_url)
    await database.migrate()
    async with database.read() as session:
        places = list(await session.scalars(select(RunExample.channel_id).order_by(RunExample.id)))
    await database.close()
    assert places == ["C7", ""]


async def test_what_a_reviewer_refused_is_found_out(database_url: str) -> None:
    """By the words of its question and correction, which may both be deleted from then on."""
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade, "0007")
        await connection.run_sync(fill)
        await connection.execute(text(f"UPDATE reviews SET state = 'rejected' WHERE correction_id = '{1:026}'"))
    await engine.dispose()

    database = Database(database_url)
    await database.migrate()
    async with database.begin() as session:
        assert [await is_refused(session, f"{number:026}") for number in (1, 2)] == [True, False]
    await database.close()


async def test_the_number_of_a_reminder_is_not_given_again(database_url: str) -> None:
    """Whoever takes back yesterday's 3 must not take back another's; schedules and their times came along."""
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade, "0007")
        await connection.run_sync(fill)
        before = await connection.run_sync(read_schedules)
    await engine.dispose()

    database = Database(database_url)
    await database.migrate()
    async with database.begin() as session:
        assert await (await session.connection()).run_sync(read_schedules) == before
        numbers = []
        for _ in range(2):
            planned = await add_schedule(
                session, Schedule(team_id="T1", user_id="U1", kind=Kind.REMINDER, tz="UTC", channel_id="")
            )
            numbers.append(planned.id)
            await remove_schedule(session, planned, by="U1")
    await database.close()
    assert numbers == [3, 4]


def read_schedules(connection: Connection) -> tuple:
    """Return all that is planned, with its columns and indexes, and each time that it was due."""
    look = inspect(connection)
    known = {"schedules": "*", "schedule_occurrences": "schedule_id, due_at, state, attempts, until, ended_at"}
    rows = [connection.execute(text(f"SELECT {names} FROM {table} ORDER BY 1")).all() for table, names in known.items()]
    columns = [
        (column["name"], str(column["type"]), column["nullable"], column["default"])
        for column in look.get_columns("schedules")
    ]
    return (
        rows,
        columns,
        sorted(index["name"] for index in look.get_indexes("schedules")),
        look.get_foreign_keys("schedule_occurrences"),
    )


async def test_a_migration_that_fails_changes_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The whole way or none of it: what was there before is there, and the next start tries again."""
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade, "0001")
        await connection.run_sync(fill)
        await connection.execute(text("CREATE TABLE channel_settings (id INTEGER)"))  # which 0003 wants to create
    database = Database(database_url)
    with pytest.raises(StorageError):
        await database.migrate()
    assert (await database.revision())[0] == "0001"
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE channel_settings"))
    await engine.dispose()
    await database.migrate()
    async with database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM messages")) == 2
    await database.close()


async def test_a_database_of_a_later_version_is_left_alone(database: Database, database_url: str) -> None:
    """An older program says so and touches nothing."""
    async with database.begin() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="revision 9999, which this version does not know"):
        await Database(database_url).migrate()
