"""What each person wants of the assistant, ordered in words: language, length, and whether answers grow."""

from typing import Any

from bot.language import LANGUAGES, _, speaking, spoken
from bot.slack.commands.orders import Call, Command, Reply, UsageError
from bot.storage.db import Database
from bot.storage.preferences import Preferences, load_preferences, save_preferences

LANGUAGE, LENGTH, STREAMING, AUTO = "language", "length", "streaming", "auto"
VALUES = {
    LANGUAGE: (AUTO, *LANGUAGES),
    LENGTH: ("short", "normal", "long"),
    STREAMING: ("on", "off"),
}


def build_preference_commands(database: Database) -> list[Command]:
    """Build the command by which people say how they want to be answered."""

    async def run(call: Call) -> Reply:
        name, _space, value = call.words.strip().lower().partition(" ")
        value = value.strip()
        if name and value not in VALUES.get(name, ()):
            raise UsageError
        async with database.begin() as session:
            if name:
                await save_preferences(session, call.user_id, **_read(name, value))
            wish = await load_preferences(session, call.user_id)
        with speaking(wish.language or spoken()):
            return Reply(tell_preferences(wish))

    return [
        Command(
            name="preferences",
            usage="[language auto|en|zh] [length short|normal|long] [streaming on|off]",
            purpose=_("how you want to be answered: one of them at a time, or none to read them"),
            run=run,
            group=_("About me"),
            words=tuple(VALUES),
            example=_("preferences length short"),
        )
    ]


def tell_preferences(wish: Preferences) -> str:
    """Say how somebody is answered from the next answer on."""
    lengths = {"": _("normal"), "short": _("short"), "long": _("long")}
    language = LANGUAGES.get(wish.language) or _("the one of your Slack")
    streaming = _("answers grow as they are written") if wish.streams else _("answers come as a whole")
    sentence = _("Your preferences: language: {language}; length: {length}; {streaming}.")
    return sentence.format(language=language, length=lengths[wish.length], streaming=streaming)


def _read(name: str, value: str) -> dict[str, Any]:
    if name == LANGUAGE:
        return {"language": "" if value == AUTO else value}
    if name == LENGTH:
        return {"length": "" if value == "normal" else value}
    return {"streams": value == "on"}
