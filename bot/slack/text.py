"""
What a person said in Slack, as plain Markdown for a language model.

Knows the shapes of Slack's message events; must not know clients, storage, or what becomes of the text.
People and other apps make these payloads, so every value may be missing or of the wrong type: nothing here raises.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from bot.slack.delivery.chunks import build_code_span, build_fence, build_link, build_quote, build_table

# Invisible characters that carry nothing a person wrote: controls, bidi overrides, tag characters, lone surrogates.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_BOT = "\x00"  # stands for a mention of the bot until its place in the message is known; no input can contain it
_HELD = re.compile("\x01(\\d+)\x02")

_ENTITY = re.compile(r"&(lt|gt|amp);")
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&"}
_CODE = re.compile(r"```(?P<fence>.*?)```|`[^`\n]+`", re.DOTALL)
_ANGLE = re.compile(r"<([^<>\n]+)>")
_USER = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_CHANNEL_LABEL = re.compile(r"<#([A-Z0-9]+)\|([^<>]+)>")
_GROUP_LABEL = re.compile(r"<!subteam\^([A-Z0-9]+)\|([^<>]+)>")
_BOLD = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]+?)(?<=\S)\*(?![\w*])")
_STRIKE = re.compile(r"(?<![\w~])~(?=[^\s~])([^~\n]+?)(?<=\S)~(?![\w~])")
_BULLET = re.compile(r"^([ \t]*)[•◦▪] *", re.MULTILINE)
_LONG_QUOTE = re.compile(r"^(?:&gt;|>){3}[ \t]*(.*)", re.MULTILINE | re.DOTALL)
_LEADING_BOT = re.compile(rf"(?:{_BOT}[ \t]*[,:]?\s*)+")
_CODEPOINTS = re.compile(r"[0-9a-fA-F]{2,6}(?:-[0-9a-fA-F]{2,6})*")
_WRAPS = (("italic", "_"), ("bold", "**"), ("strike", "~~"))


def read_typed(value: object) -> str:
    """Return what somebody typed into a form, without what nobody sees."""
    return _string(value).strip()


@dataclass(frozen=True)
class _Directory:
    """Who stands behind an id: the names the caller knows, then the labels Slack sent along."""

    bot_user_id: str
    names: Mapping[str, str]

    def user(self, user_id: str, *, label: str = "") -> str:
        if user_id == self.bot_user_id:
            return _BOT
        return "@" + self.name(user_id, label=label)

    def channel(self, channel_id: str, *, label: str = "") -> str:
        return "#" + self.name(channel_id, label=label)

    def group(self, group_id: str, *, label: str = "") -> str:
        return "@" + self.name(group_id, label=label)

    def name(self, key: str, *, label: str = "") -> str:
        return (_string(self.names.get(key)) or label or key).lstrip("@#")


def parse_message(event: Mapping[str, Any], *, bot_user_id: str, names: Mapping[str, str]) -> str:
    """The message as Markdown from its richest source, with shared messages quoted and files named."""
    text = event.get("text")
    raw = text if isinstance(text, str) else ""
    labels = {key: label for pattern in (_CHANNEL_LABEL, _GROUP_LABEL) for key, label in pattern.findall(raw)}
    directory = _Directory(bot_user_id=bot_user_id, names={**labels, **names})
    said = _blocks(event.get("blocks"), directory) or _mrkdwn(_string(text), directory)
    parts = [said, *(_attachment(item, directory) for item in _dicts(event.get("attachments")))]
    parts.append(_files(event.get("files")))
    whole = "\n\n".join(part for part in parts if part.strip()).strip()
    addressed = _LEADING_BOT.sub("", whole, count=1) if whole.startswith(_BOT) else whole
    return addressed.replace(_BOT, "@" + directory.name(bot_user_id))


def mentioned_users(event: Mapping[str, Any]) -> list[str]:
    """Ids of the people this message itself mentions, in order; quoted and shared messages do not count."""
    found: dict[str, None] = {}
    pending: list[Any] = [event.get("blocks")]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(reversed(value))
        elif isinstance(value, dict):
            kind = _string(value.get("type"))
            if kind == "user" and _string(value.get("user_id")):
                found[_string(value["user_id"])] = None
            elif kind in {"mrkdwn", "markdown"}:
                found.update(dict.fromkeys(_USER.findall(_string(value.get("text")))))
            pending.extend(reversed(value.values()))
    found.update(dict.fromkeys(_USER.findall(_string(event.get("text")))))
    return list(found)


def has_mention(event: Mapping[str, Any], user_id: str) -> bool:
    """Whether the message itself mentions this user."""
    return user_id in mentioned_users(event)


def _string(value: Any) -> str:
    return _INVISIBLE.sub("", value.replace("\r\n", "\n").replace("\r", "\n")) if isinstance(value, str) else ""


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any, *, most: int) -> int:
    return max(0, min(value, most)) if isinstance(value, int) else 0


def _tidy(prose: str) -> str:
    """Prose without non-breaking spaces, trailing blanks or towers of empty lines."""
    prose = re.sub(r"[\u00a0\u2007\u202f]", " ", prose)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"(?<![ \t])[ \t]+\n", "\n", prose))


def _blocks(blocks: Any, directory: _Directory) -> str:
    parts = (_block(block, directory) for block in _dicts(blocks))
    return "\n\n".join(part for part in parts if part.strip())


def _block(block: dict[str, Any], directory: _Directory) -> str:
    text = ""
    match block.get("type"):
        case "rich_text":
            text = _rich_text(block, directory)
        case "header":
            title = _text_object(block.get("text"), directory).strip()
            text = f"# {title}" if title else ""
        case "context":
            elements = _dicts(block.get("elements"))
            text = " ".join(filter(None, (_text_object(element, directory) for element in elements)))
        case "markdown":
            text = _markdown(_string(block.get("text")), directory)
        case "table" | "data_table":
            text = _table(block, directory)
        case "image":
            alt = _string(block.get("alt_text")) or _text_object(block.get("title"), directory)
            text = f"[image: {alt}]" if alt else ""
        case "actions" | "input" | "context_actions" | "divider":
            pass
        case _:
            fields = (_text_object(field, directory) for field in _dicts(block.get("fields")))
            text = "\n".join(filter(None, (_text_object(block.get("text"), directory), *fields)))
    return text


def _text_object(value: Any, directory: _Directory) -> str:
    """The text of a text object; an image among context elements gives its description."""
    item = _dict(value)
    if item.get("type") == "mrkdwn":
        return _mrkdwn(_string(item.get("text")), directory)
    if item.get("type") == "rich_text":
        return _rich_text(item, directory)
    return _tidy(_unescape(_string(item.get("text")) or _string(item.get("alt_text"))))


def _table(block: dict[str, Any], directory: _Directory) -> str:
    rows = block.get("rows")
    lists = [row for row in rows if isinstance(row, list)] if isinstance(rows, list) else []
    return build_table([[_text_object(cell, directory) for cell in row] for row in lists if row])


def _rich_text(block: dict[str, Any], directory: _Directory) -> str:
    rendered = ""
    previous = ""
    for element in _dicts(block.get("elements")):
        kind = _string(element.get("type"))
        part = _rich_element(kind, element, directory).strip("\n")
        if part.strip():
            gap = "\n" if previous == kind == "rich_text_list" else "\n\n"
            rendered += gap + part if rendered else part
            previous = kind
    return rendered


def _rich_element(kind: str, element: dict[str, Any], directory: _Directory) -> str:
    children = _dicts(element.get("elements"))
    if kind == "rich_text_list":
        return _rich_list(element, children, directory)
    if kind == "rich_text_preformatted":
        code = "".join(_string(child.get("text")) or _string(child.get("url")) for child in children)
        language = re.fullmatch(r"[\w+#.-]{1,30}", _string(element.get("language")))
        return build_fence(code, language=language[0] if language else "") if code else ""
    text = _inline(children, directory)
    return build_quote(text.strip("\n")) if kind == "rich_text_quote" else text


def _rich_list(element: dict[str, Any], children: list[dict[str, Any]], directory: _Directory) -> str:
    # Four columns are enough for a child of "10." and not yet an indented code block below "-".
    indent = " " * 4 * _count(element.get("indent"), most=8)
    first = _count(element.get("offset"), most=1_000_000) + 1
    is_ordered = element.get("style") == "ordered"
    lines = []
    for number, child in enumerate(children, start=first):
        marker = f"{number}. " if is_ordered else "- "
        text = _inline(_dicts(child.get("elements")), directory).strip("\n")
        lines.append(indent + marker + text.replace("\n", "\n" + indent + " " * len(marker)))
    return "\n".join(lines)


def _inline(elements: list[dict[str, Any]], directory: _Directory) -> str:
    """Inline elements as Markdown; neighbours of one style share one pair of markers."""
    runs = [(_style(element), _inline_element(element, directory)) for element in elements]
    return "".join(_styled("".join(text for _, text in group), style) for style, group in groupby(runs, lambda r: r[0]))


def _style(element: dict[str, Any]) -> tuple[str, ...]:
    style = _dict(element.get("style"))
    is_plain = element.get("type") in {"user", "usergroup", "broadcast", "channel", "emoji"}
    return () if is_plain else tuple(name for name in ("code", "italic", "bold", "strike") if style.get(name) is True)


def _styled(text: str, style: tuple[str, ...]) -> str:
    body = text.strip()
    if not style or not body:
        return text
    before, after = text[: text.index(body)], text[text.index(body) + len(body) :]
    body = build_code_span(body) if "code" in style else body
    for name, marker in _WRAPS:
        body = f"{marker}{body}{marker}" if name in style else body
    return before + body + after


def _inline_element(element: dict[str, Any], directory: _Directory) -> str:  # noqa: PLR0911 - one line per kind
    text = _string(element.get("text"))
    match element.get("type"):
        case "text":
            return text if _dict(element.get("style")).get("code") is True else _tidy(text)
        case "link":
            return build_link(_string(element.get("url")), label=text)
        case "user":
            return directory.user(_string(element.get("user_id")))
        case "usergroup":
            return directory.group(_string(element.get("usergroup_id")))
        case "channel":
            return directory.channel(_string(element.get("channel_id")))
        case "broadcast":
            return "@" + (_string(element.get("range")) or "channel")
        case "emoji":
            return _emoji(element)
        case "color":
            return _string(element.get("value"))
    return text or _string(element.get("fallback")) or _string(element.get("url"))


def _emoji(element: dict[str, Any]) -> str:
    """The character itself; the name in colons for a workspace's own emoji."""
    codes = _string(element.get("unicode"))
    points = [int(code, 16) for code in codes.split("-")] if _CODEPOINTS.fullmatch(codes) else []
    if points and all(0x20 < point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF for point in points):
        return "".join(map(chr, points))
    name = _string(element.get("name"))
    return f":{name}:" if name else ""


