"""How a question is put: `ask [--short|--long] [--no-history] [-n 2..4] [--private] QUESTION`. Pure."""

import re
from dataclasses import dataclass

import click

from bot.language import _
from bot.slack.commands.options import Options
from bot.slack.commands.orders import UsageError
from bot.storage.askings import Put

ASK = "ask"
USAGE = "[--short | --long] [--no-history] [-n 2–4] [--private] QUESTION"
MOST = 4
OPTIONS = Options(
    click.Option(["--short", "length"], flag_value="short", default=""),
    click.Option(["--long", "length"], flag_value="long"),
    click.Option(["--no-history"], is_flag=True),
    click.Option(["-n", "--n", "count"], type=click.IntRange(2, MOST)),
    click.Option(["--private"], is_flag=True),
)
BEGINNING = re.compile(rf"\s*[!！]{ASK}(?=\s|$)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ask:
    """A question without its options, and how it was put."""

    question: str
    put: Put


def read_ask(words: str) -> Ask:
    """Read what follows `ask`; raise *UsageError* with a sentence about what is missing or wrong."""
    values, question = OPTIONS.read(words)
    if not question:
        raise UsageError(_("I need a question."))
    put = Put(
        length=values["length"] or "",
        keeps_history=not values["no_history"],
        candidates=values["count"] or 1,
        is_private=values["private"],
    )
    return Ask(question, put)


def read_question(text: str) -> Ask:
    """Read a message, which may begin with `!ask` and its options; what is no such thing is the question itself."""
    found = BEGINNING.match(text)
    if found is None:
        return Ask(text, Put())
    try:
        return read_ask(text[found.end() :])
    except UsageError:
        return Ask(text, Put())
