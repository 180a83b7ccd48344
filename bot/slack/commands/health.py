"""`health`: whether all that the assistant needs is there, at a glance."""

from pathlib import Path

from bot.admin.status import Health, read_health
from bot.engine.client import EngineClient
from bot.language import _
from bot.slack.commands.orders import Call, Command, Reply, Role
from bot.slack.delivery.render import escape
from bot.storage.db import Database
from bot.storage.tables import now


def build_health_commands(database: Database, engine: EngineClient, folder: Path) -> list[Command]:
    """Build the command."""

    async def run(_call: Call) -> Reply:
        return Reply(render_health(await read_health(database, engine, folder)))

    return [
        Command(
            name="health",
            usage="",
            purpose=_("whether model, database, queue and disk are well"),
            run=run,
            role=Role.ADMIN,
            group=_("Run me"),
            example="health",
        )
    ]


def render_health(health: Health) -> str:
    """Say it in a line each."""
    model = _("{model} answers").format(model=f"`{escape(health.model)}`") if health.model else _("it is away")
    adapters = ", ".join(f"`{escape(name)}`" for name in health.adapters) or _("none")
    oldest = f", {int((now() - health.oldest).total_seconds())} s" if health.oldest else ""
    lines = [
        _mark(health.model is not None) + _("Model: {model}; adapters at hand: {adapters}"),
        _mark(health.is_current) + _("Database: {place}, revision {revision}, {ms} ms"),
        "• " + _("Queue: {waiting} wait or are being answered{oldest}"),
        _mark(health.free_gb >= 1) + _("Disk: {free} GB free"),
    ]
    return "\n".join(lines).format(
        model=model,
        adapters=adapters,
        place=f"`{escape(health.database)}`",
        revision=health.revision,
        ms=f"{health.database_ms:.0f}",
        waiting=health.waiting,
        oldest=oldest,
        free=f"{health.free_gb:.1f}",
    )


def _mark(is_well: bool) -> str:
    return "✅ " if is_well else "⚠️ "
