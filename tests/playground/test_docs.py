"""docs/playground.md says what the code does: the same methods, faults and page paths."""

import re
from pathlib import Path

from bot.playground.faults import FAULTS
from bot.playground.page.routes import ROUTES
from bot.playground.web_api import METHODS

DOCS = (Path(__file__).parents[2] / "docs" / "playground.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head."""
    section = DOCS.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table[2:]]


def test_every_method_is_in_the_table() -> None:
    """The table names each method that exists, says what is partial and why, and calls none that is absent present."""
    table = {row[0]: row[1:] for row in rows("Web API methods")}
    present = {name: cells for name, cells in table.items() if cells[0] != "absent"}

    assert set(present) == set(METHODS)
    for name, method in METHODS.items():
        assert present[name] == ["partial" if method.missing else "supported", method.missing], name


def test_absent_methods_are_absent() -> None:
    """What the table calls absent answers unknown_method."""
    absent = {row[0] for row in rows("Web API methods") if row[1] == "absent"}

    assert absent
    assert not absent & set(METHODS)


def test_every_fault_is_explained() -> None:
    """The table of faults names each fault with its settings."""
    table = {row[0]: set(re.findall(r"\w+", row[2])) for row in rows("Faults")}

    assert {name: settings - {"none"} for name, settings in table.items()} == {
        fault.name: {param.key for param in fault.schema} for fault in FAULTS
    }


def test_every_page_path_is_listed() -> None:
    """The page's API is described path by path."""
    listed = {(row[0], row[1]) for row in rows("The page's API")}

    assert listed == {(method, path) for method, path, _ in ROUTES} | {("WS", "/page/live")}
