"""`!NAME …` in a message, since Slack has no slash commands in threads: is it an order, and for whom? Pure."""

import html
import re
from dataclasses import replace
from typing import Any

from bot.slack.commands.asking import ASK, read_ask
from bot.slack.commands.orders import Commands, Role, UsageError
from bot.slack.people.gating import Heard

STOP = "stop"  # the name of the order
ORDER = "order"  # the inbox's word for an order, which no model ever reads
UNHEARD = "unheard"  # an order to somebody else
NEAR = "near"  # one that is probably mistyped, and ours where we take part
SIGNS = tuple("!.！。")
TYPO = 0.8  # how like the name of an order a mistyped one is at least
LINE = "!"  # before the time of an order, in the place of a thread: it waits for no answer in its thread
BANGED = re.compile(r"[!！]([A-Za-z][A-Za-z-]{0,31})(?:\s+(.*)|([!.！。]+))?", re.DOTALL)  # !stop! is meant as well
MENTION = re.compile(r"\s*<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>[\s,:]*")


def read_bang(text: str, *, bot_user_id: str) -> tuple[str, str] | None:
    """Return the name and the words of an order, which our own name may stand before; None for any other message."""
    while (found := MENTION.match(text)) and found[1] == bot_user_id:
        text = text[found.end() :]
    banged = BANGED.fullmatch(html.unescape(text.strip()))
    return (banged[1].lower(), (banged[2] or "").strip()) if banged else None


def is_order(text: str, *, bot_user_id: str, among: Commands | None = None) -> bool:
    """Return whether a message is an order, one *among* those known if they are given, and no question by `!ask`."""
    read = read_bang(text, bot_user_id=bot_user_id)
    if read is None or (among is not None and among.find(read[0]) is None):
        return False
    return read[0] != ASK or not _is_open_question(read[1])


def mark_order(heard: Heard, commands: Commands, *, bot_user_id: str) -> Heard:
    """Return *heard* as what it is: a message, an order, or an order to another bot, or a mistyped one to us.

    What is asked with `!ask` is a question like any other, unless nobody else may read the answer.
    """
    event = heard.arrival.payload["event"]
    read = read_bang(str(event.get("text") or ""), bot_user_id=bot_user_id)
    is_addressed = heard.is_direct or heard.is_mention
    if read is None or heard.bot_id or not (is_addressed or heard.is_reply):
        return heard
    name, words = read
    if commands.find(name) is None and not words and str(event["text"]).rstrip().endswith(SIGNS):
        return heard  # !wow!
    if commands.find(name) is None and not is_addressed:
        kind = NEAR if _is_near(name, words, commands) else UNHEARD
        return replace(heard, arrival=replace(heard.arrival, kind=kind))
    if name == ASK and commands.find(ASK) is not None and _is_open_question(words):
        return replace(heard, is_mention=True)
    files = {"files": event["files"]} if name == ASK and event.get("files") else {}
    return _as_order(heard, f"{name} {words}".strip(), **files)


def _is_near(name: str, words: str, commands: Commands) -> bool:
    """Return whether an order is probably a mistyped one of ours, also with blanks for hyphens."""
    said = [name, *words.split()[:2]]
    names = ("-".join(said[: count + 1]) for count in range(len(said)))
    return any(commands.nearest(one, Role.MEMBER, likeness=TYPO) is not None for one in names)


def as_mistyped(heard: Heard) -> Heard:
    """Return what is nearly an order as one: whoever gave it hears which they probably meant."""
    name, words = read_bang(str(heard.arrival.payload["event"].get("text") or ""), bot_user_id="") or ("", "")
    return _as_order(heard, f"{name} {words}".strip())


def _as_order(heard: Heard, order: str, **files: Any) -> Heard:
    event = heard.arrival.payload["event"]
    payload = {
        "user_id": heard.user_id,
        "order": order,
        "thread_ts": event.get("thread_ts"),
        "channel_type": event.get("channel_type"),
        "is_shared": heard.arrival.payload["is_shared"],
        **files,
    }
    line = f"{LINE}{heard.arrival.ts}"
    return replace(heard, arrival=replace(heard.arrival, kind=ORDER, thread_ts=line, payload=payload))


def _is_open_question(words: str) -> bool:
    try:
        return not read_ask(words).put.is_private
    except UsageError:
        return False  # whoever asks is told what is wrong
