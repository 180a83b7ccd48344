"""A KV cache that remembers every token, who may know it and in which cell it lies; llama.cpp's place in the tests."""

from dataclasses import dataclass, field

from bot.engine.types import Request


@dataclass(slots=True, eq=False)
class Cell:
    """A computed token; *owners* are the scopes that computed it or were allowed to read it."""

    token: int
    lane: int
    owners: set[str]
    is_shared: bool = False


def owner_of(request: Request) -> str:
    """Return whose words a request holds; without a scope they are its own alone."""
    return request.scope or f"request {request.request_id}"


@dataclass
class NaiveCache:
    """The KV cache as a list of cells per slot; a unified copy shares the cells. Does what `Context` does.

    *readers* are the requests that run: whatever comes into their slots, they must be allowed to read.
    """

    unified: bool
    can_trim: bool
    lane: int
    slots: dict[int, list[Cell]] = field(default_factory=dict)
    readers: dict[int, Request] = field(default_factory=dict)
    is_damaged: bool = False

    def held(self, slot: int) -> list[Cell]:
        """Return the cells of *slot*."""
        return self.slots.setdefault(slot, [])

    def save(self, slot: int) -> list[Cell]:
        """Return what a slot holds."""
        return self._clone(self.held(slot))

    def load(self, slot: int, state: list[Cell], *, length: int) -> bool:
        """Fill an empty slot; False if the state is damaged."""
        assert not self.held(slot)
        assert all(cell.lane == self.lane for cell in state)
        if self.is_damaged or len(state) != length:
            return False
        self.held(slot).extend(self._clone(state))
        return True

    def copy(self, source: int, target: int, *, length: int) -> bool:
        """Begin an empty slot with what another holds; recurrent memory can only be copied whole."""
        assert self.can_trim or (not self.unified and length == len(self.held(source)))
        assert not self.held(target)
        cells = self.held(source)[:length]
        self.slots[target] = cells if self.unified else self._clone(cells)
        return True

    def trim(self, slot: int, length: int) -> bool:
        """Cut a slot; recurrent memory can only be cleared."""
        assert self.can_trim or length in {0, len(self.held(slot))}
        del self.held(slot)[length:]
        return True

    def read(self, slot: int) -> None:
        """Let a slot's request read it: tokens of its own scope, and shared ones as far as it says."""
        if slot not in self.readers:
            return
        request = self.readers[slot]
        owner = owner_of(request)
        for position, cell in enumerate(self.held(slot)):
            is_beginning = position < request.shared_length
            assert owner in cell.owners or (cell.is_shared and is_beginning)
            cell.owners.add(owner)
            cell.is_shared |= is_beginning  # what a request declares shared is so, whoever computed it

    def used(self) -> int:
        """Return how many cells hold something."""
        return len({id(cell) for held in self.slots.values() for cell in held})

    @staticmethod
    def _clone(cells: list[Cell]) -> list[Cell]:
        return [Cell(cell.token, cell.lane, set(cell.owners), is_shared=cell.is_shared) for cell in cells]
