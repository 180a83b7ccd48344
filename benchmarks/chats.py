"""Conversations of words, for what a team feels: a system prompt, questions, and the answers as history."""

from dataclasses import dataclass, field

from benchmarks.client import Ask
from benchmarks.words import Words

Message = dict[str, str]


@dataclass(slots=True)
class Chat:
    """One thread; *salt* names it to a server that keeps threads apart."""

    words: Words
    seed: object
    salt: str
    messages: list[Message] = field(default_factory=list)

    def say(self, role: str, count: int) -> None:
        """Add a message of *count* words; the same chat says the same in every arm."""
        _, text = self.words.draw(count, seed=(self.seed, len(self.messages)))
        self.messages.append({"role": role, "content": text.strip()})

    def hear(self, text: str) -> None:
        """Add the assistant's answer."""
        self.messages.append({"role": "assistant", "content": text})

    def ask(self, *, max_tokens: int, seed: int = 0) -> Ask:
        """Return the request for the next answer."""
        return Ask(messages=tuple(self.messages), max_tokens=max_tokens, salt=self.salt, seed=seed)

    def ask_unseen(self, *, max_tokens: int, mark: str) -> Ask:
        """Return the same request for a reader who has seen nothing of it: its very first word differs."""
        first, *others = self.messages
        changed = {"role": first["role"], "content": f"{mark} {first['content']}"}
        return Ask(messages=(changed, *others), max_tokens=max_tokens, salt=f"{self.salt} {mark}")
