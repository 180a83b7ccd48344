"""
Markdown as Slack's own markup, for the texts that Slack does not read as Markdown: fallbacks, updates, notifications.

Knows both markups; must not know who may be mentioned: what it is given has been neutralised. It lets references to
people and channels through and escapes every other angle bracket, so it can add no control sequence of its own.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.tree import SyntaxTreeNode

_MOST_CHARACTERS = 3900  # a message that is longer cannot be edited any more
_MOST_COLUMNS = 100

_GAP = "\u200b"  # ends a word for Slack, so that a marker beside it counts
_OPENING, _CLOSING = "\x01", "\x02"  # around styled text until its neighbours are known
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_MARKERS = {"strong": "*", "em": "_", "s": "~"}
_LOOKALIKES = {"*": "∗", "_": "ˍ", "~": "∼", "`": "ˋ"}
_BARE_URL = re.compile(
    r"https?://(?:[^\s<>|`\"()\[\]]|\([^\s<>|`\"()\[\]]*\))*(?:[^\s<>|`\".,;:!?'()\[\]{}*_~\\]|\([^\s<>|`\"()]*\))"
)
_KEPT = re.compile(rf"<[@#][A-Z0-9]+>|{_BARE_URL.pattern}")
_TASK = re.compile(r"\[([ xX])\]\s+")
_BULLETS = "•◦▪"
_FENCE = "```"


def _keep_url(state: StateInline, silent: bool) -> bool:
    """A rule for the parser: in a bare address nothing is emphasis."""
    scheme = re.search(r"https?\Z", state.pending) if state.src.startswith("://", state.pos) else None
    url = _BARE_URL.match(state.src, state.pos - len(scheme[0])) if scheme else None
    if scheme is None or url is None or silent:
        return False
    state.pending += url[0][len(scheme[0]) :]
    state.pos = url.end()
    return True


_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_PARSER.inline.ruler.after("text", "bare_url", _keep_url)


def escape(text: str) -> str:
    """The text with the three characters that Slack reads as its own markup escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escaped_length(text: str) -> int:
    """How long the text is once escaped; the measure for splitting what will be rendered."""
    return len(text) + 4 * text.count("&") + 3 * (text.count("<") + text.count(">"))


def render_mrkdwn(markdown: str) -> str:
    """The whole text in Slack's markup; tables lose their alignment where it would make the message too long."""
    rendered = _render(markdown, _Form())
    return rendered if len(rendered) <= _MOST_CHARACTERS else _render(markdown, _Form(is_compact=True))


@dataclass(frozen=True)
class _Form:
    """How much of the Markdown's form is shown, and which markers the line already uses."""

    is_plain: bool = False
    is_compact: bool = False
    markers: str = ""


def _render(markdown: str, form: _Form) -> str:
    root = SyntaxTreeNode(_PARSER.parse(_CONTROLS.sub("", markdown)))
    text = _blocks(root.children, form, depth=0)
    text = re.sub(rf"(?<=[^\W_]){_OPENING}|{_CLOSING}(?=[^\W_]|{_OPENING})", _GAP, text)
    return re.sub(f"[{_OPENING}{_CLOSING}]", "", text).strip("\n")


def _blocks(nodes: Sequence[SyntaxTreeNode], form: _Form, *, depth: int) -> str:
    text, previous = "", ""
    for node in nodes:
        block = _block(node, form, depth=depth)
        if block:
            is_close = depth > 0 or previous == "heading"
            text += ("\n" if is_close else "\n\n") + block if text else block
            previous = node.type
    return text


def _block(node: SyntaxTreeNode, form: _Form, *, depth: int) -> str:
    match node.type:
        case "heading":
            text = _wrap(_line(node, form, markers="*"), "strong", form)
        case "fence" | "code_block":
            text = _fence(escape(node.content.rstrip("\n")))
        case "bullet_list" | "ordered_list":
            text = _list(node, form, depth=depth)
        case "blockquote":
            # Slack has one level of quotes.
            quoted = re.sub(r"^> ?", "", _blocks(node.children, form, depth=depth), flags=re.MULTILINE)
            text = _prefix(quoted, "> ")
        case "table":
            text = _table(node, form)
        case "hr":
            text = "———"
        case _:
            text = _line(node, form)
    return text


def _fence(body: str) -> str:
    inside = body.replace(_FENCE, f"``{_GAP}`")
    return f"{_FENCE}\n{inside}\n{_FENCE}"


def _prefix(text: str, prefix: str) -> str:
    """The lines behind *prefix*, except code blocks, which Slack shows only at the margin."""
    lines, is_code = text.split("\n"), False
    for number, line in enumerate(lines):
        is_fence = line == _FENCE
        if not (is_code or is_fence):
            lines[number] = (prefix + line).rstrip(" ")
        is_code ^= is_fence
    return "\n".join(lines)


def _list(node: SyntaxTreeNode, form: _Form, *, depth: int) -> str:
    first = int(node.attrs.get("start", 1))
    lines = []
    for number, item in enumerate(node.children, start=first):
        marker = f"{number}." if node.type == "ordered_list" else _BULLETS[min(depth, len(_BULLETS) - 1)]
        body = _blocks(item.children, form, depth=depth + 1)
        task = _TASK.match(body)
        if task:
            marker, body = "☐" if task[1] == " " else "☑", body[task.end() :]
        head, *others = body.split("\n", 1)
        if head == _FENCE:
            head, others = "", [body]
        lines.append(f"{marker} {head}".rstrip(" "))
        lines += [_indent(rest) for rest in others]
    return "\n".join(lines)


