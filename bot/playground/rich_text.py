"""What a person typed, as Slack stores it: escaped text, and the rich_text block beside it."""

from __future__ import annotations

import re

from bot.playground.entities import Json

TOKEN = re.compile(r"<(?:@[UW][A-Z0-9]+|#C[A-Z0-9]+(?:\|[^<>|]*)?|!(?:here|channel|everyone))>")
URL = re.compile(r"https?://[^\s<>|`\"]+[^\s<>|`\".,;:!?)\]}']")
FENCE = re.compile(r"```\n?(.*?)\n?```", re.DOTALL)
INLINE = re.compile(
    r"(?P<token>" + TOKEN.pattern + r")"
    r"|(?P<link>" + URL.pattern + r")"
    r"|`(?P<code>[^`\n]+)`"
    r"|(?<![\w*])\*(?P<bold>[^*\n]+)\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>[^_\n]+)_(?![\w_])"
    r"|(?<![\w~])~(?P<strike>[^~\n]+)~(?![\w~])"
    r"|(?<![\w:]):(?P<emoji>[a-z0-9_+'-]+):(?![\w:])"
)
LIST_ITEM = re.compile(r"^(?:[-•*] |(?P<number>\d+)\. )(?P<text>.*)$")
QUOTE = re.compile(r"^> ?(?P<text>.*)$")


def escape(text: str) -> str:
    """Escape the three characters that Slack's text reserves."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def encode_typed(text: str) -> str:
    """Return typed text as events carry it: escaped, with mentions kept and links in angle brackets."""
    parts: list[str] = []
    position = 0
    for match in re.finditer(f"{TOKEN.pattern}|{URL.pattern}", text):
        parts.append(escape(text[position : match.start()]))
        found = match.group()
        parts.append(found if found.startswith("<") else f"<{escape(found)}>")
        position = match.end()
    return "".join([*parts, escape(text[position:])])


def build_blocks(text: str) -> list[Json]:
    """Return the one rich_text block that says what was typed."""
    elements: list[Json] = []
    position = 0
    for match in FENCE.finditer(text):
        elements += _parse_lines(text[position : match.start()])
        elements.append({"type": "rich_text_preformatted", "elements": [{"type": "text", "text": match.group(1)}]})
        position = match.end()
    elements += _parse_lines(text[position:])
    return [{"type": "rich_text", "elements": elements}] if elements else []


def _parse_lines(text: str) -> list[Json]:
    """Group lines into lists, quotes and plain sections."""
    elements: list[Json] = []
    for line in text.strip("\n").split("\n") if text.strip() else []:
        item, quote = LIST_ITEM.match(line), QUOTE.match(line)
        if item:
            style = "ordered" if item["number"] else "bullet"
            section = {"type": "rich_text_section", "elements": _parse_inline(item["text"])}
            if elements and elements[-1].get("style") == style:
                elements[-1]["elements"].append(section)
            else:
                elements.append({"type": "rich_text_list", "style": style, "indent": 0, "elements": [section]})
        else:
            kind = "rich_text_quote" if quote else "rich_text_section"
            _add_line(elements, kind, _parse_inline(quote["text"] if quote else line))
    return elements


def _add_line(elements: list[Json], kind: str, inline: list[Json]) -> None:
    if elements and elements[-1]["type"] == kind:
        elements[-1]["elements"] += [{"type": "text", "text": "\n"}, *inline]
    else:
        elements.append({"type": kind, "elements": inline})


def _parse_inline(line: str) -> list[Json]:
    elements: list[Json] = []
    position = 0
    for match in INLINE.finditer(line):
        if match.start() > position:
            elements.append({"type": "text", "text": line[position : match.start()]})
        kind = match.lastgroup or ""
        elements.append(_build_inline(kind, match[kind]))
        position = match.end()
    if position < len(line):
        elements.append({"type": "text", "text": line[position:]})
    return elements


def _build_inline(kind: str, found: str) -> Json:
    if kind == "link":
        return {"type": "link", "url": found}
    if kind == "emoji":
        return {"type": "emoji", "name": found}
    if kind != "token":
        return {"type": "text", "text": found, "style": {kind: True}}
    inner = found[1:-1]
    if inner.startswith("@"):
        return {"type": "user", "user_id": inner[1:]}
    if inner.startswith("#"):
        return {"type": "channel", "channel_id": inner[1:].split("|")[0]}
    return {"type": "broadcast", "range": inner[1:]}
