"""Grammars for answers of several parts: reasoning first, then JSON, calls of functions, or text that may hold some.

Pure; the way from a JSON schema to rules comes in. Rule names begin with `engine-`, so that none meets a schema's.
"""

import json
import re
from collections.abc import Callable, Mapping

from bot.engine.api.tool_fields import ToolUse
from bot.engine.chat import harmony
from bot.engine.chat.tool_forms import ToolForm
from bot.engine.types import Reasoning

Convert = Callable[[str], str]
ROOT = re.compile(r"^root ::= ", re.MULTILINE)
FINAL = f"{harmony.CHANNEL}final{harmony.MESSAGE}"
PLAIN_START, ANY_TEXT = r"[^{< \n\t]", r"[^\u0000]*"
ANALYSIS = f"{harmony.CHANNEL}analysis{harmony.MESSAGE}"


class FormError(ValueError):
    """What was asked of the calls cannot be promised; the text says why."""


def build_answer_grammar(schema: str, reasoning: Reasoning | None, convert: Convert) -> str:
    """Return the grammar of an answer that follows *schema* after its reasoning."""
    rules = convert(schema)
    if reasoning is None:
        return rules
    value = f"{_quote(FINAL)} engine-value" if reasoning.begin == harmony.CHANNEL else "engine-value"
    return _put_reasoning_before(value, ROOT.sub("engine-value ::= ", rules, count=1), reasoning)


def build_tool_grammar(form: ToolForm, use: ToolUse, reasoning: Reasoning | None, convert: Convert) -> str:
    """Return the grammar of an answer that must call, or may call but then keeps to the schemas."""
    writes = form.writes
    if writes is None:
        raise FormError("cannot be promised as this model writes calls: ask for neither strict nor required ones")
    rules = ROOT.sub("engine-any ::= ", convert(json.dumps(_join_schemas(use))), count=1)
    alternatives = (
        f"{_quote(tool.name + writes.after_name)} alternative-{index} {_quote(writes.closing)}"
        for index, tool in enumerate(use.tools)
    )
    rules += f"\nengine-call ::= {' | '.join(alternatives)}"
    rest = "engine-call"
    if use.is_parallel and writes.separator is not None:
        rest += f" ({_quote(writes.separator)} engine-call)*"
    rest += f" {_quote(writes.ending)}"
    body = f"{_quote(writes.start)} {rest}"
    if not use.must_call and form.is_whole:
        body = f'{body} | "" | {PLAIN_START} {ANY_TEXT}'
    elif not use.must_call and form.begin == harmony.CALL:
        body = f"{body} | {_quote(FINAL)} {ANY_TEXT}"
    elif not use.must_call:
        later = f"{_quote(writes.start.removeprefix(form.begin))} {rest}"
        rules += f"\n{_build_until(form.begin, later, name='engine-free', may_end=True)}"
        body = "engine-free-0"
    return _put_reasoning_before(body, rules, reasoning)


def _join_schemas(use: ToolUse) -> Mapping[str, object]:
    """Return one schema of all arguments; definitions of the same name in two tools stay apart."""
    shared: dict[str, object] = {}
    schemas = []
    for index, tool in enumerate(use.tools):
        for place in ("$defs", "definitions"):
            inner = tool.schema.get(place, {})
            shared |= {f"t{index}-{name}": _move(item, index) for name, item in dict(inner).items()}  # type: ignore[call-overload]
        schemas.append(_move({key: item for key, item in tool.schema.items() if key not in _PLACES}, index))
    return {"anyOf": schemas, "$defs": shared}


_PLACES = ("$defs", "definitions")
_REFERENCE = re.compile(r"#/(?:\$defs|definitions)/([^/]+)")


def _move(schema: object, index: int) -> object:
    """Let a schema refer to its definitions under their new names."""
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            found = _REFERENCE.fullmatch(reference)
            if not found:
                raise FormError("cannot be kept: a $ref must point into the $defs of its own schema")
            return {**schema, "$ref": f"#/$defs/t{index}-{found[1]}"}
        return {key: _move(item, index) for key, item in schema.items()}
    return [_move(item, index) for item in schema] if isinstance(schema, list) else schema


def _put_reasoning_before(body: str, rules: str, reasoning: Reasoning | None) -> str:
    """Return *rules* with a root that is *body*, or reasoning and then *body*."""
    if reasoning is None:
        return f"{rules}\nroot ::= {body}"
    is_harmony = reasoning.begin == harmony.CHANNEL
    begin, end = (ANALYSIS, harmony.END) if is_harmony else (reasoning.begin, reasoning.end)
    then = f"{_quote(harmony.START + 'assistant')} engine-body" if is_harmony else r"[ \n]* engine-body"
    thoughts = _build_until(end, then, name="engine-thought")
    root = "engine-thought-0" if reasoning.is_open else f"engine-body | {_quote(begin)} engine-thought-0"
    return f"{rules}\nengine-body ::= {body}\n{thoughts}\nroot ::= {root}"


def _build_until(mark: str, then: str, *, name: str, may_end: bool = False) -> str:
    """Return rules for any text up to the first *mark*, one for each number of its characters that were just read."""
    letters = sorted(set(mark))
    others = f"[^{''.join(map(_escape, letters))}] {name}-0"
    rules = []
    for read in range(len(mark)):
        ways = [others, '""'] if may_end else [others]
        for letter in letters:
            known = _overlap(mark[:read] + letter, mark)
            ways.append(f"[{_escape(letter)}] {then if known == len(mark) else f'{name}-{known}'}")
        rules.append(f"{name}-{read} ::= {' | '.join(ways)}")
    return "\n".join(rules)


def _overlap(text: str, mark: str) -> int:
    """Return how much of *mark* the end of *text* is, all of it included."""
    return next(size for size in range(min(len(text), len(mark)), -1, -1) if text.endswith(mark[:size]))


def _escape(letter: str) -> str:
    """Return a letter as it is safe inside the brackets of a grammar."""
    return f"\\u{ord(letter):04x}"


def _quote(text: str) -> str:
    """Return a literal of a grammar."""
    return json.dumps(text, ensure_ascii=False)
