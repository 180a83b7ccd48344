"""What a chat is made of, and how it is written for the model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from random import Random

from starter.wording import Split

START, END = "<|im_start|>", "<|im_end|>"

# Renders as `render` does. No `generation` block: plain Jinja, which llama.cpp reads, does not know that tag.
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Exchange:
    """A question and its answer; a right one contains all of `expect`, or is much like `answer` if that is empty."""

    kind: str
    user: str
    answer: str
    expect: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chat:
    system: str
    exchanges: tuple[Exchange, ...]

    def messages(self) -> list[dict[str, str]]:
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for exchange in self.exchanges:
            messages.append({"role": "user", "content": exchange.user})
            messages.append({"role": "assistant", "content": exchange.answer})
        return messages


@dataclass
class Thread:
    """A chat while it grows: who speaks, and what has been told so far."""

    rng: Random
    split: Split
    bot: str = "Apprentice"
    today: date | None = None
    span: int = 6  # the most words or items that a request for a copy holds
    people: list[str] = field(default_factory=list)
    speaker: str = ""
    facts: dict[tuple[str, str], str] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)
    approved: list[tuple[list[str], str]] = field(default_factory=list)
    team: str = ""  # whose handbook the assistant knows
    claims: dict[int, tuple[str, list[str]]] = field(default_factory=dict)  # what an answer says that can be doubted

    def claim(self, right: str, others: Sequence[str]) -> None:
        """Say what the next answer holds that somebody may doubt, and what they may say instead."""
        self.claims[len(self.exchanges)] = (right, [other for other in others if other.lower() != right.lower()])

    @property
    def last_answer(self) -> str:
        return self.exchanges[-1].answer if self.exchanges else ""


def render(messages: list[dict[str, str]]) -> str:
    return "".join(f"{START}{message['role']}\n{message['content']}{END}\n" for message in messages)
