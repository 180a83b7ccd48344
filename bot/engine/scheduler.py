"""Decides what the next step decodes, who gets a slot, and whose cached tokens make room.

Pure: it plans on plain data, the loop performs the plan. It must not know llama.cpp, time or HTTP.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Literal

from bot.engine.cells import CellPool
from bot.engine.prefix_cache import Entry, Hit, PrefixCache
from bot.engine.sequence import Phase, Sequence
from bot.engine.types import Request
from bot.engine.waiting import WaitingQueue

ADMISSION_SCAN = 32
GROWTH_RESERVE = 64
AGING_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Move:
    """A change of the KV cache before the next decode.

    `trim` keeps *length* tokens of *slot*, `copy` takes them from *source*, `save` and `load` move them to host
    memory and back under the request's name, `drop` forgets them there.
    """

    kind: Literal["trim", "copy", "save", "load", "drop"]
    slot: int = -1
    length: int = 0
    source: int = -1
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """The next *count* tokens of a sequence; *wants_logits* when a new token can be sampled after them."""

    sequence: Sequence
    start: int
    count: int
    wants_logits: bool

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


class Scheduler:
    """Sequences on their way through the slots of one context."""

    def __init__(
        self,
        pool: CellPool,
        *,
        n_slots: int,
        max_running: int,
        n_batch: int,
        max_outputs: int | None = None,
        can_trim: bool = True,
    ) -> None:
        self.pool = pool
        self.cache = PrefixCache()
        self.waiting = WaitingQueue()
        self.running: dict[int, Sequence] = {}
        self.preemptions = 0
        self.evictions = 0
        self._max_running = min(max_running, n_slots)
        self._n_batch = n_batch
        self._max_outputs = max_outputs or n_batch
        self._can_trim = can_trim
        self._free_slots = set(range(n_slots))
        self._by_id: dict[str, Sequence] = {}
        self._moves: list[Move] = []
        self._arrivals = 0

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._by_id

    @property
    def has_work(self) -> bool:
        """Whether another step would do anything."""
        return bool(self.running or len(self.waiting) or self._moves)

    def sequences(self) -> tuple[Sequence, ...]:
        """Return every sequence that is not finished."""
        return tuple(self._by_id.values())

    def add(self, request: Request) -> Sequence:
        """Queue a request whose prompt and answer fit into the context."""
        sequence = Sequence(request, arrival=self._arrivals)
        self._arrivals += 1
        self._by_id[request.request_id] = sequence
        self.waiting.push(sequence)
        return sequence

    def finish(self, request_id: str) -> Sequence | None:
        """Take a sequence out, done or cancelled; what its slot holds stays as cache where a scope allows it."""
        sequence = self._by_id.pop(request_id, None)
        if sequence is None:
            return None
        if sequence.phase is Phase.RUNNING:
            del self.running[sequence.slot]
            self._retire(sequence)
        else:
            self.waiting.remove(sequence)
            self._drop_spilled(sequence)
        sequence.phase = Phase.FINISHED
        return sequence

    def plan(self, prefill_budget: int) -> Plan:
        """Admit who fits, then give each growing answer its token and prompts a share of *prefill_budget*."""
        self._admit()
        pieces = self._allocate(prefill_budget)
        while sum(piece.count for piece in pieces) > self.pool.free() and self.make_room():
            pieces = self._allocate(prefill_budget)
        for piece in pieces:
            self.pool.extend(piece.sequence.slot, piece.count)
        moves, self._moves = tuple(self._moves), []
        return Plan(moves, pieces)

    def commit(self, pieces: tuple[Piece, ...]) -> None:
        """Record that *pieces* are in the KV cache now, and who waited for a share in vain."""
        served = {piece.sequence.slot for piece in pieces}
        for sequence in self.running.values():
            sequence.starved = 0 if sequence.slot in served else sequence.starved + 1
        for piece in pieces:
            piece.sequence.computed += piece.count

    def retract(self, pieces: tuple[Piece, ...]) -> None:
        """Take *pieces* back, because they could not be decoded."""
        for piece in pieces:
            self.pool.trim(piece.sequence.slot, piece.start)

    def make_room(self) -> bool:
        """Give up the least recently used cached slot, else the youngest sequence; False if only one is left."""
        slot = self.cache.oldest()
        if slot is not None:
            self._evict(slot)
            return True
        if len(self.running) < 2:
            return False
        self._preempt(max(self.running.values(), key=lambda sequence: sequence.arrival))
        return True

    def _preempt(self, sequence: Sequence) -> None:
        """Send a sequence back to wait; what it computed is saved, so that it goes on exactly as it would have."""
        del self.running[sequence.slot]
        if sequence.computed:
            self._moves.append(self._transfer("save", sequence, sequence.computed))
        self._release(sequence.slot)
        sequence.phase, sequence.slot = Phase.WAITING, -1
        sequence.spilled, sequence.computed = sequence.computed, 0
        self.waiting.push_back(sequence)
        self.preemptions += 1

    @staticmethod
    def _transfer(kind: Literal["save", "load"], sequence: Sequence, length: int) -> Move:
        return Move(kind, sequence.slot, length, request_id=sequence.request.request_id)

    def _drop_spilled(self, sequence: Sequence) -> None:
        if sequence.spilled:
            self._moves.append(Move("drop", request_id=sequence.request.request_id))
            sequence.spilled = 0

    def _admit(self) -> None:
        for sequence in list(islice(self.waiting, ADMISSION_SCAN)):
            if len(self.running) >= self._max_running:
                return
            if self._is_sibling_busy(sequence):
                continue
            hit = self._find(sequence)
            reserve = min(sequence.request.max_tokens - sequence.generated, GROWTH_RESERVE)
            need = sequence.length + reserve - (hit.length if hit else 0)
            if self._can_hold(need, hit):
                self.waiting.remove(sequence)
                self._start(sequence, hit, need=need)

    def _is_sibling_busy(self, sequence: Sequence) -> bool:
        """Whether another answer to the same request computes the prompt just now, to be copied when it is done."""
        prompt, scope = sequence.request.prompt, sequence.request.scope
        return bool(scope) and any(
            other.request.prompt is prompt and other.request.scope == scope and other.computed < len(prompt)
            for other in self.running.values()
        )

    def _find(self, sequence: Sequence) -> Hit | None:
        """Return what may be reused, leaving at least one token to decode."""
        request = sequence.request
        if sequence.spilled or request.prompt_logprobs is not None:  # a score needs every token's logits
            return None
        live = tuple(self._entry(other, other.computed) for other in self.running.values())
        tokens = sequence.tokens[: sequence.length - 1]
        hit = self.cache.find(tokens, request.scope, shared_length=request.shared_length, live=live)
        if hit and not self._can_trim and not (hit.is_own and hit.length == self.pool.length(hit.slot)):
            return None
        return hit

    def _can_hold(self, need: int, hit: Hit | None) -> bool:
        """Whether *need* more cells exist once every cached slot but the hit's gave way."""
        if need <= self.pool.free() or not self.running:
            return True
        kept = [*self.running, hit.slot] if hit else list(self.running)
        return need <= self.pool.capacity - self.pool.held_by(kept)

    def _start(self, sequence: Sequence, hit: Hit | None, *, need: int) -> None:
        slot, reused = self._claim_slot(hit)
        sequence.slot, sequence.phase, sequence.computed, sequence.starved = slot, Phase.RUNNING, reused, 0
        if not sequence.generated:
            sequence.cached = reused
        self.running[slot] = sequence
        while need > self.pool.free() and (oldest := self.cache.oldest()) is not None:
            self._evict(oldest)
        if sequence.spilled:
            self._restore(sequence)

    def _restore(self, sequence: Sequence) -> None:
        """Bring a preempted sequence's tokens back into its new slot."""
        self._moves.append(self._transfer("load", sequence, sequence.spilled))
        self.pool.extend(sequence.slot, sequence.spilled)
        sequence.computed, sequence.spilled = sequence.spilled, 0

    def _claim_slot(self, hit: Hit | None) -> tuple[int, int]:
        """Return a slot and how many tokens of the hit it now begins with."""
        if hit and hit.is_own:
            return self._take_over(hit)
        if not self._free_slots:
            oldest = self.cache.oldest(protected=hit.slot if hit else -1)
            if oldest is None and hit:
                return self._take_over(hit)
            if oldest is None:
                raise RuntimeError("more sequences run than there are slots")
            self._evict(oldest)
        slot = min(self._free_slots)
        self._free_slots.remove(slot)
        if hit is None:
            return slot, 0
        self.pool.copy(hit.slot, slot, length=hit.length)
        self._moves.append(Move("copy", slot, hit.length, source=hit.slot))
        return slot, hit.length

    def _take_over(self, hit: Hit) -> tuple[int, int]:
        self.cache.discard(hit.slot)
        self._trim(hit.slot, hit.length)
        return hit.slot, hit.length

    def _allocate(self, prefill_budget: int) -> tuple[Piece, ...]:
        """Share the batch: one token for each growing answer, the rest for the shortest and longest-waiting prompts."""
        shares = {slot: 1 for slot, sequence in self.running.items() if sequence.pending == 1}
        room = self._n_batch - len(shares)
        if shares:
            room = min(room, prefill_budget)
        scored = self._max_outputs - len(self.running)  # each of the others may need one
        prompts = [sequence for sequence in self.running.values() if sequence.pending > 1]
        for sequence in sorted(prompts, key=lambda item: (item.pending - AGING_TOKENS * item.starved, item.arrival)):
            count = min(sequence.pending, room)
            if sequence.request.prompt_logprobs is not None:
                count = min(count, scored)
                scored -= count
            if count > 0:
                shares[sequence.slot] = count
                room -= count
        return tuple(self._piece(self.running[slot], shares[slot]) for slot in sorted(shares))

    @staticmethod
    def _piece(sequence: Sequence, count: int) -> Piece:
        return Piece(sequence, sequence.computed, count, wants_logits=count == sequence.pending)

    @staticmethod
    def _entry(sequence: Sequence, length: int) -> Entry:
        request = sequence.request
        shared = min(request.shared_length, length)
        return Entry(sequence.slot, sequence.tokens[:length], request.scope, shared)

    def _retire(self, sequence: Sequence) -> None:
        """Keep a finished sequence's slot as cache: all of it for its scope, or its shared beginning alone."""
        keep = sequence.computed if sequence.request.scope else min(sequence.request.shared_length, sequence.computed)
        if keep == 0 or (keep < sequence.computed and not self._can_trim):
            self._release(sequence.slot)
            return
        self._trim(sequence.slot, keep)
        self.cache.add(self._entry(sequence, keep))

    def _evict(self, slot: int) -> None:
        self.cache.discard(slot)
        self._release(slot)
        self.evictions += 1

    def _release(self, slot: int) -> None:
        self._trim(slot, 0)
        self._free_slots.add(slot)

    def _trim(self, slot: int, length: int) -> None:
        if self.pool.length(slot) != length:
            self.pool.trim(slot, length)
            self._moves.append(Move("trim", slot, length))
