"""Calls of functions: read from the forms that models write, asked for by grammar, and put into prompts safely."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.api.tool_fields import Tool, ToolUse
from bot.engine.chat import tool_forms as forms
from bot.engine.chat.dialect import read_dialect
from bot.engine.chat.tool_forms import ToolForm
from bot.engine.chat.tool_stream import ToolStream
from bot.engine.types import ToolCall

USE = ToolUse(tools=tuple(Tool(name, {}, {}, is_strict=False) for name in ("add", "get_weather")))
ADD = '{"name": "add", "arguments": {"a": 1, "b": "<é>"}}'
WEATHER = '{"name": "get_weather", "arguments": {}}'
TWO = [("add", {"a": 1, "b": "<é>"}), ("get_weather", {})]
WRITTEN = [
    (
        forms.HERMES,
        f"Let me see.\n<tool_call>\n{ADD}\n</tool_call>\n<tool_call>\n{WEATHER}\n</tool_call>",
        "Let me see.",
        TWO,
    ),
    (forms.HERMES, f"<tool_call>{ADD}", "", TWO[:1]),
    (forms.HERMES, "<tool_call>{</tool_call> sorry", "<tool_call>{</tool_call> sorry", []),
    (forms.HERMES, 'x \n<tool_call>{"name": "rm"}</tool_call>', 'x \n<tool_call>{"name": "rm"}</tool_call>', []),
    (forms.HERMES, "1 < 2 <tool_ca", "1 < 2 <tool_ca", []),
    (forms.MISTRAL, f"[TOOL_CALLS] [{ADD}, {WEATHER}]", "", TWO),
    (
        forms.MISTRAL_NAMED,
        '[TOOL_CALLS]add[ARGS]{"a": 1, "b": "<é>"}[TOOL_CALLS]get_weather[CALL_ID]abc[ARGS]{}',
        "",
        TWO,
    ),
    (forms.LLAMA, ADD.replace("arguments", "parameters"), "", TWO[:1]),
    (forms.LLAMA, f" <|python_tag|>{ADD}; {WEATHER}", "", TWO),
    (forms.LLAMA, '{"result": 5}', '{"result": 5}', []),
    (forms.LLAMA, 'Say {"name": "add"}', 'Say {"name": "add"}', []),
    (forms.HARMONY, '<|start|>functions.add<|message|>{"a": 1, "b": "<é>"}', "", TWO[:1]),
    (
        forms.XML,
        "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n<é>\n</parameter>\n</function>\n</tool_call>",
        "",
        TWO[:1],
    ),
]


def hear(stream: ToolStream, pieces: list[str]) -> tuple[str, list[ToolCall]]:
    """Return the text and the calls that *stream* makes of *pieces*."""
    heard = [*(stream.push(piece) for piece in pieces), stream.finish()]
    return "".join(text for text, _ in heard), [call for _, calls in heard for call in calls]


@pytest.mark.parametrize(("form", "written", "text", "called"), WRITTEN)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_call_is_read_from_what_the_model_writes(
    form: ToolForm, written: str, text: str, called: list[tuple[str, dict]], size: int
) -> None:
    """Each form gives the same calls in pieces as at once; what is no call of an offered function stays text."""
    shown, calls = hear(ToolStream(form, USE), [written[at : at + size] for at in range(0, len(written), size)])

    assert shown == text
    assert [(call.name, json.loads(call.arguments)) for call in calls] == called
    assert [call.index for call in calls] == list(range(len(called)))
    assert len({call.id for call in calls}) == len(called)
    assert all(len(call.id) == 9 and call.id.isalnum() for call in calls)  # Mistral's templates insist


def test_one_call_at_a_time_can_be_asked_for() -> None:
    """Without parallel calls the first one is passed on alone."""
    _, calls = hear(ToolStream(forms.HERMES, ToolUse(tools=USE.tools, is_parallel=False)), [WRITTEN[0][1]])

    assert [call.name for call in calls] == ["add"]


@given(st.text("<tool_call>/{}\n a", max_size=40), st.integers(1, 5), st.sampled_from(["HERMES", "LLAMA", "MISTRAL"]))
def test_text_without_a_call_is_not_changed(written: str, size: int, name: str) -> None:
    """Whatever looks like a call and is none arrives letter by letter."""
    stream = ToolStream(getattr(forms, name), USE)

    assert hear(stream, [written[at : at + size] for at in range(0, len(written), size)]) == (written, [])


SOURCES = {
    "HERMES": '{% if tools %}{{ tools | tojson }}{% endif %}<tool_call>{"name": x, "arguments": y}</tool_call>',
    "MISTRAL": "{% if tools %}[TOOL_CALLS]{% endif %}",
    "MISTRAL_NAMED": "{% if tools %}[TOOL_CALLS]name[ARGS]{% endif %}",
    "LLAMA": '{% if tools %}{"name": x, "parameters": y}<|eot_id|>{% endif %}',
    "XML": "{% if tools %}<tool_call><function=x></function></tool_call>{% endif %}",
    "HARMONY": "{% if tools %}<|channel|>{% endif %}",
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_form_is_found_in_the_template(name: str) -> None:
    """A template shows how its model writes calls; one that never looks at tools has none."""
    assert read_dialect(SOURCES[name]).tools is getattr(forms, name)
    assert read_dialect(SOURCES[name].replace("tools", "messages")).tools is None
