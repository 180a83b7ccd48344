"""Text out of the bytes of one file; runs in the worker only, where a bomb harms nobody."""

import io
import re
import zipfile
from typing import IO
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import iterparse
from pypdf import PdfReader

from bot.files.found import Extract, Trouble, Unreadable
from bot.files.kinds import Kind
from bot.files.picture import look_at_picture

MOST_TEXT = 1_000_000  # characters; the rest of a file is left out, and said so
MOST_PAGES = 1_000
MOST_UNPACKED = 64 * 1024**2  # bytes of a Word document's text part
DOCUMENT = "word/document.xml"
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def extract(kind: Kind, content: bytes) -> Extract:
    """Return the text of a file, none of a picture; raise *Unreadable* when it gives nothing."""
    if kind is Kind.IMAGE:
        return look_at_picture(content)
    readers = {Kind.PDF: read_pdf, Kind.WORD: read_word}
    found = readers.get(kind, read_plain)(content)
    if not found.text.strip():
        raise Unreadable(Trouble.EMPTY)
    return found


def read_plain(content: bytes) -> Extract:
    """Read text of whatever encoding people's editors write."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", "replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", "replace")
    text = clean(text)
    return Extract(text[:MOST_TEXT], is_cut=len(text) > MOST_TEXT)


def read_pdf(content: bytes) -> Extract:
    """Read the text layer of a PDF, page by page."""
    try:
        return _join_pages(_open(content))
    except (Unreadable, MemoryError):
        raise
    except ImportError as error:  # an encryption that needs a library which we do not have
        raise Unreadable(Trouble.LOCKED) from error
    except Exception as error:  # hostile files make every part of a reader stumble in every way
        raise Unreadable(Trouble.DAMAGED) from error


def _open(content: bytes) -> PdfReader:
    reader = PdfReader(io.BytesIO(content))
    if reader.is_encrypted and not reader.decrypt(""):
        raise Unreadable(Trouble.LOCKED)
    return reader


def _join_pages(reader: PdfReader) -> Extract:
    parts: list[str] = []
    pages: list[int] = []
    length = 0
    for number, page in enumerate(reader.pages):
        if length >= MOST_TEXT or number >= MOST_PAGES:
            return Extract("".join(parts)[:MOST_TEXT], tuple(pages), is_cut=True)
        text = clean(page.extract_text()).strip() + "\n\n"
        pages.append(length)
        parts.append(text)
        length += len(text)
    return Extract("".join(parts)[:MOST_TEXT], tuple(pages), is_cut=length > MOST_TEXT)


def read_word(content: bytes) -> Extract:
    """Read the paragraphs and tables of a Word document, each paragraph on a line of its own."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(DOCUMENT) as part:
            lines = _read_paragraphs(io.BytesIO(_read_bounded(part)))
    except (Unreadable, MemoryError):
        raise
    except NotImplementedError as error:
        raise Unreadable(Trouble.DAMAGED) from error
    except RuntimeError as error:  # zipfile's word for a password
        raise Unreadable(Trouble.LOCKED) from error
    except Exception as error:
        raise Unreadable(Trouble.DAMAGED) from error
    text = clean("\n".join(lines))
    return Extract(text[:MOST_TEXT], is_cut=len(text) > MOST_TEXT)


def _read_bounded(part: IO[bytes]) -> bytes:
    """Unpack at most *MOST_UNPACKED* bytes, whatever the archive says about their number."""
    unpacked = part.read(MOST_UNPACKED + 1)
    if len(unpacked) > MOST_UNPACKED:
        raise Unreadable(Trouble.HEAVY)
    return unpacked


def _read_paragraphs(document: io.BytesIO) -> list[str]:
    lines: list[str] = []
    cells: list[str] | None = None
    for event, element in iterparse(document, events=("start", "end"), forbid_dtd=True):
        if event == "start":
            cells = [] if element.tag == f"{WORD}tr" else cells
        elif element.tag == f"{WORD}p":
            text = _read_runs(element)
            if cells is None:
                lines.append(text)
            elif text:
                cells.append(text)
            element.clear()
        elif element.tag == f"{WORD}tr" and cells is not None:
            lines.append(" | ".join(cells))
            cells = None
            element.clear()
    return lines


def _read_runs(paragraph: Element) -> str:
    words = []
    for part in paragraph.iter():
        if part.tag == f"{WORD}t":
            words.append(part.text or "")
        elif part.tag in {f"{WORD}tab", f"{WORD}br"}:
            words.append("\t" if part.tag == f"{WORD}tab" else "\n")
    style = paragraph.find(f"{WORD}pPr/{WORD}pStyle")
    level = re.fullmatch(r"[Hh]eading([1-6])", style.get(f"{WORD}val", "") if style is not None else "")
    text = "".join(words).strip()
    return f"{'#' * int(level[1])} {text}" if level and text else text


def clean(text: str) -> str:
    """Return text without what nobody can see, with plain line ends."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n")
    return re.sub(r"\n{4,}", "\n\n\n", UNSEEN.sub("", plain))
