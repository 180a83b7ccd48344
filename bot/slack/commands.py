"""The slash command: one line a subcommand, help for everything else."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.admin import Status, read_status
from bot.engine.client import EngineClient
from bot.slack.manifest import COMMAND
from bot.storage.db import Database

HELP = f"""*I answer* in direct messages, when you mention me in a channel, and in threads that I am part of.
*Teach me* with 👍 and 👎 under an answer; 👎 asks what I should have said.

`{COMMAND} help`  this text
`{COMMAND} status`  which model answers, and how many messages wait"""


def register_commands(app: AsyncApp, *, database: Database, engine: EngineClient) -> None:
    """Register the slash command."""

    @app.command(COMMAND)
    async def handle_command(ack: AsyncAck, respond: AsyncRespond, command: dict[str, Any]) -> None:
        await ack()
        words = str(command.get("text") or "").split(maxsplit=1)
        word = words[0].lower() if words else "help"
        if word == "status":
            await respond(render_status(await read_status(database, engine)))
        elif word == "help":
            await respond(HELP)
        else:
            await respond(f"I do not know `{COMMAND} {word[:40]}`.\n\n{HELP}")


def render_status(status: Status) -> str:
    """Say how the assistant is in one or two lines."""
    engine = f"Model `{status.model}`" if status.model else "⚠️ The language model is not running; it is being started"
    waiting = "no message waits" if not status.waiting else f"{status.waiting} messages wait or are being answered"
    return f"{engine}; {waiting}."
