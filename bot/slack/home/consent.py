"""The Home's fourth part: what is stored of somebody, and whether it may be learned from."""

from bot.language import _
from bot.slack.blocks import Block, header, section
from bot.slack.commands.order_words import YES
from bot.slack.home.controls import build_order
from bot.slack.learning.commands import tell_choice


def build_consent(*, is_learned_from: bool | None, is_stored: bool) -> list[Block]:
    """Build it; *is_learned_from* None: the person has not chosen."""
    is_on = is_learned_from is not False
    learn = build_order(
        _("Do not learn from me") if is_on else _("Learn from me"),
        "learn-from-me off" if is_on else "learn-from-me on",
        name="learn",
    )
    stored = _("All that I have stored of you comes as a file into your direct messages, for you alone.")
    gone = _(
        "Messages, answers, votes, corrections and files go for good, and what was learned from them is taken back. "
        "It cannot be undone."
    )
    forget = build_order(_("Forget me"), f"forget-me {YES}", name="forget", question=gone, style="danger")
    return [
        header(_("Your data")),
        section(tell_choice("person", is_allowed=is_learned_from, is_stored=is_stored), accessory=learn),
        section(stored, accessory=build_order(_("Download"), "my-data", name="data")),
        section(_("I can forget you: what you told me, and what I learned from it."), accessory=forget),
    ]
