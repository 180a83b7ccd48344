"""What each person wants of the assistant, ordered in words: language, length, who answers, what they are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.language import LANGUAGES, _, speaking, spoken
from bot.learning.control import Learning
from bot.slack.commands.orders import Call, Command, Reply, UsageError
from bot.slack.delivery.render import escape
from bot.storage.db import Database
from bot.storage.preference_tables import ANONYMOUS, NAMED, PRIVATE
from bot.storage.preferences import BASE, Preferences, load_preferences, save_preferences
from bot.storage.privacy import Privacy, choose_privacy, find_privacy

LANGUAGE, LENGTH, STREAMING, ADAPTER, NEWS, AUTO = "language", "length", "streaming", "adapter", "news", "auto"
NORMAL, ON, OFF = "normal", "on", "off"
PRIVACY, REMARKS, HINTS = "privacy", "remarks", "hints"
USAGE = (
    "[language auto|en|zh] [length short|normal|long] [streaming on|off] [adapter auto|base|NAME] [news on|off] "
    "[privacy normal|unlearned|unstored] [remarks named|anonymous|private] [hints on|off]"
)
NAMES = (LANGUAGE, LENGTH, STREAMING, ADAPTER, NEWS, PRIVACY, REMARKS, HINTS)


@dataclass(frozen=True, slots=True)
class Wish:
    """Something that a person can choose: its name, what it is about, the words to choose with, and the present one."""

    name: str
    label: str
    options: Mapping[str, str]
    chosen: str


def list_wishes(wish: Preferences, *, has_news: bool | None, adapters: Sequence[str] | None) -> list[Wish]:
    """List what a person can choose; *adapters* None: not who answers, *has_news* None: nothing about learning."""
    switch = {ON: _("yes"), OFF: _("no")}
    languages = {AUTO: _("the one of your Slack"), **LANGUAGES}
    lengths = {"short": _("short"), NORMAL: _("normal"), "long": _("long")}
    wishes = [
        Wish(LANGUAGE, _("The language that I speak to you"), languages, wish.language or AUTO),
        Wish(LENGTH, _("How long answers are"), lengths, wish.length or NORMAL),
        Wish(STREAMING, _("Answers grow as they are written"), switch, ON if wish.streams else OFF),
    ]
    if adapters is not None:
        known = {AUTO: _("what everybody gets"), BASE: _("the base model"), **{name: name for name in adapters}}
        chosen = wish.adapter if wish.adapter in known else AUTO
        wishes.append(Wish(ADAPTER, _("What answers you"), known, chosen))
    if has_news is not None:
        told = _("I tell you when I have learned what you corrected")
        wishes.append(Wish(NEWS, told, switch, ON if has_news else OFF))
    return wishes


def list_privacy(wish: Preferences, privacy: Privacy) -> list[Wish]:
    """List what a person can choose about what stays of what they say, and who sees it."""
    stays = {
        Privacy.NORMAL: _("stored and learned from"),
        Privacy.UNLEARNED: _("stored, not learned from"),
        Privacy.UNSTORED: _("not stored"),
    }
    shown = {
        NAMED: _("with my name"),
        ANONYMOUS: _("without my name"),
        PRIVATE: _("not at all"),
    }
    switch = {ON: _("yes"), OFF: _("no")}
    return [
        Wish(PRIVACY, _("What becomes of what you ask and I answer"), {str(key): stays[key] for key in stays}, privacy),
        Wish(REMARKS, _("How those who run me see what you write beside a 👎"), shown, wish.shown or NAMED),
        Wish(HINTS, _("I remind you of the thumbs, seldom"), switch, ON if wish.has_hints else OFF),
    ]


def build_preference_commands(database: Database, learning: Learning | None = None) -> list[Command]:
    """Build the command by which people say how they want to be answered."""

    async def run(call: Call) -> Reply:
        name, _space, value = call.words.strip().partition(" ")
        name, value = name.lower(), value.strip()
        wishes = await find_wishes(database, learning, call.user_id)
        if name:
            wish = next((one for one in wishes if one.name == name), None)
            if wish is None and name == ADAPTER:
                raise UsageError(_("The same model answers everybody; admins can let people choose."))
            known = {word.lower(): word for word in wish.options} if wish is not None else {}
            if value.lower() not in known:
                raise UsageError(_("I do not understand that."))
            await _keep(database, learning, call.user_id, name, known[value.lower()])
            wishes = await find_wishes(database, learning, call.user_id)
        chosen = next(one.chosen for one in wishes if one.name == LANGUAGE)
        with speaking(spoken() if chosen == AUTO else chosen):
            told = await find_wishes(database, learning, call.user_id)
            return Reply(tell_wishes([one for one in told if name in {"", one.name}]))

    return [
        Command(
            name="preferences",
            usage=USAGE,
            purpose=_("how you want to be answered: one of them at a time, or none to read them"),
            run=run,
            group=_("About me"),
            words=NAMES,
            example=_("preferences length short"),
        )
    ]


async def find_wishes(database: Database, learning: Learning | None, user_id: str) -> list[Wish]:
    """Return what a person can choose, and what they have chosen."""
    async with database.read() as session:
        wish = await load_preferences(session, user_id)
        private = list_privacy(wish, await find_privacy(session, user_id))
    if learning is None:
        return [*list_wishes(wish, has_news=None, adapters=None), *private]
    has_news = await learning.is_chosen(NEWS, user_id) is not False
    return [*list_wishes(wish, has_news=has_news, adapters=await learning.choosable()), *private]


def tell_wishes(wishes: Sequence[Wish]) -> str:
    """Say what somebody has chosen."""
    line = _("{label}: *{choice}*")
    lines = [line.format(label=one.label, choice=escape(one.options[one.chosen])) for one in wishes]
    return "\n".join([_("From your next answer on:"), *(f"• {line}" for line in lines)])


async def _keep(database: Database, learning: Learning | None, user_id: str, name: str, value: str) -> None:
    if name == NEWS and learning is not None:
        await learning.choose(NEWS, user_id, is_allowed=value == ON, by=user_id)
        return
    async with database.begin() as session:
        if name == PRIVACY:
            await choose_privacy(session, user_id, Privacy(value))
        else:
            await save_preferences(session, user_id, **_read(name, value))


def _read(name: str, value: str) -> dict[str, Any]:
    if name == STREAMING:
        return {"streams": value == ON}
    if name == HINTS:
        return {"has_hints": value == ON}
    if name == REMARKS:
        return {"shown": value}
    return {name: "" if value in {AUTO, NORMAL} else value}
