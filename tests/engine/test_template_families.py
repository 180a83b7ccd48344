"""Templates in the manner of the common families: rendered as Jinja renders them, with everybody's words told apart."""

# ruff: noqa: E501 - templates stand here as they are written elsewhere

import json
from collections.abc import Sequence
from datetime import datetime

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bot.engine.chat.template import ChatTemplate, Extras, Message, TemplateFailure

TALK = (
    Message("system", "Be brief."),
    Message("user", "Hi <there>"),
    Message("assistant", "Hello."),
    Message("user", "Bye"),
)
TOOL = {
    "type": "function",
    "function": {"name": "look_up", "description": "Looks up.", "parameters": {"type": "object", "properties": {}}},
}
# What each family is known for: namespaces, slices, role checks, dates, nested loops, white-space control, filters.
FAMILIES = {
    "chatml": (
        "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
        "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
    ),
    "qwen 3": (
        "{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n<tools>' }}{%- for tool in tools %}{{- '\\n' }}"
        "{{- tool | tojson }}{%- endfor %}{{- '\\n</tools><|im_end|>\\n' }}{%- endif %}"
        "{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}"
        "{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}"
        "{%- if ns.multi_step_tool and message.role == 'user' and message.content is string and not"
        "(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}"
        "{%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}{%- endif %}{%- endfor %}"
        "{%- for message in messages %}{%- set content = message.content if message.content is string else '' %}"
        "{%- if message.role == 'assistant' %}{%- set reasoning_content = '' %}{%- if '</think>' in content %}"
        "{%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}"
        "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}"
        "{%- if loop.index0 > ns.last_query_index and reasoning_content %}"
        "{{- '<|im_start|>assistant\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content }}"
        "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + content }}{%- endif %}{{- '<|im_end|>\\n' }}"
        "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
        "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"
        "{%- endif %}"
    ),
    "llama 3": (
        "{{- bos_token }}{%- if not date_string is defined %}{%- if strftime_now is defined %}"
        "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
        "{%- endif %}{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content']|trim %}"
        "{%- set messages = messages[1:] %}{%- else %}{%- set system_message = '' %}{%- endif %}"
        "{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}{{- 'Today Date: ' + date_string + '\\n\\n' }}"
        "{{- system_message }}{{- '<|eot_id|>' }}{%- for message in messages %}"
        "{%- if not (message.role == 'ipython' or 'tool_calls' in message) %}"
        "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}"
        "{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
    ),
    "mistral": (
        "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
        "{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}"
        "{%- set user_messages = loop_messages | selectattr('role', 'equalto', 'user') | list %}{{- bos_token }}"
        "{%- for message in loop_messages %}{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{- raise_exception('conversation roles must alternate') }}{%- endif %}{%- if message['role'] == 'user' %}"
        "{%- if loop.last and system_message is defined %}"
        "{{- '[INST] ' + system_message + '\\n\\n' + message['content'] + '[/INST]' }}"
        "{%- else %}{{- '[INST] ' + message['content'] + '[/INST]' }}{%- endif %}"
        "{%- elif message['role'] == 'assistant' %}{{- ' ' + message['content'] + eos_token}}{%- endif %}{%- endfor %}"
    ),
    "gemma": (
        "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- set first = messages[0]['content'] + '\\n\\n' -%}"
        "{%- set loop_messages = messages[1:] -%}{%- else -%}{%- set first = '' -%}{%- set loop_messages = messages -%}"
        "{%- endif -%}{%- for message in loop_messages -%}"
        "{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}"
        "{{ '<start_of_turn>' + role + '\\n' + (first if loop.first else '') }}{{ message['content'] | trim }}"
        "{{ '<end_of_turn>\\n' }}{%- endfor -%}{%- if add_generation_prompt -%}{{'<start_of_turn>model\\n'}}{%- endif -%}"
    ),
    "phi": (
        "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}"
        "{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'user' %}"
        "{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'assistant' %}"
        "{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
    ),
    "deepseek": (
        "{% set ns = namespace(is_first=false, system_prompt='', is_first_sp=true) %}{%- for message in messages %}"
        "{%- if message['role'] == 'system' %}{%- if ns.is_first_sp %}"
        "{% set ns.system_prompt = ns.system_prompt + message['content'] %}{% set ns.is_first_sp = false %}"
        "{%- else %}{% set ns.system_prompt = ns.system_prompt + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}"
        "{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}{%- for message in messages %}"
        "{%- if message['role'] == 'user' %}{{'<|User|>' + message['content']}}{%- endif %}"
        "{%- if message['role'] == 'assistant' and message['content'] is not none %}"
        "{{'<|Assistant|>' + message['content'] + eos_token}}{%- endif %}{%- endfor -%}"
        "{% if add_generation_prompt %}{{'<|Assistant|><think>\\n'}}{% endif %}"
    ),
    "granite": (
        "{% for message in messages %}\n    {% if loop.first %}\n{{ bos_token }}\n    {% endif %}\n"
        "{{ '<|start_of_role|>' ~ message.role ~ '<|end_of_role|>' ~ message.content ~ '<|end_of_text|>' }}\n"
        "{% endfor %}\n{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}"
    ),
    "smollm": (
        "{% macro turn(role, content) %}<|im_start|>{{ role }}\n{{ content }}<|im_end|>\n{% endmacro %}"
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ turn('system', 'You are helpful.') }}{% endif %}{{ turn(message['role'], message['content']) }}{% endfor %}"
        "{% for item in [1, 2, 3] %}{% if item == 2 %}{% break %}{% endif %}{% endfor %}"
    ),
}


