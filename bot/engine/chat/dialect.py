"""What a model's chat template gives away about how the model answers: its reasoning, its calls, its options.

Pure; the template's source is only searched, never run.
"""

import re
from dataclasses import dataclass, replace

from bot.engine.chat import harmony
from bot.engine.chat.tool_forms import ToolForm, find_form
from bot.engine.types import Reasoning

TAGS = (
    Reasoning(harmony.CHANNEL, harmony.MESSAGE),
    Reasoning("[THINK]", "[/THINK]"),
    Reasoning("<think>", "</think>"),
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one model writes; *variables* are the names that its template looks at."""

    variables: frozenset[str] = frozenset()
    reasoning: Reasoning | None = None
    tools: ToolForm | None = None

    def reason_after(self, tail: str) -> Reasoning | None:
        """Return how the reasoning of an answer is told apart whose prompt ends with *tail*."""
        form = self.reasoning
        return replace(form, is_open=tail.rstrip().endswith(form.begin)) if form else None

    def marks(self, *, with_tools: bool) -> tuple[str, ...]:
        """Return the control tokens whose text is needed to read an answer."""
        found: tuple[str, ...] = ()
        if self.reasoning:
            is_harmony = self.reasoning.begin == harmony.CHANNEL
            found = harmony.MARKS if is_harmony else (self.reasoning.begin, self.reasoning.end)
        return found + (self.tools.marks if self.tools and with_tools else ())


def read_dialect(source: str) -> Dialect:
    """Return what *source* shows."""
    code = " ".join(re.findall(r"\{[{%].*?[%}]\}", source, re.DOTALL))
    variables = frozenset(re.findall(r"[A-Za-z_]\w*", code))
    reasoning = next((form for form in TAGS if form.end in source and form.begin.strip("<[]>") in source), None)
    return Dialect(variables, reasoning, find_form(source) if "tools" in variables else None)
