"""Identity numbers, however somebody wrote them: with blanks or dashes, in other digits, with letters that look alike.

A Chinese one is known by its place, its day of birth and its check (GB 11643); an American or a British one by its
dashes and letters. Where the text says what it speaks of, less is asked of the number. Pure: nothing is logged.
"""

import re
from collections.abc import Iterator
from datetime import date

LOOKS = str.maketrans(
    "〇零○一壹幺二贰貳三叁參四肆五伍六陆陸七柒八捌九玖АВЕКМНОРСТХхΑΒΕΗΙΚΜΝΟΡΤΧχο×о✕✖",
    "0001112223334455666778899ABEKMHOPCTXXABEHIKMNOPTXXoXoXX",
)
DIGITS = str.maketrans("OoIlZSBx", "0011258X")
DIGIT = "[0-9OoIlZSB]"
GAP = r"[\W_]{0,3}"  # no sign is in both, so that a text can be read in one way only
FEWEST = 6  # real digits in a text that has such a number in it
PLACES = {
    *range(11, 16),
    *range(21, 24),
    *range(31, 38),
    *range(41, 47),
    *range(50, 55),
    *range(61, 66),
    71,
    81,
    82,
    83,
}
_CHINESE = re.compile(rf"(?=(?P<v>{DIGIT}(?:{GAP}{DIGIT}){{16}}{GAP}[0-9OoIlZSBXx]))")
_OLD_CHINESE = re.compile(rf"(?<!\d)(?=(?P<v>{DIGIT}(?:{GAP}{DIGIT}){{14}})(?!{GAP}\d))")
_AMERICAN = re.compile(r"(?<![\w-])(?P<v>(?!000|666)\d{3}-(?!00)\d{2}-(?!0000)\d{4})(?![\w-])", re.ASCII)
_BRITISH = re.compile(r"\b(?P<v>[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-Z]|[A-Z]{2}-?\d\d-\d\d-\d\d-?[A-D])\b", re.ASCII)
_SAID_AMERICAN = re.compile(rf"(?<![A-Za-z0-9])(?P<v>{DIGIT}{{3}}{GAP}{DIGIT}{{2}}{GAP}{DIGIT}{{4}})(?![A-Za-z0-9])")
_SAID_BRITISH = re.compile(
    rf"(?<![A-Za-z0-9])(?P<v>[A-Za-z]{GAP}[A-Za-z](?:{GAP}{DIGIT}){{6}}{GAP}[A-Da-d])(?![A-Za-z0-9])"
)
_SAYS_CHINESE = re.compile(r"身份证|身份證|证件号|(?i:\bID (?:card|number|no\b)|identity (?:card|number)|resident id)")
_SAYS_AMERICAN = re.compile(r"(?i)\bSSN\b|social security|社会安全|社會安全|社安号|社保")
_SAYS_BRITISH = re.compile(r"(?i)\bNINO\b|\bNI (?:number|no\b)|national insurance|国民保险|國民保險")


def find_identities(text: str) -> Iterator[tuple[int, int]]:
    """Yield where identity numbers stand in a text whose digits and blanks are plain already."""
    text = text.translate(LOOKS)
    if sum(map(text.count, "0123456789")) < FEWEST:
        return
    patterns = [_CHINESE, _AMERICAN, _BRITISH]
    is_said = bool(_SAYS_CHINESE.search(text))
    patterns += [_OLD_CHINESE] if is_said else []
    patterns += [_SAID_AMERICAN] if _SAYS_AMERICAN.search(text) else []
    patterns += [_SAID_BRITISH] if _SAYS_BRITISH.search(text) else []
    for pattern in patterns:
        for match in pattern.finditer(text):
            if pattern not in {_CHINESE, _OLD_CHINESE} or _is_resident(match["v"], is_said=is_said):
                yield match.span("v")


def _is_resident(number: str, *, is_said: bool) -> bool:
    """Return whether place, day of birth and, where nothing says what it is, the check of a Chinese number fit."""
    signs = re.sub(r"[\W_]", "", number).translate(DIGITS)
    born = signs[6:14] if len(signs) == 18 else "19" + signs[6:12]
    try:
        day = date(int(born[:4]), int(born[4:6]), int(born[6:]))
    except ValueError:
        return False
    if int(signs[:2]) not in PLACES or not 1900 <= day.year <= date.today().year:  # noqa: DTZ011 - a year is enough
        return False
    total = sum(int(sign) * (2 ** (17 - at) % 11) for at, sign in enumerate(signs[:17]))
    return is_said or "10X98765432"[total % 11] == signs[17]
