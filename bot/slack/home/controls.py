"""Buttons and lists of the Home: each gives an order as one would write it, so it takes the same way as the command."""

from collections.abc import Sequence
from typing import Any

from bot.language import _
from bot.slack.blocks import Block, build_button, clip, confirm, plain

HOME = "home"  # an element of the Home; what follows a colon only tells one from another
OPTION_LENGTH = 75
SURE_LENGTH = 300


def build_order(text: str, order: str, *, name: str, question: str = "", style: str = "") -> Block:
    """Build a button that gives an order, after a *question* if there is one."""
    button = build_button(text, f"{HOME}:{name}", order)
    if question:
        asked = clip(question, SURE_LENGTH)
        button["confirm"] = confirm(_("Are you sure?"), asked, text, _("Cancel"), is_danger=style == "danger")
    return button | ({"style": style} if style else {})


def build_select(orders: Sequence[tuple[str, str]], *, name: str, chosen: str) -> Block:
    """Build a list of orders with their labels; the one that was given last is *chosen*."""
    options = [{"text": plain(clip(label, OPTION_LENGTH)), "value": order} for order, label in orders]
    shown = next((option for option in options if option["value"] == chosen), None)
    select: dict[str, Any] = {"type": "static_select", "action_id": f"{HOME}:{name}", "options": options}
    return select | ({"initial_option": shown} if shown else {})


def read_order(action: dict[str, Any]) -> str:
    """Return the order that an element of the Home gives."""
    option = action.get("selected_option") or {}
    return str(option.get("value") or action.get("value") or "")
