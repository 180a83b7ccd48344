"""The slash command: one line a subcommand, help for everything else."""

import html
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.admin import Status, read_status
from bot.engine.client import EngineClient
from bot.learning.control import Learning
from bot.slack import learning_orders
from bot.slack.learning_commands import LearningOrders, Reply
from bot.slack.learning_words import render_line
from bot.slack.manifest import COMMAND
from bot.slack.render import escape
from bot.storage.db import Database

HELP = f"""*I answer* in direct messages, when you mention me in a channel, and in threads that I am part of.
*Teach me* with 👍 and 👎 under an answer; 👎 asks what I should have said.

`{COMMAND} help`  this text
`{COMMAND} status`  which model answers, and how many messages wait"""


def register_commands(
    app: AsyncApp,
    *,
    database: Database,
    engine: EngineClient,
    learning: Learning | None = None,
    admins: frozenset[str] = frozenset(),
) -> None:
    """Register the slash command."""
    orders = None if learning is None else LearningOrders(learning, admins=admins)
    help_text = HELP if learning is None else f"{HELP}\n\n{learning_orders.HELP}"

    @app.command(COMMAND)
    async def handle_command(ack: AsyncAck, respond: AsyncRespond, command: dict[str, Any]) -> None:
        await ack()
        text = html.unescape(str(command.get("text") or "")).strip()
        word = text.split(maxsplit=1)[0].lower() if text else "help"
        order = None if orders is None else learning_orders.parse_order(text)
        if isinstance(order, learning_orders.Misuse):
            await respond(order.sentence)
        elif order is not None and orders is not None:
            reply = await orders.carry_out(order, user_id=command["user_id"], channel_id=command["channel_id"])
            await _answer(respond, reply)
        elif word == "status":
            lines = [render_status(await read_status(database, engine))]
            lines += [] if learning is None else [render_line(await learning.status())]
            await respond("\n".join(lines))
        elif word == "help":
            await respond(help_text)
        else:
            await respond(f"I do not know `{COMMAND} {escape(word[:40])}`.\n\n{help_text}")


async def _answer(respond: AsyncRespond, reply: Reply) -> None:
    seen_by = "in_channel" if reply.is_for_all else "ephemeral"
    if reply.blocks:
        await respond(text=reply.text, blocks=reply.blocks, response_type=seen_by)
    else:
        await respond(text=reply.text, response_type=seen_by)


def render_status(status: Status) -> str:
    """Say how the assistant is in one or two lines."""
    engine = f"Model `{status.model}`" if status.model else "⚠️ The language model is not running; it is being started"
    waiting = "no message waits" if not status.waiting else f"{status.waiting} messages wait or are being answered"
    return f"{engine}; {waiting}."
