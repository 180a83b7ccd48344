"""A long text in passages, and which of them matter for a question: pure choices on plain text (Okapi BM25)."""

import bisect
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

SIZE = 1_000  # characters: a paragraph or two, so that a few of them fit into a small context
K1 = 1.2
B = 0.75
WORD = re.compile(r"[^\W_]+")
ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|s)$")
WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")  # scripts without blanks: pairs of characters


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a text, from *start* to before *end*."""

    start: int
    end: int


def split_passages(text: str, *, size: int = SIZE) -> list[Passage]:
    """Cut a text into pieces of about *size* characters, at an empty line if one is near, else at a line's end."""
    passages, start = [], 0
    while start < len(text):
        end = _find_end(text, start, start + size) if start + size < len(text) else len(text)
        passages.append(Passage(start, end))
        start = end
    return passages


def _find_end(text: str, start: int, limit: int) -> int:
    least = start + (limit - start) // 2
    for mark in ("\n\n", "\n", " "):
        found = text.rfind(mark, least, limit)
        if found >= 0:
            return found + len(mark)
    return limit


def rank(passages: Sequence[str], question: str) -> list[int]:
    """Return the numbers of *passages*, the one that says most about *question* first.

    Where nothing in them has to do with the question ("summarise this"), they are taken from all over the text.
    """
    texts = [Counter(read_terms(passage)) for passage in passages]
    scores = _score(texts, set(read_terms(question)))
    spread = {number: place for place, number in enumerate(_spread(len(passages)))}
    return sorted(range(len(passages)), key=lambda number: (-scores[number], spread[number]))


def _score(texts: Sequence[Counter[str]], asked: Iterable[str]) -> list[float]:
    mean = sum(text.total() for text in texts) / max(1, len(texts)) or 1.0
    scores = [0.0] * len(texts)
    for term in asked:
        having = sum(term in text for text in texts)
        weight = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
        for number, text in enumerate(texts):
            count = text[term]
            scores[number] += weight * count * (K1 + 1) / (count + K1 * (1 - B + B * text.total() / mean))
    return scores


def _spread(count: int) -> Iterator[int]:
    """Yield 0 to *count* - 1 so that any number of first ones covers the whole: first, last, middle, quarters."""
    seen: set[int] = set()
    step = max(1, count - 1)
    while len(seen) < count:
        for number in [*range(0, count, step), count - 1]:
            if number not in seen:
                seen.add(number)
                yield number
        step = max(1, step // 2)


def read_terms(text: str) -> Iterator[str]:
    """Yield what can be compared: words in small letters without their commonest endings, pairs of wide characters."""
    for word in WORD.findall(text.casefold()):
        run = WIDE.search(word)
        if run:
            yield from (run[0][at : at + 2] for at in range(max(1, len(run[0]) - 1)))
        else:
            yield ENDING.sub("", word)


def join_passages(passages: Iterable[Passage]) -> list[Passage]:
    """Return passages in the order of the text, neighbours as one."""
    joined: list[Passage] = []
    for passage in sorted(passages, key=lambda one: one.start):
        if joined and joined[-1].end >= passage.start:
            joined[-1] = Passage(joined[-1].start, max(joined[-1].end, passage.end))
        else:
            joined.append(passage)
    return joined


class Ruler:
    """Says where in a file something stands: its pages if it has any, else its lines."""

    def __init__(self, text: str, pages: Sequence[int]) -> None:
        self.unit = "page" if pages else "line"
        self._starts = list(pages) or [
            0,
            *(match.end() for match in re.finditer("\n", text) if match.end() < len(text)),
        ]
        self.count = len(self._starts)

    def span(self, passage: Passage) -> tuple[int, int]:
        """Return the first and the last page or line of a passage, counted from 1."""
        last = max(passage.start, passage.end - 1)
        return bisect.bisect_right(self._starts, passage.start), bisect.bisect_right(self._starts, last)
