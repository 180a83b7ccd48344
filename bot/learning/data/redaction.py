"""Placeholders for what nobody may learn, the same one for the same thing within an example.

Much is known for what it is by the words around it alone: "password: …", "call …". The same value is then replaced
wherever it stands in the example, with nothing around it that tells, and whoever says it.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from bot.learning.data.findings import Finding, group, join, locate, make_plain, search
from bot.learning.data.rules import SECRET, is_drawn

NUMBERS = {"identity", "IBAN", "card", "phone"}  # the same with and without blanks
Key = tuple[str, str]  # a kind, and a value as it is the same in every way to write it
EDGES = "*_~.!?:()[]{}"  # of a sentence or of Markdown, around a value more often than in it


class Redaction:
    """The placeholders of one example; *counts* says how many things of each kind got one, never what they were."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Look through all *texts* of the example, for what is to be replaced in each of them."""
        shapes: dict[str, set[str]] = {}
        self._whole: dict[Key, Key] = {}  # what a part of a finding stands for
        for text in texts:
            for parts in group(search_cached(text)):
                whole = _name_key(parts[0].kind, text[parts[0].start : max(part.end for part in parts)])
                for part in parts:
                    value = text[part.start : part.end]
                    shapes.setdefault(part.kind, set()).update(_find_shapes(part.kind, value))
                    self._whole.setdefault(_name_key(part.kind, value), whole)
        self._again = {kind: _compile(kind, frozenset(known)) for kind, known in shapes.items() if known}
        self._known: dict[Key, str] = {}
        self.counts: Counter[str] = Counter()

    def find(self, text: str) -> list[Finding]:
        """Return the findings in *text*, with what is known from the others."""
        plain = make_plain(text)
        low = _lower(plain)
        again = (Finding(kind, *match.span()) for kind, known in self._again.items() for match in known.finditer(low))
        return join([*search_cached(text), *locate(text, plain, again)])

    def redact(self, text: str) -> str:
        """Return *text* with a placeholder for each finding."""
        parts, at = [], 0
        for finding in self.find(text):
            parts += [text[at : finding.start], self._name(finding.kind, text[finding.start : finding.end])]
            at = finding.end
        return "".join([*parts, text[at:]])

    def _name(self, kind: str, value: str) -> str:
        key = _name_key(kind, value)
        key = self._whole.get(key, key)
        if key not in self._known:
            self.counts[key[0]] += 1
            self._known[key] = f"[{key[0]} {self.counts[key[0]]}]"
        return self._known[key]


def is_clean(text: str) -> bool:
    """Return whether nothing stands in *text* that must not be learned: the second look, after the placeholders."""
    return not search_cached(text)


@lru_cache(maxsize=4096)
def search_cached(text: str) -> tuple[Finding, ...]:
    """Return the findings in *text*; a thread's messages are read again with each of its answers."""
    return tuple(search(text))


def _name_key(kind: str, value: str) -> Key:
    return kind, _simplify(kind, value).casefold()


def _lower(plain: str) -> str:
    """Return a text in small letters, as long as it was: one capital letter would become two signs."""
    return plain.replace("\u0130", "I").lower()


def _simplify(kind: str, value: str) -> str:
    """Return what is the same in every way to write a value, such as at the end of a sentence or of a parameter."""
    plain = make_plain(value)
    if kind in NUMBERS:
        return "".join(filter(str.isalnum, plain))
    if kind != SECRET:
        return plain
    core = plain.strip(EDGES)
    head = core.partition("&")[0]
    return head if len(head) >= 8 else core


def _find_shapes(kind: str, value: str) -> set[str]:
    """Return how a value is looked for elsewhere; not at all where it may be a word or number with another meaning.

    A secret of letters alone, such as "password: required", is a word unless it is 16 long; with digits or signs among
    them 6 are enough, digits alone are a PIN from 4 on. Of personal data 7 letters and digits are the same thing.
    """
    core = _simplify(kind, value)
    if kind != SECRET:
        return {core} if sum(map(str.isalnum, core)) >= 7 else set()
    is_sure = len(core) >= (4 if core.isdigit() else 6 if is_drawn(core) else 16)
    return {core, make_plain(value), make_plain(value).strip(EDGES)} if is_sure else set()


@lru_cache(maxsize=256)
def _compile(kind: str, shapes: frozenset[str]) -> re.Pattern[str]:
    """Return a pattern, for small letters, of values that stand for themselves: no part of a longer word, date or so.

    Every choice begins with a letter or sign of its own, which Python looks at first: there can be a thousand of them.
    """
    choices = []
    for shape in sorted(map(_lower, shapes), key=lambda one: (-len(one), one)):
        if kind in NUMBERS:
            choices.append("[ ().+/-]{0,3}".join(shape))
        elif shape.isdigit():
            choices.append(f"{shape}(?<![0-9][-.,:/]{shape})(?![-.,:/][0-9])")
        else:
            choices.append(re.escape(shape))
    return re.compile(f"(?<![0-9a-z])(?:{'|'.join(choices)})(?![0-9a-z])")
