"""
Pieces of a text: the characters and addresses in it, and bits of Markdown that nothing inside them breaks out of.

Knows Unicode and Markdown; must not know what a message is.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import islice

# Slack turns typed addresses into links by itself; the label then is what the person wrote.
_MADE_BY_SLACK = ("mailto:", "tel:", "http://", "https://")

LINK = re.compile(
    r"!?\[([^\[\]\n]{0,200})\]\(\s?<?([^\s<>()`]{0,2000}(?:\([^\s<>()`]{0,200}\)[^\s<>()`]{0,200})?)>?"
    r"(?:\s+\"[^\"\n]{0,200}\")?\)"
)
URL_START = re.compile(
    r"[a-z][a-z0-9+.-]{1,30}://|(?:mailto|javascript|slack|tel):[^\s]|www\.|"
    r"(?:[a-z0-9-]{1,63}\.){1,10}(?:com|net|org|io|dev|app|ai|co|info|biz|xyz|top|site|online|cloud|link|click|me|us|eu|uk|de"
    r"|fr|ru|cn|in|br|tk|gg|ly|to|edu|gov)(?![a-z0-9-])",
    re.IGNORECASE,
)
URL = re.compile(r"[^\s<>\"`|]{1,2000}")
MOST_URLS, MOST_ENDS = 1000, 16  # of a text, and of an address: what is meant to take long does not
AFTER_URL = ".,;:!?'\")]}*_~"

UNSEEN = "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
_LOOKALIKES = str.maketrans("асеһӏоугεηνѵոοαγհ", "acehloyrenvvnoayh")
_JOINERS = "\u200d\u034f"
_MODIFIERS = re.compile("[\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\uff9e\uff9f]")
_FLAG_LETTER = re.compile("[\U0001f1e6-\U0001f1ff]")
_HANGUL = re.compile("[\u1100-\u115f][\u1100-\u11ff\uac00-\ud7a3]|[\u1160-\u11ff\uac00-\ud7a3][\u1160-\u11ff]")


def skeleton(text: str) -> str:
    """The letters that a reader, or a lenient parser, would take the text for."""
    seen = unicodedata.normalize("NFKD", re.sub(UNSEEN, "", text)).casefold()
    return seen.translate(_LOOKALIKES)


def find_urls(text: str) -> frozenset[str]:
    """Every address that a reader of *text* can see, to be known when the answer to it is neutralised."""
    found = {normal_url(link[2]) for link in LINK.finditer(text)}
    for match in islice(URL_START.finditer(text), MOST_URLS):
        run = URL.match(text, match.start())
        whole = run[0] if run else ""
        found |= {normal_url(whole[: end.start()]) for end in islice(re.finditer(r"[)\]}]", whole), MOST_ENDS)}
        found |= {normal_url(whole.rstrip(AFTER_URL)), normal_url(whole.rstrip(".,;:!?'\"*_~"))}
    return frozenset(found - {""})


def normal_url(url: str) -> str:
    """An address as it is compared: without scheme and final slash, its host in small letters."""
    host, slash, path = re.sub(r"^https?://", "", url.strip(), flags=re.IGNORECASE).partition("/")
    return (host.lower() + slash + path).rstrip("/")


def is_boundary(text: str, position: int) -> bool:
    """Whether a reader sees two characters here, not one made of several code points."""
    if not 0 < position < len(text):
        return True
    before, after = text[position - 1], text[position]
    if before == "\r" and after == "\n":
        return False
    is_part = unicodedata.category(after).startswith("M") or _MODIFIERS.match(after) or after in _JOINERS
    is_half = "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff"
    if is_part or is_half or before in _JOINERS or _HANGUL.fullmatch(before + after):
        return False
    return not (_FLAG_LETTER.match(after) and _count_flag_letters(text, position) % 2)


def _count_flag_letters(text: str, position: int) -> int:
    start = position
    while start and _FLAG_LETTER.match(text[start - 1]):
        start -= 1
    return position - start


def build_quote(markdown: str) -> str:
    """Every line behind a quote marker."""
    return "\n".join(f"> {line}".rstrip() for line in markdown.split("\n"))


def build_link(url: str, *, label: str) -> str:
    """A link; only the label where it is the address as somebody typed it."""
    if not label or label == url:
        return url
    if not url or url.rstrip("/") in {f"{scheme}{label}".rstrip("/") for scheme in _MADE_BY_SLACK}:
        return label
    target = f"<{url}>" if re.search(r"[\s()]", url) else url
    text = re.sub(r"([][])", r"\\\1", label)
    return f"[{text}]({target})"


def build_code_span(code: str) -> str:
    """Inline code with markers longer than any run of backticks it contains."""
    ticks = _ticks(code, least=1)
    pad = " " if code.startswith("`") or code.endswith("`") else ""
    return f"{ticks}{pad}{code}{pad}{ticks}"


def build_fence(code: str, *, language: str = "") -> str:
    """A fenced block that its own content cannot close."""
    ticks = _ticks(code, least=3)
    return f"{ticks}{language}\n{code.strip(chr(10))}\n{ticks}"


def build_table(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is the head; short rows are filled up."""
    width = max(map(len, rows), default=0)
    cells = [[re.sub(r"\s+", " ", cell).strip().replace("|", r"\|") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in cells]
    return "\n".join([*lines[:1], "|" + " --- |" * width, *lines[1:]]) if width else ""


def _ticks(code: str, *, least: int) -> str:
    longest = max(map(len, re.findall(r"`+", code)), default=0)
    return "`" * max(least, longest + 1)
