"""`data`, `my-data`, `forget-me`: what is stored of somebody, exported or deleted; and for how long it is kept."""

import asyncio

from bot.admin import data
from bot.language import _
from bot.learning.control import Learning
from bot.learning.forgetting import Forgotten
from bot.slack.calls import Calls
from bot.slack.commands.order_buttons import ask, done
from bot.slack.commands.order_words import Words, is_channel, read_channel, read_number, read_user, read_words
from bot.slack.commands.orders import Call, Command, Reply, Role, UsageError
from bot.slack.delivery.uploads import send_file
from bot.slack.people.directory import Directory
from bot.storage.db import Database

FOREVER, DEFAULT = "forever", "default"
MOST_DAYS = 3650


def build_data_commands(database: Database, learning: Learning, calls: Calls, *, retention_days: int) -> list[Command]:
    """Build the three commands."""
    orders = DataOrders(database, learning, calls, retention_days)
    return [
        Command(
            name="my-data",
            usage="",
            purpose=_("sends you all that I have stored of you, as a file that only you see"),
            run=orders.export_own,
            role=Role.BARRED,
            group=_("What I know of you"),
            example="my-data",
        ),
        Command(
            name="forget-me",
            usage="",
            purpose=_("deletes all that I have stored of you, and what I learned from it"),
            run=orders.forget_own,
            role=Role.BARRED,
            group=_("What I know of you"),
            example="forget-me",
        ),
        Command(
            name="data",
            usage=_("export @NAME | forget @NAME | retention [#CHANNEL DAYS|forever|default]"),
            purpose=_("exports or deletes what I have stored of somebody; says for how long I keep what"),
            run=orders.run,
            role=Role.ADMIN,
            group=_("Run me"),
            words=("export", "forget", "retention"),
            roles={"export": Role.OWNER, "forget": Role.OWNER},
            example=_("data retention #support 90"),
        ),
    ]


class DataOrders:
    """What is done with what is stored."""

    def __init__(self, database: Database, learning: Learning, calls: Calls, retention_days: int) -> None:
        self._database = database
        self._learning = learning
        self._calls = calls
        self._retention_days = retention_days
        self._exporting = asyncio.Lock()

    async def export_own(self, call: Call) -> Reply:
        """Send somebody what is stored of them."""
        return await self._export(call.user_id, call)

    async def forget_own(self, call: Call) -> Reply:
        """Forget whoever asks, once they are sure."""
        return await self._forget(call.user_id, call, is_sure=read_words(call.words).is_sure, order="forget-me")

    async def run(self, call: Call) -> Reply:
        """Export, forget, or say and set how long things are kept."""
        words = read_words(call.words)
        if words.verb == "retention":
            return await self._retain(words, call)
        if words.verb not in {"export", "forget"} or len(words.parts) != 1:
            raise UsageError(_("I need to know of whom, and what to do."))
        user_id = read_user(words.parts[0])
        if words.verb == "export":
            return await self._export(user_id, call)
        return await self._forget(user_id, call, is_sure=words.is_sure, order=f"data forget {user_id}")

    async def _export(self, user_id: str, call: Call) -> Reply:
        async with self._exporting:  # one at a time: each may hold a person's years
            document = await data.export_person(self._database, user_id, by=call.user_id)
        title = _("What I have stored of you")
        if user_id != call.user_id:
            title = _("What I have stored of {user}").format(user=await Directory(self._calls).name(user_id))
            told = _("{owner}, an owner of the assistant, has exported a copy of what I have stored of you.")
            text = told.format(owner=f"<@{call.user_id}>")
            await self._calls.call_if_possible("chat.postMessage", channel=user_id, text=text)
        await send_file(self._calls, call.user_id, document, name=f"data-export-{user_id}.json", title=title)
        return Reply(
            _("It is in your direct messages with me. I keep no copy of the file; delete it when you are done.")
        )

    async def _forget(self, user_id: str, call: Call, *, is_sure: bool, order: str) -> Reply:
        if not is_sure:
            return ask(tell_forgetting(user_id), order, label=_("Delete it all"))
        return Reply(tell_forgotten(await self._learning.forget(user_id, by=call.user_id)))

    async def _retain(self, words: Words, call: Call) -> Reply:
        if not words.parts:
            return Reply(await self._tell_retention())
        if len(words.parts) != 2 or not is_channel(words.parts[0]):
            raise UsageError(_("I need a channel and for how many days."))
        channel_id, days = read_channel(words.parts[0]), _read_days(words.parts[1])
        if days and not words.is_sure:
            question = _(
                "Delete what was said to me in {channel} once it is {days} days old? What is older goes tonight."
            )
            order = f"data retention {channel_id} {days}"
            return ask(question.format(channel=f"<#{channel_id}>", days=days), order, label=_("Delete"))
        before = await data.set_retention(self._database, channel_id, days, by=call.user_id)
        said = _("I keep what is said to me in {channel} {days}.").format(
            channel=f"<#{channel_id}>", days=self._say_days(days)
        )
        return done(said, f"data retention {channel_id} {_write_days(before)}")

    async def _tell_retention(self) -> str:
        found = await data.read_retention(self._database)
        lines = [_("I keep what is said to me {days}.").format(days=self._say_days(None))]
        lines += [f"<#{channel_id}>: {self._say_days(days)}" for channel_id, days in found.items()]
        return "\n".join(lines)

    def _say_days(self, days: int | None) -> str:
        wanted = self._retention_days if days is None else days
        return _("for {days} days").format(days=wanted) if wanted else _("until somebody deletes it")


def tell_forgetting(user_id: str) -> str:
    """Say what forgetting somebody means, before it is done."""
    return _(
        "Delete all that I have stored of {user}? Their messages, my answers to them, votes, corrections, files, and "
        "what waits to be learned go for good. What I learned from them is taken back, so that I may answer everybody "
        "less well until the next night. Messages in Slack stay as they are. This cannot be undone."
    ).format(user=f"<@{user_id}>")


def tell_forgotten(forgotten: Forgotten) -> str:
    """Say what went."""
    if not forgotten.counts and not forgotten.runs:
        return _("There was nothing stored.")
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in forgotten.counts.items())
    lines = [_("Deleted: {counts}.").format(counts=counts or _("nothing"))]
    if forgotten.runs:
        lines.append(_("The examples of {count} trainings are gone too.").format(count=len(forgotten.runs)))
    if forgotten.adapters:
        lines.append(_("Never served again: {names}.").format(names=", ".join(forgotten.adapters)))
    return " ".join(lines)


def _read_days(word: str) -> int | None:
    if word.lower() == DEFAULT:
        return None
    return 0 if word.lower() == FOREVER else read_number(word, least=1, most=MOST_DAYS)


def _write_days(days: int | None) -> str:
    return DEFAULT if days is None else FOREVER if days == 0 else str(days)
