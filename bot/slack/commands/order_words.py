"""What stands behind a command's name: verbs, people, channels, numbers, `--yes`. Pure."""

import re
from dataclasses import dataclass

from bot.language import _
from bot.slack.commands.orders import UsageError

YES = "--yes"
USER = re.compile(r"<@([UW][A-Z0-9]{2,30})(?:\|[^>]*)?>|([UW][A-Z0-9]{2,30})")
CHANNEL = re.compile(r"<#([CG][A-Z0-9]{2,30})(?:\|[^>]*)?>|([CG][A-Z0-9]{2,30})")


@dataclass(frozen=True, slots=True)
class Words:
    """An order's words: the first is the verb; *is_sure* says that `--yes` was among them."""

    verb: str
    rest: str
    is_sure: bool

    @property
    def parts(self) -> list[str]:
        """Return the words after the verb."""
        return self.rest.split()


def read_words(text: str, default: str = "") -> Words:
    """Read an order's words."""
    found = [word for word in text.split(" ") if word != YES]
    verb, _space, rest = " ".join(found).strip().partition(" ")
    return Words(verb.lower() or default, rest.strip(), YES in text.split(" "))


def read_user(word: str) -> str:
    """Return the id of a person who was mentioned, or written as an id."""
    match = USER.fullmatch(word)
    if match is None:
        raise UsageError(_("I need a person, written as a mention: @name."))
    return match[1] or match[2]


def read_channel(word: str) -> str:
    """Return the id of a channel that was mentioned, or written as an id."""
    match = CHANNEL.fullmatch(word)
    if match is None:
        raise UsageError(_("I need a channel, written as a mention: #name."))
    return match[1] or match[2]


def is_channel(word: str) -> bool:
    """Return whether a word names a channel."""
    return CHANNEL.fullmatch(word) is not None


def read_number(word: str, *, least: int = 0, most: int = 1_000_000_000) -> int:
    """Return a number as people write it, with or without commas."""
    plain = word.replace(",", "").replace("_", "")
    if not plain.isdecimal() or not least <= int(plain) <= most:
        raise UsageError(_("I need a whole number from {least} to {most}.").format(least=least, most=f"{most:,}"))
    return int(plain)
