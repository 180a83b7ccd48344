"""Who is next: preempted sequences first, then one sequence per user in turn, so that nobody's burst delays others.

Pure order; it must not know slots, cells or llama.cpp.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator

from bot.engine.sequence import Sequence


class WaitingQueue:
    """The sequences without a slot, offered fairly between users."""

    def __init__(self) -> None:
        self._returned: deque[Sequence] = deque()
        self._by_user: OrderedDict[str, deque[Sequence]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._returned) + sum(len(queue) for queue in self._by_user.values())

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

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out; its user's next one goes behind all other users."""
        if sequence in self._returned:
            self._returned.remove(sequence)
            return
        user = sequence.request.user
        queue = self._by_user[user]
        queue.remove(sequence)
        if queue:
            self._by_user.move_to_end(user)
        else:
            del self._by_user[user]
