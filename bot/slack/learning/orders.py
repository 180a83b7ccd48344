"""What people order about learning: words in, an order or a sentence about its use out. Pure."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from bot.language import _

TRAIN, ADAPTERS, ME, CHANNEL = "train", "adapters", "learn-from-me", "learn-from-channel"
TRAIN_VERBS = ("status", "now", "dry", "pause", "resume", "cancel", "on", "off")
ADAPTER_VERBS = ("list", "show", "promote", "rollback", "compare", "choice")
CHOICES = ("status", "on", "off")
OWN, SHARED = "own", "shared"
USES = {
    TRAIN: f"[{'|'.join(TRAIN_VERBS)}]",
    ADAPTERS: "[list|show NAME|promote NAME|rollback [NAME] [why]|compare [NAME …:] QUESTION|choice [on|off]]",
    ME: "[on|off]",
    CHANNEL: f"[on|off|{OWN}|{SHARED}]",
}
EXAMPLES = {
    "promote": "adapters promote apprentice-7",
    "compare": "adapters compare apprentice-6 apprentice-7: Who owns the billing service?",
}
NAME = re.compile(r"[\w.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Order:
    """Something to do: *verb* of *topic*, with the adapter's name or the words that follow it."""

    topic: str
    verb: str
    words: str = ""
    seen: str = ""  # the state in which the adapter was shown, where a button orders it

    @property
    def is_for_admins(self) -> bool:
        """Return whether only admins may order this."""
        return self.topic in {ADAPTERS, CHANNEL} or (self.topic == TRAIN and self.verb != "status")


@dataclass(frozen=True, slots=True)
class Misuse:
    """An order that cannot be understood, and a sentence that says how it is given."""

    sentence: str


def list_words(topic: str) -> tuple[str, ...]:
    """Return the words that may follow a topic."""
    verbs = {TRAIN: TRAIN_VERBS, ADAPTERS: ADAPTER_VERBS, CHANNEL: (*CHOICES, OWN, SHARED)}
    return verbs.get(topic, CHOICES)


def parse_order(text: str) -> Order | Misuse | None:
    """Read what follows the command; None when it is not about learning."""
    topic, _, rest = text.strip().partition(" ")
    topic, rest = topic.lower(), rest.strip()
    if topic not in USES:
        return None
    verb, _, words = rest.partition(" ")
    verb, words = verb.lower(), words.strip()
    if topic == ADAPTERS:
        return _parse_adapters(verb or "list", words)
    if not verb:
        return Order(topic, "status")
    return Order(topic, verb) if verb in list_words(topic) and not words else Misuse(_use(topic, rest))


def _parse_adapters(verb: str, words: str) -> Order | Misuse:
    is_named = bool(NAME.fullmatch(words))
    fits = {
        "list": not words,
        "show": is_named or not words,
        "promote": is_named,
        "rollback": True,
        "compare": bool(words),
        "choice": words.lower() in {"", "on", "off"},
    }
    if fits.get(verb, False):
        return Order(ADAPTERS, verb, words)
    if verb in EXAMPLES:
        return Misuse(_("{verb} needs more than that.").format(verb=f"`{verb}`") + " " + _example(verb))
    return Misuse(_use(ADAPTERS, f"{verb} {words}".strip()))


def _use(topic: str, rest: str) -> str:
    given = re.sub(r"[`<>&\s]+", " ", rest)[:40].strip()
    return _("I do not know {order}.").format(order=f"`{topic} {given}`")


def _example(verb: str) -> str:
    return _("For example: {example}").format(example=f"`{EXAMPLES[verb]}`")


def split_rollback(words: str, known: Collection[str]) -> tuple[str, str]:
    """Return the adapter that is to be taken back, empty for the newest one served, and why."""
    first, _, rest = words.partition(" ")
    return (first, rest.strip()) if first in known else ("", words)


def split_comparison(words: str, known: Collection[str]) -> tuple[tuple[str, ...], str]:
    """Return the adapters before a colon and the question after it; all is question unless each of them is *known*."""
    before, colon, after = words.partition(":")
    names = tuple(before.split())
    if colon and names and after.strip() and all(name in known for name in names):
        return names, after.strip()
    return (), words
