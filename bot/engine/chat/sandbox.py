"""Jinja for a template that came with a downloaded file: no attributes of Python, no giant text.

Its limits make the usual attacks clear errors. What gets past them ends with the process (`render_worker.py`): no
list of limits is complete. Knows nothing of chat messages.
"""

import functools
import json
import re
from collections.abc import Callable
from typing import Any

from jinja2 import Template, TemplateError, nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

SIZE_LIMIT = 4_000_000
WORK_LIMIT = 100_000_000
NUMBER_LIMIT = 10_000
MARK_NONCE = "mark_nonce"  # a variable: marks with it are counted by how often they were written as JSON
SIZED = (str, list, tuple, dict)
PLAIN_PATTERN = re.compile(r"(?:[^{}]|\{\{|\}\}|\{\w*\})*")
FILTERS = """
abs capitalize count d default dictsort e escape first float groupby indent int items join last length list
lower map max min reject rejectattr replace reverse round safe select selectattr sort string sum title trim
unique upper
"""


class TemplateLimitError(TemplateError):
    """The template takes too long or builds too much."""


class BoundedCodeGenerator(CodeGenerator):
    """Sends `~` through the environment as well, so that its results can be measured."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        """Write a call of `join_bounded` over the parts."""
        self.write("environment.join_bounded((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class GenerationTag(Extension):
    """Reads past `{% generation %}`, with which templates mark for a trainer what the model wrote."""

    tags = {"generation"}  # noqa: RUF012 - the form in which Jinja wants it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return what stands between the tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox whose operators and calls refuse to build large values."""

    code_generator_class = BoundedCodeGenerator
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[LoopControlExtension, GenerationTag])
        self.filters = {name: _bound_filter(self.filters[name]) for name in FILTERS.split()} | {"tojson": _render_json}
        self.globals = {"range": self.globals["range"], "namespace": self.globals["namespace"], "dict": _build_dict}

    def join_bounded(self, parts: tuple[object, ...]) -> str:
        """Return the parts as one text, if it stays small."""
        return str(_check_size("".join(str(part) for part in parts)))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse products and powers before they are computed, and sums after."""
        if operator in {"*", "**"} and not (_is_small(left) and _is_small(right)):
            raise TemplateLimitError("the template multiplies large values")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("the template formats text with %")
        return _check_size(super().call_binop(context, operator, left, right))

    def wrap_str_format(self, value: Any) -> Any:
        """Fill plain gaps only: a width in a pattern allocates any amount of memory, and a dot reaches attributes."""
        if super().wrap_str_format(value) is None:
            return None
        pattern = value.__self__
        if value.__name__ != "format" or not PLAIN_PATTERN.fullmatch(pattern):
            raise SecurityError("the template formats text with a pattern")

        def fill(*args: object, **named: object) -> str:
            return str(pattern.format(*map(str, args), **{name: str(part) for name, part in named.items()}))

        return fill

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - Jinja's names
        """Refuse large arguments of methods such as `ljust`, and large results of any."""
        _check_arguments(getattr(__obj, "__self__", None), *args, *kwargs.values())
        return _check_size(super().call(__context, __obj, *args, **kwargs))


def _build_dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:
    """Stand for `dict`: the class itself gives more away, `dict['x'].mro()` for one."""
    return dict(*args, **kwargs)


def _bound_filter(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap one of Jinja's filters so that it obeys the same limits as a call."""

    @functools.wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _check_arguments(*args, *kwargs.values())
        return _check_size(function(*args, **kwargs))

    return bounded


@pass_context
def _render_json(context: Context, value: object, *, indent: int | None = None, **_: object) -> str:
    """Render JSON as chat templates expect it: not escaped for HTML."""
    _check_arguments(value, indent)
    text = str(_check_size(json.dumps(value, ensure_ascii=False, indent=indent)))
    nonce = context.get(MARK_NONCE)
    return re.sub(f"(\ue000{nonce}\\.\\d+j*)\ue001", "\\1j\ue001", text) if nonce else text


def _is_small(value: object) -> bool:
    if isinstance(value, (int, float)):
        return abs(value) <= NUMBER_LIMIT
    return not isinstance(value, SIZED) or len(value) <= NUMBER_LIMIT


def _check_arguments(*values: object) -> None:
    """Refuse what could multiply into something large before it is computed."""
    work = 1
    for value in values:
        if isinstance(value, int) and not _is_small(value) and not isinstance(value, bool):
            raise TemplateLimitError("the template calls a function with a large number")
        if isinstance(value, SIZED):
            work *= max(1, len(value))
    if work > WORK_LIMIT:
        raise TemplateLimitError("the template combines large values")


def _check_size(value: Any) -> Any:
    if isinstance(value, SIZED) and len(value) > SIZE_LIMIT:
        raise TemplateLimitError("the template builds a text or list that is too large")
    return value


def render_bounded(template: Template, variables: dict[str, object]) -> str:
    """Render within the size limit; the clock is the caller's."""
    parts, size = [], 0
    for part in template.generate(variables):
        size += len(part)
        if size > SIZE_LIMIT:
            raise TemplateLimitError("the template writes a text that is too large")
        parts.append(part)
    return "".join(parts)
