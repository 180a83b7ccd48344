"""Words of a model's own vocabulary: prompts of an exact number of tokens, with the text that they stand for."""

import random
from dataclasses import dataclass
from pathlib import Path

import gguf

MARKS = ("Ġ", "▁")  # how a vocabulary writes the space before a word


@dataclass(frozen=True, slots=True)
class Words:
    """Tokens that begin a word, each with its text."""

    tokens: tuple[int, ...]
    texts: tuple[str, ...]

    def draw(self, count: int, *, seed: object) -> tuple[tuple[int, ...], str]:
        """Return *count* tokens and their text; the same seed draws the same."""
        chosen = random.Random(repr(seed)).choices(range(len(self.tokens)), k=count)
        return tuple(self.tokens[index] for index in chosen), "".join(self.texts[index] for index in chosen)


def read_words(path: Path) -> Words:
    """Return the words in the vocabulary of the GGUF at *path*."""
    field = gguf.GGUFReader(path).fields["tokenizer.ggml.tokens"]
    found = {}
    for index, part in enumerate(field.data):
        text = bytes(field.parts[part]).decode("utf-8", "replace")
        if text[:1] in MARKS and len(text) > 2 and text[1:].isascii() and text[1:].isalpha():
            found[index] = f" {text[1:]}"
    return Words(tuple(found), tuple(found.values()))
