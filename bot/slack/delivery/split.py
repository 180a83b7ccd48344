"""
Markdown cut into parts that each make sense alone, for messages with a length limit.

Knows Markdown's lines and blocks; must not know Slack's methods or who posts the parts.

A cut looks at no character after the limit. That is why a text that is still growing keeps the parts it already
had, and only its last part changes.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from bot.slack.delivery.chunks import is_boundary

_FENCE = re.compile(
    r"(?P<lead>[ \t>]*)(?P<item>(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?P<marker>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)"
)
_ALMOST_CLOSED = re.compile(r"[ \t>]*[`~]*\s*")
_ITEM = re.compile(r"(?P<indent>[ \t]*)(?:[-*+]|(?P<number>\d{1,9})[.)])(?=\s)")
_DELIMITER_CELL = re.compile(r"\s*:?-+:?\s*")
_UNDERLINE = re.compile(r" {0,3}(?:-+|=+)\s*")
_HEADING = re.compile(r" {0,3}#{1,6}(?:\s|$)")
_RULE = re.compile(r" {0,3}([-*_])(?:\s*\1){2,}\s*")
_QUOTE = re.compile(r" {0,3}(?:> ?)+")
_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)+")
_LINE_HEAD = re.compile(r"[\s>]*+(?:(?:[-*+#]+|\d+[.)]|[`~]{3,}[^\n]*)\s*)?")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]*_]*\s+|[。！？][」』”）]*")
_SPACE = re.compile(r"\s+")
# What a cut would break: code spans, links, bold; each may still be open at the end of what is visible.
_SPAN = re.compile(
    r"(?<!`)(`{1,2})(?!`)(?:[^`\n]|(?!\1)`)*(?:\1|\Z)"
    r"|!?\[[^][\n]*(?:\](?:\([^()\s]*(?:\)|\Z)|\Z)|\Z)"
    r"|<[^<>\s][^<>\n]*(?:>|\Z)"
    r"|(\*\*|__|~~)(?=\S)[^\n]*?(?:(?<=\S)\2|\Z)"
)


class _Rank(IntEnum):
    """How good a place for a cut is."""

    BLOCK = 0
    ITEM = 1
    LINE = 2
    SENTENCE = 3
    WORD = 4
    INSIDE = 5  # between words, but within a link, code or bold


# A good edge is taken only where it leaves the part reasonably full.
_LEAST_FULL = {
    _Rank.BLOCK: 1 / 3,
    _Rank.ITEM: 1 / 3,
    _Rank.LINE: 1 / 2,
    _Rank.SENTENCE: 1 / 2,
    _Rank.WORD: 1 / 8,
    _Rank.INSIDE: 1 / 8,
}


@dataclass(frozen=True)
class _Context:
    """What is open at a place in the text, and so has to be opened again in the part that begins there."""

    fence: str = ""
    table: str = ""
    quote: str = ""
    levels: tuple[tuple[int, int], ...] = ()  # of open list items: indent, and the number the next one has

    @property
    def opening(self) -> str:
        head = self.fence or self.table
        return f"{head}\n{self.quote}" if head else self.quote

    @property
    def closing(self) -> str:
        match = _FENCE.fullmatch(self.fence)
        return f"\n{match['lead']}{match['marker']}" if match else ""


@dataclass(frozen=True)
class _Edge:
    """The start of a line, or a place inside one, where a part may end."""

    position: int
    rank: _Rank | None
    context: _Context


def split_markdown(markdown: str, *, limit: int, measure: Callable[[str], int] = len) -> list[str]:
    """
    Parts of at most *limit*, cut at the best structural edge, with code and tables opened again.

    *measure* must not shrink when text is appended.
    """
    if limit < 40:
        raise ValueError("limit must be at least 40, to leave room for reopened code")
    parts = []
    opening, context, rest = "", _Context(), _without_blank_lines(_number_items(markdown))
    while measure(opening + rest.rstrip()) > limit:
        room = _Room(opening=opening, limit=limit, measure=measure)
        edge = room.choose(rest[: room.reach(rest) + 1], context)
        parts.append(room.fill(rest, edge))
        is_new_line = rest[edge.position - 1] == "\n"
        context, rest = _settle(rest[edge.position :], edge.context, is_new_line=is_new_line)
        opening = context.opening if measure(context.opening) * 3 <= limit else ""
    return [*parts, opening + rest.rstrip()] if rest.strip() else parts


@dataclass(frozen=True)
class _Room:
    """The space of one part, and the choice of where it ends."""

    opening: str
    limit: int
    measure: Callable[[str], int]

    def reach(self, rest: str) -> int:
        """How many characters fit when nothing has to be closed."""
        low, high = 1, min(len(rest), self.limit)
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.measure(self.opening + rest[:middle]) <= self.limit
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    def fill(self, rest: str, edge: _Edge) -> str:
        closing = edge.context.closing
        return (
            self.opening + rest[: edge.position].rstrip() + (closing if self.measure(closing) * 4 <= self.limit else "")
        )

    def choose(self, window: str, context: _Context) -> _Edge:
        """The last place of the best rank that leaves the part full enough; a hard cut where there is none."""
        lines = list(_scan_lines(window, context))
        for edges in (lines, list(_scan_words(window, lines))):
            for rank, fullness in _LEAST_FULL.items():
                for edge in reversed(edges):
                    is_enough = edge.position >= max(1, fullness * len(window))
                    if edge.rank == rank and is_enough and self._fits(window, edge):
                        return edge
        return self._cut_hard(window, lines)

    def _fits(self, window: str, edge: _Edge) -> bool:
        return self.measure(self.fill(window, edge)) <= self.limit

    def _cut_hard(self, window: str, lines: list[_Edge]) -> _Edge:
        fallback = None
        for position in range(len(window) - 1, 0, -1):
            edge = _Edge(
                position=position, rank=None, context=_context_inside(_line_at(position, lines), position, window)
            )
            if self._fits(window, edge):
                if is_boundary(window, position):
                    return edge
                is_pair = "\ud800" <= window[position - 1] <= "\udbff"
                fallback = fallback or (None if is_pair else edge)
        return fallback or _Edge(position=1, rank=None, context=lines[0].context)


def _number_items(markdown: str) -> str:
    """The text with "1." before every item replaced by the item's number, so that a list goes on in the next part."""
    lines, previous, context = markdown.split("\n"), "", _Context()
    for index, line in enumerate(lines):
        item = None if context.fence else _ITEM.match(line)
        expected = dict(context.levels).get(len(item["indent"]), 0) if item else 0
        if item and item["number"] == "1" and expected > 1:
            lines[index] = f"{item['indent']}{expected}{line[item.end('number') :]}"
        context, previous = _advance(context, line, previous), line
    return "\n".join(lines)


