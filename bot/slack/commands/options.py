"""Options before the free text of a command: `ask --short -n 3 What is a PR?`. One parser for all of them. Pure.

Click reads the options; around it stands what people's keyboards make of them: phones turn `--` into a dash and quotes
into curly ones, and what follows the options is a text, in which apostrophes and dashes mean nothing.
"""

import re
from itertools import islice
from typing import Any

import click

from bot.language import _
from bot.slack.commands.orders import UsageError
from bot.slack.delivery.render import escape

DASHES = "‐‑‒–—―−﹣－"
LONG_DASHES = "–—―"
QUOTES = "\"'“”„‟‘’‚‛«»「」"
LEADING = re.compile(rf"(-{{1,2}}|[{DASHES}]{{1,2}})(?=[A-Za-z])")
WORD = re.compile(r"\S+")
SHOWN_LENGTH = 40
MOST_WORDS = 40  # are looked at: to read each of ten thousand as an option takes a second


class Options:
    """The options that a command takes, as Click's own."""

    def __init__(self, *params: click.Option) -> None:
        self._command = click.Command("order", params=list(params), add_help_option=False)
        self._flags = {name for param in params if param.is_flag for name in param.opts}
        self.names = tuple(name for param in params for name in param.opts[:1])

    def read(self, words: str) -> tuple[dict[str, Any], str]:
        """Return the options and the text behind them; raise *UsageError* for one that is unknown or wrong."""
        found = list(islice(WORD.finditer(words), MOST_WORDS))
        values, rest = self._parse([_plain(match[0]) for match in found])
        start = found[len(found) - rest].start() if rest else found[-1].end() if found else 0
        return values, unquote(words[start:].strip())

    def _parse(self, given: list[str]) -> tuple[dict[str, Any], int]:
        """Let Click read what stands before the text; return how many words the text has."""
        context = click.Context(self._command, allow_extra_args=True, allow_interspersed_args=False)
        try:
            rest = self._command.parse_args(context, given)
        except click.NoSuchOption as error:
            raise UsageError(_tell_unknown(error)) from error
        except click.BadOptionUsage as error:
            said = _("{option} takes no value.") if error.option_name in self._flags else _("{option} needs a value.")
            raise UsageError(said.format(option=_code(error.option_name))) from error
        except click.BadParameter as error:
            raise UsageError(_tell_wrong(error)) from error
        return context.params, len(rest)


def unquote(text: str) -> str:
    """Return a text without the quotes that somebody put around all of it."""
    is_quoted = len(text) > 1 and text[0] in QUOTES and text[-1] in QUOTES
    inner = text[1:-1]
    return inner.strip() if is_quoted and not any(quote in inner for quote in QUOTES) else text


def _plain(word: str) -> str:
    """Return a word with the hyphens that its author typed; only at its beginning, the rest may be text."""
    found = LEADING.match(word)
    if found is None:  # -5 is a number, - a dash: to Click they must not look like options
        return word if word == "--" or not word.startswith("-") else f"\0{word}"
    lead, name = found[0], word[found.end() :]
    is_long = len(lead) > 1 or (lead in LONG_DASHES and len(name.partition("=")[0]) > 1)
    return ("--" if is_long or (lead == "-" and len(name) > 1 and name.isalpha()) else "-") + name


def _tell_unknown(error: click.NoSuchOption) -> str:
    said = _("I do not know the option {option}.").format(option=_code(error.option_name))
    if error.possibilities:
        said += " " + _("Did you mean {option}?").format(option=_code(error.possibilities[0]))
    return said


def _tell_wrong(error: click.BadParameter) -> str:
    param = error.param
    name = param.opts[0] if param is not None else ""
    if isinstance(param, click.Option) and isinstance(param.type, click.IntRange):
        said = _("{option} takes a number from {least} to {most}.")
        return said.format(option=_code(name), least=param.type.min, most=param.type.max)
    if isinstance(param, click.Option) and isinstance(param.type, click.Choice):
        choices = ", ".join(_code(str(choice)) for choice in param.type.choices)
        return _("{option} takes one of {choices}.").format(option=_code(name), choices=choices)
    return _("{option} does not take that value.").format(option=_code(name))


def _code(text: str) -> str:
    return f"`{escape(text.replace('`', '')[:SHOWN_LENGTH])}`"
