"""Block Kit as a table: which blocks and elements exist, what they need, how much they may hold."""

from __future__ import annotations

from typing import Any

from bot.playground.block_checks import (
    Check,
    Report,
    Shape,
    anything,
    boolean,
    choice,
    items,
    number,
    optional,
    plain,
    required,
    shaped,
    string,
    text,
    typed,
    url,
)

MAX_MARKDOWN = 12_000

ID = optional(string(255))
CONFIRM = optional(
    shaped(
        {
            "title": required(plain(100)),
            "text": required(text(300)),
            "confirm": required(plain(30)),
            "deny": required(plain(30)),
            "style": optional(choice("primary", "danger")),
        }
    )
)
OPTION = shaped(
    {
        "text": required(text(75)),
        "value": required(string(150)),
        "description": optional(text(75)),
        "url": optional(url()),
    }
)
GROUP = shaped({"label": required(plain(75)), "options": required(items(OPTION, most=100))})
FEEDBACK = shaped(
    {"text": required(plain(75)), "value": required(string(2000)), "accessibility_label": optional(string(75))}
)
COMMON: Shape = {"action_id": ID, "confirm": CONFIRM, "focus_on_load": optional(boolean)}
PLACEHOLDER: Shape = {**COMMON, "placeholder": optional(plain(150))}
MANY: Shape = {**PLACEHOLDER, "max_selected_items": optional(number)}
OPTIONS: Shape = {"options": optional(items(OPTION, most=100)), "option_groups": optional(items(GROUP, most=100))}
DISPATCH = optional(anything)
CONVERSATIONS: Shape = {
    "response_url_enabled": optional(boolean),
    "default_to_current_conversation": optional(boolean),
    "filter": optional(anything),
}
LENGTHS: Shape = {"min_length": optional(number), "max_length": optional(number)}
TYPED_INPUT: Shape = {**PLACEHOLDER, "dispatch_action_config": DISPATCH}
SLACK_FILE = shaped({"id": optional(string(255)), "url": optional(url())})
IMAGE: Shape = {"image_url": optional(url()), "slack_file": optional(SLACK_FILE), "alt_text": required(string(2000))}

ELEMENTS: dict[str, Shape] = {
    "button": {
        "text": required(plain(75)),
        "action_id": ID,
        "url": optional(url()),
        "value": optional(string(2000)),
        "style": optional(choice("primary", "danger")),
        "confirm": CONFIRM,
        "accessibility_label": optional(string(75)),
    },
    "checkboxes": {
        **COMMON,
        "options": required(items(OPTION, most=10)),
        "initial_options": optional(items(OPTION, most=10)),
    },
    "radio_buttons": {**COMMON, "options": required(items(OPTION, most=10)), "initial_option": optional(OPTION)},
    "overflow": {"action_id": ID, "confirm": CONFIRM, "options": required(items(OPTION, most=5))},
    "datepicker": {**PLACEHOLDER, "initial_date": optional(string(10))},
    "timepicker": {**PLACEHOLDER, "initial_time": optional(string(5)), "timezone": optional(string(255))},
    "datetimepicker": {**COMMON, "initial_date_time": optional(number)},
    "static_select": {**PLACEHOLDER, **OPTIONS, "initial_option": optional(OPTION)},
    "multi_static_select": {**MANY, **OPTIONS, "initial_options": optional(items(OPTION, most=100))},
    "external_select": {**PLACEHOLDER, "initial_option": optional(OPTION), "min_query_length": optional(number)},
    "multi_external_select": {
        **MANY,
        "initial_options": optional(items(OPTION, most=100)),
        "min_query_length": optional(number),
    },
    "users_select": {**PLACEHOLDER, "initial_user": optional(string(255))},
    "multi_users_select": {**MANY, "initial_users": optional(items(string(255), most=100))},
    "conversations_select": {**PLACEHOLDER, **CONVERSATIONS, "initial_conversation": optional(string(255))},
    "multi_conversations_select": {
        **MANY,
        **CONVERSATIONS,
        "initial_conversations": optional(items(string(255), most=100)),
    },
    "channels_select": {
        **PLACEHOLDER,
        "initial_channel": optional(string(255)),
        "response_url_enabled": optional(boolean),
    },
    "multi_channels_select": {**MANY, "initial_channels": optional(items(string(255), most=100))},
    "plain_text_input": {
        **TYPED_INPUT,
        **LENGTHS,
        "initial_value": optional(string(3000, shortest=0)),
        "multiline": optional(boolean),
    },
    "email_text_input": {**TYPED_INPUT, "initial_value": optional(string(3000))},
    "url_text_input": {**TYPED_INPUT, "initial_value": optional(string(3000))},
    "number_input": {
        **TYPED_INPUT,
        "is_decimal_allowed": required(boolean),
        "initial_value": optional(string(255)),
        "min_value": optional(string(255)),
        "max_value": optional(string(255)),
    },
    "rich_text_input": {**TYPED_INPUT, "initial_value": optional(anything)},
    "file_input": {"action_id": ID, "filetypes": optional(anything), "max_files": optional(number)},
    "image": IMAGE,
    "feedback_buttons": {"action_id": ID, "positive_button": required(FEEDBACK), "negative_button": required(FEEDBACK)},
    "icon_button": {
        "action_id": ID,
        "icon": required(choice("trash")),
        "text": required(plain(75)),
        "value": optional(string(2000)),
        "confirm": CONFIRM,
        "accessibility_label": optional(string(75)),
        "visible_to_user_ids": optional(items(string(255), most=10, least=0)),
    },
    "plain_text": {"text": required(string(3000)), "emoji": optional(boolean)},
    "mrkdwn": {"text": required(string(3000)), "verbatim": optional(boolean)},
}
INPUTS = {
    name
    for name in ELEMENTS
    if name.endswith(("_input", "_select", "picker")) or name in {"checkboxes", "radio_buttons"}
}
SELECTS = {name for name in INPUTS if name.endswith("_select")}
PICKERS = {"checkboxes", "radio_buttons", "datepicker", "timepicker", "datetimepicker"}
ACTIONS = {"button", "overflow", *PICKERS, *SELECTS} - {"multi_external_select"}
ACCESSORIES = {"button", "overflow", "image", *SELECTS, *PICKERS} - {"datetimepicker"}
RICH_PARTS = {"rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted"}


