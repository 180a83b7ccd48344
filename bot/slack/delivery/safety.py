"""
What a model wrote, made harmless for Slack: nobody is notified, and nothing can be clicked that nobody had shown.

Knows which texts Slack would turn into notifications and links; must not know prompts, people or clients.

What it relies on. Slack reads control sequences only when an ASCII "<" stands directly before "!", "@" or "#", so a
word joiner in between makes text of them. Plain "@here" notifies only where a client links names; it is broken up in
prose all the same. In code Slack links nothing; code therefore stays byte for byte, except for control sequences,
since Slack does not say that it ignores them there. A parser must not see code elsewhere than this module does:
fences go to the left margin, an open fence is closed, and backticks that open nothing become look-alikes.
"""

import html
import re
from collections.abc import Collection
from dataclasses import dataclass

from bot.slack.delivery.chunks import AFTER_URL, LINK, UNSEEN, URL, URL_START, normal_url, skeleton

_JOINER = "\u2060"
_MOST_WORD = 200
_MOST_URL = 2000
_MOST_SHOWN = 150

_BROADCASTS = ("channel", "here", "everyone", "group")
_AT = "@＠﹫"
_BANG = "!！﹗ǃ"

_LEAD = re.compile(r"(?:[ \t]{1,16}|>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t])){0,12}")
_ALMOST_ITEM = re.compile(r"[-*+]|\d{1,9}[.)]?")
_FENCE = re.compile(r"(`{3,30}(?=[^`\n]{0,100}(?:\n|\Z))|~{3,30}(?!~))([^\n]{0,100})(?:\n|\Z)")
_ALMOST_FENCE = re.compile(r"`{1,30}[^`\n]{0,100}|~{1,30}[^\n]{0,100}")
_CODE = re.compile(r"(`{1,20})(?!`)([^\n]{1,160}?)(?<!`)\1(?!`)")
_MOST_CODE = 201
_ALMOST_LINK = re.compile(
    r"!?(?:\[[^\[\]\n]{0,200}(?:\](?:\(\s?<?[^\s<>()`]{0,2000}(?:\([^\s<>()`]{0,200}(?:\)[^\s<>()`]{0,200})?)?>?"
    r"(?:\s+(?:\"[^\"\n]{0,200}\"?)?)?)?)?)?"
)
_ANGLE_LINK = re.compile(r"<([a-zA-Z][\w+.-]{1,30}:[^\s<>|`]{0,2000})(?:\|([^<>\n]{0,200}))?>")
_ALMOST_ANGLE_LINK = re.compile(r"<[a-zA-Z][\w+.-]{0,30}(?::[^\s<>|`]{0,2000}(?:\|[^<>\n]{0,200})?)?")
_ANGLE_ADDRESS = re.compile(r"<[^\s<>@]{1,64}@[A-Za-z0-9.-]{1,100}>")
_ALMOST_ANGLE_ADDRESS = re.compile(r"<[^\s<>@]{1,64}(?:@[A-Za-z0-9.-]{0,100})?")
_CONTROL = re.compile(
    rf"(?:[<＜﹤]|&lt;){UNSEEN}{{0,30}}([{_BANG}{_AT}#])([^<>＞\n]{{0,100}}?)(?:>|＞|&gt;)", re.IGNORECASE
)
_MOST_CONTROL = 140
_CODE_CONTROL = re.compile(
    rf"<(?!{_JOINER}){UNSEEN}{{0,30}}(?:!(?i:channel|here|everyone|group|subteam)|@([UW][A-Z0-9]{{1,30}})[|>])"
)
_ALMOST_CODE_CONTROL = re.compile(rf"<{UNSEEN}{{0,30}}(?:!\w{{0,8}}|@\w{{0,31}})?")
_LESS_THAN = re.compile(r"[<＜﹤]|&lt;", re.IGNORECASE)
_ENTITY = re.compile(r"&(#?\w{1,31});")
_ALMOST_ENTITY = re.compile(r"&#?\w{0,31}")
_HARMLESS_ENTITIES = {"lt", "gt", "amp", "quot", "apos", "#34", "#39", "#x22", "#x27"}

_PLAIN = re.compile(r"[\"-%'-;=-?A-Z^_a-z{-~]{1,200}")
_OTHER = re.compile(r"[^!-~\n＜﹤＠﹫]+")
_DROPPED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def neutralise(markdown: str, *, allowed_users: Collection[str] = (), known_urls: Collection[str] = ()) -> str:
    """The text without broadcasts, foreign mentions, images, and links to addresses outside *known_urls*."""
    stream = StreamNeutraliser(allowed_users=allowed_users, known_urls=known_urls)
    return stream.push(markdown) + stream.flush()


