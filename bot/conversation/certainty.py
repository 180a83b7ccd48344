"""How sure the model was of its words: from the probabilities of its tokens to the few words that say most."""

import math
from dataclasses import dataclass, field
from typing import Any

MOST_UNSURE = 12
SURE = 0.5  # words at least as probable as this are not worth a look
LONGEST_WORD = 40


@dataclass(slots=True)
class Certainty:
    """Counts while an answer is written; a word is as probable as all of its tokens together."""

    total: float = 0.0
    tokens: int = 0
    words: list[tuple[float, str]] = field(default_factory=list)
    _word: str = ""
    _odds: float = 0.0

    def add(self, text: str, logprob: float) -> None:
        """Take the next token."""
        self.total += logprob
        self.tokens += 1
        if text[:1].isspace():
            self._close()
        self._word += text
        self._odds += logprob
        if text[-1:].isspace():
            self._close()

    def mean(self) -> float | None:
        """Return the geometric mean of the tokens' probabilities; None when nothing is known."""
        return math.exp(self.total / self.tokens) if self.tokens else None

    def unsure(self) -> dict[str, Any]:
        """Return the least certain words in the order of the answer, each with its probability."""
        self._close()
        order = sorted(range(len(self.words)), key=lambda index: self.words[index][0])[:MOST_UNSURE]
        return {"words": [[self.words[index][1], round(math.exp(self.words[index][0]), 4)] for index in sorted(order)]}

    def _close(self) -> None:
        word = self._word.strip()
        if any(character.isalnum() for character in word) and math.exp(self._odds) < SURE:
            self.words.append((self._odds, word[:LONGEST_WORD]))
        self._word, self._odds = "", 0.0
