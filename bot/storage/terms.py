"""The words by which a question is found again, and how alike two questions are: the same on every database.

Words are cut to their stems; scripts without spaces are cut to pairs of characters, since most Chinese words have two.
Words that every question has say nothing and are left out, unless there are no others.
"""

import math
import re
import unicodedata
from collections.abc import Set
from functools import lru_cache
from itertools import chain

import snowballstemmer

MOST_TERMS = 64  # of one question: what is longer is no question that somebody asks again
LONGEST_TERM = 32
MOST_READ = 10_000  # characters: no more is looked through for them
LEAST_SHARED = 2
UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af"
WORD = re.compile(rf"[{UNSPACED}]+|(?:(?![{UNSPACED}])\w)+")
IS_UNSPACED = re.compile(rf"[{UNSPACED}]")
EMPTY = frozenset(
    """a an the and or but if of to in on at by for from with about into is are was were be been being am do does did
    done have has had having i you he she it we they me him her us them my your his its our their this that these those
    there here what which who whom whose when where why how can could should would will shall may might must not no yes
    please tell know let say get give go want need any some as so than then just also only again very too one ones ll re
    ve s t d m""".split()  # noqa: SIM905 - a page of quotation marks would be harder to read
)
EMPTY_UNSPACED = re.compile(
    "什么|甚么|怎么|怎样|如何|哪个|哪里|哪儿|哪些|哪位|多少|几个|为什么|是否|可以|需要|我们|你们|他们|咱们|请问|告诉|一下|现在"
    "|[谁哪几吗呢吧啊的了是在有和与及或个我你他她它这那请会能要把被就都也还于]"
)
_stemmer = snowballstemmer.stemmer("english")


def find_terms(text: str) -> frozenset[str]:
    """Return the terms of a question."""
    words = [word for word in find_words(text[:MOST_READ]) if word.strip("_")]
    plain = [word for word in words if not IS_UNSPACED.match(word)]
    pairs = [pair for word in words if IS_UNSPACED.match(word) for pair in _cut(word)]
    telling = [word for word in plain if word not in EMPTY]
    found = chain(map(_stem, telling), pairs) if telling or pairs else map(_stem, plain)
    terms: set[str] = set()
    for term in found:  # no further than that: to stem every word of a long text would take a second
        terms.add(term)
        if len(terms) == MOST_TERMS:
            break
    return frozenset(terms)


def find_words(text: str) -> list[str]:
    """Return all words of a text as they are, but for the case and the width of their letters."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def measure_likeness(one: Set[str], other: Set[str]) -> float:
    """Return how alike two questions are, from 0 to 1; a single term in common says nothing, unless it is all."""
    shared = len(one & other)
    if not shared or (shared < LEAST_SHARED and one != other):
        return 0.0
    return shared / math.sqrt(len(one) * len(other))


def _cut(run: str) -> list[str]:
    """Return the pairs of neighbours in a run of characters without spaces; a character alone stays alone."""
    parts = [part for part in EMPTY_UNSPACED.split(run) if part]
    return [pair for part in parts for pair in ([part[i : i + 2] for i in range(len(part) - 1)] or [part])]


def _stem(word: str) -> str:
    return _stem_short(word[: 2 * LONGEST_TERM])  # what is longer is no word, and would only fill the cache


@lru_cache(maxsize=20_000)
def _stem_short(word: str) -> str:
    return str(_stemmer.stemWord(word))[:LONGEST_TERM]
