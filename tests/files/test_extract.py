"""Text out of files, by the real process that reads them; hostile ones end with it and harm nobody."""

import asyncio
import io
import os
import random
import sys
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.files import reader as reader_module
from bot.files.extract import MOST_TEXT, extract
from bot.files.found import Trouble, Unreadable
from bot.files.kinds import Kind, clean_name, find_kind
from bot.files.reader import FileReader
from tests.files.documents import build_docx, build_pdf, join_objects, paragraph, table_row

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


async def trouble_of(kind: Kind, content: bytes) -> Trouble:
    """Return why the process gives no text of *content*."""
    with pytest.raises(Unreadable) as caught:
        await FileReader().read(kind, content)
    return caught.value.trouble


@pytest.mark.parametrize(
    ("name", "mimetype", "content", "kind"),
    [
        ("notes.txt", "text/plain", "plain — text".encode(), Kind.TEXT),
        ("Dockerfile", "", b"FROM scratch\n", Kind.TEXT),
        ("page.html", "text/html", b"<!DOCTYPE html><p>Hi", Kind.TEXT),
        ("data.csv", "text/csv", b"a;b\n1;2\n", Kind.CSV),
        ("old.log", "text/plain", "Zürich".encode("cp1252"), Kind.TEXT),
        ("windows.txt", "", "hello".encode("utf-16"), Kind.TEXT),
        ("cut.md", "", ("é" * 2000).encode()[:2049], Kind.TEXT),
        ("empty.txt", "", b"", Kind.TEXT),
        ("report.pdf", "application/pdf", b"%PDF-1.7\n", Kind.PDF),
        ("report.txt", "text/plain", b"%PDF-1.7\n", Kind.PDF),
        ("letter.docx", "", b"PK\x03\x04....", Kind.WORD),
        ("all.zip", "application/zip", b"PK\x03\x04....", Kind.OTHER),
        ("cat.png", "image/png", PNG, Kind.IMAGE),
        ("cat.txt", "text/plain", PNG, Kind.IMAGE),
        ("cat.png", "image/png", b"not a picture at all", Kind.TEXT),
        ("clip.mp4", "audio/mp4", b"\0\0\0\x20ftypM4A ", Kind.AUDIO),
        ("film.mp4", "video/mp4", b"\0\0\0\x20ftypisom", Kind.OTHER),
        ("tune.wav", "", b"RIFF\0\0\0\0WAVEfmt ", Kind.AUDIO),
        ("tool.txt", "text/plain", b"\x7fELF\x02\x01\x01\0\0\0", Kind.OTHER),
        ("noise.bin", "", bytes(range(128, 256)) * 8, Kind.OTHER),
    ],
)
def test_what_a_file_is_stands_in_its_bytes(name: str, mimetype: str, content: bytes, kind: Kind) -> None:
    """Names and types are only believed where the bytes bear them out."""
    assert find_kind(name, mimetype, content) == kind


async def test_text_comes_as_people_wrote_it() -> None:
    """Encodings and line ends of other systems; what nobody can see is left out."""
    reader = FileReader()
    texts = [
        await reader.read(Kind.TEXT, "Grüße\r\nZeile\u202e zwei\x00\ufeff".encode()),
        await reader.read(Kind.TEXT, "Grüße\nZeile zwei".encode("utf-16")),
        await reader.read(Kind.TEXT, "\ufeffGrüße\rZeile zwei".encode()),
        await reader.read(Kind.TEXT, "Grüße\nZeile zwei".encode("cp1252")),
    ]
    assert {found.text for found in texts} == {"Grüße\nZeile zwei"}


async def test_a_pdf_gives_its_pages_and_where_they_begin() -> None:
    """So that an answer can name the page."""
    found = await FileReader().read(Kind.PDF, build_pdf(["Rent is due on (the) first.", "Keys: ask Tom.", "End"]))

    pages = [found.text[start:end].strip() for start, end in zip(found.pages, [*found.pages[1:], None], strict=True)]
    assert pages == ["Rent is due on (the) first.", "Keys: ask Tom.", "End"]


async def test_a_word_file_gives_headings_paragraphs_and_tables() -> None:
    """Each on a line of its own."""
    body = (
        paragraph("Travel", "Heading1")
        + paragraph("Book &amp; pay early.")
        + table_row("City", "Days")
        + table_row("Rome", "3")
    )
    found = await FileReader().read(Kind.WORD, build_docx(f"{body}{paragraph('Done.')}"))

    assert found.text == "# Travel\nBook & pay early.\nCity | Days\nRome | 3\nDone."


