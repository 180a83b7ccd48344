"""The Home's fifth part: how somebody wants to be answered."""

from collections.abc import Sequence

from bot.language import _
from bot.slack.blocks import Block, context, header, section
from bot.slack.commands.preferences import ADAPTER, Wish
from bot.slack.home.controls import build_select


def build_wishes(wishes: Sequence[Wish]) -> list[Block]:
    """Build it."""
    blocks = [header(_("How you are answered"))]
    for wish in wishes:
        order = f"preferences {wish.name}"
        orders = [(f"{order} {value}", label) for value, label in wish.options.items()]
        select = build_select(orders, name=wish.name, chosen=f"{order} {wish.chosen}")
        blocks.append(section(wish.label, accessory=select))
    if all(wish.name != ADAPTER for wish in wishes):
        blocks.append(context(_("The same model answers everybody; admins can let people choose.")))
    return blocks