def render_reference(source: str, messages: Sequence[Message], **variables: object) -> str:
    """Return what Jinja with the settings of the usual library makes of it."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)  # noqa: DTZ005 - as elsewhere
    talk = [{"role": message.role, "content": message.content} for message in messages]
    chosen = {"tools": None, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", **variables}
    return environment.from_string(source).render(messages=talk, **chosen)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("first", [0, 1], ids=["with a system prompt", "without"])
def test_families_render_as_elsewhere(family: str, first: int) -> None:
    """The same text as everywhere, and every message's words are a part of their own."""
    talk = TALK[first:]
    template = ChatTemplate(FAMILIES[family], bos="<s>", eos="</s>")
    parts = template.render(talk)

    assert "".join(part.text for part in parts) == render_reference(FAMILIES[family], talk)
    assert {part.message: part.text for part in parts if part.message is not None} == {
        index: message.content for index, message in enumerate(talk)
    }


def test_tools_are_written_as_elsewhere() -> None:
    """JSON without escapes for HTML, in the order in which it came."""
    expected = render_reference(FAMILIES["qwen 3"], TALK, tools=[TOOL])

    assert ChatTemplate(FAMILIES["qwen 3"], bos="<s>", eos="</s>").render_whole(TALK, Extras(tools=(TOOL,))) == expected
    assert "look_up" in expected


def test_a_template_that_counts_tools_without_asking_is_served() -> None:
    """Some were made for calls with tools only; without tools they see an empty list."""
    template = ChatTemplate("{% for tool in tools %}{{ tool.function.name }}{% endfor %}{{ messages[0].content }}")

    assert template.render_whole(TALK) == "Be brief."
    assert template.render_whole(TALK, Extras(tools=(TOOL,))) == "look_upBe brief."


def test_marks_for_a_trainer_are_read_past() -> None:
    """`{% generation %}` stands around what the model wrote, and changes nothing here."""
    template = ChatTemplate("{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}|{% endfor %}")

    assert template.render_whole(TALK[2:]) == "Hello.|Bye|"


@pytest.mark.parametrize(
    ("source", "expected"),
    [("{{ 'a{}b{x}'.format(1, x='c') }}", "a1bc"), ("{{ '{{}}'.format() }}", "{}"), ("{{ 'none'.format() }}", "none")],
)
def test_plain_gaps_are_filled(source: str, expected: str) -> None:
    """Names of special tokens are often written that way."""
    assert ChatTemplate(f"{{% raw %}}{{% endraw %}}{source}").render_whole(TALK) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ '{:>99}'.format(1) }}",
        "{{ '{0.real}'.format(1) }}",
        "{{ '{0[0]}'.format('ab') }}",
        "{{ '{!r}'.format('a') }}",
        "{{ '{x:9}'.format_map({'x': 1}) }}",
        "{{ '{x}'.format_map({'x': 1}) }}",
        "{{ ('{}' * 5000).format(*['a' * 5000 for _ in range(1)]) }}",
    ],
)
def test_patterns_that_do_more_are_refused(source: str) -> None:
    """Widths, attributes, items and conversions."""
    with pytest.raises(TemplateFailure):
        ChatTemplate(source).render_whole(TALK)
