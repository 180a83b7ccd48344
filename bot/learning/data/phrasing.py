"""Several ways to ask what somebody corrected: what was taught has to be known in other words too.

The served model rewords first; what it writes is checked, never trusted. Where it gives too few, as a small model does,
the rules of `rewording.py` give the rest.
"""

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from bot.engine.client import EngineClient
from bot.engine.types import AnswerOptions
from bot.learning.data.rewording import normalize, read_table, reword

REQUEST = (
    "Write {count} different ways in which a colleague could ask the question below, one a line, without numbers and "
    "without an answer. Keep every name and number as it is.\n\nQuestion: {question}"
)
MOST_ASKED = 16  # of one call: longer lists repeat themselves
TOKENS_EACH = 40
LONGER, SHORTER = 3.0, 0.2  # times the length of the question
KEPT_WORDS = 0.34  # of the question's content words; its names and numbers stay all
ALIKE = 0.95
BACKGROUND = 2  # the engine's lowest class: people who wait for an answer go first
LIST_MARK = re.compile(r"^\s*(?:[-*•]|\(?\d{1,3}[.):])\s+")
RESIDUE = re.compile(
    r"<\||\|>|</?\w+>|\[/?INST\]|```|\{\{|^(?:question|answer|user|assistant|system)\s*:", re.IGNORECASE
)
NUMBER = re.compile(r"\w*\d[\w.:/-]*")
NAME = re.compile(r"(?<=[\w,;] )[A-Z]\w+")


async def phrase(client: EngineClient, *, model: str, question: str, answer: str, count: int, seed: int) -> list[str]:
    """Return *count* other ways to ask *question*, all distinct; fewer where even the rules find no more."""
    lines = await _ask(client, model, question, min(count, MOST_ASKED), seed) if count else []
    kept = choose_wordings(question, answer, lines)[:count]
    known = {normalize(question), *map(normalize, kept)}
    for wording in reword(question, seed=seed, answer=answer):
        if len(kept) >= count:
            break
        if normalize(wording) not in known:
            known.add(normalize(wording))
            kept.append(wording)
    return kept


async def _ask(client: EngineClient, model: str, question: str, count: int, seed: int) -> Sequence[str]:
    """Return the lines that the model writes when it is asked for other wordings."""
    messages = [{"role": "user", "content": REQUEST.format(count=count, question=question)}]
    options = AnswerOptions(
        model=model, max_tokens=TOKENS_EACH * count, temperature=0.8, top_p=0.95, seed=seed, priority=BACKGROUND
    )
    return "".join([chunk.text async for chunk in client.chat(messages, options)]).splitlines()


def choose_wordings(question: str, answer: str, lines: Iterable[str]) -> list[str]:
    """Return the lines that ask the same: everything that makes sense to nobody is left out."""
    kept: list[str] = []
    for line in lines:
        wording = LIST_MARK.sub("", line).strip().strip('"“”').strip()
        is_new = all(_likeness(wording, other) < ALIKE for other in (question, *kept))
        if is_new and is_same_question(wording, question, answer):
            kept.append(wording)
    return kept


def is_same_question(wording: str, question: str, answer: str) -> bool:
    """Whether a wording keeps what the question is about, asks instead of answering, and has no residue in it."""
    if RESIDUE.search(wording) or not SHORTER * len(question) <= len(wording) <= LONGER * len(question) + 20:
        return False
    words, asked = _content(wording), _content(question)
    marks = {mark.casefold() for pattern in (NUMBER, NAME) for mark in pattern.findall(question)}
    if not marks <= set(normalize(wording).split()) | words:
        return False
    if asked and len(words & asked) < KEPT_WORDS * len(asked):
        return False
    return not _tells(wording, question, answer) and _is_request(wording)


def _content(text: str) -> set[str]:
    """Return the words of a text that carry its topic, without the ends that grammar changes."""
    small = read_table()["small"]
    return {re.sub(r"(?:ies|es|s|ed|ing|y)$", "", word) for word in normalize(text).split() if word not in small}


def _tells(wording: str, question: str, answer: str) -> bool:
    """Whether a wording gives the answer away: half of what the answer adds to the question stands in it."""
    added = _content(answer) - _content(question)
    return bool(added) and len(added & _content(wording)) >= len(added) / 2


def _is_request(wording: str) -> bool:
    """Whether a wording asks for something, by its mark or by how it begins."""
    return wording.endswith("?") or bool(
        re.match(
            r"(?:please|tell|show|give|explain|remind|who|what|whe|which|how|why|can|could|do|does|is|are|i )",
            wording,
            re.IGNORECASE,
        )
    )


def _likeness(left: str, right: str) -> float:
    left, right = normalize(left), normalize(right)
    return 1.0 if left == right else SequenceMatcher(None, left, right).ratio()