def _without_blank_lines(text: str) -> str:
    match = _BLANK_LINES.match(text)
    return text[match.end() :] if match else text


def _scan_lines(window: str, context: _Context) -> Iterator[_Edge]:
    """Every line of the window, with what a cut before it would be worth."""
    position, previous, has_gap, before = 0, "", False, context
    for line in window.split("\n"):
        context = _leave_quote(context, line)
        is_unseen = position + len(line) == len(window) and not line.strip() and not context.fence
        rank = _rank("x" if is_unseen else line, previous, context=context, before=before, has_gap=has_gap)
        yield _Edge(position=position, rank=rank if position else None, context=context)
        position += len(line) + 1
        has_gap = not line.strip()
        before, context = context, _advance(context, line, "" if has_gap else previous)
        previous = previous if has_gap else line


def _rank(line: str, previous: str, *, context: _Context, before: _Context, has_gap: bool) -> _Rank | None:
    """The worth of a cut before *line*; None where it would tear a fence, a table's head or a heading apart."""
    if not line.strip():
        return None
    if context.fence:
        is_torn = not before.fence or _ALMOST_CLOSED.fullmatch(line)
        return None if is_torn else _Rank.ITEM if has_gap else _Rank.LINE
    if not has_gap and (_UNDERLINE.fullmatch(line) or (_is_delimiter(line) and "|" in previous)):
        return None
    if context.table and "|" in line and not has_gap:
        return None if _is_delimiter(previous) else _Rank.ITEM
    return _rank_prose(line, previous, context=context, has_gap=has_gap or bool(before.fence))


def _rank_prose(line: str, previous: str, *, context: _Context, has_gap: bool) -> _Rank:
    item = _ITEM.match(line)
    indent = len(line) - len(line.lstrip(" \t"))
    if _HEADING.match(previous) or (previous.rstrip(" *_").endswith(":") and not context.levels):
        return _Rank.SENTENCE  # a heading or "Steps:" stays with what it announces
    if context.levels and (item or indent >= 2):
        return _Rank.ITEM if item and indent < 2 else _Rank.LINE
    is_start = has_gap or _HEADING.match(line) or _FENCE.fullmatch(line) or _RULE.fullmatch(line)
    return _Rank.BLOCK if is_start else _Rank.LINE


