"""Other ways to ask a question, by rules of general English: for models that cannot reword one themselves.

Pure. The rules know question words, frames, synonyms and how people type; the team's names and numbers are kept. Not
every wording is good English: what is learned from them is which words matter.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

TABLE = Path(__file__).parent / "rewording.toml"
TRIES = 40  # a wording; short questions have few
AUXILIARY = "is|are|was|were|does|do|did|can|could|may|should|must|has|have|had|will|would"
QUESTION = re.compile(
    r"(?P<word>who|whose|whom|where|when|why|how(?: (?:many|much|often|long|large|big|old|far))?|what|which)"
    rf"(?:(?P<kind>(?: (?!(?:{AUXILIARY})\b)[\w-]+)?) (?P<aux>{AUXILIARY})\b)?(?P<rest>.*)",
    re.IGNORECASE,
)
POLITE = re.compile(
    r"^(?:(?:hey|hi|hello|please|ok|so|sorry|thanks|quick question|question)\b[ ,:!]*)*"
    r"(?:(?:can|could|would) you (?:please )?(?:tell me|say|explain)[ ,:]*|(?:please )?tell me[ ,:]*|do you know[ ,:]*)"
    r"?",
    re.IGNORECASE,
)
SPEAKER = re.compile(r"^([^\W\d_][\w.' -]{0,30}): (?=\S)")
VALUE = re.compile(r"(?<=\s)(?:#?\w*\d[\w.:/-]*|#\w+|[A-Z]\w+)")
PRONOUNS = ("i ", "we ", "you ", "they ")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question taken apart: *core* without manners, *topic* what it is about, *noun* what kind of answer it wants."""

    core: str
    indirect: str
    topic: str
    noun: str
    speaker: str


@cache
def read_table() -> dict[str, Any]:
    """Return the table of words, its rows split."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    for name in ("nouns", "openings"):
        table[name] = {word: split_row(row) for word, row in table[name].items()}
    rows = [split_row(row) for row in table["words"]["rows"]]
    table["words"] = [(word.lower(), row) for row in rows for word in row]
    table["things"] = split_row(table["things"])
    table["small"] = set(table["small"].lower().split())
    return table


def split_row(row: str) -> list[str]:
    """Return what stands between the bars."""
    return [part.strip() for part in row.split("|")]


def reword(question: str, *, seed: int, answer: str = "") -> Iterator[str]:
    """Yield other wordings of *question*, each once, until the rules find no more; *answer* lends its own words.

    What has no words, as `???`, has no others.
    """
    if not normalize(take_apart(question, Random(0)).core):  # noqa: S311 - as below
        return
    rng = Random(f"{seed}/{question}")  # noqa: S311 - must be repeatable, and protects nothing
    seen = {normalize(question)}
    failed = 0
    while failed < TRIES:
        wording = _reword_once(rng, question, answer)
        if normalize(wording) in seen or len(wording) < 2:
            failed += 1
            continue
        seen.add(normalize(wording))
        failed = 0
        yield wording


def normalize(text: str) -> str:
    """Return the words alone, in lower case: wordings that differ in less are one."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def take_apart(question: str, rng: Random) -> Asked:
    """Return the parts of a question; what has no question word is its own topic."""
    speaker = SPEAKER.match(question)
    core = question[speaker.end() if speaker else 0 :].strip().rstrip("?!. ")
    core = POLITE.sub("", core, count=1) or core
    found = QUESTION.match(core)
    if not found:
        return Asked(core, core, core, "answer", speaker[1] if speaker else "")
    core = core[:1].lower() + core[1:]
    word, kind, rest = found["word"].lower(), (found["kind"] or "").strip(), found["rest"].strip()
    if word in {"what", "which"} and not found["aux"]:
        kind, _, rest = rest.partition(" ")
    noun = kind or rng.choice(read_table()["nouns"].get(word, ["answer"]))
    is_state = (found["aux"] or "is").lower() in {"is", "are", "was", "were"}
    topic = rest if found["aux"] or kind else " ".join(rest.split()[1:]) or rest
    topic = f"{kind} {topic}" if is_state else topic
    return Asked(core, _turn(found), _strip_topic(topic) or core, noun, speaker[1] if speaker else "")


def _turn(found: re.Match[str]) -> str:
    """Return the question in the order it has after "tell me", where that needs no grammar."""
    head, aux, rest = f"{found['word'].lower()}{found['kind'] or ''}", found["aux"] or "", found["rest"].strip()
    if aux in {"is", "are", "was", "were"} and rest and " " in rest and len(rest.split()) <= 6:
        return f"{head} {rest} {aux}"
    if aux in {"do", "can", "may", "should", "must", "could"} and rest.lower().startswith(PRONOUNS):
        subject, _, verb = rest.partition(" ")
        return f"{head} {subject} {verb}" if aux == "do" else f"{head} {subject} {aux} {verb}"
    return f"{head}{' ' + aux if aux else ''} {rest}"


def _strip_topic(topic: str) -> str:
    """Return a topic without the pronoun and the small words at its ends."""
    words, small = topic.split(), read_table()["small"]
    while words and words[0].lower() in small - {"our", "the"}:
        words = words[1:]
    while words and words[-1].lower() in small:
        words = words[:-1]
    return " ".join(words)


