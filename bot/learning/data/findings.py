"""Where secrets and personal data stand in a text. Pure: nothing is called, verified or logged.

The patterns of known services are those of detect-secrets, read as patterns alone: its own `verify` would call the
service, and its search returns only a part of some tokens. Ours are in `rules`. All of them read letters of other
scripts as signs between words, so that what stands between Chinese characters without a space is found as well.
"""

import importlib
import pkgutil
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from bot.errors import LearningError
from bot.learning.data.identities import find_identities
from bot.learning.data.rules import NAMED, PERSONS, PLACED, RULES, SECRET

# No pattern, and those that ours are better at: some of them take long over what has no secret in it.
SKIPPED = {"base", "ip_public", "private_key", "basic_auth", "npm", "openai"}
LONG_RUN = 16  # no token of a known service is shorter
UNSEEN = {"Cf", "Mn", "Me"}  # zero width, marks of direction, accents and keycaps
_NO_DIGITS = re.compile(r"[^0-9]+")


@dataclass(frozen=True, slots=True)
class Finding:
    """A place in a text that nobody may learn: of which kind, from where to where."""

    kind: str
    start: int
    end: int


class _Plain(dict[int, str]):
    """How each sign is read: of whatever width and script a digit is itself, and so are blanks, dashes and quotes."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        kind, plain = unicodedata.category(sign), unicodedata.normalize("NFKC", sign)
        if kind in UNSEEN:
            plain = ""
        elif kind in {"Nd", "No"} and unicodedata.digit(sign, None) is not None:
            plain = str(unicodedata.digit(sign))
        elif kind in {"Pd", "Zs"} or sign == "−":
            plain = " " if kind == "Zs" else "-"
        elif sign in "“”„":
            plain = '"'
        elif sign in "∶꞉":
            plain = ":"
        self[code] = plain if len(plain) <= 1 else sign
        return self[code]


_PLAIN = _Plain()


def make_plain(text: str) -> str:
    """Return *text* as it is read when something is looked for in it: without what nobody sees, in plain signs."""
    return text if text.isascii() else text.translate(_PLAIN)


def find(text: str) -> list[Finding]:
    """Return what stands in *text*, from left to right; of two that overlap the first one, or the longer."""
    return join(search(text))


def search(text: str) -> list[Finding]:
    """Return what stands in *text* by each of the rules: what one takes for a secret can be a part of another's."""
    plain = make_plain(text)
    return locate(text, plain, _search(plain))


def locate(text: str, plain: str, found: Iterable[Finding]) -> list[Finding]:
    """Return where in *text* is what was *found* in it as it is read."""
    if len(plain) == len(text):
        return list(found)
    seen = [place for place, sign in enumerate(text) if make_plain(sign)]
    return [Finding(one.kind, seen[one.start], seen[one.end - 1] + 1) for one in found]


def join(found: Iterable[Finding]) -> list[Finding]:
    """Return findings from left to right, those that overlap as one of the first one's kind."""
    return [Finding(one[0].kind, one[0].start, max(part.end for part in one)) for one in group(found)]


def group(found: Iterable[Finding]) -> list[list[Finding]]:
    """Return findings from left to right, those together that overlap."""
    groups: list[list[Finding]] = []
    end = 0
    for finding in sorted(found, key=lambda one: (one.start, -one.end)):
        if groups and finding.start < end:
            groups[-1].append(finding)
        else:
            groups.append([finding])
        end = max(end, finding.end)
    return groups


def _search(text: str) -> Iterator[Finding]:
    traits = find_traits(text)
    for rule in RULES:
        if rule.needs in traits:
            part = "v" if rule.pattern.groupindex else 0
            for match in rule.pattern.finditer(text):
                if rule.is_one(match[part]):
                    yield Finding(rule.kind, match.start(part), match.end(part))
    for start, end in find_identities(text):
        yield Finding("identity", start, end)
    if "long" in traits:
        yield from _search_services(text)


def _search_services(text: str) -> Iterator[Finding]:
    """Yield the tokens of known services, which take more than two blanks side by side for two.

    Their patterns can read the same blanks in three ways: a thousand of them would hold up everybody for a minute.
    """
    places: Sequence[int] = range(len(text))
    if "   " in text:
        places = [at for at in places if text[at - 2 : at + 1] != "   " or at < 2]
        text = "".join(text[at] for at in places)
    for pattern in service_patterns():
        for match in pattern.finditer(text):
            yield Finding(SECRET, places[match.start()], places[match.end() - 1] + 1)


def find_traits(text: str) -> set[str]:
    """Return what a text has in it that a finding needs: most texts have little, and most rules need not look."""
    traits = {sign for sign in "@:<" if sign in text}
    if ":" in traits or text.count("-") >= 5:
        traits.add(":-")
    if any(len(word) >= LONG_RUN for word in text.split()):
        traits.add("long")
    digits = len(_NO_DIGITS.sub("", text))
    if digits >= 2:
        traits.add("digits")
    if digits >= 7:
        traits.add("number")
    if digits >= 4 and text.count(".") >= 3:
        traits.add("dotted")
    low = text.lower()
    for trait, words in (("named", NAMED), ("placed", PLACED), ("person", PERSONS)):
        if any(word in low for word in words):
            traits.add(trait)
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
                found.extend(re.compile(one.pattern, one.flags & ~re.UNICODE | re.ASCII) for one in kind.denylist)
    return tuple(found)
