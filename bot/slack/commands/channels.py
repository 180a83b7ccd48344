"""`channels`: where the assistant answers, what it answers there, and whether it learns from it."""

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.admin import channels
from bot.language import _
from bot.learning.control import Learning
from bot.slack.calls import Calls, error_code
from bot.slack.commands.order_buttons import done
from bot.slack.commands.order_words import Words, is_channel, read_channel, read_words
from bot.slack.commands.orders import Call, Command, Reply, Role, UsageError
from bot.storage.choices import CHANNEL
from bot.storage.db import Database
from bot.storage.manners_tables import Mode

MOST_SHOWN = 40
ON, OFF = "on", "off"


def build_channel_commands(database: Database, learning: Learning, calls: Calls) -> list[Command]:
    """Build the command."""
    return [
        Command(
            name="channels",
            usage=_("[list | allow #CHANNEL | block #CHANNEL | mode #CHANNEL MODE | training #CHANNEL on|off]"),
            purpose=_("where I answer, what I answer there, and whether I learn from it"),
            run=ChannelOrders(database, learning, calls).run,
            role=Role.ADMIN,
            group=_("Run me"),
            words=("list", "allow", "block", "mode", "training"),
            example=_("channels mode #support questions"),
        )
    ]


class ChannelOrders:
    """Decides about channels; without a channel it is the one in which the order is given."""

    def __init__(self, database: Database, learning: Learning, calls: Calls) -> None:
        self._database = database
        self._learning = learning
        self._calls = calls

    async def run(self, call: Call) -> Reply:
        """List the channels for which something was chosen, or choose something."""
        words = read_words(call.words, "list")
        if words.verb == "list":
            return Reply(await self._list(call.team_id))
        channel_id, rest = _read_place(words, call)
        if words.verb in {"allow", "block"} and not rest:
            return await self._set_mode(channel_id, Mode.OFF if words.verb == "block" else Mode.THREAD, call)
        if words.verb == "mode":
            if rest not in set(Mode):
                raise UsageError(_("The modes are {modes}.").format(modes=", ".join(Mode)))
            return await self._set_mode(channel_id, Mode(rest), call)
        if words.verb == "training" and rest in {ON, OFF}:
            return await self._set_training(channel_id, call, is_allowed=rest == ON)
        raise UsageError(_("I do not understand that."))

    async def _list(self, team_id: str) -> str:
        found = await channels.list_channels(self._database, team_id)
        lines = [f"<#{one.channel_id}>  `{one.mode}`  ({_say_mode(one.mode)})" for one in found[:MOST_SHOWN]]
        everywhere = _("Everywhere else: `{mode}` ({words}).").format(mode=Mode.THREAD, words=_say_mode(Mode.THREAD))
        return "\n".join([*lines, everywhere])

    async def _set_mode(self, channel_id: str, mode: Mode, call: Call) -> Reply:
        if channel_id != call.channel_id and await self._is_elsewhere(channel_id):
            sentence = _(
                "I do not see {channel} in this workspace: it is in another one, or it is private and I am not in it. "
                "Order this there, or invite me first."
            )
            return Reply(sentence.format(channel=f"<#{channel_id}>"), is_done=False)
        before = await channels.set_mode(self._database, call.team_id, channel_id, mode, by=call.user_id)
        said = _("In {channel} from now on: {words}.").format(channel=f"<#{channel_id}>", words=_say_mode(mode))
        return done(said, f"channels mode {channel_id} {before}")

    async def _is_elsewhere(self, channel_id: str) -> bool:
        """Return whether Slack says that the workspace has no such channel, as far as we may know."""
        try:
            await self._calls.call_soon("conversations.info", channel=channel_id)
        except (SlackApiError, aiohttp.ClientError, TimeoutError) as error:
            return error_code(error) == "channel_not_found"
        return False

    async def _set_training(self, channel_id: str, call: Call, *, is_allowed: bool) -> Reply:
        was = await self._learning.learns_from(channel_id)
        await self._learning.choose(CHANNEL, channel_id, is_allowed=is_allowed, by=call.user_id)
        said = _("I may learn from {channel}.") if is_allowed else _("I learn nothing from {channel} any more.")
        undo = f"channels training {channel_id} {ON if was else OFF}"
        return done(said.format(channel=f"<#{channel_id}>"), undo)


def _read_place(words: Words, call: Call) -> tuple[str, str]:
    """Return the channel that is meant and the words behind it."""
    first = words.parts[0] if words.parts else ""
    if is_channel(first):
        return read_channel(first), " ".join(words.parts[1:]).lower()
    if call.channel_id.startswith("D"):
        raise UsageError(_("I need a channel, written as a mention: #name."))
    return call.channel_id, words.rest.lower()


def _say_mode(mode: Mode) -> str:
    return {
        Mode.MENTION: _("only mentions are answered"),
        Mode.THREAD: _("mentions are answered, and what follows in their threads"),
        Mode.QUESTIONS: _("mentions, their threads, and questions are answered"),
        Mode.EVERYTHING: _("everything is answered"),
        Mode.OFF: _("nothing is answered"),
    }[mode]
