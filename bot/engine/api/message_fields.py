"""The messages of a request: roles, texts, calls of functions and their results.

Knows the wire's names and limits; nothing of templates but the form in which they get a message.
"""

import json

from bot.engine.api.fields import check_depth, check_json, check_unicode, refuse
from bot.engine.api.picture_fields import parse_parts
from bot.engine.chat.template import Message

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
KNOWN = {
    "system": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "reasoning_content"},
    "tool": {"role", "content", "name", "tool_call_id"},
}
ID_LIMIT = 128
MAX_PICTURES = 8


def parse_messages(value: object) -> tuple[Message, ...]:
    """Parse a conversation; contents are texts or lists of text parts, and of pictures where a person speaks."""
    if not isinstance(value, list) or not value:
        refuse("messages", "must be a list with at least one message")
    messages = tuple(_parse_message(item, f"messages[{index}]") for index, item in enumerate(value))
    if sum(len(message.pictures) for message in messages) > MAX_PICTURES:
        refuse("messages", f"may have {MAX_PICTURES} pictures at most")
    return messages


def _parse_message(item: object, name: str) -> Message:
    if not isinstance(item, dict):
        refuse(name, "must be an object")
    given = item.get("role")
    role = ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        refuse(f"{name}.role", f"must be one of {', '.join(ROLES)}")
    for key, value in item.items():
        if key not in KNOWN[role] and value not in (None, []):
            refuse(f"{name}.{key}", f"is not supported in a message of the role {role}")
    if not isinstance(item.get("name"), str | None):
        refuse(f"{name}.name", "must be a text")
    extra: dict[str, object] = {}
    if role == "tool":
        extra = {"tool_call_id": _parse_short(item.get("tool_call_id"), f"{name}.tool_call_id")}
        extra |= {"name": check_unicode(item["name"], f"{name}.name")} if item.get("name") else {}
    elif role == "assistant":
        extra = _parse_answer(item, name)
    content = item.get("content")
    if role == "user" and isinstance(content, list):
        content, pictures = parse_parts(content, f"{name}.content")
        return Message(role, check_unicode(content, f"{name}.content"), extra, pictures)
    return Message(role, "" if content is None and "tool_calls" in extra else _parse_content(content, name), extra)


def _parse_answer(item: dict[str, object], name: str) -> dict[str, object]:
    """Return what an earlier answer had besides its text."""
    extra: dict[str, object] = {}
    reasoning, calls = item.get("reasoning_content"), item.get("tool_calls")
    if not isinstance(reasoning, str | None):
        refuse(f"{name}.reasoning_content", "must be a text")
    if reasoning:
        extra["reasoning_content"] = check_unicode(reasoning, f"{name}.reasoning_content")
    if not isinstance(calls, list | None):
        refuse(f"{name}.tool_calls", "must be a list of calls")
    if calls:
        extra["tool_calls"] = [_parse_call(call, f"{name}.tool_calls[{index}]") for index, call in enumerate(calls)]
    return extra


def _parse_call(call: object, name: str) -> dict[str, object]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or call.get("type", "function") != "function" or not isinstance(function, dict):
        refuse(name, "must have an id, the type function, and a function")
    text = function.get("arguments")
    try:
        arguments = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        refuse(f"{name}.function.arguments", "must be the text of a JSON object")
    check_depth(arguments, f"{name}.function.arguments")
    check_json(arguments, f"{name}.function.arguments")
    called = {"name": _parse_short(function.get("name"), f"{name}.function.name"), "arguments": arguments}
    return {"id": _parse_short(call.get("id"), f"{name}.id"), "type": "function", "function": called}


def _parse_short(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= ID_LIMIT:
        refuse(name, f"must be a text of 1 to {ID_LIMIT} characters")
    return check_unicode(value, name)


def _parse_content(content: object, name: str) -> str:
    name = f"{name}.content"
    if isinstance(content, list) and content:
        for part in content:
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                refuse(name, "may have parts of type text only")
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        refuse(name, "must be a text")
    return check_unicode(content, name)