def _unescape(text: str) -> str:
    return _ENTITY.sub(lambda match: _ENTITIES[match[1]], text)


def _mrkdwn(text: str, directory: _Directory) -> str:
    """Slack's own markup as Markdown: prose is converted, code only has its references resolved."""
    return "".join(_segments(text, directory))


def _segments(text: str, directory: _Directory) -> Iterator[str]:
    position = 0
    for match in _CODE.finditer(text):
        yield _prose(text[position : match.start()], directory)
        yield _code(match, directory)
        position = match.end()
    yield _prose(text[position:], directory)


def _code(match: re.Match[str], directory: _Directory) -> str:
    code = _unescape(_ANGLE.sub(lambda angle: _reference(angle[1], directory, in_code=True), match[0]))
    if match["fence"] is None or "\n" not in match["fence"]:
        return code
    # Slack lets code share a line with its fence; in Markdown the first line would become the language.
    body = code[3:-3]
    opening = "" if re.match(r"[\w+#.-]*\n", body) else "\n"
    return f"```{opening}{body}" + ("```" if body.endswith("\n") else "\n```")


def _prose(text: str, directory: _Directory) -> str:
    held: list[str] = []

    def hold(angle: re.Match[str]) -> str:
        held.append(_reference(angle[1], directory, in_code=False))
        return f"\x01{len(held) - 1}\x02"

    text = _LONG_QUOTE.sub(lambda match: build_quote(match[1]), _ANGLE.sub(hold, text))
    text = _STRIKE.sub(r"~~\1~~", _BOLD.sub(r"**\1**", _BULLET.sub(r"\1- ", text)))
    return _HELD.sub(lambda match: held[int(match[1])], _tidy(_unescape(text)))


