"""The forms in which models write calls of functions, and how each is read.

Pure. A block that is no call raises *ValueError*; what to do with it is the caller's business.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.engine.chat import harmony

Called = list[tuple[str, str]]
XML_FUNCTION = re.compile(r"<function=([^>\s]+)>(.*?)</function>", re.DOTALL)
XML_PARAMETER = re.compile(r"<parameter=([^>\s]+)>\n?(.*?)\n?</parameter>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Writing:
    """What stands around the names and arguments of calls; a *separator* of None allows one call only."""

    start: str
    after_name: str
    closing: str = ""
    separator: str | None = None
    ending: str = ""


@dataclass(frozen=True, slots=True)
class ToolForm:
    """A call stands between *begin* and *end*, or goes on to the answer's end; *marks* may be control tokens.

    *writes* is what a grammar asks for when calls were promised, None when this form cannot be bound.
    *is_whole* says that an answer is a call from its first letter on, or has none.
    """

    begin: str
    end: str
    marks: tuple[str, ...]
    read: Callable[[str], Called]
    writes: Writing | None
    is_whole: bool = False


def read_json(block: str) -> Called:
    """Return the calls in JSON objects or lists of them, one after the other."""
    decoder, calls, text = json.JSONDecoder(), Called(), block.strip()
    while text:
        value, end = decoder.raw_decode(text)
        calls += [_read_object(item) for item in (value if isinstance(value, list) else [value])]
        text = text[end:].lstrip(" \n;,")
    return calls


def _read_object(value: object) -> tuple[str, str]:
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(name, str):
        raise ValueError("a call needs a name")  # noqa: TRY004 - the text is at fault
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if not isinstance(arguments, dict | None):
        raise ValueError("arguments are an object")  # noqa: TRY004 - the text is at fault
    return name, json.dumps(arguments or {}, ensure_ascii=False)


def read_named(block: str, *, before: str) -> Called:
    """Return the calls of a block such as `name[ARGS]{...}`, which may come several times."""
    calls = Called()
    for part in block.split(MISTRAL_MARK):
        name, mark, text = part.partition(before)
        if not mark:
            raise ValueError("a call needs arguments")
        name = name.partition("[CALL_ID]")[0].strip()
        calls.append(_read_object({"name": name, "arguments": json.loads(text)}))
    return calls


def read_xml(block: str) -> Called:
    """Return the calls in `<function=name><parameter=key>value</parameter></function>`; values may be JSON."""
    calls = [(name, _read_parameters(body)) for name, body in XML_FUNCTION.findall(block)]
    if not calls:
        raise ValueError("a call needs a function")
    return calls


def _read_parameters(body: str) -> str:
    return json.dumps({key: _read_value(text) for key, text in XML_PARAMETER.findall(body)}, ensure_ascii=False)


def _read_value(text: str) -> object:
    """Return a value as JSON where it is one, else as the text that it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


MISTRAL_MARK, PYTHON_TAG = "[TOOL_CALLS]", "<|python_tag|>"
TAGS = ("<tool_call>", "</tool_call>")
HERMES_START = '<tool_call>\n{"name": "'
HERMES = ToolForm(
    *TAGS,
    TAGS,
    read_json,
    Writing(HERMES_START, '", "arguments": ', "}\n</tool_call>", f"\n{HERMES_START}"),
)
XML = ToolForm(*TAGS, TAGS, read_xml, None)
LLAMA = ToolForm(
    PYTHON_TAG, "", (PYTHON_TAG,), read_json, Writing('{"name": "', '", "parameters": ', "}"), is_whole=True
)
MISTRAL = ToolForm(
    MISTRAL_MARK,
    "",
    (MISTRAL_MARK,),
    read_json,
    Writing(f'{MISTRAL_MARK}[{{"name": "', '", "arguments": ', "}", ', {"name": "', "]"),
)
MISTRAL_NAMED = ToolForm(
    MISTRAL_MARK,
    "",
    (MISTRAL_MARK, "[ARGS]", "[CALL_ID]"),
    lambda block: read_named(block, before="[ARGS]"),
    Writing(MISTRAL_MARK, "[ARGS]", "", MISTRAL_MARK),
)
HARMONY = ToolForm(
    harmony.CALL,
    "",
    harmony.MARKS,
    lambda block: read_named(block, before=harmony.MESSAGE),
    Writing("<|channel|>commentary to=functions.", " <|constrain|>json<|message|>"),
)


def find_form(source: str) -> ToolForm | None:
    """Return how a model with this template writes its calls, None when it is not known."""
    has_json = re.search(r'"arguments\\?"', source)
    is_llama = '"parameters": ' in source and "<|eot_id|>" in source
    known: Mapping[str, ToolForm | None] = {
        harmony.CHANNEL: HARMONY,
        MISTRAL_MARK: MISTRAL_NAMED if "[ARGS]" in source else MISTRAL,
        "<arg_key>": None,
        "</function>": XML if "<tool_call>" in source else None,
        "<tool_call>": HERMES if has_json else None,
        "<|eot_id|>": LLAMA if is_llama else None,
    }
    return next((form for mark, form in known.items() if mark in source), None)
