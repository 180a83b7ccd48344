"""The functions that a client offers to the model, and which of them it may or must call.

Knows the wire's names and limits; how a model writes a call stands in `tool_forms.py`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from bot.engine.api.fields import Fields, check_json, refuse
from bot.engine.chat.json_schema import SchemaError, check_schema

MAX_TOOLS = 128
MAX_BYTES = 256 * 1024
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
ANY_ARGUMENTS: Mapping[str, object] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the client; *wire* is what the template gets, *schema* what its arguments can be bound to."""

    name: str
    wire: Mapping[str, object]
    schema: Mapping[str, object]
    is_strict: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """What may be called; *must_call* when an answer without a call is none."""

    tools: tuple[Tool, ...] = ()
    must_call: bool = False
    is_parallel: bool = True

    @property
    def is_bound(self) -> bool:
        """Whether a promise was made that only a grammar can keep."""
        return self.must_call or any(tool.is_strict for tool in self.tools)


def parse_tool_use(fields: Fields) -> ToolUse:
    """Return the tools of a request, none of them if it forbids their use."""
    given, choice = fields.take("tools"), fields.take("tool_choice")
    is_parallel = fields.optional_flag("parallel_tool_calls") is not False
    if not isinstance(given, list | None) or len(given or []) > MAX_TOOLS:
        refuse("tools", f"must be a list of at most {MAX_TOOLS} functions")
    tools = tuple(_parse_tool(tool, f"tools[{index}]") for index, tool in enumerate(given or []))
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        refuse("tools", "must have different names")
    if len(json.dumps([tool.wire for tool in tools])) > MAX_BYTES:
        refuse("tools", f"must not be larger than {MAX_BYTES} bytes")
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) and choice.get("type") == "function" else None
        if name not in names:
            refuse("tool_choice", "must name one of the tools")
        return ToolUse(tools=(tools[names.index(name)],), must_call=True, is_parallel=False)
    if choice not in (None, "none", "auto", "required"):
        refuse("tool_choice", "must be none, auto, required, or {type: function, function: {name: ...}}")
    if choice == "required" and not tools:
        refuse("tool_choice", "needs tools")
    allowed = () if choice == "none" else tools
    return ToolUse(tools=allowed, must_call=choice == "required", is_parallel=is_parallel)


def _parse_tool(tool: object, name: str) -> Tool:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    if not isinstance(tool, dict) or not isinstance(function, dict):
        refuse(name, "must have the type function, and a function")
    check_json(function, name)
    called = function.get("name")
    if not isinstance(called, str) or not NAME.fullmatch(called):
        refuse(f"{name}.function.name", "must be 1 to 64 letters, digits, dots, dashes and underscores")
    if not isinstance(function.get("description"), str | None):
        refuse(f"{name}.function.description", "must be a text")
    is_strict = function.get("strict")
    if not isinstance(is_strict, bool | None):
        refuse(f"{name}.function.strict", "must be true or false")
    parameters = function.get("parameters")
    if not isinstance(parameters, dict | None):
        refuse(f"{name}.function.parameters", "must be a JSON schema of an object")
    wire = {"type": "function", "function": {key: value for key, value in function.items() if value is not None}}
    schema = _parse_parameters(parameters or {}, f"{name}.function.parameters", is_strict=bool(is_strict))
    return Tool(called, wire, schema, bool(is_strict))


def _parse_parameters(parameters: Mapping[str, object], name: str, *, is_strict: bool) -> Mapping[str, object]:
    """Return what a grammar can enforce of *parameters*: all of it, or of a function that is not strict any object."""
    try:
        check_schema(parameters if "type" in parameters else {"type": "object", **parameters})
    except SchemaError as error:
        if is_strict:
            refuse(name, f"cannot be kept: the schema {error}")
        return ANY_ARGUMENTS
    return parameters if parameters.get("type") == "object" else ANY_ARGUMENTS
