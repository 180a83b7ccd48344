"""Be quiet, join in: what people say about a thread with a button, under an answer, or by an order."""

import time
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext

from bot.language import _
from bot.slack.blocks import ANSWER_MENU, FOLLOW, QUIET
from bot.slack.calls import Calls
from bot.slack.commands.orders import Call, Command, Reply, UsageError
from bot.slack.listeners import acknowledge_done
from bot.slack.turns.asides import SIGN, tell_hush, thread_of
from bot.slack.turns.whisper import tell_off
from bot.storage.channel_settings import load_rules
from bot.storage.db import Database
from bot.storage.manners_tables import Mode
from bot.storage.thread_manners import set_muted
from bot.storage.threads import Place


def build_manner_commands(database: Database, calls: Calls) -> list[Command]:
    """Build the orders about one thread."""
    orders = ThreadOrders(database, calls)
    return [
        Command(
            name="mute",
            usage="",
            purpose=_("in a thread: I answer there only when I am mentioned"),
            run=orders.mute,
            group=_("In channels"),
            example="mute",
        ),
        Command(
            name="follow",
            usage="",
            purpose=_("in a thread: I take part in it without being mentioned"),
            run=orders.follow,
            group=_("In channels"),
            example="follow",
        ),
    ]


class ThreadOrders:
    """Lets the assistant be quiet in a thread, or take part in it."""

    def __init__(self, database: Database, calls: Calls) -> None:
        self._database = database
        self._calls = calls

    async def mute(self, call: Call) -> Reply:
        """Be quiet where the order was given."""
        await self.set_muted(_place(call), is_muted=True)
        return Reply(tell_hush())

    async def follow(self, call: Call) -> Reply:
        """Take part where the order was given."""
        return Reply(await self.set_muted(_place(call), is_muted=False))

    async def set_muted(self, place: Place, *, is_muted: bool) -> str:
        """Be quiet or take part in a thread, with a sign for everybody there; return what is to be said about it."""
        async with self._database.begin() as session:
            await set_muted(session, place, is_muted=is_muted, ts=f"{time.time():.6f}")
            rules = await load_rules(session, place.team_id, place.channel_id)
        method = "reactions.add" if is_muted else "reactions.remove"
        await self._calls.call_if_possible(method, channel=place.channel_id, timestamp=place.thread_ts, name=SIGN)
        return tell_hush() if is_muted else tell_follow(rules.mode)


def register_manners(app: AsyncApp, *, database: Database, calls: Calls) -> None:
    """Register the buttons."""
    orders = ThreadOrders(database, calls)

    async def handle(ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext, *, is_muted: bool) -> None:
        channel_id, thread_ts = thread_of(body)
        team_id = context.authorize_result.team_id if context.authorize_result else None
        place = Place(team_id or "", channel_id, thread_ts)
        text = await acknowledge_done(ack, orders.set_muted(place, is_muted=is_muted))
        await calls.call_if_possible(
            "chat.postEphemeral", channel=channel_id, thread_ts=thread_ts, user=body["user"]["id"], text=text
        )

    @app.action(QUIET)
    async def handle_quiet(ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        await handle(ack, body, context, is_muted=True)

    @app.action(FOLLOW)
    async def handle_follow(ack: AsyncAck, body: dict[str, Any], context: AsyncBoltContext) -> None:
        await handle(ack, body, context, is_muted=False)

    @app.action(ANSWER_MENU)
    async def handle_menu(
        ack: AsyncAck, body: dict[str, Any], action: dict[str, Any], context: AsyncBoltContext
    ) -> None:
        chosen = str((action.get("selected_option") or {}).get("value"))
        await handle(ack, body, context, is_muted=chosen == QUIET)


def tell_follow(mode: Mode) -> str:
    """Say that it takes part, as far as the channel lets it."""
    if mode is Mode.OFF:
        return tell_off()
    if mode is Mode.MENTION:
        return _("In this channel I only answer when I am mentioned; an admin can change that.")
    return _("I take part in this thread. `!mute` lets me be quiet again.")


def _place(call: Call) -> Place:
    if call.thread_ts is None or call.channel_id.startswith("D"):
        raise UsageError(_("This is for a thread of a channel: write it there, with `!` in front."))
    return Place(call.team_id, call.channel_id, call.thread_ts)