def element(only: set[str]) -> Check:
    """Accept one of the elements that may stand in a place."""
    return typed(lambda: ELEMENTS, only=only)


def rich_part(value: Any, pointer: str, report: Report) -> None:
    """Accept a part of a rich_text block, looking no deeper than its kind."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in RICH_PARTS:
        report(f"unsupported type: {kind}", f"{pointer}/type")
    elif not isinstance(value.get("elements"), list):
        report("missing required field: elements", pointer)


BLOCKS: dict[str, Shape] = {
    "section": {
        "text": optional(text(3000)),
        "fields": optional(items(text(2000), most=10)),
        "accessory": optional(element(ACCESSORIES)),
        "expand": optional(boolean),
    },
    "divider": {},
    "header": {"text": required(plain(150)), "level": optional(number)},
    "image": {**IMAGE, "title": optional(plain(2000))},
    "context": {"elements": required(items(element({"image", "plain_text", "mrkdwn"}), most=10))},
    "actions": {"elements": required(items(element(ACTIONS), most=25))},
    "context_actions": {"elements": required(items(element({"feedback_buttons", "icon_button"}), most=5))},
    "input": {
        "label": required(plain(2000)),
        "element": required(element(INPUTS)),
        "hint": optional(plain(2000)),
        "optional": optional(boolean),
        "dispatch_action": optional(boolean),
    },
    "markdown": {"text": required(string(MAX_MARKDOWN))},
    "rich_text": {"elements": required(items(rich_part, most=1000))},
    "file": {"external_id": required(string(255)), "source": required(choice("remote"))},
    "video": {
        "video_url": required(url()),
        "thumbnail_url": required(url()),
        "alt_text": required(string(2000)),
        "title": required(plain(200)),
        "title_url": optional(url()),
        "description": optional(plain(200)),
        "author_name": optional(string(50)),
        "provider_name": optional(string(255)),
        "provider_icon_url": optional(url()),
    },
    "table": {
        "rows": required(items(items(anything, most=20), most=100)),
        "column_settings": optional(items(anything, most=20)),
    },
    "task_card": {
        "task_id": required(string(255)),
        "title": required(string(2000)),
        "status": optional(choice("pending", "in_progress", "complete", "error")),
        "details": optional(anything),
        "output": optional(anything),
        "sources": optional(anything),
    },
    "plan": {"title": required(string(2000)), "tasks": optional(items(anything, most=100, least=0))},
}
# Known to Slack, and shown by it; accepted here without a look inside.
OPAQUE = {"alert", "card", "carousel", "container", "auth_provider", "call", "data_table", "data_visualization"}
NOT_IN_VIEWS = {"markdown", "context_actions", "table", "task_card", "plan", "file", *OPAQUE}
BLOCKS |= {name: {} for name in OPAQUE}
BLOCKS = {name: {"block_id": ID, **shape} for name, shape in BLOCKS.items()}