def _advance(context: _Context, line: str, previous: str) -> _Context:
    """What is open after *line*."""
    opened = _FENCE.fullmatch(line)
    context = _leave_quote(context, line)
    if context.fence:
        return replace(context, fence="") if _is_closing(line, context.fence) else context
    levels = _advance_levels(context.levels, line)
    if opened:
        lead = opened["lead"] + " " * len(opened["item"] or "")
        return _Context(fence=f"{lead}{opened['marker']}{opened['info'].rstrip()}", levels=levels)
    if context.table and "|" in line:
        return replace(context, levels=levels, quote="")
    is_head = "|" in previous and "|" in line and _is_delimiter(line)
    return _Context(table=f"{previous}\n{line}" if is_head else "", levels=levels)


def _leave_quote(context: _Context, line: str) -> _Context:
    """Code in a quote ends where the quote ends."""
    has_ended = ">" in context.fence and not line.lstrip(" ").startswith(">")
    return replace(context, fence="") if has_ended else context


def _is_delimiter(line: str) -> bool:
    return all(_DELIMITER_CELL.fullmatch(cell) for cell in line.strip().strip("|").split("|"))


def _is_closing(line: str, fence: str) -> bool:
    match = _FENCE.fullmatch(fence)
    mark = line.strip(" \t\r>")
    return match is not None and len(mark) >= len(match["marker"]) and set(mark) == {match["marker"][0]}


def _advance_levels(levels: tuple[tuple[int, int], ...], line: str) -> tuple[tuple[int, int], ...]:
    item = _ITEM.match(line)
    if item:
        indent = len(item["indent"])
        following = max(dict(levels).get(indent, 0), int(item["number"])) + 1 if item["number"] else 0
        return (*(level for level in levels if level[0] < indent), (indent, following))
    return levels if not line.strip() or line[0] in " \t" else ()


def _scan_words(window: str, lines: list[_Edge]) -> Iterator[_Edge]:
    """Places inside lines, in order: after sentences, between words, and at worst inside a link or code span."""
    spans = [match.span() for match in _SPAN.finditer(window)]
    sentences = {match.end() for match in _SENTENCE_END.finditer(window)}
    for position in sorted(sentences | {match.end() for match in _SPACE.finditer(window)}):
        line = _line_at(position, lines)
        is_torn = (
            line.rank is None if line.position == position else _LINE_HEAD.fullmatch(window, line.position, position)
        )
        if position < len(window) and not is_torn and is_boundary(window, position):
            context = _context_inside(line, position, window)
            is_inside = not context.fence and any(start < position < end for start, end in spans)
            rank = _Rank.SENTENCE if position in sentences and not context.fence else _Rank.WORD
            yield _Edge(position=position, rank=_Rank.INSIDE if is_inside else rank, context=context)


def _line_at(position: int, lines: list[_Edge]) -> _Edge:
    return next(edge for edge in reversed(lines) if edge.position <= position)


def _context_inside(line: _Edge, position: int, window: str) -> _Context:
    """What is open at *position* in this line."""
    quote = _QUOTE.match(window, line.position)
    is_quoted = quote and line.position < position and (not line.context.fence or ">" in line.context.fence)
    return replace(line.context, quote=quote[0], table="") if quote and is_quoted else line.context


def _settle(rest: str, context: _Context, *, is_new_line: bool) -> tuple[_Context, str]:
    """The rest as the beginning of a part: without blank lines, moved to the left margin."""
    if not context.fence:
        rest = _without_blank_lines(rest) if is_new_line else rest.lstrip()
    shift = _indent(context.fence or rest)
    if shift >= 4 and (context.fence or context.levels):
        rest = _dedent(rest, shift, fence=context.fence, is_new_line=is_new_line)
        levels = tuple((indent - shift, number) for indent, number in context.levels if indent >= shift)
        context = replace(context, fence=context.fence.lstrip(" \t"), levels=levels)
    return context, rest


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" \t"))


def _dedent(rest: str, shift: int, *, fence: str, is_new_line: bool) -> str:
    """The lines up to the first that stands further left, moved by *shift*; in open code every line moves."""
    lines = rest.split("\n")
    for number, line in enumerate(lines):
        if (number or is_new_line) and line.strip():
            if _indent(line) < shift and not fence:
                break
            lines[number] = line[min(shift, _indent(line)) :]
        if fence and _is_closing(line, fence):
            fence = ""
    return "\n".join(lines)
