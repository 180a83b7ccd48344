"""Whether an answer holds what somebody taught, whatever its words around it.

Pure. What counts is what the correction says and the untaught answer did not: numbers and names above all. It is a
check of words, not of meaning: an answer that names the right people in a wrong sentence passes.
"""

import re
from functools import lru_cache
from pathlib import Path

WORD = re.compile(r"[^\W_]+(?:['’.:/@+-][^\W_]+)*", re.UNICODE)
SENTENCE_START = re.compile(r"(?:^|[.!?:\n]\s*|[-*•]\s+)$")
NEGATIONS = {"no", "not", "never", "none", "nobody", "nothing", "without", "cannot", "neither", "nor"}
CLAUSES = re.compile(r"[,;.!?]\s+|\bbut\b")  # "at 10:15, not at 9:30" affirms its first clause only
NAMES_NEEDED = 2 / 3
WORDS_NEEDED = 0.6
ALIKE = 0.75  # where nothing is new, answer and correction must be as alike as this
STEM = 5  # letters that tell a word from another, so that "launches" is "launch"


def holds_fact(taught: str, answer: str, before: str, *, question: str = "") -> bool:
    """Whether *answer* says what *taught* says and *before*, the answer of a model that was not taught it, does not."""
    if not answer.strip():
        return False
    affirmed = ", ".join(clause for clause in CLAUSES.split(taught) if not _is_negative(clause))
    said, known = _stems(answer), _stems(before) | _stems(question)
    numbers, names, _ = _key_words(affirmed)
    new_numbers, new_names = numbers - known, names - known
    if new_numbers or new_names:
        is_there = new_numbers <= said and len(new_names & said) >= NAMES_NEEDED * len(new_names)
        return is_there and (not _is_negative(answer) or _is_negative(taught))
    if _is_negative(answer) != _is_negative(taught):
        return False
    new = _content(taught) - known
    if new:
        return len(new & said) >= WORDS_NEEDED * len(new)
    return _likeness(_content(taught), _content(answer)) >= ALIKE


def agreement(answer: str, reference: str) -> float:
    """Return the share of an answer's content words that the reference has: a shorter answer of its words has 1."""
    own = _content(answer)
    if not own:
        return float(bool(answer.strip()) and not _content(reference))
    return len(own & _content(reference)) / len(own)


def _key_words(text: str) -> tuple[set[str], set[str], set[str]]:
    """Return the stems of numbers, of names (a capital inside a sentence) and of other words that carry meaning."""
    numbers, names, words = set[str](), set[str](), set[str]()
    skipped = _function_words() | NEGATIONS
    for match in WORD.finditer(text):
        word = match.group()
        if any(letter.isdigit() for letter in word):
            numbers.add(_stem(word))
        elif word.lower() in skipped:
            continue
        elif word[0].isupper() and (word[1:] != word[1:].lower() or not SENTENCE_START.search(text[: match.start()])):
            names.add(_stem(word))
        else:
            words.add(_stem(word))
    return numbers, names, words - names


@lru_cache(maxsize=1)
def _function_words() -> frozenset[str]:
    """Return the words that carry no meaning by themselves."""
    return frozenset((Path(__file__).parent / "function-words.txt").read_text(encoding="utf-8").split())


def _content(text: str) -> set[str]:
    numbers, names, words = _key_words(text)
    return numbers | names | words


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in WORD.findall(text)}


def _stem(word: str) -> str:
    """Return what tells a word from others; numbers, dates and times stay whole."""
    lowered = word.lower().removesuffix("'s").removesuffix("’s")
    return lowered if any(letter.isdigit() for letter in lowered) else lowered[:STEM]


def _likeness(left: set[str], right: set[str]) -> float:
    return 2 * len(left & right) / (len(left) + len(right)) if left or right else 1.0


def _is_negative(text: str) -> bool:
    return any(word in NEGATIONS or word.endswith(("n't", "n’t")) for word in (w.lower() for w in WORD.findall(text)))
