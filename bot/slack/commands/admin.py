"""Every command with which the assistant is run, in the order of the help."""

from pathlib import Path

from bot.admin.budgets import Budgets
from bot.admin.model import ModelSwitch
from bot.engine.client import EngineClient
from bot.learning.control import Learning
from bot.slack.calls import Calls
from bot.slack.commands.audit import build_audit_commands
from bot.slack.commands.broadcast import build_broadcast_commands
from bot.slack.commands.channels import build_channel_commands
from bot.slack.commands.data import build_data_commands
from bot.slack.commands.health import build_health_commands
from bot.slack.commands.model import build_model_commands
from bot.slack.commands.orders import Command
from bot.slack.commands.people import build_people_commands
from bot.slack.commands.review import build_dataset_commands
from bot.storage.db import Database


def build_admin_commands(
    database: Database,
    engine: EngineClient,
    learning: Learning,
    calls: Calls,
    *,
    owners: frozenset[str],
    budgets: Budgets,
    retention_days: int,
    folder: Path,
    switch: ModelSwitch | None,
) -> list[Command]:
    """Build them all; *folder* is where the data lies."""
    return [
        *build_health_commands(database, engine, folder),
        *build_model_commands(switch),
        *build_channel_commands(database, learning, calls),
        *build_people_commands(database, owners=owners, defaults=budgets),
        *build_dataset_commands(database, learning, calls),
        *build_broadcast_commands(database, calls),
        *build_data_commands(database, learning, calls, retention_days=retention_days),
        *build_audit_commands(database, calls),
    ]
