"""Help about commands: those that the reader may give, under their headings, or one of them in full. Pure."""

from collections.abc import Iterable

from bot.language import _
from bot.slack.blocks import Block, section
from bot.slack.commands.orders import Call, Command, Commands
from bot.slack.delivery.render import escape

MOST_IN_SECTION = 2800  # characters; Slack takes 3000
SHOWN_NAME = 40


def build_help(commands: Commands, call: Call) -> list[Block]:
    """Build the whole help for somebody, a section for each heading."""
    groups: dict[str, list[str]] = {}
    for command in commands.for_role(call.role):
        groups.setdefault(command.group, []).append(render_line(command, call.lead))
    named = {heading: lines for heading, lines in groups.items() if heading} | (
        {_("More"): groups[""]} if "" in groups else {}
    )
    parts = [tell_intro(), *(part for heading, lines in named.items() for part in _paragraphs(_(heading), lines))]
    return [section(part) for part in [*parts, tell_where(call)]]


def tell_intro() -> str:
    """Say how one talks to the assistant and teaches it."""
    return _(
        "*I answer* in direct messages, when you mention me in a channel, and in threads that I am part of.\n"
        "*Teach me* with 👍 and 👎 under an answer; 👎 asks what I should have said."
    )


def tell_where(call: Call) -> str:
    """Say where commands can be written and how one reads more."""
    where = _("In a thread, where Slack has no slash commands, write `!` before the name: `!help`.")
    more = _("More about one of them: {help}").format(help=call.written("help NAME"))
    return f"{where} {more}"


def render_line(command: Command, lead: str) -> str:
    """Say in one line what a command is for."""
    return f"`{lead}{_written(command)}`  {_(command.purpose)}"


def render_command(command: Command, call: Call) -> str:
    """Say how one command is written, what it is for, and what it looks like."""
    lines = [_(command.purpose), tell_usage(command, call)]
    if command.example:
        lines.append(_("For example: {example}").format(example=call.written(_(command.example))))
    return "\n".join(lines)


def tell_usage(command: Command, call: Call) -> str:
    """Say how a command is written."""
    return _("It is written {usage}.").format(usage=f"`{call.lead}{_written(command)}`")


def tell_unknown(name: str, near: Command | None, call: Call) -> str:
    """Say that there is no such command, and which was probably meant."""
    shown = escape(name[:SHOWN_NAME]).replace("`", "")
    said = _("I do not know {name}.").format(name=f"`{call.lead}{shown}`")
    if near is not None:
        said += " " + _("Did you mean {name}?").format(name=call.written(near.name))
    return said + " " + _("All of them: {help}").format(help=call.written("help"))


def _written(command: Command) -> str:
    return f"{command.name} {_(command.usage)}".strip() if command.usage else command.name


def _paragraphs(heading: str, lines: Iterable[str]) -> list[str]:
    """Return the lines below their heading, in as many pieces as Slack's limit asks for."""
    pieces = [f"*{heading}*"]
    for line in lines:
        if len(pieces[-1]) + len(line) < MOST_IN_SECTION:
            pieces[-1] += f"\n{line}"
        else:
            pieces.append(line)
    return pieces
