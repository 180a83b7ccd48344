"""The table of commands at work: finds the one that is meant, checks who may give it, says what came of it."""

import asyncio
import html
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.errors import ApprenticeError, DeliveryError, EngineUnavailable
from bot.language import _
from bot.slack import pledges
from bot.slack.commands.help import build_help, render_command, tell_intro, tell_unknown, tell_usage
from bot.slack.commands.orders import Call, Command, Commands, Reply, Role, UsageError
from bot.slack.delivery.render import escape
from bot.slack.listeners import acknowledge_done
from bot.slack.people.access import tell_refusal
from bot.slack.setup.manifest import COMMAND
from bot.slack.throttle import Limits, Throttle
from bot.slack.turns.whisper import tell_untaken
from bot.storage.tables import new_id

HELP = "help"
ORDERS_PER_PERSON = 30  # a minute
CODE = re.compile(r"[a-z]+(?:_[a-z]+)+")  # of an error, alone or within JSON

log = logging.getLogger(__name__)

RoleFor = Callable[[str, Role], Awaitable[Role]]


class Desk:
    """Takes orders as text and has them carried out."""

    def __init__(self, commands: Iterable[Command], *, role_for: RoleFor) -> None:
        own = Command(
            name=HELP,
            usage=_("[NAME]"),
            purpose=_("what you can order, or how one of these is written"),
            run=self._help,
            group=_("About me"),
            example=_("help ask"),
        )
        self.commands = Commands([*commands, own])
        self._role_for = role_for
        self._throttle = Throttle(Limits(person=ORDERS_PER_PERSON))

    async def take(self, text: str, call: Call) -> Reply:
        """Carry out the order *text* for whoever gives it; *call* says who and where, its words and role are read here.

        Whatever goes wrong becomes a sentence.
        """
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair can be neither stored nor sent
        name, _space, words = (text.strip() or HELP).partition(" ")
        name, _newline, more = name.partition("\n")
        words = f"{more} {words}".strip()
        command = self.commands.find(name)
        if command is None or not command.is_uncounted:
            refusal = self._throttle.take(call.user_id)
            if refusal is not None:
                return Reply(tell_hurried(refusal.seconds) if refusal.is_news else "", is_done=False)
        needed = Role.MEMBER if command is None else command.needs(words)
        try:
            role = await self._role_for(call.user_id, needed)
        except DeliveryError as error:
            return Reply(f"⚠️ {error}", is_done=False)
        call = replace(call, words=words, role=role)
        if role < needed:
            return Reply(tell_refusal(role, needed), is_done=False)
        if command is None:
            return Reply(tell_unknown(name, self.commands.nearest(name, role), call), is_done=False)
        return await carry_out(command, call)

    async def _help(self, call: Call) -> Reply:
        name = call.words.removeprefix(call.lead.strip()).strip().lower()
        if not name:
            return Reply(tell_intro(), build_help(self.commands, call))
        command = self.commands.find(name)
        if command is None or command.role > call.role:
            return Reply(tell_unknown(name, self.commands.nearest(name, call.role), call), is_done=False)
        return Reply(render_command(command, call))


def tell_hurried(seconds: int) -> str:
    """Say that these are too many orders, and when there is room again."""
    sentence = _("That is more than I can do for one person at once. I take the next order in {seconds} s.")
    return sentence.format(seconds=seconds)


async def carry_out(command: Command, call: Call) -> Reply:
    """Do what is ordered; whatever goes wrong becomes a sentence."""
    try:
        return await command.run(call)
    except UsageError as error:
        return Reply(f"{error} {tell_usage(command, call)}", is_done=False)
    except EngineUnavailable:
        return Reply(_("My language model is not running. Please try again in a minute."), is_done=False)
    except ApprenticeError as error:
        return Reply(f"⚠️ {escape(str(error))}", is_done=False)
    except Exception:
        error_id = new_id()
        log.exception("commands: error %s in %s", error_id, command.name)
        sentence = _("Something went wrong on my side (error {error_id}).").format(error_id=error_id)
        return Reply(f"⚠️ {sentence}", is_done=False)


def register_commands(app: AsyncApp, *, desk: Desk) -> None:
    """Register the slash command."""

    @app.command(COMMAND)
    async def handle_command(ack: AsyncAck, respond: AsyncRespond, command: dict[str, Any]) -> None:
        call = Call(
            user_id=str(command["user_id"]),
            team_id=str(command.get("team_id") or ""),
            channel_id=str(command.get("channel_id") or ""),
            words="",
            trigger_id=str(command.get("trigger_id") or ""),
        )
        call = call.whispering(partial(_answer, respond))
        tell = partial(_answer, respond)
        async with telling_of_end(tell):
            order = desk.take(html.unescape(str(command.get("text") or "")), call)
            reply = await acknowledge_done(ack, order)
        await tell(reply)


@asynccontextmanager
async def telling_of_end(tell: Callable[[Reply], Awaitable[None]]) -> AsyncIterator[None]:
    """Say that this process ends, where an order ends with it that nothing but its own task knows of."""
    try:
        yield
    except asyncio.CancelledError:
        if not pledges.is_taken():
            await tell(Reply(tell_ended(), is_done=False))
            await pledges.redeem()
        raise


def tell_ended() -> str:
    """Say that this process ended before the order was carried out."""
    return _("I am being restarted and could not finish this. Please send it again in a minute.")


async def _answer(respond: AsyncRespond, reply: Reply) -> None:
    """Say what came of an order; where Slack refuses to show it, that."""
    if not reply.text and not reply.blocks:
        return
    seen_by = "in_channel" if reply.is_for_all else "ephemeral"
    said = await respond(text=reply.text, blocks=reply.blocks or None, response_type=seen_by)
    if said.status_code != HTTPStatus.OK:
        code = (CODE.findall(said.body) or [str(said.status_code)])[-1]
        log.warning("commands: a reply could not be shown (%s)", code)
        await respond(text=tell_untaken(code), response_type="ephemeral")
