"""Alembic's entry: runs on the connection that `bot.storage.db` hands over, or on DATABASE_URL."""

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from bot.settings import load_settings
from bot.storage import (
    admin_tables,
    asking_tables,
    erasure_tables,
    feedback_tables,
    file_tables,
    installing_tables,
    learning_tables,
    manners_tables,
    memory_tables,
    schedule_tables,
    spending_tables,
    worker_tables,
)
from bot.storage.tables import Base

MODULES = (
    admin_tables,
    asking_tables,
    erasure_tables,
    feedback_tables,
    file_tables,
    installing_tables,
    learning_tables,
    manners_tables,
    memory_tables,
    schedule_tables,
    spending_tables,
    worker_tables,
)  # imported, so that Base knows their tables


def run(connection: Connection) -> None:
    """Run the wanted migrations on *connection*."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        user_module_prefix="types.",
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_on_settings() -> None:
    """Open the database of the settings, for the `alembic` command of a developer."""
    engine = create_async_engine(load_settings().database())
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is None:
    asyncio.run(run_on_settings())
else:
    run(given)
