"""What people read says what the code does."""

import ast
import re
from pathlib import Path

import click
import pytest

from bot.cli import cli
from bot.settings import Settings

ROOT = Path(__file__).parent.parent


def test_every_setting_is_explained() -> None:
    """`.env.example` has each variable of the settings, each below a sentence, and no other."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = {
        line.partition("=")[0]: lines[index - 1] for index, line in enumerate(lines) if re.match(r"[A-Z0-9_]+=", line)
    }

    assert set(named) == {name.upper() for name in Settings.model_fields}
    assert [name for name, above in named.items() if not re.match(r"# .*\.$|[A-Z0-9_]+=", above)] == []


def test_the_examples_are_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Copying `.env.example` to `.env` changes nothing."""
    monkeypatch.chdir(tmp_path)
    plain = Settings()
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())

    assert Settings() == plain


def test_the_readme_names_every_command() -> None:
    """A command that nobody can find does not exist."""
    readme = (ROOT / "README.md").read_text()

    assert [name for name in cli.commands if f"bot {name}" not in readme] == []


def test_every_command_has_help() -> None:
    """Each command and each visible option says what it does; an argument is told about in its command's help."""
    for name, command in cli.commands.items():
        assert command.help, name
        for option in command.params:
            if isinstance(option, click.Argument):
                assert (option.name or "").upper() in command.help, f"{name} {option.name}"
                continue
            assert getattr(option, "hidden", False) or getattr(option, "help", None), f"{name} {option.name}"


@pytest.mark.parametrize("document", [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))], ids=str)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """Every relative link and picture exists."""
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_comparison_names_tests_that_exist() -> None:
    """Each yes has a test, each partly or no has its reason, each of twenty complaints has a test; all are there."""
    page = (ROOT / "docs" / "comparison.md").read_text()
    rows = [re.split(r" *\| *", line.strip("| ")) for line in page.splitlines() if line.startswith("|")]
    features = {row[0]: (row[2], row[3]) for row in rows if len(row) == 4 and row[2] in {"yes", "partly", "no"}}
    complaints = {int(row[0]): row[-1] for row in rows if row[0].isdigit()}
    shown = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page)

    assert len(features) == len([row for row in rows if len(row) == 4 and row[2] in {"yes", "partly", "no"}]) > 70
    assert [name for name, (has, why) in features.items() if has == "yes" and "::test_" not in why] == []
    assert [name for name, (has, why) in features.items() if has != "yes" and not re.match(r"[A-Z].{20,}\.", why)] == []
    assert list(complaints) == list(range(1, 21))
    assert [number for number, why in complaints.items() if "::test_" not in why] == []
    assert [f"{path}::{name}" for path, name in shown if name not in _tests_in(ROOT / path)] == []
    assert page.count("::test_") == len(shown)


def _tests_in(path: Path) -> set[str]:
    """Return the names of the tests that stand in a file."""
    if not path.exists():
        return set()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, functions)}
