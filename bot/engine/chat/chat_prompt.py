"""What a chat call tells the model's template besides the messages, and what the model's template can do with it.

Pure; whatever would be ignored although it matters is refused.
"""

from collections.abc import Mapping, Sequence

from bot.engine.api.api_error import ApiError
from bot.engine.api.fields import refuse
from bot.engine.api.tool_fields import ToolUse
from bot.engine.chat.dialect import Dialect
from bot.engine.chat.template import Extras, Message


def build_extras(
    dialect: Dialect,
    messages: Sequence[Message],
    *,
    tool_use: ToolUse,
    options: Mapping[str, object],
    effort: str = "",
    add_generation_prompt: bool = True,
) -> Extras:
    """Return what the template gets, refusing tools and options that it does not know."""
    _check_tools(dialect, messages, tool_use)
    for name in options:
        if name not in dialect.variables:
            refuse("chat_template_kwargs", f"has {name}, which this model's template does not look at")
    return Extras(
        tools=tuple(tool.wire for tool in tool_use.tools),
        options={**_build_effort(dialect, effort), **options},
        add_generation_prompt=add_generation_prompt,
    )


def _check_tools(dialect: Dialect, messages: Sequence[Message], tool_use: ToolUse) -> None:
    first = next((index for index, message in enumerate(messages) if _has_call(message)), None)
    if dialect.tools or not (tool_use.tools or first is not None):
        return
    param = "tools" if tool_use.tools else f"messages[{first}]"
    reason = "asks for tools in a form that this engine cannot read" if "tools" in dialect.variables else "has no tools"
    raise ApiError(400, f"{param}: this model's chat template {reason}.", param=param, code="tools_not_supported")


def _has_call(message: Message) -> bool:
    return message.role == "tool" or "tool_calls" in message.extra


def _build_effort(dialect: Dialect, effort: str) -> Mapping[str, object]:
    if not effort:
        return {}
    if "reasoning_effort" in dialect.variables:
        return {"reasoning_effort": effort}
    if "enable_thinking" in dialect.variables:
        return {"enable_thinking": effort not in {"none", "minimal"}}
    return refuse("reasoning_effort", "is not supported: this model's template does not look at it")
