"""The chat template of a model: messages to one text, and where in it the messages' own words stand.

Knows no tokens and no llama.cpp; the template's source is untrusted and runs in the sandbox.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import TemplateError

from bot.engine.sandbox import TIME_LIMIT_SECONDS, BoundedEnvironment, render_bounded

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SOURCE_LIMIT = 200_000


class TemplateFailure(ValueError):  # noqa: N818 - the failure is the template's
    """The chat template cannot render these messages; the text says why."""


class WordsChangedError(TemplateFailure):
    """The chat template changes the messages' words, so that they cannot be told from its own."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Part:
    """A run of the rendered text: a message's own words, or the template's."""

    text: str
    message: int | None = None


class ChatTemplate:
    """A compiled template; `render` is safe to call from several threads."""

    def __init__(self, source: str, *, bos: str = "", eos: str = "", seconds: float = TIME_LIMIT_SECONDS) -> None:
        if len(source) > SOURCE_LIMIT:
            raise TemplateFailure("the chat template is too long")
        environment = BoundedEnvironment()
        environment.globals |= {"raise_exception": _raise_exception, "strftime_now": _strftime_now}
        try:
            self._template = environment.from_string(source)
        except (TemplateError, RecursionError, ValueError) as error:
            raise TemplateFailure(f"the chat template cannot be read: {error}") from error
        self._variables = {"bos_token": bos, "eos_token": eos}
        self._seconds = seconds

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> tuple[Part, ...]:
        """Return the rendered text in parts, so that no message's words can pass for the template's."""
        contents = [message.content for message in messages]
        expected = self._fill(messages, contents, add_generation_prompt=add_generation_prompt)
        for words in (contents, [content.strip() for content in contents]):
            parts = self._mark(messages, words, add_generation_prompt=add_generation_prompt)
            if "".join(part.text for part in parts) == expected:
                return parts
        raise WordsChangedError("the chat template changes the messages' words, so they cannot be told from its own")

    def render_whole(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """Return the rendered text without telling whose words are whose."""
        contents = [message.content for message in messages]
        return self._fill(messages, contents, add_generation_prompt=add_generation_prompt)

    def _mark(self, messages: Sequence[Message], words: list[str], *, add_generation_prompt: bool) -> tuple[Part, ...]:
        """Render marks that nobody can guess in place of *words*, then put the words in."""
        nonce = secrets.token_hex(16)
        marks = [f"\ue000{nonce}.{index}\ue001" for index in range(len(messages))]
        text = self._fill(messages, marks, add_generation_prompt=add_generation_prompt)
        pieces = re.split(f"\ue000{nonce}\\.(\\d+)\ue001", text)
        parts = [
            Part(piece) if even % 2 == 0 else Part(words[int(piece)], int(piece)) for even, piece in enumerate(pieces)
        ]
        return tuple(part for part in parts if part.text)

    def _fill(self, messages: Sequence[Message], contents: list[str], *, add_generation_prompt: bool) -> str:
        filled = [
            {"role": message.role, "content": content} for message, content in zip(messages, contents, strict=True)
        ]
        variables = {**self._variables, "messages": filled, "add_generation_prompt": add_generation_prompt}
        try:
            return render_bounded(self._template, variables, seconds=self._seconds)
        except (
            TemplateError,
            ArithmeticError,
            LookupError,
            MemoryError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise TemplateFailure(f"the chat template failed: {error}") from error


def _raise_exception(message: str) -> None:
    """Let the template refuse an order of messages, as templates on the Hub do."""
    raise TemplateError(str(message)[:200])


def _strftime_now(pattern: str) -> str:
    return datetime.now(tz=UTC).strftime(pattern[:50])
