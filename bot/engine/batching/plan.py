"""What one step does, as plain data: moves of the KV cache, then one batch of pieces.

Written by the scheduler, performed by the loop; it must not know llama.cpp.
"""

from dataclasses import dataclass
from typing import Literal

from bot.engine.batching.host_tier import Saved
from bot.engine.batching.sequence import Sequence
from bot.engine.types import Placed


@dataclass(frozen=True, slots=True)
class Move:
    """A change of the KV cache before the next decode.

    `trim` keeps *length* tokens of *slot*, `copy` takes them from *source*, `save` and `load` move them to host memory
    and back.
    """

    kind: Literal["trim", "copy", "save", "load"]
    slot: int
    length: int
    source: int = -1
    saved: Saved | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """The next *count* tokens of a sequence; *wants_logits* when a new token can be sampled after them."""

    sequence: Sequence
    start: int
    count: int
    wants_logits: bool

    @property
    def picture(self) -> Placed | None:
        """The picture that the tokens stand for; a piece is one of a picture as a whole, or not at all."""
        placed = self.sequence.request.pictures
        return next((one for one in placed if one.start <= self.start < one.stop), None) if placed else None

    @property
    def outputs(self) -> int:
        """How many of the last tokens need logits: all of a prompt that is scored, else at most the last one."""
        request = self.sequence.request
        if request.prompt_logprobs is not None and self.start < len(request.prompt):
            return self.count
        return int(self.wants_logits)

    @property
    def prompt_tokens(self) -> int:
        """How many of the tokens stem from the request and not from the answer."""
        return max(0, min(self.start + self.count, len(self.sequence.request.prompt)) - self.start)


@dataclass(frozen=True, slots=True)
class Plan:
    """One step: first the moves in order, then one batch of pieces in ascending order of slots."""

    moves: tuple[Move, ...]
    pieces: tuple[Piece, ...]
