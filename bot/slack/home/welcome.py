"""The Home's beginning: what the assistant can do, for whoever opens it the first time."""

from bot.language import _
from bot.slack.blocks import Block, context, header, section
from bot.slack.setup.manifest import COMMAND


def build_welcome() -> list[Block]:
    """Build it."""
    lines = (
        _("*Ask me* in Messages, or mention me in a channel; I stay in the thread and read the files you share."),
        _("*Have me read for you*: sum up a thread or a channel, translate, explain, list what is to be done."),
        _("*Have me remember*: “remind me tomorrow at 9:00 to …”, or a digest of a channel every Monday."),
        _("*Teach me*: 👍 and 👎 under an answer; after 👎 you say what it should have been, and I learn it."),
    )
    more = _("Everything you can order: {help}. In a thread: {bang}.")
    return [
        header(_("What I can do")),
        section("\n".join(f"• {line}" for line in lines)),
        context(more.format(help=f"`{COMMAND} help`", bang="`!help`")),
    ]
