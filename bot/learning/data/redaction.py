"""Placeholders for what nobody may learn, the same one for the same thing within an example."""

from collections import Counter
from functools import lru_cache

from bot.learning.data.findings import Finding, find, make_plain

NUMBERS = {"identity", "IBAN", "card", "phone"}  # the same with and without blanks


class Redaction:
    """The placeholders of one example; *counts* says how many things of each kind got one, never what they were."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}
        self.counts: Counter[str] = Counter()

    def redact(self, text: str) -> str:
        """Return *text* with a placeholder for each finding."""
        parts, at = [], 0
        for finding in find_cached(text):
            parts += [text[at : finding.start], self._name(finding.kind, text[finding.start : finding.end])]
            at = finding.end
        return "".join([*parts, text[at:]])

    def _name(self, kind: str, value: str) -> str:
        plain = make_plain(value).casefold()
        key = kind, "".join(filter(str.isalnum, plain)) if kind in NUMBERS else plain
        if key not in self._known:
            self.counts[kind] += 1
            self._known[key] = f"[{kind} {self.counts[kind]}]"
        return self._known[key]


def is_clean(text: str) -> bool:
    """Return whether nothing stands in *text* that must not be learned: the second look, after the placeholders."""
    return not find_cached(text)


@lru_cache(maxsize=4096)
def find_cached(text: str) -> tuple[Finding, ...]:
    """Return the findings in *text*; a thread's messages are read again with each of its answers."""
    return tuple(find(text))
