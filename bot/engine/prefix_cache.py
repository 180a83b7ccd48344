"""Which cached tokens a request may continue: those of its own scope, and the shared beginning of any other.

Pure bookkeeping on slots and tokens; it must not know llama.cpp. Every hit is compared token by token, so that no
entry is ever trusted by its name alone.
"""

from collections import OrderedDict
from dataclasses import dataclass

from bot.engine.tokens import Tokens, common_prefix


@dataclass(frozen=True, slots=True)
class Entry:
    """The tokens that a slot holds; the first *shared_length* of them may serve every scope."""

    slot: int
    tokens: Tokens
    scope: str
    shared_length: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A slot whose first *length* tokens begin the request; *is_own* allows to go on in that very slot."""

    slot: int
    length: int
    is_own: bool


class PrefixCache:
    """The idle slots that still hold tokens, least recently used first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[int, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, slot: int) -> bool:
        return slot in self._entries

    def add(self, entry: Entry) -> None:
        """Keep the tokens of an idle slot; it is now the most recently used."""
        self._entries[entry.slot] = entry
        self._entries.move_to_end(entry.slot)

    def discard(self, slot: int) -> None:
        """Forget a slot, because it is taken or cleared."""
        self._entries.pop(slot, None)

    def oldest(self, *, protected: int = -1) -> int | None:
        """Return the least recently used slot other than *protected*, the next to be evicted."""
        return next((slot for slot in self._entries if slot != protected), None)

    def find(self, tokens: Tokens, scope: str, *, shared_length: int, live: tuple[Entry, ...] = ()) -> Hit | None:
        """Return the longest beginning of *tokens* that is cached or *live* and allowed for *scope*."""
        best: Hit | None = None
        for entry in (*self._entries.values(), *live):
            is_same = bool(scope) and entry.scope == scope
            limit = len(entry.tokens) if is_same else min(entry.shared_length, shared_length)
            length = common_prefix(entry.tokens[:limit], tokens)
            hit = Hit(entry.slot, length, is_own=is_same and entry.slot in self._entries)
            if length and (best is None or (hit.length, hit.is_own) >= (best.length, best.is_own)):
                best = hit
        return best
