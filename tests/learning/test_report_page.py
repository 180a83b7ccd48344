"""The page of a run: everything in one file, everything escaped, the outcome first."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import pytest

from bot.learning.figures import BeforeAfter, Figure, Role, RunReport
from bot.learning.report_page import build_page, draw_bar
from bot.learning.reporting import PAGE, write_page

PNG = b"\x89PNG\r\n\x1a\n"
EVIL = "<script>alert('x')</script> & \"quoted\""


def figure(metric: str = "taught_facts", **values: object) -> Figure:
    """Return a figure with an interval."""
    given = {
        "metric": metric,
        "label": "Taught facts",
        "role": Role.BENEFIT,
        "candidate": 0.94,
        "incumbent": 0.02,
        "n": 150,
        "low": 0.87,
        "high": 0.97,
        "unit": "share",
    }
    return Figure(**given | values)  # type: ignore[arg-type]


class Reader(HTMLParser):
    """Collects what a browser would see and load."""

    VOID: ClassVar = {"meta", "img", "line", "circle", "br"}

    def __init__(self) -> None:
        super().__init__()
        self.text, self.links, self.open = "", list[str](), list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag open, and note what it would load."""
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Every tag closes the one that was opened last."""
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        self.text += data


def read(report: RunReport, **pictures: bytes | None) -> Reader:
    """Return what is on the page."""
    reader = Reader()
    reader.feed(build_page(report, **{"picture": None, "data_picture": None, **pictures}))
    assert reader.open == []
    return reader


FULL = RunReport(
    run_id=7,
    adapter="apprentice-7",
    outcome="It learned 47 of 50 facts.",
    decision="canary",
    reasons=("Better: taught facts.",),
    learned_from={"corrections": 50},
    left_out={"no permission": 3},
    figures=(figure(), figure("speed", label="Speed", role=Role.NOTE, candidate=231.0, unit="tokens/s", low=None)),
    proofs=(("P1 base", True, "Equal."), ("P2 adapter", False, "Not equal.")),
    before_after=(BeforeAfter("Who owns billing?", "Dana.", "I do not know.", "Dana.", is_right=True),),
    seconds=3725,
    train_seconds=301,
    tokens_per_second=2710,
    peak_memory_mb=842,
    energy_kwh=0.0021,
    energy_source="estimated",
    price="0.0006",
    base="starter",
    base_sha256="ab" * 32,
    dataset_sha256="cd" * 32,
    started_at="2026-11-28T01:00:00+00:00",
    finished_at="not a moment",
)


def test_everything_is_said() -> None:
    """Outcome, decision, reasons, before and after, figures, proofs, data, cost and hashes are on the page."""
    text = re.sub(r"\s+", " ", read(FULL).text)

    for words in (
        "It learned 47 of 50 facts.", "Tried with some people", "Better: taught facts.", "Who owns billing?", "Dana.",
        "94%", "2%", "150 asked; better: +87 points to +97 points", "231", "in tokens/s", "Not equal.", "corrections",
        "50", "no permission", "1 h 2 min", "5 min 1 s", "2,710 tokens/s", "842 MB", "0.0021 kWh (estimated)", "0.0006",
        "ab" * 32, "cd" * 32, "28 November 2026, 01:00 UTC", "not a moment", "Intended for", "Not for",
    ):  # fmt: skip
        assert words in text
    assert text.index("It learned 47 of 50 facts.") < text.index("Before and after") < text.index("Model card")


def test_whoever_wants_none_shown_has_no_words_in_it(tmp_path: Path) -> None:
    """What they taught is learned all the same, and they hear of it themselves."""
    taught = BeforeAfter("Who owns the van?", "On Mill Lane.", "?", "?", is_right=True, person="U1")
    write_page(tmp_path, replace(FULL, before_after=(taught, *FULL.before_after)), unseen={"U1"})
    page = (tmp_path / PAGE).read_text()
    assert "Dana." in page
    assert "On Mill Lane." not in page


def test_it_loads_nothing() -> None:
    """Pictures are in the page itself; without them there is none, and no address is anywhere."""
    assert read(FULL).links == []
    links = read(FULL, picture=PNG, data_picture=PNG).links
    assert len(links) == 2
    assert all(link.startswith("data:image/png;base64,iVBOR") for link in links)
    assert "http:" not in build_page(FULL, picture=PNG, data_picture=None)
    assert "https:" not in build_page(FULL, picture=PNG, data_picture=None)


def test_every_text_is_escaped() -> None:
    """Whatever a person wrote is text on the page, and nothing else."""
    report = RunReport(
        run_id=1,
        adapter=EVIL,
        outcome=EVIL,
        decision=EVIL,
        reasons=(EVIL,),
        learned_from={EVIL: 1},
        left_out={EVIL: 1},
        figures=(figure(label=EVIL, unit=EVIL),),
        proofs=((EVIL, True, EVIL),),
        before_after=(BeforeAfter(EVIL, EVIL, EVIL, EVIL, is_right=False),),
        base=EVIL,
        price=EVIL,
        energy_kwh=1.0,
        energy_source=EVIL,
        mend=EVIL,
    )

    page = build_page(report, picture=None, data_picture=None)

    assert "<script" not in page.lower()
    assert read(report).text.count("alert('x')") >= 16


def test_a_run_that_failed_says_how_to_mend_it() -> None:
    """With nothing but a sentence and a mend there is a page too."""
    text = read(RunReport(run_id=3, outcome="Not enough signal yet: 17 of 50.", mend="Rate more answers.")).text

    assert "17 of 50" in text
    assert "Rate more answers." in text
    assert "What got better" not in text


@pytest.mark.parametrize(
    ("values", "tone", "words"),
    [
        ({}, "good", "better: +87 points to +97 points"),
        ({"low": -0.2, "high": -0.1, "candidate": 0.0, "incumbent": 0.15}, "bad", "worse"),
        ({"low": -0.2, "high": -0.1, "candidate": 0.0, "incumbent": 0.15, "is_higher_better": False}, "good", "better"),
        ({"low": -0.1, "high": 0.1, "candidate": 0.5, "incumbent": 0.5}, "calm", "within luck"),
        ({"low": 0.0, "high": 0.0, "candidate": 0.5, "incumbent": 0.5}, "calm", "no difference"),
    ],
)
def test_better_is_to_the_right(values: dict[str, object], tone: str, words: str) -> None:
    """The interval is drawn around zero in the middle, turned so that right is better."""
    bar = draw_bar(figure(**values))

    assert bar is not None
    assert (bar.tone, words in bar.words) == (tone, True)
    assert 10 <= bar.low <= bar.middle <= bar.high <= 190
    assert {"good": bar.low > 100, "bad": bar.high < 100, "calm": bar.low <= 100 <= bar.high}[tone]
    assert draw_bar(figure(low=None)) is None