def _markdown(text: str, directory: _Directory) -> str:
    """Standard Markdown in which only Slack's references are resolved."""
    return _tidy(_unescape(_ANGLE.sub(lambda angle: _reference(angle[1], directory, in_code=False), text)))


def _reference(inside: str, directory: _Directory, *, in_code: bool) -> str:
    """What one `<…>` stands for; text that Slack would not have put into angle brackets stays as it is."""
    target, _, label = inside.partition("|")
    target, label = _unescape(target), _unescape(label)
    if target.startswith("@"):
        return directory.user(target[1:], label=label)
    if target.startswith("#"):
        return directory.channel(target[1:], label=label)
    if target.startswith("!subteam^"):
        return directory.group(target.removeprefix("!subteam^"), label=label)
    if target.startswith("!"):
        return label if target.startswith("!date^") else "@" + target[1:].split("^")[0]
    if not re.match(r"[a-zA-Z][\w+.-]*:", target):
        return f"<{inside}>"
    return (label or target) if in_code else build_link(target, label=label)


def _attachment(item: dict[str, Any], directory: _Directory) -> str:
    """A shared message, a link preview or another app's card, as a quote with its author."""
    author = _string(item.get("author_name")) or _string(item.get("author_subname"))
    title = _mrkdwn(_string(item.get("title")), directory)
    link = _string(item.get("title_link"))
    body = [f"**{author}:**" if author else "", build_link(link, label=title)]
    shared = [_dict(entry.get("message")) for entry in _dicts(item.get("message_blocks"))]
    rich = "\n\n".join(filter(None, (_blocks(message.get("blocks"), directory) for message in shared)))
    body.append(rich or _blocks(item.get("blocks"), directory) or _mrkdwn(_string(item.get("text")), directory))
    for field in _dicts(item.get("fields")):
        name, value = (_mrkdwn(_string(field.get(key)), directory) for key in ("title", "value"))
        body.append(f"{name}: {value}" if name and value else name or value)
    body.append(_files(item.get("files")))
    if not any(part.strip() for part in body[1:]):
        fallback = _string(item.get("fallback"))
        body.append("" if fallback.startswith("[no preview available]") else _mrkdwn(fallback, directory))
    quoted = build_quote("\n".join(part for part in body if part.strip()))
    return "\n".join(filter(str.strip, (_mrkdwn(_string(item.get("pretext")), directory), quoted)))


def _files(files: Any) -> str:
    named = (_string(file.get("name")) or _string(file.get("title")) for file in _dicts(files))
    return "\n".join(f"[file: {name}]" for name in named if name)
