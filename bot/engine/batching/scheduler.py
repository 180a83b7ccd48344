"""Decides what the next step decodes, who gets a slot, and who gives way.

Pure: it plans on plain data, the loop performs the plan. It must not know llama.cpp, clocks or HTTP.
"""

import math
from collections.abc import Callable, Collection
from itertools import islice

from bot.engine.batching.cells import CellPool
from bot.engine.batching.host_tier import HostTier
from bot.engine.batching.plan import Piece, Plan
from bot.engine.batching.prefix_cache import Hit, PrefixCache
from bot.engine.batching.sequence import Phase, Sequence
from bot.engine.batching.shares import share_batch
from bot.engine.batching.slots import Slots
from bot.engine.batching.waiting import WaitingQueue
from bot.engine.types import Request

ADMISSION_SCAN = 32
GROWTH_RESERVE = 64
PATIENCE = 8
QUANTUM = 8


class Scheduler:
    """Sequences on their way through the slots of one context; *measure* says how many bytes saving a slot takes."""

    def __init__(
        self,
        pool: CellPool,
        *,
        n_slots: int,
        max_running: int,
        n_batch: int,
        max_outputs: int | None = None,
        can_trim: bool = True,
        host: HostTier | None = None,
        measure: Callable[[int], int] | None = None,
    ) -> None:
        self.pool = pool
        self.host = HostTier() if host is None else host  # an empty one is falsy
        self.slots = Slots(pool, n_slots=n_slots, can_trim=can_trim, host=self.host, measure=measure)
        self.waiting = WaitingQueue()
        self.running: dict[int, Sequence] = {}
        self.preemptions = 0
        self._max_running = min(max_running, n_slots)
        self._n_batch = n_batch
        self._max_outputs = max_outputs or n_batch
        self._by_id: dict[str, Sequence] = {}
        self._arrivals = 0
        self._next_deadline = math.inf
        self._settled: tuple[str, ...] = ()
        self._was_picture = False

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._by_id

    @property
    def has_work(self) -> bool:
        """Whether another step would do anything."""
        return bool(self.running or len(self.waiting) or self.slots.has_moves)

    @property
    def is_settled(self) -> bool:
        """Whether planning would start nobody until somebody comes or goes."""
        return not len(self.waiting) or self._settled is self.waiting.order

    @property
    def cache(self) -> PrefixCache:
        """What the slots hold."""
        return self.slots.cache

    @property
    def evictions(self) -> int:
        """How many idle slots were cleared for others."""
        return self.slots.evictions

    @property
    def waiting_order(self) -> tuple[str, ...]:
        """The waiting requests' names, first come those who get a place first; the same object until it changes."""
        return self.waiting.order

    def sequences(self) -> tuple[Sequence, ...]:
        """Return every sequence that is not finished."""
        return tuple(self._by_id.values())

    def add(self, request: Request) -> Sequence:
        """Queue a request whose prompt and answer fit into the context."""
        sequence = Sequence(request, arrival=self._arrivals)
        self._arrivals += 1
        self._by_id[request.request_id] = sequence
        self.waiting.push(sequence)
        if request.deadline is not None:
            self._next_deadline = min(self._next_deadline, request.deadline)
        return sequence

    def finish(self, request_id: str) -> Sequence | None:
        """Take a sequence out, done or cancelled; what its slot holds stays as cache where a scope allows it."""
        sequence = self._by_id.pop(request_id, None)
        if sequence is None:
            return None
        if sequence.phase is Phase.RUNNING:
            del self.running[sequence.slot]
            self.slots.retire(sequence)
            self._settled = ()
        else:
            self.waiting.remove(sequence)
            self.slots.forget_spilled(sequence)
        sequence.phase = Phase.FINISHED
        return sequence

    def forget(self, scope: str) -> None:
        """Keep nothing of a scope: what is idle goes now, what still grows as soon as it ends."""
        self.slots.forget(scope)
        for sequence in self._by_id.values():
            sequence.is_forgotten = sequence.is_forgotten or sequence.request.scope == scope

    def expire(self, now: float) -> list[Sequence]:
        """Let time pass: whoever waits grows more urgent; return those whose deadline has passed, to be finished."""
        if len(self.waiting):
            self.waiting.age(now)
        if now < self._next_deadline:
            return []
        moments = [(sequence.request.deadline, sequence) for sequence in self._by_id.values()]
        self._next_deadline = min((at for at, _ in moments if at is not None and at > now), default=math.inf)
        return [sequence for at, sequence in moments if at is not None and at <= now]

    def plan(self, prefill_budget: int) -> Plan:
        """Admit who fits, then give each growing answer its token and prompts a share of *prefill_budget*."""
        self.slots.begin_step(is_quiet=not self.running)
        if len(self.waiting):
            self._admit()
        if not self.pool.unified:
            self._close_ranks()
        pieces = self._choose(prefill_budget)
        while sum(piece.count for piece in pieces) > self.pool.free() and self._give_way():
            pieces = self._choose(prefill_budget)
        for piece in pieces:
            self.pool.extend(piece.sequence.slot, piece.count)
        self._was_picture = bool(pieces and pieces[0].picture)
        return Plan(self.slots.take_moves(), tuple(pieces))

    def commit(self, pieces: tuple[Piece, ...]) -> None:
        """Record that *pieces* are in the KV cache now, and who waited for a share in vain."""
        if len(pieces) < len(self.running):
            for sequence in self.running.values():
                sequence.starved += 1
        for piece in pieces:
            piece.sequence.computed += piece.count
            piece.sequence.starved = 0

    def retract(self, pieces: tuple[Piece, ...]) -> None:
        """Take *pieces* back, because they could not be decoded."""
        for piece in pieces:
            self.pool.trim(piece.sequence.slot, piece.start)

    def lose(self, slot: int) -> None:
        """Let the sequence of *slot* begin anew, because its saved state could not be brought back."""
        if slot in self.running:
            self.slots.empty(self.running[slot])

    def make_room(self) -> bool:
        """Let somebody give way although the count says that all fit; False if only one is left.

        Nobody is admitted until somebody else comes or goes, else the same ones would take turns for ever.
        """
        has_room = self._give_way()
        self._settled = self.waiting.order
        return has_room

    def _give_way(self) -> bool:
        """Give up the least recently used idle slot, else the youngest of the last class; False if one is left."""
        if self.slots.evict_oldest():
            return True
        if len(self.running) < 2:
            return False
        self._preempt(max(self.running.values(), key=lambda sequence: (sequence.rank, sequence.arrival)))
        return True

    def _choose(self, prefill_budget: int) -> list[Piece]:
        """Return the pieces of a step: everybody's tokens, or in every other step a part of one picture alone."""
        pieces = self._share(prefill_budget)
        looking = [other for other in self.running.values() if other.request.pictures and other.picture]
        if not looking or (pieces and self._was_picture):
            return pieces
        sequence = max(looking, key=lambda other: (other.starved, -other.arrival))
        placed = sequence.picture
        if placed is None:
            return pieces
        rest, room = placed.stop - sequence.computed, min(self._n_batch, prefill_budget) if pieces else self._n_batch
        count = min(rest, room) if placed.sight.is_causal else rest
        return [Piece(sequence, sequence.computed, count, wants_logits=False)]

    def _share(self, prefill_budget: int) -> list[Piece]:
        scored = self._max_outputs - len(self.running)  # each of the others may need one
        running = self.running.values()
        return share_batch(running, n_batch=self._n_batch, prefill=prefill_budget, scored=scored)

    def _preempt(self, sequence: Sequence) -> None:
        """Send a sequence back to wait, at the head of its class."""
        del self.running[sequence.slot]
        self.slots.spill(sequence)
        sequence.phase = Phase.WAITING
        self.waiting.push_back(sequence)
        self.preemptions += 1

    def _admit(self) -> None:
        """Start who fits, in the order of the queue; a large one is passed a few times, then the others wait for it."""
        if self._settled is self.waiting.order:
            return
        for sequence in self.running.values():
            self.slots.note(sequence)
        passed: list[Sequence] = []
        for sequence in list(islice(self.waiting, ADMISSION_SCAN)):
            victims = self._victims(sequence)
            if len(self.running) - len(victims) >= self._max_running:
                break
            if self._is_sibling_busy(sequence):
                continue
            if self._start(sequence, victims):
                for other in passed:
                    other.overtaken += 1
            elif sequence.overtaken >= PATIENCE:
                break
            else:
                passed.append(sequence)
        if len(self.waiting) and self._is_steady(next(iter(self.waiting)).rank):
            self._settled = self.waiting.order

    def _close_ranks(self) -> None:
        """Bring all who run into neighbouring slots: of split cells llama.cpp computes only neighbours together."""
        count = len(self.running)
        if not count or max(self.running) - min(self.running) < count:
            return
        starts = [max(0, slot - count + 1) for slot in self.running]
        begin = max(starts, key=lambda start: (sum(start <= slot < start + count for slot in self.running), -start))
        places = range(begin, begin + count)
        strays = [self.running[slot] for slot in self.running if slot not in places]
        for sequence, target in zip(strays, [slot for slot in places if slot not in self.running], strict=True):
            if not self.slots.may_transfer:
                break
            del self.running[sequence.slot]
            self.slots.relocate(sequence, target)
            self.running[target] = sequence
        self.running = dict(sorted(self.running.items()))

    def _is_steady(self, rank: int) -> bool:
        """Whether nobody of *rank* could start before somebody comes or goes, however much the answers grow."""
        others = self.running.values()
        return self.slots.may_transfer and all(other.pending <= 1 and other.rank <= rank for other in others)

    def _victims(self, sequence: Sequence) -> list[Sequence]:
        """Return who may give way to *sequence*, first to go first: lower classes that came a little further."""
        lower = [other for other in self.running.values() if other.rank > sequence.rank]
        ready = [other for other in lower if other.computed - other.begun >= QUANTUM]
        return sorted(ready, key=lambda other: (-other.rank, -other.arrival))

    def _is_sibling_busy(self, sequence: Sequence) -> bool:
        """Whether another answer to the same request computes the prompt just now, to be copied when it is done."""
        prompt, scope = sequence.request.prompt, sequence.request.scope
        return bool(scope) and any(
            other.request.prompt is prompt and other.request.scope == scope and other.computed < len(prompt)
            for other in self.running.values()
        )

    def _start(self, sequence: Sequence, victims: list[Sequence]) -> bool:
        """Give *sequence* a slot if there are cells for it, once *victims* gave way as far as that takes."""
        hit = self._find(sequence, victims)
        if not self._fits(sequence, hit, without=victims):
            return False
        while victims and (len(self.running) >= self._max_running or not self._fits(sequence, hit)):
            self._preempt(victims.pop(0))
            hit = self._find(sequence, victims)
        need = _need(sequence, hit)
        if not self._fits(sequence, hit) or not self.slots.clear(sequence, hit, need=need):
            return False
        self.waiting.remove(sequence)
        self.slots.occupy(sequence, hit, need=need)
        sequence.phase, sequence.begun, sequence.starved = Phase.RUNNING, sequence.computed, 0
        if not sequence.generated:
            sequence.cached = sequence.computed
        self.running = dict(sorted({**self.running, sequence.slot: sequence}.items()))  # batches keep their order
        self.slots.note(sequence)
        return True

    def _find(self, sequence: Sequence, victims: list[Sequence]) -> Hit | None:
        """Return what may be reused, unless there is room only if what holds it gives way as well."""
        hit = self.slots.find(sequence)
        return hit if hit and self._fits(sequence, hit, without=victims) else None

    def _fits(self, sequence: Sequence, hit: Hit | None, *, without: Collection[Sequence] = ()) -> bool:
        """Whether *sequence* and all that run beside it could grow a little once every idle slot gave way."""
        kept = [other for other in self.running.values() if other not in without]
        if not kept or not self.pool.unified:
            return True
        growth = sum(other.pending + _reserve(other) for other in kept)
        held = self.pool.held_by([hit.slot, *(other.slot for other in kept)] if hit else [other.slot for other in kept])
        return _need(sequence, hit) + growth <= self.pool.capacity - held


def _reserve(sequence: Sequence) -> int:
    """Return how many tokens an answer should be able to grow before it has to compete for cells."""
    return min(sequence.request.max_tokens - sequence.generated, GROWTH_RESERVE)


def _need(sequence: Sequence, hit: Hit | None) -> int:
    """Return how many cells *sequence* takes on top of what the hit's slot holds."""
    total = sequence.length + _reserve(sequence)
    if hit and hit.saved:
        return max(total, hit.saved.length)
    return total - (hit.length if hit else 0)
