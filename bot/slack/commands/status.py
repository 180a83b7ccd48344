"""`/apprentice status`: in one block, for everybody, how the assistant is."""

from bot.admin.budgets import Budgets, read_use
from bot.admin.status import Status, read_status
from bot.engine.client import EngineClient
from bot.language import _
from bot.learning.control import Learning
from bot.slack.blocks import section
from bot.slack.commands.orders import Call, Command, Reply
from bot.slack.commands.people import render_use
from bot.slack.delivery.render import escape
from bot.slack.learning.words import render_line
from bot.storage.db import Database


def build_status_commands(
    database: Database, engine: EngineClient, learning: Learning | None, budgets: Budgets | None = None
) -> list[Command]:
    """Build the command."""

    async def run(call: Call) -> Reply:
        lines = [render_status(await read_status(database, engine))]
        lines += [] if learning is None else [render_line(await learning.status())]
        uses = await read_use(database, budgets or Budgets(), user_id=call.user_id)
        lines += [render_use(use) for use in uses if use.limit]
        text = "\n".join(lines)
        return Reply(text, [section(text)])

    return [
        Command(
            name="status",
            usage="",
            purpose=_("which model answers, how many messages wait, and how my learning is"),
            run=run,
            group=_("About me"),
            example="status",
        )
    ]


def render_status(status: Status) -> str:
    """Say in a line whether the assistant can answer, and how many wait for it."""
    if status.model:
        engine = _("Model {model}").format(model=f"`{escape(status.model)}`")
    else:
        engine = "⚠️ " + _("The language model cannot be reached right now")
    if not status.waiting:
        waiting = _("no message waits")
    elif status.waiting == 1:
        waiting = _("1 message waits or is being answered")
    else:
        waiting = _("{count} messages wait or are being answered").format(count=status.waiting)
    return f"{engine}; {waiting}."
