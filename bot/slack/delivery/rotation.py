"""Where one streamed message ends and the next begins: at the edge of a paragraph, blocks of code closed and opened."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bot.slack.delivery.chunks import is_boundary

_FENCE = re.compile(r"[ >]{0,12}(?P<marker>`{3,}|~{3,})(?P<info>[^`]*)")


@dataclass(frozen=True, slots=True)
class Cut:
    """What the message before the cut must close, and what the one after it must open."""

    position: int
    closing: str = ""
    opening: str = ""


def find_cut(text: str, *, after: int, most: int, is_urgent: bool) -> Cut | None:
    """Return the last edge of a paragraph behind *after*, before *most*; any edge at all where it *is_urgent*.

    What stands before *after* was shown already and cannot be taken back.
    """
    cuts = list(_find_lines(text, after=after, most=most))
    edges = [cut for cut, is_edge in cuts if is_edge]
    if edges:
        return edges[-1]
    if not is_urgent:
        return None
    if cuts:
        return cuts[-1][0]
    return _cut_inside(text, after=after, most=most)


def _find_lines(text: str, *, after: int, most: int) -> Iterator[tuple[Cut, bool]]:
    """Yield a cut before every line, and whether a paragraph ends there."""
    fence, previous, position = "", "x", 0
    for line in text.splitlines(keepends=True):
        if position > after and position <= most - len(fence) - 1:
            is_edge = not fence and not previous.strip() and bool(line.strip())
            yield Cut(position, _close(fence, text, position), f"{fence}\n" if fence else ""), is_edge
        fence = _advance(fence, line)
        previous = line
        position += len(line)


def _cut_inside(text: str, *, after: int, most: int) -> Cut | None:
    """Cut a line that is too long: between words, and never within one sign."""
    space = text.rfind(" ", after + 1, min(len(text) - 1, most))
    position = space + 1 if space > after else most
    if position >= len(text):
        return None  # one word so far, and there is room for it
    while position > max(after, 1) and not is_boundary(text, position):
        position -= 1
    fence = ""
    for line in text[:position].splitlines(keepends=True):
        fence = _advance(fence, line)
    return Cut(position, _close(fence, text, position), f"{fence}\n" if fence else "")


def _advance(fence: str, line: str) -> str:
    """Return the line that opened the code which is open after *line*; empty outside of code."""
    match = _FENCE.match(line)
    if not match:
        return fence
    if not fence:
        return line.rstrip()
    opened = _FENCE.match(fence)
    marker = opened["marker"] if opened else "```"
    is_closing = match["marker"].startswith(marker) and not match["info"].strip()
    return "" if is_closing else fence


def _close(fence: str, text: str, position: int) -> str:
    if not fence:
        return ""
    match = _FENCE.match(fence)
    marker = match["marker"] if match else "```"
    return marker if text[:position].endswith("\n") else f"\n{marker}"
