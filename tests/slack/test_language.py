"""Everybody is spoken to in their language: the catalogues are whole, and everything that is said is in them."""

import ast
import asyncio
import re
import string
import subprocess
import sys
import zipfile
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from bot.language import ENGLISH, LANGUAGES, LOCALE, _, read_language, speak, speaking, spoken
from bot.slack.people.speech import who
from bot.slack.setup.manifest import build_manifest, list_suggestions

ROOT = Path(__file__).parent.parent.parent
OTHERS = [code for code in LANGUAGES if code != ENGLISH]
WORD = re.compile(r"[A-Za-z][A-Za-z-]+")
FIXED = re.compile(r"`[^`]*`|\{[^}]*\}|<[^>]*>|\[[^\]]*\]")
ENGLISH_WORDS = re.compile(r"[A-Za-z]{2,} [a-z]|^[A-Z][a-z]+[.!?…]?$")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
SAID = ("plain", "section", "header", "context", "build_button", "build_note", "Reply", "UsageError")


def catalogue(code: str) -> Catalog:
    """Read the catalogue of a language."""
    with (LOCALE / code / "LC_MESSAGES" / "bot.po").open("rb") as file:
        return read_po(file, locale=code, domain="bot")


def messages() -> set[str]:
    """Return everything that the code says to people."""
    return {message for _f, _l, message, _c, _x in extract_from_dir(ROOT / "bot") if isinstance(message, str)}


def fields(text: str) -> list[str]:
    """Return what *text* has to be filled in with, formats included."""
    return sorted(f"{name}:{form}" for _t, name, form, _c in string.Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("code", OTHERS)
def test_everything_that_is_said_is_translated(code: str) -> None:
    """A new sentence comes with its translations: `make messages` adds it to the catalogues, to be translated there."""
    known = {str(entry.id): entry for entry in catalogue(code) if entry.id}

    assert sorted(text for text in messages() if text not in known or not known[text].string) == []
    assert [text for text, entry in known.items() if entry.fuzzy] == []


@pytest.mark.parametrize("code", OTHERS)
def test_translations_are_filled_in_like_the_original(code: str) -> None:
    """Each translation takes the same values in the same forms, in as many lines."""
    pairs = [(str(entry.id), str(entry.string)) for entry in catalogue(code) if entry.id and entry.string]

    assert [text for text, said in pairs if fields(text) != fields(said)] == []
    assert [text for text, said in pairs if text.count("\n") != said.count("\n")] == []


def test_chinese_is_chinese() -> None:
    """A sentence that was copied is no translation; how commands are written and names may be the same."""
    pairs = [(str(entry.id), str(entry.string)) for entry in catalogue("zh") if entry.id and entry.string]
    sentences = [(text, said) for text, said in pairs if len(WORD.findall(FIXED.sub("", text))) > 3]
    typed = {
        text for path in (ROOT / "bot" / "slack").rglob("*.py") for text in typed_words(ast.parse(path.read_text()))
    }

    assert [text for text, said in sentences if not CHINESE.search(said) and text not in typed] == []


@pytest.mark.parametrize("code", OTHERS)
def test_the_compiled_catalogue_is_the_one_that_people_edit(code: str) -> None:
    """What is read at run time was made of the text beside it: `make messages` does that."""
    compiled = BytesIO()
    write_mo(compiled, catalogue(code))

    assert (LOCALE / code / "LC_MESSAGES" / "bot.mo").read_bytes() == compiled.getvalue()


def calls_of(tree: ast.AST, names: Collection[str]) -> list[ast.Call]:
    """Return the calls of some functions by their bare names."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in names]


def typed_words(tree: ast.AST) -> set[str]:
    """Return how commands are written and what they look like, which people type as it stands in any language."""
    keywords = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg in {"usage", "example"}]
    said = [call.args[0] for keyword in keywords for call in calls_of(keyword.value, {"_"})]
    return {text.value for text in said if isinstance(text, ast.Constant) and isinstance(text.value, str)}


def fixed_words(node: ast.expr) -> str:
    """Return what of a text stands in the code itself."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return " ".join(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


def test_no_sentence_is_put_together_before_it_is_looked_up() -> None:
    """An f-string inside `_`, or around it, is never found, and a constant would be said in English for ever."""
    wrong = []
    for path in sorted((ROOT / "bot").rglob("*.py")):
        tree = ast.parse(path.read_text())
        said = calls_of(tree, {"_"})
        joined = [call for call in said if isinstance(call.args[0], ast.JoinedStr | ast.BinOp)]
        framed = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
        hidden = [call for node in framed for call in calls_of(node, {"_"}) if isinstance(call.args[0], ast.Constant)]
        constants = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
        early = [call for node in constants for call in calls_of(node, {"_"})]
        wrong += [f"{path.name}:{call.lineno}" for call in joined + hidden + early]

    assert wrong == []


@pytest.mark.parametrize(
    ("locale", "language"), [("zh-CN", "zh"), ("zh_TW", "zh"), ("en-US", "en"), ("de-DE", "en"), ("", "en")]
)
def test_a_locale_is_read(locale: str, language: str) -> None:
    """A locale that there is no catalogue of is spoken to in English."""
    assert read_language(locale) == language


def test_words_come_in_the_language_that_is_spoken() -> None:
    """One word, two languages, and the old one again afterwards."""
    with speaking("zh-CN"):
        chinese = _("Taken back.")
        assert CHINESE.search(chinese)
    assert _("Taken back.") == "Taken back."


def test_suggestions_are_in_the_language_of_whoever_reads_them() -> None:
    """The manifest, of which Slack keeps one for everybody, stays English whoever has it checked."""
    with speaking("zh"):
        assert all(CHINESE.search(one["title"]) and CHINESE.search(one["message"]) for one in list_suggestions())
        manifest = build_manifest(name="Apprentice", request_url=None)
    assert not CHINESE.search(str(manifest))


async def test_two_tasks_speak_two_languages() -> None:
    """What one task speaks does not change what another says meanwhile; a task that it starts speaks the same."""

    async def say(language: str, turn: asyncio.Barrier) -> tuple[str, str]:
        speak(language)
        await turn.wait()
        inner = await asyncio.create_task(_spoken())
        return spoken(), inner

    turn = asyncio.Barrier(2)
    assert await asyncio.gather(say("zh", turn), say("de", turn)) == [("zh", "zh"), ("en", "en")]


async def _spoken() -> str:
    return spoken()


@pytest.mark.parametrize(
    ("body", "user_id"),
    [
        ({"event": {"type": "message", "user": "U1"}}, "U1"),
        ({"type": "block_actions", "user": {"id": "U2"}}, "U2"),
        ({"command": "/apprentice", "user_id": "U3"}, "U3"),
        ({"event": {"type": "tokens_revoked"}}, ""),
        ({"event": {"type": "team_join", "user": {"id": "U4"}}}, "U4"),
    ],
)
def test_who_is_heard(body: dict[str, Any], user_id: str) -> None:
    """Events, buttons and commands each say in their own way who it is."""
    assert who(body) == user_id


def test_an_installed_wheel_has_the_catalogues(tmp_path: Path) -> None:
    """Whoever installs the package has the languages too."""
    script = f"from hatchling.build import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    built = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(tmp_path / built.stdout.split()[-1]) as wheel:
        names = set(wheel.namelist())

    assert {f"bot/locale/{code}/LC_MESSAGES/bot.mo" for code in OTHERS} <= names