def _indent(text: str) -> str:
    return _prefix(text, "    ")


def _table(node: SyntaxTreeNode, form: _Form) -> str:
    """Columns under each other in a code block; as lines of text where links have to work or space is short."""
    if not form.is_compact and all(part.type != "link" for part in node.walk()):
        rows = [[_line(cell, _Form(is_plain=True)) for cell in row.children] for row in _rows(node)]
        widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
        if sum(widths) + 2 * len(widths) <= _MOST_COLUMNS:
            lines = [_align(row, widths) for row in (rows[0], ["─" * width for width in widths], *rows[1:])]
            return _fence("\n".join(lines))
    head, *others = (" | ".join(_line(cell, form, markers="*") for cell in row.children) for row in _rows(node))
    return "\n".join([_wrap(head, "strong", form), *others])


def _rows(table: SyntaxTreeNode) -> Iterator[SyntaxTreeNode]:
    return (row for part in table.children for row in part.children)


def _align(row: list[str], widths: list[int]) -> str:
    return "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()


def _width(text: str) -> int:
    """Columns that a text takes on screen: wide characters two, marks none, an escaped character one."""
    shown = re.sub(r"&(amp|lt|gt);", "&", text)
    return sum(
        0 if unicodedata.category(char) in {"Mn", "Me", "Cf"} else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in shown
    )


def _line(node: SyntaxTreeNode, form: _Form, *, markers: str = "") -> str:
    """The inline content of a block, with note taken of the markers it will use."""
    kinds = {part.type for part in node.walk()}
    used = "".join(marker for kind, marker in _MARKERS.items() if kind in kinds)
    return _inlines(node.children, replace(form, markers=markers + used))


def _inlines(nodes: Sequence[SyntaxTreeNode], form: _Form) -> str:
    return "".join(_inline(node, form) for node in nodes)


def _inline(node: SyntaxTreeNode, form: _Form) -> str:
    match node.type:
        case "text":
            text = _text(node.content, form)
        case "softbreak" | "hardbreak":
            text = "\n"
        case "code_inline":
            code = escape(node.content).replace("`", _LOOKALIKES["`"])
            text = code if form.is_plain or not code.strip() else f"{_OPENING}`{code}`{_CLOSING}"
        case "link":
            text = _link(node, form)
        case "image":
            text = _address(str(node.attrs.get("src", "")), escape(node.content), form)
        case "strong" | "em" | "s":
            text = _wrap(_inlines(node.children, form), node.type, form)
        case _:
            text = _inlines(node.children, form)
    return text


def _wrap(text: str, kind: str, form: _Form) -> str:
    """Every line between its own markers, since Slack ends a style at the end of the line."""
    marker = _MARKERS[kind]
    if form.is_plain:
        return text
    lines = []
    for line in text.split("\n"):
        body = line.replace(f"{_OPENING}{marker}", "").replace(f"{marker}{_CLOSING}", "").strip()
        before = line[: len(line) - len(line.lstrip())]
        after = line[len(line.rstrip()) :]
        lines.append(f"{before}{_OPENING}{marker}{body}{marker}{_CLOSING}{after}" if body else line)
    return "\n".join(lines)


def _link(node: SyntaxTreeNode, form: _Form) -> str:
    """A link with the style of its whole label put around it, since Slack shows labels as they are."""
    label = _inlines(node.children, _Form(is_plain=True)).replace("\n", " ")
    text = _address(str(node.attrs.get("href", "")), label, form)
    parts = [part for part in node.children if part.type != "text" or part.content]
    while len(parts) == 1 and parts[0].type in _MARKERS:
        text = _wrap(text, parts[0].type, form)
        parts = [part for part in parts[0].children if part.type != "text" or part.content]
    return text


def _address(url: str, label: str, form: _Form) -> str:
    if form.is_plain:
        return label or escape(url)
    target = escape(url).replace("|", "%7C")
    if not re.match(r"(?:https?|mailto|tel|slack):", url):
        return f"{label} ({target})" if label and target else label or target
    return f"<{target}>" if label in {"", target} else f"<{target}|{label}>"


def _text(content: str, form: _Form) -> str:
    parts, position = [], 0
    for kept in _KEPT.finditer(content):
        parts.append(_literal(content[position : kept.start()], form))
        is_bare = form.is_plain and not kept[0].startswith("<")
        parts.append(escape(kept[0]) if is_bare else kept[0] if kept[0][0] == "<" else f"<{escape(kept[0])}>")
        position = kept.end()
    return "".join([*parts, _literal(content[position:], form)])


def _literal(text: str, form: _Form) -> str:
    """Text in which no character is taken for a marker: where one could be, a look-alike stands."""
    text = escape(text)
    if form.is_plain:
        return text
    text = re.sub(r"^&gt;", f"{_GAP}&gt;", text, flags=re.MULTILINE).replace("`", _LOOKALIKES["`"])
    for marker in "*_~":
        sign = re.escape(marker)
        pair = rf"(?<!\w){sign}(?=\S)" if marker in form.markers else rf"(?<!\w){sign}(?=\S)[^\n]*?(?<=\S){sign}(?!\w)"
        text = re.sub(pair, partial(_disguise, marker), text)
    return text


def _disguise(marker: str, match: re.Match[str]) -> str:
    return match[0].replace(marker, _LOOKALIKES[marker])
