"""Messages to tokens: control tokens come from the template alone, never from what a person wrote.

Only the template's own parts are searched for control tokens; the text between two of them is tokenized whole and
as plain text, so that the result equals the usual tokenization of the whole text whenever no message contains a
control token. Knows no llama.cpp: the tokenizer comes in.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.engine.chat.dialect import read_dialect
from bot.engine.chat.template import (
    APP,
    NO_EXTRAS,
    ChatTemplate,
    Extras,
    Message,
    Part,
    TemplateFailure,
    WordsChangedError,
)
from bot.engine.types import Placed, Sight

DEFUSE_PASSES = 8
TAIL_LENGTH = 200
ControlTokens = Mapping[str, tuple[int, bool, bool]]
Tokenize = Callable[[str, bool], list[int]]
View = Sequence[tuple[int, ...] | Sight]
NO_VIEWS: Mapping[str, View] = {}


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tokens to continue; the first *shared_length* stem from the system prompt and may serve every conversation.

    *tail* is the text at their end that the template wrote.
    """

    tokens: tuple[int, ...]
    shared_length: int = 0
    tail: str = ""
    pictures: tuple[Placed, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A control token, or plain text between two of them; *is_shared* while no person's words have come."""

    text: str
    token: int | None
    is_shared: bool


class PromptEncoder:
    """Renders and tokenizes conversations for one model."""

    def __init__(
        self, template: ChatTemplate, *, control: ControlTokens, tokenize: Tokenize, leading: tuple[int, ...] = ()
    ) -> None:
        self.dialect = read_dialect(template.source)
        self.control = control
        self._template = template
        self._control = control
        self._tokenize = tokenize
        self._leading = leading
        longest_first = sorted(control, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if control else None

    def encode(
        self, messages: Sequence[Message], extras: Extras = NO_EXTRAS, views: Mapping[str, View] = NO_VIEWS
    ) -> Prompt:
        """Return the tokens of a conversation, raising *TemplateFailure* if the template refuses it.

        *views* are what stands for its pictures, by their marks.
        """
        try:
            parts = self._render(messages, extras)
        except TemplateFailure:
            if extras.tools or any(message.role == "tool" or message.extra for message in messages):
                raise
            messages = simplify(messages)
            parts = self._render(messages, extras)
        tokens: list[int] = []
        pictures: list[Placed] = []
        shared_length = 0
        for segment in self._split(parts, messages):
            if segment.token is not None:
                tokens.append(segment.token)
            elif views:
                self._add_seen(segment.text, views, tokens, pictures)
            else:
                tokens += self._tokenize(segment.text, False)
            if segment.is_shared:
                shared_length = len(tokens)
        if self._leading and tuple(tokens[: len(self._leading)]) != self._leading:
            tokens[:0] = self._leading
            shared_length += len(self._leading)
            pictures = [replace(placed, start=placed.start + len(self._leading)) for placed in pictures]
        _check_pictures(pictures, views, end=len(tokens))
        tail = parts[-1].text if parts and parts[-1].message is None else ""
        return Prompt(tuple(tokens), shared_length, tail[-TAIL_LENGTH:], tuple(pictures))

    def _add_seen(self, text: str, views: Mapping[str, View], tokens: list[int], pictures: list[Placed]) -> None:
        """Add a text in which marks stand for pictures."""
        for piece in re.split(f"({'|'.join(map(re.escape, views))})", text):
            if piece not in views:
                tokens += self._tokenize(piece, False) if piece else []
                continue
            for part in views[piece]:
                if isinstance(part, Sight):
                    pictures.append(Placed(len(tokens), part))
                    tokens += part.ids
                else:
                    tokens += part

    def _render(self, messages: Sequence[Message], extras: Extras) -> tuple[Part, ...]:
        try:
            return self._template.render(messages, extras, is_risky=self._is_risky)
        except WordsChangedError:
            return self._render_defused(messages, extras)

    def _is_risky(self, words: str) -> bool:
        return bool(self._pattern and self._pattern.search(words))

    def _render_defused(self, messages: Sequence[Message], extras: Extras) -> tuple[Part, ...]:
        """Render words that the template changes, for example to drop old reasoning, with their control text broken."""
        text = self._template.render_whole(messages, extras, change=self._defuse)
        return (Part("", message=_first_person(messages)), Part(text))

    def _defuse(self, words: str) -> str:
        """Put an invisible character into everything that reads like a control token."""
        for _ in range(DEFUSE_PASSES):
            if not (self._pattern and self._pattern.search(words)):
                return words
            words = self._pattern.sub(lambda found: "\u200b".join(found[0]) if len(found[0]) > 1 else "", words)
        raise TemplateFailure("a message cannot be told from this model's control tokens")

    def _split(self, parts: Sequence[Part], messages: Sequence[Message]) -> list[Segment]:
        """Cut at the template's control tokens; a text that a person's words follow is no longer shared."""
        segments: list[Segment] = []
        text, strip_next, is_shared = "", False, True
        for part in parts:
            if part.message is not None:
                is_shared = is_shared and (part.message == APP or messages[part.message].role == "system")
                text += part.text
                continue
            end = 0
            for match in self._pattern.finditer(part.text) if self._pattern else ():
                token, strips_left, strips_right = self._control[match[0]]
                text = _strip(text + part.text[end : match.start()], left=strip_next, right=strips_left)
                segments += [Segment(text, None, is_shared)] if text else []
                segments.append(Segment(match[0], token, is_shared))
                text, strip_next, end = "", strips_right, match.end()
            text += part.text[end:]
        text = _strip(text, left=strip_next, right=False)
        return [*segments, Segment(text, None, is_shared=False)] if text else segments


def simplify(messages: Sequence[Message]) -> list[Message]:
    """Return the conversation for templates that know no system prompt and want the roles to alternate."""
    simple: list[Message] = []
    for message in messages:
        role = "user" if message.role == "system" else message.role
        if simple and simple[-1].role == role:
            simple[-1] = Message(role, f"{simple[-1].content}\n\n{message.content}")
        else:
            simple.append(Message(role, message.content))
    return simple


def _check_pictures(pictures: Sequence[Placed], views: Mapping[str, View], *, end: int) -> None:
    """Refuse what a template does to pictures that they are not made for."""
    wanted = sum(isinstance(part, Sight) for view in views.values() for part in view)
    if len(pictures) != wanted:
        raise TemplateFailure("the chat template leaves out a picture, or shows it twice")
    if pictures and pictures[-1].stop == end:
        raise TemplateFailure("the chat template ends with a picture")


def _first_person(messages: Sequence[Message]) -> int | None:
    """Return the first message that is not the system prompt."""
    return next((index for index, message in enumerate(messages) if message.role != "system"), None)


def _strip(text: str, *, left: bool, right: bool) -> str:
    """Remove white space beside control tokens that swallow it, as llama.cpp does."""
    text = text.lstrip() if left else text
    return text.rstrip() if right else text