def _build_code(url: str) -> str:
    """An address nobody can click; of a long one the beginning, since the rest may be what it would carry away."""
    return f"`{url}`" if len(url) <= _MOST_SHOWN else f"`{url[:_MOST_SHOWN]}…`"


@dataclass(frozen=True)
class _Fence:
    """The code block that is open, and what stands before each of its lines."""

    marker: str
    quotes: int
    indent: int


class StreamNeutraliser:
    """
    Neutralises a text that arrives in pieces; what comes out does not depend on where the pieces were cut.

    Held back are only the characters whose meaning the next ones decide: a word, an open link, an open code span.
    """

    def __init__(self, *, allowed_users: Collection[str] = (), known_urls: Collection[str] = ()) -> None:
        self._allowed_users = frozenset(allowed_users)
        self._known_urls = frozenset(map(normal_url, known_urls))
        self._held = ""
        self._out: list[str] = []
        self._last = ""
        self._fence: _Fence | None = None
        self._is_line_start = True
        self._is_final = False

    def push(self, text: str) -> str:
        """What may be sent now."""
        self._held += _DROPPED.sub("", text)
        while self._held and self._step():
            pass
        sent, self._out = "".join(self._out), []
        return sent

    def flush(self) -> str:
        """The rest, at the end of the text; an open code block is closed."""
        self._is_final = True
        rest = self.push("")
        if self._fence:
            rest += ("" if self._last == "\n" else "\n") + self._fence.marker
        return rest

    def _emit(self, consumed: int, text: str) -> bool:
        self._held = self._held[consumed:]
        self._out.append(text)
        self._last = text[-1:] or self._last
        return True

    def _emit_code(self, consumed: int, text: str) -> bool:
        """Emit text that may begin with code: next to a backtick, or behind a backslash, its first would not count."""
        is_joined = text.startswith("`") and self._last in {"`", "\\"}
        return self._emit(consumed, " " + text if is_joined else text)

    def _is_undecided(self, almost: re.Pattern[str]) -> bool:
        """Whether more text could still complete what *almost* begins."""
        return not self._is_final and almost.fullmatch(self._held) is not None

    def _step(self) -> bool:
        """Emit one piece from the front of what is held; False to wait for more."""
        if self._fence:
            return self._start_code_line(self._fence) if self._is_line_start else self._pass_code()
        if self._is_line_start:
            return self._start_line()
        match self._held[0]:
            case "\n":
                step = self._pass_newline
            case "`":
                step = self._pass_code_span
            case "!" | "[" | "]":
                step = self._pass_bracket
            case "<" | "＜" | "﹤" | "&":
                step = self._pass_angle
            case "@" | "＠" | "﹫":
                step = self._pass_at
            case "\\":
                step = self._pass_backslash
            case _:
                step = self._pass_word
        return step()

    def _pass_newline(self) -> bool:
        self._is_line_start = True
        return self._emit(1, "\n")

    def _start_line(self) -> bool:
        match = _LEAD.match(self._held)
        lead = match[0] if match else ""
        rest = self._held[len(lead) :]
        is_open = not rest or _ALMOST_ITEM.fullmatch(rest) or _ALMOST_FENCE.fullmatch(rest)
        if is_open and not self._is_final:
            return False
        fence = _FENCE.match(rest)
        if fence:
            self._fence = _Fence(marker=fence[1], quotes=lead.count(">"), indent=len(lead))
            item = lead.rstrip() + "\n" if lead.strip(" \t>") else ""
            return self._emit(len(lead) + fence.end(), f"{item}{fence[1]}{self._guard_code(fence[2])}\n")
        self._is_line_start = False
        return self._emit(len(lead), lead + (_JOINER if rest.startswith("~~~") else ""))

    def _start_code_line(self, fence: _Fence) -> bool:
        quote = "[ \t]{0,3}>"
        before = rf"(?:{quote}){{{fence.quotes}}} ?" if fence.quotes else rf"[ \t]{{0,{fence.indent}}}"
        prefix = re.match(before, self._held)
        if prefix is None:
            if self._is_undecided(re.compile(rf"(?:{quote}){{0,{fence.quotes}}}[ \t]{{0,3}}")):
                return False
            self._fence = None  # the end of a quote is the end of the code in it
            return self._emit(0, fence.marker + "\n")
        rest = self._held[prefix.end() :]
        mark = fence.marker[0]
        if not self._is_final and re.fullmatch(rf"[ \t]{{0,80}}{mark}*[ \t]*", rest):
            return False
        closing = re.match(rf"[ \t]{{0,80}}{mark}{{{len(fence.marker)},}}[ \t]*(\n|\Z)", rest)
        if closing:
            self._fence = None
            return self._emit(prefix.end() + closing.end(), fence.marker + closing[1])
        self._is_line_start = False
        return self._emit(prefix.end(), "")

    def _pass_code(self) -> bool:
        safe = re.match(r"[^<\n]+", self._held)
        if safe:
            return self._emit(safe.end(), safe[0])
        if self._held[0] == "\n":
            return self._pass_newline()
        if self._is_undecided(_ALMOST_CODE_CONTROL):
            return False
        return self._emit(1, "<" + (_JOINER if self._is_control_in_code(_CODE_CONTROL.match(self._held)) else ""))

    def _guard_code(self, code: str) -> str:
        return _CODE_CONTROL.sub(
            lambda match: f"<{_JOINER}{match[0][1:]}" if self._is_control_in_code(match) else match[0], code
        )

    def _is_control_in_code(self, match: re.Match[str] | None) -> bool:
        return match is not None and (match[1] not in self._allowed_users or not match[0].startswith("<@"))

    def _pass_code_span(self) -> bool:
        is_open = "\n" not in self._held[:_MOST_CODE] and len(self._held) < _MOST_CODE
        code = _CODE.match(self._held)
        if not self._is_final and is_open and (code is None or code.end() == len(self._held)):
            return False
        if code and not ("|" in code[2] and (URL_START.search(code[2]) or any(at in code[2] for at in _AT))):
            return self._emit_code(code.end(), code[1] + self._guard_code(code[2]) + code[1])
        return self._emit(1, "ˋ")

    def _pass_backslash(self) -> bool:
        if len(self._held) < 2 and not self._is_final:
            return False
        pair = self._held[:2]
        return self._emit(2, "ˋ" if pair == "\\`" else pair) if pair in {"\\`", "\\\\"} else self._emit(1, "\\")

    def _pass_bracket(self) -> bool:
        link = LINK.match(self._held)
        if link and (URL_START.search(link[2]) or normal_url(link[2]) in self._known_urls):
            return self._emit_link(link.end(), url=link[2], label=link[1])
        if not link and (self._is_undecided(_ALMOST_LINK) or (self._held == "]" and not self._is_final)):
            return False
        if self._held[:2] in {"](", "]:"}:
            return self._emit(1, "]" + _JOINER)
        return self._emit(1, (_JOINER if self._last == "!" and self._held[0] == "[" else "") + self._held[0])

    def _glue(self) -> str:
        """What keeps rewritten text from forming a word or a control sequence with the text before it."""
        return _JOINER if re.match(rf"[^\s(\[{{*_~\"'|,;{_JOINER}]", self._last) else ""

    def _neutralise_label(self, label: str) -> str:
        inner = StreamNeutraliser(allowed_users=self._allowed_users, known_urls=self._known_urls)
        inner._is_line_start = False
        return (inner.push(re.sub(r"[][\n]", "", label)) + inner.flush()).strip()

    def _emit_link(self, consumed: int, *, url: str, label: str) -> bool:
        """A link where its address is known and its label does not pretend another; otherwise the address as code."""
        text = self._neutralise_label(label)
        is_same = not label or normal_url(label) == normal_url(url)
        is_known = normal_url(url) in self._known_urls and not url.lower().startswith("javascript:")
        glue = self._glue()
        if is_known and (is_same or not URL_START.search(skeleton(label))):
            return self._emit(consumed, f"{glue}[{text}]({url})" if text else f"{glue}<{url}>")
        address = f"<{url}>" if is_known else _build_code(url)
        return self._emit_code(consumed, address if is_same else f"{glue}{text} ({address})")

    def _pass_angle(self) -> bool:
        if self._is_undecided(_ALMOST_ENTITY):
            return False
        opening = _LESS_THAN.match(self._held)
        if opening is None:
            entity = _ENTITY.match(self._held)
            meant = html.unescape(entity[0]) if entity and entity[1].lower() not in _HARMLESS_ENTITIES else ""
            return self._emit(1, "&" + (_JOINER if len(meant) == 1 and meant.isascii() else ""))
        following = re.sub(UNSEEN, "", self._held[opening.end() : opening.end() + 31])
        if not following and not self._is_final and len(self._held) < opening.end() + 31:
            return False
        return (
            self._pass_control(opening[0]) if following[:1] in set(f"{_BANG}{_AT}#") else self._pass_opening(opening[0])
        )

    def _pass_opening(self, opening: str) -> bool:
        """A link or an address in angle brackets, or just the bracket."""
        link = _ANGLE_LINK.match(self._held)
        if link:
            return self._emit_link(link.end(), url=link[1], label=link[2] or "")
        if self._is_undecided(_ALMOST_ANGLE_LINK) or self._is_undecided(_ALMOST_ANGLE_ADDRESS):
            return False
        return self._emit(len(opening), opening + (_JOINER if _ANGLE_ADDRESS.match(self._held) else ""))

    def _pass_control(self, opening: str) -> bool:
        """A broadcast, a mention, a channel or a date in angle brackets; what cannot be read is broken open."""
        if self._held.startswith(opening + _JOINER):
            return self._emit(len(opening) + 1, opening + _JOINER)
        control = _CONTROL.match(self._held)
        is_open = len(self._held) < _MOST_CONTROL and not re.search(r"\n|.<", self._held)
        is_whole = control is not None and control.end() < len(self._held)
        if not is_whole and is_open and not self._is_final:
            return False
        text = self._read_control(control) if control else ""
        if control is None or not text:
            return self._emit(len(opening), opening + _JOINER)
        if text.startswith("<"):
            return self._emit(control.end(), text)
        following = self._held[control.end() : control.end() + 1]
        return self._emit(control.end(), self._glue() + text + (_JOINER if following.strip() else ""))

    def _read_control(self, control: re.Match[str]) -> str:
        """The mention or channel where it may stay, the words a reader would have seen, or nothing."""
        kind, (target, _, label) = control[1], control[2].partition("|")
        is_exact = control[0] == f"<{kind}{control[2]}>"
        if is_exact and kind == "@" and target in self._allowed_users:
            return f"<@{target}>"
        if is_exact and kind == "#" and re.fullmatch(r"[CG][A-Z0-9]{1,30}", target):
            return f"<#{target}>"
        if target.startswith("date^") and kind in _BANG:
            return self._neutralise_label(label)
        shown = self._neutralise_label(label or target.removeprefix("subteam^"))
        is_named = kind in _AT or (kind in _BANG and skeleton(target).startswith((*_BROADCASTS, "subteam^")))
        return f"@{_JOINER}{shown.lstrip(_AT + _JOINER)}" if is_named and shown else ""

    def _pass_at(self) -> bool:
        following = self._held[1:61]
        name = skeleton(following)
        if not self._is_final and len(following) < 60 and any(word.startswith(name) for word in _BROADCASTS):
            return False
        is_broken = following.startswith(_JOINER)
        is_broadcast = name.startswith(_BROADCASTS) or (not name and len(following) == 60)
        return self._emit(1, self._held[0] + (_JOINER if is_broadcast and not is_broken else ""))

    def _pass_word(self) -> bool:
        other = _OTHER.match(self._held)
        if other:
            return self._emit(other.end(), other[0])
        match = _PLAIN.match(self._held)
        word = match[0] if match else self._held[0]
        if len(word) == len(self._held) and len(word) < _MOST_WORD and not self._is_final:
            return False
        url = URL_START.search(word)
        if url and not url.start():
            return self._pass_url()
        # An address could begin near the end of a word that is too long to wait for.
        size = url.start() if url else len(word) if len(word) < _MOST_WORD else _MOST_WORD - 64
        return self._emit(size, word[:size])

    def _pass_url(self) -> bool:
        run = URL.match(self._held)
        whole = run[0] if run else self._held[0]
        if len(whole) == len(self._held) and len(whole) < _MOST_URL and not self._is_final:
            return False
        url = stripped = whole.rstrip(AFTER_URL) or whole
        for end in range(len(whole), len(stripped) - 1, -1):
            if normal_url(whole[:end]) in self._known_urls:
                url = whole[:end]
                gap = " " if self._held[len(whole) : len(whole) + 1] in {"|", "<", "`"} else ""
                return self._emit(end, url + gap)
        is_address = self._last in _AT and re.fullmatch(r"(?!.*www\.)[\w.-]+", url, re.IGNORECASE)
        return self._emit_code(len(url), url if self._last and is_address else _build_code(url))
