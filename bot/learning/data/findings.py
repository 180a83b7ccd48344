"""Where secrets and personal data stand in a text. Pure: nothing is called, verified or logged.

The patterns of known services are those of detect-secrets, read as patterns alone: its own `verify` would call the
service, and its search returns only a part of some tokens.
"""

import importlib
import math
import pkgutil
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address

from bot.errors import LearningError

SECRET = "secret"  # noqa: S105 - a name, not one
SKIPPED = {"base", "ip_public", "private_key"}  # no pattern, and two that ours are better at
LONG_RUN = 16  # no token of a known service is shorter
_NO_DIGITS = re.compile(r"\D+")
_NAMED = ("pass", "pwd", "kennwort", "key", "secret", "token", "pin")
_DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}$")


@dataclass(frozen=True, slots=True)
class Finding:
    """A place in a text that nobody may learn: of which kind, from where to where."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern of one kind; a text without the trait *needs* has none, *is_one* looks closer at a match."""

    kind: str
    pattern: re.Pattern[str]
    needs: str
    is_one: Callable[[str], bool] = bool


def find(text: str) -> list[Finding]:
    """Return what stands in *text*, from left to right; of two that overlap the first one, or the longer."""
    found = sorted(_search(text), key=lambda finding: (finding.start, -finding.end))
    kept: list[Finding] = []
    for finding in found:
        if kept and finding.start < kept[-1].end:
            last = kept[-1]
            kept[-1] = Finding(last.kind, last.start, max(last.end, finding.end))
        else:
            kept.append(finding)
    return kept


def _search(text: str) -> Iterator[Finding]:
    traits = find_traits(text)
    for rule in RULES:
        if rule.needs in traits:
            for match in rule.pattern.finditer(text):
                if rule.is_one(match[0]):
                    yield Finding(rule.kind, match.start(), match.end())
    if "long" in traits:
        for pattern in service_patterns():
            for match in pattern.finditer(text):
                yield Finding(SECRET, match.start(), match.end())


def find_traits(text: str) -> set[str]:
    """Return what a text has in it that a finding needs: most texts have little, and most rules need not look."""
    traits = {sign for sign in "@:<" if sign in text}
    if any(len(word) >= LONG_RUN for word in text.split()):
        traits.add("long")
    digits = len(_NO_DIGITS.sub("", text))
    if digits >= 7:
        traits.add("number")
    if digits >= 4 and text.count(".") >= 3:
        traits.add("dotted")
    low = text.lower()
    if any(name in low for name in _NAMED):
        traits.add("named")
    return traits


@cache
def service_patterns() -> tuple[re.Pattern[str], ...]:
    """Return the patterns of the tokens of known services; an address on the internet is no secret."""
    try:
        from detect_secrets import plugins
        from detect_secrets.plugins.base import RegexBasedDetector
    except ImportError as error:
        raise LearningError(
            "The package detect-secrets is not installed, so secrets could be learned: pip install 'apprentice[train]'."
        ) from error
    found: list[re.Pattern[str]] = []
    for info in pkgutil.iter_modules(plugins.__path__):
        module = importlib.import_module(f"{plugins.__name__}.{info.name}")
        for kind in vars(module).values():
            is_own = isinstance(kind, type) and kind.__module__ == module.__name__
            if is_own and issubclass(kind, RegexBasedDetector) and info.name not in SKIPPED:
                found.extend(kind.denylist)
    return tuple(found)


def _is_random(word: str) -> bool:
    """Return whether a long word looks drawn by chance."""
    if re.fullmatch(r"[0-9a-fA-F-]+", word):
        return len(word) >= 32 and sum(letter.isdigit() for letter in word) >= 6
    kinds = (str.isupper, str.islower, str.isdigit)
    counts = Counter(word)
    entropy = -sum(count / len(word) * math.log2(count / len(word)) for count in counts.values())
    return entropy > 3.8 and all(any(kind(letter) for letter in word) for kind in kinds)


def _is_card(number: str) -> bool:
    digits = [int(digit) for digit in number if digit.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + doubled) % 10 == 0


def _is_iban(number: str) -> bool:
    plain = number.replace(" ", "").upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def _is_phone(number: str) -> bool:
    return sum(sign.isdigit() for sign in number) >= 7 and not _DATE.fullmatch(number.strip())


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _rule(kind: str, needs: str, pattern: str, is_one: Callable[[str], bool] = bool) -> Rule:
    return Rule(kind, re.compile(pattern, re.DOTALL), needs, is_one)


RULES = (
    _rule(SECRET, "named", r"-----BEGIN[A-Z0-9 ]* PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END[A-Z0-9 ]*-----|\Z)"),
    _rule(
        SECRET,
        "named",
        r"(?i)\b(?:pass(?:word|wort|phrase|code)?|passwd|pwd|kennwort|api[ _-]?key|secret|token|pin)\s*[\"']?\s*"
        r"(?:(?:=|:=?)\s*[\"'`]?(?!\[)[^\s\"'`]{4,}"
        r"|(?:is|ist|lautet)\s+[\"'`]?(?=[^\s\"'`]*\d)(?=[^\s\"'`]*[^\W\d])(?!\[)[^\s\"'`]{6,})",
    ),
    _rule(SECRET, "long", r"\bxox[a-z](?:[.-][A-Za-z0-9]+)+|\bxapp-[A-Za-z0-9-]{10,}"),
    _rule(SECRET, "long", r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"),
    _rule(SECRET, "long", r"(?i)\bbearer\s+[\w.~+/=-]{16,}"),
    _rule(
        SECRET,
        "long",
        r"\b(?:github_pat_\w{22,}|sk-[\w-]{20,}|AIza[\w-]{35}|ya29\.[\w-]{20,}|hf_[A-Za-z0-9]{30,}|npm_[A-Za-z0-9]{36}"
        r"|(?:[rsp]k_(?:live|test)_|whsec_)\w{16,}|dop_v1_[0-9a-f]{64}|AGE-SECRET-KEY-1[A-Z0-9]{50,})",
    ),
    _rule(SECRET, "long", r"(?<![\w/])[A-Za-z0-9+/_=-]{24,}", _is_random),
    _rule("e-mail", "@", r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"),
    _rule(
        "IBAN",
        "number",
        r"\b(?:[A-Za-z]{2}\d{2}[A-Za-z0-9]{11,30}|[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)\b",
        _is_iban,
    ),
    _rule("card", "number", r"(?<![\d.])\d(?:[ -]?\d){12,18}(?!\d)", _is_card),
    _rule(
        "phone",
        "number",
        r"(?<![\w.])(?:(?:\+|00)\d[\d ()/.-]{5,18}\d|\(?0\d{1,4}\)?[ /.-]{1,3}\d[\d /.-]{4,12}\d|0\d{9,13}"
        r"|(?:1[ .-])?\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4})(?![\w])",
        _is_phone,
    ),
    _rule("address", "dotted", r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)", _is_address),
    _rule("address", ":", r"(?<![\w:])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])", _is_address),
    _rule("address", "long", r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b"),
    _rule("person", "<", r"<@[UW][A-Z0-9]+(?:\|[^<>\n]*)?>"),
    _rule("channel", "<", r"<#C[A-Z0-9]+(?:\|[^<>\n]*)?>|<!subteam\^[A-Z0-9]+(?:\|[^<>\n]*)?>"),
    _rule("link", ":", r"<(?:https?://|mailto:|tel:)[^<>\s|]+(?:\|[^<>\n]*)?>"),
    _rule("link", ":", r"https?://[\w-]+(?:\.enterprise)?\.slack\.com/\S+"),
)
