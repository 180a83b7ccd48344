"""What a file is: by its first bytes, never by its name alone."""

import re
from enum import StrEnum

HEAD = 2048  # bytes that are looked at
ENDINGS = {"csv": ("csv", "tsv"), "word": ("docx",)}
TEXT_ENDINGS = frozenset(
    re.findall(
        r"\w+",
        """
        txt text md markdown rst log out err csv tsv json jsonl ndjson yaml yml toml ini cfg conf env properties xml
        html htm svg css scss js mjs ts tsx jsx py pyi rb php pl lua r jl go rs c h cc cpp hpp cs java kt kts swift
        scala clj ex exs erl hs ml sql graphql proto sh bash zsh fish ps1 bat cmd dockerfile makefile cmake gradle tf
        hcl diff patch tex bib srt vtt ics eml vcf plist lock ipynb
        """,
    )
)
IMAGES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
AUDIO = (b"ID3", b"OggS", b"fLaC", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9", b"\x1aE\xdf\xa3")
LEAST_READABLE = 0.95


class Kind(StrEnum):
    """How a file is read."""

    TEXT = "text"
    CSV = "csv"
    PDF = "pdf"
    WORD = "word"
    IMAGE = "image"
    AUDIO = "audio"
    OTHER = "other"


def find_kind(name: str, mimetype: str, content: bytes) -> Kind:
    """Return how *content* can be read; a name or type that it does not bear out counts for nothing."""
    head, ending = content[:HEAD], read_ending(name)
    if head.lstrip().startswith(b"%PDF-"):
        return Kind.PDF
    if head.startswith(b"PK\x03\x04"):
        return Kind.WORD if ending == "docx" else Kind.OTHER
    if find_image(head):
        return Kind.IMAGE
    if _is_audio(head, mimetype):
        return Kind.AUDIO
    if not is_text(head, is_named_so=mimetype.startswith("text/") or ending in TEXT_ENDINGS):
        return Kind.OTHER
    return Kind.CSV if ending in ENDINGS["csv"] else Kind.TEXT


def guess_kind(name: str, mimetype: str) -> Kind:
    """Return what a file says that it is, before any byte of it came."""
    ending = read_ending(name)
    if mimetype.startswith("image/") and ending != "svg":
        return Kind.IMAGE
    if mimetype.startswith("audio/"):
        return Kind.AUDIO
    return {"pdf": Kind.PDF, "docx": Kind.WORD}.get(ending, Kind.TEXT)


def find_image(head: bytes) -> str:
    """Return the type of a picture that models take, empty for anything else."""
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in IMAGES.items() if head.startswith(start)), "")


def is_text(head: bytes, *, is_named_so: bool) -> bool:
    """Return whether bytes can be read as text; other encodings than Unicode need a name that says so."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if b"\0" in head:
        return False
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3 or len(head) < HEAD:
            text = head.decode("cp1252", "replace") if is_named_so else ""
        else:
            text = head[: error.start].decode("utf-8")  # the last character is only cut
    readable = sum(char.isprintable() or char in "\t\n\r\f" for char in text)
    return not head or (bool(text) and readable >= LEAST_READABLE * len(text))


def read_ending(name: str) -> str:
    """Return the ending of a file's name, or the name itself where it has none: `Dockerfile`."""
    return name.rpartition(".")[2].lower()


def clean_name(name: str) -> str:
    """Return a name that can stand in a prompt, a message and a log: one line, no path, no markup, not endless."""
    line = re.sub(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+", "", name)
    last = re.split(r"[/\\]", line)[-1]
    plain = re.sub(r"\s+", " ", re.sub(r"[<>\"`|*\[\]{}]", "_", last)).strip(" .")
    return plain if len(plain) <= 100 else f"{plain[:80]}…{plain[-19:]}"


def _is_audio(head: bytes, mimetype: str) -> bool:
    if head.startswith(b"RIFF"):
        return head[8:12] == b"WAVE"
    is_mp4 = head[4:8] == b"ftyp" and mimetype.startswith("audio/")
    is_webm = head.startswith(b"\x1aE\xdf\xa3")
    return is_mp4 or (head.startswith(AUDIO) and (not is_webm or mimetype.startswith("audio/")))
