"""What a modal's fields hold: Slack's view state built from plain answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.playground.entities import Json

INITIALS = {
    "initial_option": "selected_option",
    "initial_options": "selected_options",
    "initial_user": "selected_user",
    "initial_users": "selected_users",
    "initial_channel": "selected_channel",
    "initial_channels": "selected_channels",
    "initial_conversation": "selected_conversation",
    "initial_conversations": "selected_conversations",
    "initial_date": "selected_date",
    "initial_time": "selected_time",
    "initial_date_time": "selected_date_time",
}
SELECTED = {
    "users_select": "selected_user",
    "channels_select": "selected_channel",
    "conversations_select": "selected_conversation",
    "multi_users_select": "selected_users",
    "multi_channels_select": "selected_channels",
    "multi_conversations_select": "selected_conversations",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
}


def build_state(blocks: list[Json], answers: Mapping[str, Any]) -> Json:
    """Return state.values for a modal whose fields, named by block_id or action_id, got *answers*."""
    values: Json = {}
    unused = set(answers)
    for block in blocks:
        for element in _elements(block):
            names = {block.get("block_id"), element["action_id"]}
            given = [answers[str(name)] for name in names if name in answers]
            unused -= {str(name) for name in names}
            held = hold(element, given[0]) if given else _initial(element)
            values.setdefault(block["block_id"], {})[element["action_id"]] = {"type": element["type"], **held}
    if unused:
        raise LookupError(f"The view has no field {', '.join(sorted(unused))}.")
    return values


def hold(element: Json, answer: Any) -> Json:
    """Return what an element holds once *answer* was typed or chosen in it."""
    kind = element["type"]
    if kind in SELECTED:
        return {SELECTED[kind]: answer}
    if kind in {"checkboxes", "multi_static_select"}:
        return {"selected_options": [_option(element, value) for value in answer]}
    if "options" in element or "option_groups" in element:
        return {"selected_option": _option(element, answer)}
    return {"value": answer}


def _elements(block: Json) -> list[Json]:
    candidates = [block.get("element"), block.get("accessory"), *block.get("elements", [])]
    buttons = {"button", "image", "overflow", "plain_text", "mrkdwn", "icon_button", "feedback_buttons"}
    return [
        item for item in candidates if isinstance(item, dict) and item.get("action_id") and item["type"] not in buttons
    ]


def _initial(element: Json) -> Json:
    if element["type"].endswith("_input"):
        return {"value": element.get("initial_value")}
    held: Json = {held: element[name] for name, held in INITIALS.items() if name in element}
    if held:
        return held
    return {"selected_options": []} if element["type"] == "checkboxes" else {"selected_option": None}


def _option(element: Json, value: Any) -> Json:
    groups = [element, *element.get("option_groups", [])]
    for option in (option for group in groups for option in group.get("options", [])):
        if option["value"] == value:
            found: Json = option
            return found
    raise LookupError(f"{element['action_id']} has no option {value}.")
