"""All prompts together: what stands in place of what, personas, and files that change while the assistant runs."""

import asyncio
import os
import resource
import signal
from datetime import date
from pathlib import Path

import pytest

from bot.conversation.prompt_book import PromptBook
from bot.conversation.prompt_watch import LOOK_S, fresh_prompts
from bot.errors import PromptError
from bot.shipped import shipped

DAY = date(2026, 1, 1)


def write(folder: Path, name: str, text: str, *, variables: str = "") -> Path:
    """Write a prompt with its front matter."""
    path = folder / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"---\npurpose: a test\nvariables: {variables}\n---\n{text}\n")
    return path


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """Write the product's prompts."""
    folder = tmp_path / "ours"
    write(folder, "system", "Today is {{ today }}.", variables="today")
    write(folder, "summary", "Sum up: {{ thread }}", variables="thread")
    write(folder, "personas/pirate", "Speak like a pirate.")
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Make a folder for a team's prompts."""
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


def test_what_is_shipped_is_in_order() -> None:
    """Every prompt and persona of the product can be read, says what it is for, and fits the variables it declares."""
    book = PromptBook(shipped("prompts"))

    assert {"system", "personas/brief"} <= set(book.names())
    for name in book.names():
        prompt = book.get(name)
        assert prompt.purpose, name
        assert prompt.render(**dict.fromkeys(prompt.declared, "x")), name


def test_a_teams_prompt_stands_in_place_of_ours(ours: Path, own: Path) -> None:
    """A file of the same name counts; the rest stays ours, and personas add up."""
    write(own, "system", "We are ACME. {{ today }}")
    write(own, "personas/formal", "Be formal.")
    book = PromptBook(ours, own)

    assert book.open(DAY).text == "We are ACME. Thursday, 1 January 2026"
    assert book.get("summary").render(thread="x") == "Sum up: x"
    assert book.personas() == ["formal", "pirate"]


def test_the_persona_follows_the_shared_beginning(ours: Path) -> None:
    """All channels share the prefix that the engine has cached; the record names both parts."""
    book = PromptBook(ours)
    plain, pirate = book.open(DAY), book.open(DAY, persona="pirate")

    assert pirate.text == f"{plain.text}\n\nSpeak like a pirate."
    assert pirate.name == "system+pirate"
    assert pirate.version == f"{plain.version}+{book.get('personas/pirate').version}"
    assert book.open(DAY, persona="gone") == plain


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("summary", "{{ thread }} {{ weather }}", "weather"),
        ("sytem", "hello", "nobody uses"),
        ("system", "{% if %}", "not a valid template"),
        ("system", "   ", "says nothing"),
        ("system", "{{ today + 1 }}", "cannot be filled in"),
        ("personas/pirate", "{{ 1 / 0 }}", "cannot be filled in"),
        ("personas/pirate", "{{ today.moon.sun }}", "cannot be filled in"),
        ("personas/pirate", "{{ " + "(" * 9999 + "1" + ")" * 9999 + " }}", "not a valid template"),
        ("personas/pirate", "{{ thread }}", "thread"),
        ("personas/Big Name", "hello", "small letters"),
    ],
)
def test_any_broken_file_fails_at_start(ours: Path, own: Path, name: str, text: str, said: str) -> None:
    """Not only the prompt that is used first: every file is checked, and the error names it."""
    path = write(own, name, text)

    with pytest.raises(PromptError, match=said) as raised:
        PromptBook(ours, own)
    assert str(path) in str(raised.value)


def test_every_broken_file_is_named_at_once(ours: Path, own: Path) -> None:
    """Nobody mends one to hear of the next."""
    write(own, "system", "{{ moon }}")
    write(own, "summary", "{{ sun }}")

    with pytest.raises(PromptError, match=r"(?s)moon.*sun|sun.*moon"):
        PromptBook(ours, own)


def test_a_folder_that_is_not_there_is_named(ours: Path, tmp_path: Path) -> None:
    """A mistyped PROMPTS_DIR is not an empty one."""
    with pytest.raises(PromptError, match=r"PROMPTS_DIR.*nowhere"):
        PromptBook(ours, tmp_path / "nowhere")


def test_a_file_that_breaks_keeps_the_old_one(ours: Path, own: Path) -> None:
    """An editor's slip costs nothing; the next good version counts again, and so does ours when theirs is gone."""
    path = write(own, "system", "First. {{ today }}")
    book = PromptBook(ours, own)
    before = book.get("system").version

    path.write_text("---\nvariables:\n---\n{{ moon }}")
    assert book.has_changed()
    broken = book.reload()
    assert broken.changed == ()
    assert "moon" in broken.problems[0]
    assert book.get("system").version == before
    assert book.problems == broken.problems

    write(own, "system", "Second. {{ today }}")
    mended = book.reload()
    assert mended.changed == ("system",)
    assert book.problems == ()
    assert book.open(DAY).text.startswith("Second.")

    path.unlink()
    assert book.reload().changed == ("system",)
    assert book.open(DAY).text == "Today is Thursday, 1 January 2026."
    assert not book.has_changed()


async def test_changes_are_noticed_while_it_runs(ours: Path) -> None:
    """Neither a restart nor a command is needed, and SIGHUP makes it at once."""
    async with fresh_prompts(ours, None) as book:
        write(ours, "personas/pirate", "Speak like a captain.")
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
        await _until(lambda: book.open(DAY, persona="pirate").text.endswith("captain."))
        write(ours, "personas/pirate", "Speak like a cook.")
        await _until(lambda: book.open(DAY, persona="pirate").text.endswith("cook."))


async def test_a_folder_that_cannot_be_listed_for_a_moment_is_said_once(
    ours: Path, own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The prompts stay as they are meanwhile, and changes are noticed again afterwards."""
    path = write(own, "system", "First. {{ today }}")
    async with fresh_prompts(ours, own) as book:
        before = book.names(), book.get("system").version
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # nothing more can be opened
        try:
            await asyncio.sleep(2.5 * LOOK_S)
            assert (book.names(), book.get("system").version) == before
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [record.getMessage() for record in caplog.records if "listed" in record.getMessage()] == [
            f"prompts: the old one stays: {ours} cannot be listed (Too many open files)."
        ]
        await _until(lambda: not book.problems)
        path.write_text(path.read_text().replace("First", "Second"))
        await _until(lambda: book.get("system").version != before[1])


async def _until(is_true: object) -> None:
    for _ in range(1000):
        if is_true():  # type: ignore[operator]
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it was never read anew")
