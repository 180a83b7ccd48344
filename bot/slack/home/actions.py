"""The Home at work: shown when it is opened, and anew after each change that is made in it."""

import re
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack.commands.orders import Call
from bot.slack.commands.table import Desk
from bot.slack.home.controls import HOME, read_order
from bot.slack.home.page import Home
from bot.slack.listeners import acknowledge_done


def register_home(app: AsyncApp, *, home: Home, desk: Desk) -> None:
    """Register every button and list of the Home; each gives an order, whose reply is said at the Home's top."""

    @app.action(re.compile(rf"^{HOME}:"))
    async def handle_order(ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        user_id = str(body["user"]["id"])
        call = Call(
            user_id=user_id,
            team_id=str((body.get("team") or {}).get("id") or ""),
            channel_id="",
            words="",
            trigger_id=str(body.get("trigger_id") or ""),
        )
        reply = await acknowledge_done(ack, desk.take(read_order(action), call))
        if reply.text:
            await home.publish(user_id, note=reply.text)
