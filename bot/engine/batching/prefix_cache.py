"""Which cached tokens a request may continue: those of its own scope, and the shared beginning of any other.

Each scope has a tree of its own, and one more tree holds nothing but shared beginnings: what a request may not see is
not in the trees that it searches. Pure bookkeeping on slots and tokens; it must not know llama.cpp.
"""

from collections import OrderedDict
from dataclasses import dataclass

from bot.engine.batching.host_tier import Saved
from bot.engine.batching.radix_tree import RadixTree
from bot.engine.batching.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Entry:
    """The tokens that a slot holds; the first *shared_length* of them may serve every scope."""

    slot: int
    tokens: Tokens
    scope: str
    shared_length: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A slot whose first *length* tokens begin the request; *is_own* allows to go on in that very slot.

    Without a slot the tokens lie in host memory, as *saved*.
    """

    slot: int
    length: int
    is_own: bool = False
    saved: Saved | None = None


class PrefixCache:
    """What all slots hold, busy or idle; the idle ones in the order of their last use."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._shared: RadixTree[int] = RadixTree()
        self._scopes: dict[str, RadixTree[int]] = {}

    def __len__(self) -> int:
        return len(self._idle)

    def __contains__(self, slot: int) -> bool:
        return slot in self._idle

    def hold(self, entry: Entry) -> None:
        """Note what a slot holds, which begins with what was noted for it before."""
        self._entries[entry.slot] = entry
        self._shared.hold(entry.slot, entry.tokens[: entry.shared_length])
        if entry.scope:
            self._scopes.setdefault(entry.scope, RadixTree()).hold(entry.slot, entry.tokens)

    def rest(self, slot: int) -> None:
        """Let a slot be idle, as the one that was used last."""
        self._idle[slot] = None
        self._idle.move_to_end(slot)

    def drop(self, slot: int) -> Entry | None:
        """Forget a slot, because it is cleared or begins another text; return what it held."""
        self._idle.pop(slot, None)
        entry = self._entries.pop(slot, None)
        if entry:
            self._shared.drop(slot)
            if entry.scope:
                self._scopes[entry.scope].drop(slot)
                if not len(self._scopes[entry.scope]):
                    del self._scopes[entry.scope]
        return entry

    def oldest(self, *, protected: int = -1) -> int | None:
        """Return the least recently used idle slot other than *protected*, the next to be evicted."""
        return next((slot for slot in self._idle if slot != protected), None)

    def idle_of(self, scope: str) -> list[int]:
        """Return the idle slots that hold something of a scope."""
        return [slot for slot in self._idle if self._entries[slot].scope == scope]

    def held(self, slot: int) -> int:
        """Return how many tokens are noted for *slot*."""
        return len(self._entries[slot].tokens) if slot in self._entries else 0

    def has_twin(self, slot: int) -> bool:
        """Whether another idle slot holds the same shared beginning, so that this one's is not worth a slot."""
        entry = self._entries[slot]
        path = self._shared.match(entry.tokens[: entry.shared_length])
        return bool(path) and any(other != slot and other in self._idle for other in path[-1][1])

    def find(self, tokens: Tokens, scope: str, *, shared_length: int) -> Hit | None:
        """Return the longest beginning of *tokens* that a slot holds and *scope* may use, idle if possible."""
        own = self._scopes[scope].match(tokens) if scope in self._scopes else []
        shared = self._shared.match(tokens[:shared_length])
        best = own[-1][0] if own else 0
        if shared and shared[-1][0] > best:
            length, slots = shared[-1]
            return Hit(max(slots), length)
        if not own:
            return None
        idle = [slot for slot in own[-1][1] if slot in self._idle]
        return Hit(min(idle or own[-1][1], key=self.held), best, is_own=bool(idle))

    def find_whole(self, tokens: Tokens, scope: str) -> Hit | None:
        """Return the longest idle slot of *scope* that *tokens* continue from its end: memory that cannot be cut."""
        for length, slots in reversed(self._scopes[scope].match(tokens) if scope in self._scopes else []):
            for slot in slots:
                if slot in self._idle and self.held(slot) == length:
                    return Hit(slot, length, is_own=True)
        return None