def leave_blank(question: str, answer: str) -> str:
    """Return an answer up to what it says, which is taken for its first name or number; empty where that is unclear."""
    found = VALUE.search(answer)
    words = answer[: found.start()].split() if found else []
    while words and words[-1].lower() in {"the", "a", "an", "to", "on", "at", "in", "by", "called", "named"}:
        words.pop()
    is_known = bool(words) and (words[0].lower() in read_table()["small"] or words[0].lower() in question.lower())
    if not is_known or len(words) < 2:
        return ""
    return " ".join([words[0] if words[0].isupper() else words[0].lower(), *words[1:]])


def _reword_once(rng: Random, question: str, answer: str) -> str:
    table = read_table()
    asked = take_apart(question, rng)
    dice, blank = rng.random(), leave_blank(question, answer)
    if dice < 0.72:
        kind = "asides" if dice < 0.18 else "told" if blank and dice < 0.28 else "loose" if dice < 0.46 else "frames"
        core = _swap_words(rng, _swap_opening(rng, asked.core))
        text = rng.choice(table[kind]).format(
            q=core if rng.random() < 0.7 else asked.core,
            i=_swap_words(rng, asked.indirect),
            t=_swap_words(rng, asked.topic),
            n=asked.noun,
            c=rng.choice(table["clauses"]),
            x=rng.choice(table["things"]),
            a=_swap_words(rng, blank),
            w=" ".join(asked.core.split()[:1]),
        )
    elif dice < 0.86:
        text = rng.choice(table["topics"]).format(t=_swap_words(rng, asked.topic), n=asked.noun)
    else:
        text = _keywords(rng, _swap_words(rng, asked.core))
    if dice < 0.86 and rng.random() < 0.2:
        text = _leave_out(rng, text)
    return _type(rng, text, asked.speaker)


def _swap_opening(rng: Random, core: str) -> str:
    """Put another question word at the start, the longest that is known first."""
    openings: dict[str, list[str]] = read_table()["openings"]
    for opening in sorted(openings, key=len, reverse=True):
        if core.lower().startswith(f"{opening.lower()} ") and rng.random() < 0.6:
            return rng.choice(openings[opening]) + core[len(opening) :]
    return core


def _swap_words(rng: Random, text: str, *, share: float = 0.35) -> str:
    """Put synonyms in the place of words and phrases, each word at most once."""
    lower = text.lower()
    rows = [(word, row) for word, row in read_table()["words"] if word in lower]
    rng.shuffle(rows)
    rows.sort(key=lambda entry: -entry[0].count(" "))  # "on call" before "call"
    taken = "\x00"
    for word, row in rows:
        pattern = re.compile(rf"(?<![\w\x00-]){re.escape(word)}(?![\w\x00-])", re.IGNORECASE)
        if pattern.search(text) and rng.random() < share:
            other = rng.choice([entry for entry in row if entry.lower() != word])
            marked = taken + other.replace(" ", f" {taken}") + taken
            text = pattern.sub(marked, text, count=1)
    return text.replace(taken, "")


def _leave_out(rng: Random, text: str) -> str:
    """Leave out some of the small words, and now and then another."""
    small = read_table()["small"]
    kept = [word for word in text.split() if rng.random() > (0.4 if word.lower() in small else 0.08)]
    return " ".join(kept)


def _keywords(rng: Random, core: str) -> str:
    """Return what is left of a question where people type only the words that matter."""
    small = read_table()["small"]
    words = [word for word in core.split() if word.lower().strip(",.?") not in small]
    head = core.split(maxsplit=1)[0]
    if rng.random() < 0.4:
        rng.shuffle(words)
    if len(words) > 2 and rng.random() < 0.4:
        words.pop(rng.randrange(len(words)))
    if rng.random() < 0.6:
        words.insert(rng.choice([0, len(words)]), head)
    return " ".join(words) + rng.choice(["", "?", "?"])


def _type(rng: Random, text: str, speaker: str) -> str:
    """Return the wording as somebody types it: manners, case, punctuation, a slip of the finger."""
    table = read_table()
    if rng.random() < 0.12:
        text = rng.choice(table["before"]) + text
    if rng.random() < 0.12:
        text = text.rstrip("?") + rng.choice(table["after"])
    dice = rng.random()
    if dice < 0.4:
        text = text[:1].upper() + text[1:]
    elif dice < 0.5:
        text = text.lower()
    if rng.random() < 0.25:
        text = text.rstrip("?.!")
    if rng.random() < 0.06:
        text = _slip(rng, text)
    if speaker:
        text = f"{rng.choice(table['people'])}: {text}"
    return text.strip()


def _slip(rng: Random, text: str) -> str:
    """Swap two letters of one long word that has neither capitals nor digits."""
    words = list(re.finditer(r"(?<!\w)[a-z]{5,}(?!\w)", text))
    if not words:
        return text
    at = rng.randrange((word := rng.choice(words)).start() + 1, word.end() - 1)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
