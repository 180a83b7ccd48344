"""The slots of one context: what each holds, who gives way, and the moves of the KV cache that follow from it.

Knows cells and tokens; it must not know who runs or waits, nor llama.cpp.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from bot.engine.batching.cells import CellPool
from bot.engine.batching.host_tier import HostTier, Saved
from bot.engine.batching.plan import Move
from bot.engine.batching.prefix_cache import Entry, Hit, PrefixCache
from bot.engine.batching.sequence import Sequence

MIN_SAVED = 64
STEP_BYTES = 64 * 1024 * 1024


class Slots:
    """Slots are free, held by a sequence, or idle with the tokens of a finished one."""

    def __init__(
        self,
        pool: CellPool,
        *,
        n_slots: int,
        can_trim: bool,
        host: HostTier,
        measure: Callable[[int], int] | None,
    ) -> None:
        self.pool = pool
        self.cache = PrefixCache()
        self.evictions = self.saves = self.loads = 0
        self._can_trim = can_trim
        self._host = host
        self._lane = host.join()
        self._measure = measure or pool.length
        self._free = set(range(n_slots))
        self._moves: list[Move] = []
        self._transfer_room = math.inf

    @property
    def has_moves(self) -> bool:
        """Whether the KV cache is not yet as it is described here."""
        return bool(self._moves)

    @property
    def may_transfer(self) -> bool:
        """Whether this step may still move states to and from host memory."""
        return self._transfer_room > 0

    @property
    def host_bytes(self) -> int:
        """How many bytes of host memory hold what was saved from these slots."""
        return self._host.used_by(self._lane)

    def begin_step(self, *, is_quiet: bool) -> None:
        """Allow the bytes that a step may move to and from host memory while answers grow; any number if none does."""
        self._transfer_room = math.inf if is_quiet else STEP_BYTES

    def take_moves(self) -> tuple[Move, ...]:
        """Hand over what is to be done before the next decode."""
        moves, self._moves = tuple(self._moves), []
        return moves

    def note(self, sequence: Sequence) -> None:
        """Let others find what a sequence has computed so far."""
        request = sequence.request
        if sequence.computed and (request.scope or request.shared_length):
            self.cache.hold(self._entry(sequence, sequence.computed))

    def find(self, sequence: Sequence) -> Hit | None:
        """Return what may be reused, leaving at least one token to decode."""
        request = sequence.request
        if sequence.spilled or request.prompt_logprobs is not None:  # a score needs every token's logits
            return None
        tokens = sequence.tokens[: sequence.length - 1]
        if self._can_trim:
            hit = self.cache.find(tokens, request.scope, shared_length=request.shared_length)
        else:
            hit = self.cache.find_whole(tokens, request.scope)
        saved = self._host.find(tokens, lane=self._lane, scope=request.scope, is_whole=not self._can_trim)
        if saved and saved[0] >= MIN_SAVED + (hit.length if hit else 0):
            hit = Hit(-1, saved[0], saved=saved[1])
        if hit and request.pictures and (whole := sequence.floor(hit.length)) != hit.length:
            return replace(hit, length=whole) if whole and self._can_trim else None
        return hit

    def clear(self, sequence: Sequence, hit: Hit | None, *, need: int) -> bool:
        """Evict until *hit* can grow by *need* tokens; False if this step has moved enough and the next may go on."""
        saved = hit.saved if hit else None
        if saved:
            self._host.take(saved)  # before the states of those who give way take its place
        while is_short := need > self.pool.free() or not (self._free or (hit and hit.is_own)):
            if not self.may_transfer or not self.evict_oldest(protected=hit.slot if hit else -1):
                break
        is_clear = self.may_transfer or not (is_short or saved or sequence.spilled)
        if saved and not is_clear:
            self._host.store(saved)
        return is_clear

    def occupy(self, sequence: Sequence, hit: Hit | None, *, need: int) -> None:
        """Give *sequence* a slot that begins with the hit, or with what was saved when it was preempted."""
        slot = sequence.slot = self._claim(hit)
        while need > self.pool.free() and self.evict_oldest():
            pass
        if sequence.spilled:
            self._host.release(sequence.spilled.size, self._lane)
            self._load(slot, sequence.spilled)
            sequence.spilled = None
        elif hit and hit.saved:
            self._load(slot, hit.saved)
            self._trim(slot, hit.length)
        sequence.computed = self.pool.length(slot)

    def retire(self, sequence: Sequence) -> None:
        """Keep a finished sequence's slot as cache: all of it for its scope, or its shared beginning alone."""
        request, slot = sequence.request, sequence.slot
        keep = sequence.computed if request.scope else min(request.shared_length, sequence.computed)
        if sequence.is_forgotten or keep == 0 or (keep < sequence.computed and not self._can_trim):
            self._release(slot)
            return
        self.cache.hold(self._entry(sequence, keep))
        if not request.scope and self.cache.has_twin(slot):
            self._release(slot)
            return
        self._trim(slot, keep)
        self.cache.rest(slot)

    def spill(self, sequence: Sequence) -> None:
        """Free the slot of *sequence*; what it computed is saved, so that it goes on exactly as it would have."""
        if sequence.computed:
            saved = Saved(sequence.tokens[: sequence.computed], self._measure(sequence.slot))
            self._save(sequence.slot, saved)
            self._host.reserve(saved.size, self._lane)
            sequence.spilled = saved
        self._release(sequence.slot)
        sequence.slot, sequence.computed = -1, 0

    def relocate(self, sequence: Sequence, target: int) -> None:
        """Bring *sequence* into a slot that nobody runs in; what is idle there gives way."""
        source = sequence.slot
        if target in self.cache:
            self._back_up(target)
            self._release(target)
            self.evictions += 1
        self._free.remove(target)
        if sequence.computed:
            self._transfer_room -= self._measure(source)
            self.pool.copy(source, target, length=sequence.computed)
            self._moves.append(Move("copy", target, sequence.computed, source=source))
        self._release(source)
        sequence.slot = target
        self.note(sequence)

    def forget_spilled(self, sequence: Sequence) -> None:
        """Let go of what was saved for a sequence that nobody wants any more."""
        if sequence.spilled:
            self._host.release(sequence.spilled.size, self._lane)
            sequence.spilled = None

    def empty(self, sequence: Sequence) -> None:
        """Let a sequence begin anew in its slot, because what should be there is not."""
        self.cache.drop(sequence.slot)
        self.pool.trim(sequence.slot, 0)
        self._moves.append(Move("trim", sequence.slot, 0))
        sequence.computed = sequence.cached = 0

    def forget(self, scope: str) -> None:
        """Keep nothing of a scope that nobody computes with, in no memory."""
        for slot in self.cache.idle_of(scope):
            self._release(slot)
        self._host.forget(self._lane, scope)

    def close(self) -> None:
        """Forget what was saved, because the model or adapter is unloaded."""
        self._host.forget(self._lane)

    def evict_oldest(self, *, protected: int = -1) -> bool:
        """Free the least recently used idle slot other than *protected*; False if there is none."""
        slot = self.cache.oldest(protected=protected)
        if slot is None:
            return False
        self._back_up(slot)
        self._release(slot)
        self.evictions += 1
        return True

    def _back_up(self, slot: int) -> None:
        """Save what an idle slot holds to host memory before it is lost, if it is worth it."""
        entry = self.cache.drop(slot)
        if entry and self._is_worth_saving(entry):
            saved = Saved(entry.tokens.copy(), self._measure(slot), self._lane, entry.scope)
            if self._host.store(saved):
                self._save(slot, saved)

    def _is_worth_saving(self, entry: Entry) -> bool:
        """Whether much of *entry* would have to be computed again, and this step has time to save it."""
        if not (entry.scope and self._host.limit and self._transfer_room > 0):
            return False
        is_whole = not self._can_trim
        hit = None if is_whole else self.cache.find(entry.tokens, entry.scope, shared_length=entry.shared_length)
        saved = self._host.find(entry.tokens, lane=self._lane, scope=entry.scope, is_whole=is_whole)
        known = max(hit.length if hit else 0, saved[0] if saved else 0)
        return len(entry.tokens) - known >= MIN_SAVED

    def _claim(self, hit: Hit | None) -> int:
        """Return a slot that begins with what the hit's slot holds, if it has one."""
        source = hit.slot if hit else -1
        if hit and (hit.is_own or not (self._free or self.evict_oldest(protected=source) or source < 0)):
            if hit.is_own:
                self.cache.drop(source)
            else:
                self._back_up(source)
            self._trim(source, hit.length)
            return source
        if not self._free and not self.evict_oldest():
            raise RuntimeError("more sequences run than there are slots")
        slot = min(self._free)
        self._free.remove(slot)
        if hit and source >= 0:
            self.pool.copy(source, slot, length=hit.length)
            self._moves.append(Move("copy", slot, hit.length, source=source))
        return slot

    def _save(self, slot: int, saved: Saved) -> None:
        self._transfer_room -= saved.size
        self.saves += 1
        self._moves.append(Move("save", slot, saved.length, saved=saved))

    def _load(self, slot: int, saved: Saved) -> None:
        self._transfer_room -= saved.size
        self.loads += 1
        self._moves.append(Move("load", slot, saved.length, saved=saved))
        self.pool.extend(slot, saved.length)

    @staticmethod
    def _entry(sequence: Sequence, length: int) -> Entry:
        request = sequence.request
        shared = min(request.shared_length, length)
        return Entry(sequence.slot, sequence.tokens[:length], request.scope, shared)

    def _release(self, slot: int) -> None:
        self.cache.drop(slot)
        self._trim(slot, 0)
        self._free.add(slot)

    def _trim(self, slot: int, length: int) -> None:
        if self.pool.length(slot) != length:
            self.pool.trim(slot, length)
            self._moves.append(Move("trim", slot, length))