async def test_a_long_text_is_cut_and_says_so() -> None:
    """What is cut off is never taken for all of it."""
    found = await FileReader().read(Kind.TEXT, b"0123456789" * (MOST_TEXT // 10 + 1))
    assert (len(found.text), found.is_cut) == (MOST_TEXT, True)


def bomb_docx(body: bytes) -> bytes:
    """Build a Word file whose text part is *body* as it is."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", body)
    return packed.getvalue()


async def test_bombs_and_damage_have_a_name() -> None:
    """Archives that unpack to too much, entities that multiply or reach out, loops, and nonsense."""
    laughs = b'<!DOCTYPE l [<!ENTITY a "ha">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)
    )
    outside = b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>'
    loop = join_objects([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[2 0 R]>>"])
    swollen = zlib.compress(bytes(400_000_000), 9)
    stream = b"<</Length %d/Filter/FlateDecode>>\nstream\n" % len(swollen) + swollen + b"\nendstream"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>"
    pdf_bomb = join_objects([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[3 0 R]>>", page, stream])

    assert await trouble_of(Kind.WORD, bomb_docx(b"<a>" + b" " * 80_000_000 + b"</a>")) == Trouble.HEAVY
    assert await trouble_of(Kind.WORD, bomb_docx(laughs + b"]><l>&j;</l>")) == Trouble.DAMAGED
    assert await trouble_of(Kind.WORD, bomb_docx(outside)) == Trouble.DAMAGED
    assert await trouble_of(Kind.WORD, b"PK\x03\x04 and then nothing") == Trouble.DAMAGED
    assert await trouble_of(Kind.PDF, b"%PDF-1.7 and then nothing") == Trouble.DAMAGED
    assert await trouble_of(Kind.PDF, loop) in set(Trouble)
    assert await trouble_of(Kind.PDF, pdf_bomb) in set(Trouble)
    assert await trouble_of(Kind.TEXT, b" \n ") == Trouble.EMPTY


async def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of it is left, and the next file is read."""
    script = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    seen = tmp_path / "pid"
    command = [sys.executable, "-I", "-c", script, str(seen)]
    monkeypatch.setattr(reader_module, "_command", lambda *_: command)
    monkeypatch.setattr(reader_module, "SECONDS", 2.0)
    reader = FileReader()
    with pytest.raises(Unreadable):
        await reader.read(Kind.TEXT, b"x")
    with pytest.raises(ProcessLookupError):
        os.kill(int(await asyncio.to_thread(seen.read_text)), 0)
    monkeypatch.undo()
    assert (await reader.read(Kind.TEXT, b"hello")).text == "hello"


async def test_the_process_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a file makes of its reader: there is nothing in its environment."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    script = "import json, os; print(json.dumps({'text': ' '.join(sorted(os.environ)), 'pages': [], 'is_cut': False}))"
    monkeypatch.setattr(reader_module, "_command", lambda *_: [sys.executable, "-I", "-c", script])
    assert (await FileReader().read(Kind.TEXT, b"x")).text == "LC_ALL PYTHONUTF8"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=3000), st.sampled_from([Kind.TEXT, Kind.CSV, Kind.PDF, Kind.WORD]))
def test_no_bytes_make_the_reader_fail_otherwise(content: bytes, kind: Kind) -> None:
    """There is text, or a reason; text never has a character that a database refuses."""
    try:
        found = extract(kind, content)
    except Unreadable:
        return
    assert "\0" not in found.text
    found.text.encode()


def test_damaged_documents_are_only_damaged(caplog: pytest.LogCaptureFixture) -> None:
    """Real documents with bytes turned over: text, or a reason."""
    caplog.set_level("CRITICAL", "pypdf")
    dice = random.Random(7)
    for document, kind in ((build_pdf(["one", "two"]), Kind.PDF), (build_docx(paragraph("one")), Kind.WORD)):
        for _ in range(60):
            broken = bytearray(document)
            for _ in range(dice.randint(1, 6)):
                broken[dice.randrange(len(broken))] = dice.randrange(256)
            try:
                extract(kind, bytes(broken))
            except Unreadable:
                continue


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\secret\\plan.docx", "plan.docx"),
        ("a\nb\u202e.txt", "ab.txt"),
        ("<!channel> `x`|*y*.md", "_!channel_ _x___y_.md"),
        (" . ", ""),
        ("x" * 300 + ".txt", "x" * 80 + "…" + "x" * 15 + ".txt"),
    ],
)
def test_names_are_harmless(name: str, shown: str) -> None:
    """No path, no second line, no markup, no end that hides."""
    assert clean_name(name) == shown
