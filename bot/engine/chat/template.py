"""The chat template of a model: messages and tools to one text, and where in it their own words stand.

Knows no tokens and no llama.cpp; the template's source is untrusted and runs in a process of its own.
"""

import json
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.engine.chat.renderer import TIME_LIMIT_SECONDS, RenderError, shared_renderer
from bot.engine.chat.sandbox import MARK_NONCE

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SOURCE_LIMIT = 200_000
NO_TOOLS = "NoneType"  # Python's word for what those templates trip over
APP = -1  # the author of tools and options
Change = Callable[[str, int], str]


class TemplateFailure(ValueError):  # noqa: N818 - the failure is the template's
    """The chat template cannot render these messages; the text says why."""


class WordsChangedError(TemplateFailure):
    """The chat template changes the messages' words, so that they cannot be told from its own."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a message, where a mark that nobody can guess stands for it; *data* is its file in base64."""

    mark: str
    data: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; *extra* is JSON, such as the calls that an answer made."""

    role: str
    content: str
    extra: Mapping[str, object] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What a template is given besides the messages; all of it is JSON."""

    tools: tuple[Mapping[str, object], ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    add_generation_prompt: bool = True


NO_EXTRAS = Extras()


@dataclass(frozen=True, slots=True)
class Part:
    """A run of the rendered text: the words of a message (or of the *APP*), or the template's."""

    text: str
    message: int | None = None


class ChatTemplate:
    """A template that was found to be one; `render` is safe to call from several threads."""

    def __init__(self, source: str, *, bos: str = "", eos: str = "", seconds: float = TIME_LIMIT_SECONDS) -> None:
        if len(source) > SOURCE_LIMIT:
            raise TemplateFailure("the chat template is too long")
        self.source = source
        self._renderer = shared_renderer()
        try:
            self._renderer.check(source)
        except RenderError as error:
            raise TemplateFailure(f"the chat template {error}") from error
        self._variables = {"bos_token": bos, "eos_token": eos}
        self._seconds = seconds
        self._wants_parts = False
        self._wants_parts = self._loses_words()

    def _loses_words(self) -> bool:
        """Whether a content must be a list of parts, as some templates for pictures read nothing else."""
        word = secrets.token_hex(16)
        try:
            if word in self.render_whole([Message("user", word)]):
                return False
            self._wants_parts = True
            return word in self.render_whole([Message("user", word)])
        except TemplateFailure:
            return False
        finally:
            self._wants_parts = False

    def render(
        self, messages: Sequence[Message], extras: Extras = NO_EXTRAS, *, is_risky: Callable[[str], bool] = bool
    ) -> tuple[Part, ...]:
        """Return the rendered text in parts, so that no message's words can pass for the template's.

        Texts inside tools and calls steer many templates, so they are told apart only where *is_risky* says so.
        """
        expected = self.render_whole(messages, extras)
        roles = {message.role for message in messages}
        for trimmed in (set[str](), roles, roles - {"tool"}):
            parts = self._mark(messages, extras, trimmed=trimmed, is_risky=is_risky)
            if "".join(part.text for part in parts) == expected:
                return parts
        raise WordsChangedError("the chat template changes the messages' words, so they cannot be told from its own")

    def render_whole(
        self, messages: Sequence[Message], extras: Extras = NO_EXTRAS, *, change: Callable[[str], str] = str
    ) -> str:
        """Return the rendered text without telling whose words are whose."""
        return self._fill(messages, extras, lambda word, _: change(word), nonce="")

    def _mark(
        self,
        messages: Sequence[Message],
        extras: Extras,
        *,
        trimmed: Collection[str],
        is_risky: Callable[[str], bool],
    ) -> tuple[Part, ...]:
        """Render marks that nobody can guess in place of words, then put the words in."""
        nonce, words = secrets.token_hex(16), list[Part]()
        contents = {id(message.content) for message in messages}

        def mark(word: str, author: int) -> str:
            is_content = id(word) in contents
            if not word or not (is_content or is_risky(word)):
                return word
            is_trimmed = is_content and messages[author].role in trimmed
            words.append(Part(word.strip() if is_trimmed else word, author))
            return f"\ue000{nonce}.{len(words) - 1}\ue001"

        text = self._fill(messages, extras, mark, nonce=nonce)
        pieces = re.split(f"\ue000{nonce}\\.(\\d+)(j*)\ue001", text)
        parts = [Part(pieces[0])]
        for number, escapes, rest in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
            word = words[int(number)]
            parts += [Part(_escape(word.text, len(escapes)), word.message), Part(rest)]
        return tuple(part for part in parts if part.text)

    def _wrap(self, words: str) -> object:
        return [{"type": "text", "text": words}] if self._wants_parts else words

    def _fill(self, messages: Sequence[Message], extras: Extras, change: Change, *, nonce: str) -> str:
        filled = [
            {
                "role": message.role,
                "content": self._wrap(change(message.content, index)),
                **_walk(message.extra, change, index),
            }
            for index, message in enumerate(messages)
        ]
        variables: dict[str, object] = {
            **_walk(extras.options, change, APP),
            **self._variables,
            "messages": filled,
            "tools": [_walk(tool, change, APP) for tool in extras.tools] or None,
            "add_generation_prompt": extras.add_generation_prompt,
            MARK_NONCE: nonce,
        }
        try:
            return self._renderer.render(self.source, variables, seconds=self._seconds)
        except RenderError as error:
            if extras.tools or NO_TOOLS not in str(error):
                raise TemplateFailure(f"the chat template {error}") from error
        try:  # some templates for tools count them without asking whether there are any
            return self._renderer.render(self.source, {**variables, "tools": []}, seconds=self._seconds)
        except RenderError as error:
            raise TemplateFailure(f"the chat template {error}") from error


def _walk(value: object, change: Change, author: int) -> Any:
    """Return JSON with every text in it changed."""
    if isinstance(value, str):
        return change(value, author)
    if isinstance(value, Mapping):
        return {change(name, author): _walk(inner, change, author) for name, inner in value.items()}
    return [_walk(inner, change, author) for inner in value] if isinstance(value, list | tuple) else value


def _escape(text: str, times: int) -> str:
    """Return *text* as it stands in JSON text that was written *times* times."""
    for _ in range(times):
        text = json.dumps(text, ensure_ascii=False)[1:-1]
    return text
