"""Turn a pattern such as `(hi|hello) {name}` into one wording, and rough it up the way people type."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Literal, TypeVar
from zlib import crc32

Split = Literal["train", "held-out"]
T = TypeVar("T")

DATA = Path(__file__).parent / "data"
TALK: dict[str, list[str]] = tomllib.loads((DATA / "talk.toml").read_text(encoding="utf-8"))
FORMS: dict[str, list[str]] = tomllib.loads((DATA / "forms.toml").read_text(encoding="utf-8"))

# A slot's value stands between these marks until the wording is final, so that noise never changes it.
OPEN, CLOSE = "\x01", "\x02"
_SLOT = re.compile(r"\{(\w+)\}")
_VALUE = re.compile(f"{OPEN}(.*?){CLOSE}")


def split_alternatives(pattern: str) -> list[str]:
    """Split at the bars that stand outside parentheses."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(pattern):
        depth += (char == "(") - (char == ")")
        if char == "|" and depth == 0:
            parts.append(pattern[start:index])
            start = index + 1
    return [part.strip() for part in [*parts, pattern[start:]]]


def part_of(items: Sequence[T], split: Split) -> list[T]:
    """Every sixth item in hash order, at least one of four, is held out; the rest is for training."""
    ordered = sorted(items, key=lambda item: crc32(repr(item).encode()))
    count = max(len(ordered) // 6, 1) if len(ordered) >= 4 else 0
    chosen = ordered[:count] if split == "held-out" else ordered[count:]
    return chosen or ordered


def choose(rng: Random, items: Sequence[T], split: Split) -> T:
    return rng.choice(part_of(items, split))


def expand(rng: Random, pattern: str) -> str:
    """Choose one alternative of each `(a|b|)` group, innermost first."""
    group = re.compile(r"\(([^()]*\|[^()]*)\)")
    while match := group.search(pattern):
        pattern = pattern[: match.start()] + rng.choice(match[1].split("|")) + pattern[match.end() :]
    return re.sub(r" +([?.,!]|$)", r"\1", pattern)


def fill(pattern: str, slots: Mapping[str, str], *, mark: bool = False) -> str:
    left, right = (OPEN, CLOSE) if mark else ("", "")
    return _SLOT.sub(lambda match: f"{left}{slots[match[1]]}{right}" if match[1] in slots else match[0], pattern)


def slot_names(pattern: str) -> list[str]:
    return _SLOT.findall(pattern)


def plain(text: str) -> str:
    return text.replace(OPEN, "").replace(CLOSE, "")


def sentence(text: str) -> str:
    """Start with a capital letter and end with a full stop."""
    return upper_first(text.rstrip(".")) + "."


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def roughen(rng: Random, text: str, *, before: Sequence[str] = (), after: Sequence[str] = ()) -> str:
    """One typed version of a wording: manners, case, punctuation and now and then a slip of the finger."""
    if rng.random() < 0.07:
        text = _slip(rng, text)
    dice = rng.random()
    if dice < 0.45:
        text = upper_first(text)
    elif dice < 0.65:
        text = _lower(text, values=rng.random() < 0.2)
    if rng.random() < 0.25:
        text = text.rstrip("?.")
    if before and rng.random() < 0.22:
        lead = rng.choice(before)
        text = lead + (text if text.startswith(("I ", "I'", OPEN)) else text[:1].lower() + text[1:])
    if after and rng.random() < 0.12:
        text = text.rstrip("?") + rng.choice(after)
    return plain(text)


def _lower(text: str, *, values: bool) -> str:
    if values:
        return text.lower()
    parts = re.split(f"({OPEN}.*?{CLOSE})", text)
    return "".join(part if part.startswith(OPEN) else part.lower() for part in parts)


def _slip(rng: Random, text: str) -> str:
    """Swap, drop or double one letter of one long word that is no slot's value."""
    masked = _VALUE.sub(lambda match: "#" * len(match[0]), text)
    words = list(re.finditer(r"[a-z]{5,}", masked))
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    return rng.choice(
        [
            text[:at] + text[at + 1] + text[at] + text[at + 2 :],
            text[:at] + text[at + 1 :],
            text[:at] + text[at] + text[at:],
        ]
    )
