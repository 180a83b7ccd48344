"""How tokens are written in replies: as text where they are text, else by their bytes or their name.

Pure; the tables come in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenNames:
    """A model's vocabulary; *name* is how a token is written there, which is all that a control token has."""

    pieces: Sequence[bytes]
    name: Callable[[int], str]

    def text(self, token: int) -> str:
        """Return what stands for a token in a reply; no two tokens of a list may look alike."""
        piece = self.pieces[token]
        try:
            return piece.decode() if piece else self.name(token)
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)

    def spell(self, tokens: Sequence[int]) -> str:
        """Return the text of *tokens* with control tokens by their names."""
        return b"".join(self.pieces[token] or self.name(token).encode() for token in tokens).decode("utf-8", "replace")

    def show(self, tokens: Sequence[int]) -> str:
        """Return the text of *tokens* as an answer would have it."""
        return b"".join(self.pieces[token] for token in tokens).decode("utf-8", "replace")
