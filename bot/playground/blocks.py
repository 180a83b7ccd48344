"""Block Kit's rules applied: takes the JSON an app sent, returns Slack's objections.

Pure; knows nothing about messages or views being kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bot.playground.block_checks import (
    Report,
    Shape,
    anything,
    boolean,
    choice,
    optional,
    plain,
    required,
    shaped,
    string,
    typed,
)
from bot.playground.block_shapes import BLOCKS, MAX_MARKDOWN, NOT_IN_VIEWS, OPAQUE

MAX_MESSAGE_BLOCKS = 50
MAX_VIEW_BLOCKS = 100
MAX_TEXT_WITH_MARKDOWN = 13_200


def check_message_blocks(blocks: list[Any]) -> list[str]:
    """Return what Slack would object to in a message's blocks; nothing if they are fine."""
    return _check_blocks(blocks, most=MAX_MESSAGE_BLOCKS, allowed=set(BLOCKS))


COMMON_OF_VIEWS: Shape = {
    "blocks": required(anything),
    "private_metadata": optional(string(3000, shortest=0)),
    "callback_id": optional(string(255, shortest=0)),
    "external_id": optional(string(255, shortest=0)),
}


def check_view(view: Any) -> list[str]:
    """Return what Slack would object to in a modal; nothing if it is fine."""
    shape: Shape = {
        **COMMON_OF_VIEWS,
        "type": required(choice("modal")),
        "title": required(plain(24)),
        "submit": optional(plain(24)),
        "close": optional(plain(24)),
        "clear_on_close": optional(boolean),
        "notify_on_close": optional(boolean),
        "submit_disabled": optional(boolean),
    }
    problems = _check_any_view(view, shape)
    blocks = view.get("blocks") if isinstance(view, dict) else None
    listed = blocks if isinstance(blocks, list) else []
    has_input = any(isinstance(block, dict) and block.get("type") == "input" for block in listed)
    if has_input and not view.get("submit"):
        problems.append("[ERROR] missing required field: submit [json-pointer:/view]")
    return problems


def check_home(view: Any) -> list[str]:
    """Return what Slack would object to in a Home tab; nothing if it is fine."""
    return _check_any_view(view, {**COMMON_OF_VIEWS, "type": required(choice("home"))})


def _check_any_view(view: Any, shape: Shape) -> list[str]:
    problems: list[str] = []
    shaped(shape)(view, "/view", _into(problems))
    if not isinstance(view, dict) or not isinstance(view.get("blocks"), list):
        return problems or ["[ERROR] must be an array [json-pointer:/view/blocks]"]
    allowed = set(BLOCKS) - NOT_IN_VIEWS
    return problems + _check_blocks(view["blocks"], most=MAX_VIEW_BLOCKS, allowed=allowed, pointer="/view/blocks")


def is_too_long(blocks: list[Any]) -> bool:
    """Say whether blocks with Markdown hold more text than one message can carry."""
    markdown = [block.get("text", "") for block in blocks if block.get("type") == "markdown"]
    if not markdown:
        return False
    return sum(map(len, markdown)) > MAX_MARKDOWN or sum(map(len, _texts(blocks))) > MAX_TEXT_WITH_MARKDOWN


def find_element(blocks: list[dict[str, Any]], block_id: str, action_id: str) -> dict[str, Any] | None:
    """Find the interactive element that an action names."""
    for block in blocks:
        if block.get("block_id") == block_id:
            elements = block.get("elements")
            listed = elements if isinstance(elements, list) else []
            candidates = [*listed, block.get("accessory"), block.get("element")]
            for candidate in candidates:
                if isinstance(candidate, dict) and candidate.get("action_id") == action_id:
                    return candidate
    return None


def _check_blocks(blocks: list[Any], *, most: int, allowed: set[str], pointer: str = "/blocks") -> list[str]:
    problems: list[str] = []
    report = _into(problems)
    if len(blocks) > most:
        report(f"no more than {most} items allowed", pointer)
    seen: set[str] = set()
    for index, block in enumerate(blocks[:most]):
        here = f"{pointer}/{index}"
        if isinstance(block, dict) and block.get("type") in OPAQUE & allowed:
            continue
        typed(lambda: BLOCKS, only=allowed)(block, here, report)
        if not isinstance(block, dict):
            continue
        if block.get("type") == "section" and not block.get("text") and not block.get("fields"):
            report("missing required field: text or fields", here)
        block_id = block.get("block_id")
        if block_id in seen:
            report(f"block_id {block_id} already exists", f"{here}/block_id")
        if isinstance(block_id, str):
            seen.add(block_id)
        _check_action_ids(block, here, report)
    return problems


def _check_action_ids(block: dict[str, Any], pointer: str, report: Report) -> None:
    elements = block.get("elements")
    seen: set[str] = set()
    for index, item in enumerate(elements if isinstance(elements, list) else []):
        action_id = item.get("action_id") if isinstance(item, dict) else None
        if isinstance(action_id, str):
            if action_id in seen:
                report(f"action_id {action_id} already exists", f"{pointer}/elements/{index}/action_id")
            seen.add(action_id)


def _into(problems: list[str]) -> Report:
    return lambda sentence, pointer: problems.append(f"[ERROR] {sentence} [json-pointer:{pointer}]")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "text" and isinstance(item, str):
                yield item
            else:
                yield from _texts(item)
