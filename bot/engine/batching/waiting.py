"""Who is next: lower priorities first, in each the preempted ones and then one request per user in turn.

Nobody starves: whoever has waited long enough moves up a class. Pure order; times come in as numbers, and it must not
know slots, cells or llama.cpp.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator

from bot.engine.batching.sequence import Sequence

CLASSES = 3
AGING_SECONDS = 30.0
GLANCE_SECONDS = 1.0


class FairQueue:
    """The waiting sequences of one class, offered fairly between users."""

    def __init__(self) -> None:
        self._returned: deque[Sequence] = deque()
        self._by_user: OrderedDict[str, deque[Sequence]] = OrderedDict()

    def __iter__(self) -> Iterator[Sequence]:
        """Yield every sequence in the order in which it should get a slot."""
        yield from self._returned
        depth = max((len(queue) for queue in self._by_user.values()), default=0)
        for rank in range(depth):
            yield from (queue[rank] for queue in self._by_user.values() if rank < len(queue))

    def push(self, sequence: Sequence) -> None:
        """Add a new sequence behind its user's others."""
        self._by_user.setdefault(sequence.request.user, deque()).append(sequence)

    def push_back(self, sequence: Sequence) -> None:
        """Return a preempted sequence ahead of everybody who has not started."""
        self._returned.appendleft(sequence)

    def remove(self, sequence: Sequence) -> bool:
        """Take a sequence out; its user's next one goes behind all other users. Return whether it was preempted."""
        if sequence in self._returned:
            self._returned.remove(sequence)
            return True
        user = sequence.request.user
        queue = self._by_user[user]
        queue.remove(sequence)
        if queue:
            self._by_user.move_to_end(user)
        else:
            del self._by_user[user]
        return False


class WaitingQueue:
    """The sequences without a slot, class by class; *order* are their requests' names in the order of their turns."""

    def __init__(self) -> None:
        self._classes = tuple(FairQueue() for _ in range(CLASSES))
        self._count = 0
        self._order: tuple[str, ...] | None = ()
        self._glanced = -GLANCE_SECONDS

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Sequence]:
        """Yield every sequence in the order in which it should get a slot."""
        for queue in self._classes:
            yield from queue

    @property
    def order(self) -> tuple[str, ...]:
        """The waiting requests' names, first come those who get a place first; the same object until it changes."""
        if self._order is None:
            self._order = tuple(sequence.request.request_id for sequence in self)
        return self._order

    def push(self, sequence: Sequence) -> None:
        """Add a new sequence behind its user's others of its class."""
        self._classes[sequence.rank].push(sequence)
        self._change(1)

    def push_back(self, sequence: Sequence) -> None:
        """Return a preempted sequence ahead of everybody in its class who has not started."""
        self._classes[sequence.rank].push_back(sequence)
        self._change(1)

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out; how long it has waited stays with it."""
        self._classes[sequence.rank].remove(sequence)
        if sequence.waits_since is not None:
            sequence.waited += self._glanced - sequence.waits_since
            sequence.waits_since = None
        self._change(-1)

    def age(self, now: float) -> None:
        """Let whoever has waited long enough in all move up a class; looks at nobody more often than once a second."""
        if now - self._glanced < GLANCE_SECONDS:
            return
        self._glanced = now
        for sequence in list(self):
            if sequence.waits_since is None:
                sequence.waits_since = now
            waited = sequence.waited + now - sequence.waits_since
            rank = max(0, sequence.request.priority - int(waited / AGING_SECONDS))
            if rank < sequence.rank:
                self._promote(sequence, rank)

    def _promote(self, sequence: Sequence, rank: int) -> None:
        was_preempted = self._classes[sequence.rank].remove(sequence)
        sequence.rank = rank
        queue = self._classes[rank]
        (queue.push_back if was_preempted else queue.push)(sequence)
        self._change(0)

    def _change(self, difference: int) -> None:
        self._count += difference
        self._order = None
