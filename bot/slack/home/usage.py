"""The Home's second part: how much of the assistant somebody has used today."""

from bot.admin.budgets import Use
from bot.language import _
from bot.slack.blocks import Block, header, section
from bot.slack.home.pictures import draw_bar
from bot.slack.learning.words import tell_time


def build_usage(use: Use) -> list[Block]:
    """Build it."""
    return [header(_("Your use today")), section(tell_use(use))]


def tell_use(use: Use) -> str:
    """Say what was used and what is left, with a bar where there is a limit."""
    if not use.answers:
        said = _("You have not asked me anything today.")
    elif use.answers == 1:
        said = _("1 answer, {tokens} tokens.").format(tokens=f"{use.used:,}")
    else:
        said = _("{answers} answers, {tokens} tokens.").format(answers=use.answers, tokens=f"{use.used:,}")
    if not use.limit:
        return f"{said} " + _("There is no limit for you.")
    share = use.used / use.limit
    left = _("{share:.0%} of {limit} tokens a day").format(share=share, limit=f"{use.limit:,}")
    lines = [said, f"`{draw_bar(share)}` {left}"]
    if use.is_over:
        lines.append(_("Nothing is left; I answer you again from {time} on.").format(time=tell_time(use.free_at)))
    return "\n".join(lines)
