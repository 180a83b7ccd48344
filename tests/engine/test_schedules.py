"""Two lanes of schedulers with one host tier, in any order of events, against a KV cache that remembers everything."""

from collections import Counter
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bot.engine.batching.cells import CellPool
from bot.engine.batching.host_tier import HostTier
from bot.engine.batching.plan import Move
from bot.engine.batching.scheduler import Scheduler
from bot.engine.batching.sequence import Sequence
from bot.engine.moves import perform_moves
from bot.engine.types import Request
from tests.engine.naive_cache import Cell, NaiveCache, owner_of

N_CTX = 240
N_BATCH = 64
NIGHTLY_STEPS = 50_000
SCOPES = ("", "conversation a", "conversation b")
TEXTS = [tuple((position * factor) // 7 % 3 for position in range(N_CTX)) for factor in (0, 1, 2, 3)]


class Lane:
    """A scheduler, the naive cache that it plans for, and who is open."""

    def __init__(
        self, number: int, host: HostTier, *, pool: CellPool, can_trim: bool, max_running: int, spare: int
    ) -> None:
        self.cache = NaiveCache(pool.unified, can_trim, number)
        self.scheduler = Scheduler(
            pool, n_slots=max_running + spare, max_running=max_running, n_batch=N_BATCH, can_trim=can_trim, host=host
        )
        self.max_running = max_running
        self.open: dict[str, Sequence] = {}

    def finish(self, request_id: str) -> None:
        """Take a request out."""
        sequence = self.open.pop(request_id)
        assert self.scheduler.finish(request_id) is sequence

    def step(self, budget: int, token: int, *, has_room: bool = True) -> None:
        """Do what the loop does; without *has_room* llama.cpp finds no cells although the count says there are."""
        plan = self.scheduler.plan(budget)
        self.cache.readers = {slot: sequence.request for slot, sequence in self.scheduler.running.items()}
        lost = perform_moves(self.cache, self.watch(plan.moves))
        slots = [piece.sequence.slot for piece in plan.pieces]
        assert slots == sorted(set(slots))
        assert sum(piece.count for piece in plan.pieces) <= N_BATCH
        if lost or not has_room:
            self.scheduler.retract(plan.pieces)
            for slot in lost:
                self.scheduler.lose(slot)
            if not lost:
                self.scheduler.make_room()
            return
        for piece in plan.pieces:
            held = self.cache.held(piece.sequence.slot)
            assert piece.start == len(held)
            request = piece.sequence.request
            for token_id in piece.sequence.tokens[piece.start : piece.start + piece.count].tolist():
                held.append(Cell(token_id, self.cache.lane, {owner_of(request)}))
            self.cache.read(piece.sequence.slot)
        self.scheduler.commit(plan.pieces)
        for piece in plan.pieces:
            if piece.wants_logits:
                piece.sequence.append(token)
                if piece.sequence.is_full:
                    self.finish(piece.sequence.request.request_id)

    def watch(self, moves: tuple[Move, ...]) -> Iterator[Move]:
        """Yield the moves; as soon as a slot is as planned, its request reads it, before anybody copies from it."""
        for slot in self.cache.readers.keys() - {move.slot for move in moves}:
            self.cache.read(slot)
        for number, move in enumerate(moves):
            yield move
            if all(later.slot != move.slot for later in moves[number + 1 :]):
                self.cache.read(move.slot)


class Schedules(RuleBasedStateMachine):
    """Requests come, grow, end, expire and are cancelled in any order; memory runs short, saved states are damaged."""

    steps = 0

    @initialize(
        unified=st.booleans(),
        can_trim=st.sampled_from([True, True, False]),
        capacity=st.integers(N_CTX, 3 * N_CTX),
        max_running=st.integers(1, 4),
        spare=st.integers(0, 3),
        limit=st.sampled_from([0, N_CTX, 10 * N_CTX]),
    )
    def start(self, *, unified: bool, can_trim: bool, capacity: int, max_running: int, spare: int, limit: int) -> None:
        """Choose the contexts."""
        self.host = HostTier(limit)
        cells = capacity if unified else N_CTX
        self.lanes = [
            Lane(
                number,
                self.host,
                pool=CellPool(cells, unified=unified),
                can_trim=can_trim,
                max_running=max_running,
                spare=spare,
            )
            for number in range(2)
        ]
        self.turns: dict[tuple[int, str], tuple[int, ...]] = {}
        self.numbers = count()
        self.now = 0.0

    @rule(
        lane=st.integers(0, 1),
        text=st.sampled_from(TEXTS),
        length=st.integers(1, N_CTX - 1),
        scope=st.sampled_from(SCOPES),
        shared=st.sampled_from([0, 8, 80]),
        max_tokens=st.integers(1, 30),
        user=st.sampled_from("xy"),
        priority=st.integers(0, 2),
        patience=st.sampled_from([None, None, 5.0, 50.0]),
        goes_on=st.booleans(),
    )
    def submit(
        self,
        *,
        lane: int,
        text: tuple[int, ...],
        length: int,
        scope: str,
        shared: int,
        max_tokens: int,
        user: str,
        priority: int,
        patience: float | None,
        goes_on: bool,
    ) -> None:
        """A request arrives, perhaps as the next turn of its conversation."""
        before = self.turns.get((lane, scope), ()) if goes_on else ()
        prompt = (*before, *text[:length])[: N_CTX - 1]
        request = Request(
            request_id=str(next(self.numbers)),
            prompt=prompt,
            max_tokens=min(max_tokens, N_CTX - len(prompt)),
            scope=scope,
            shared_length=min(shared, len(prompt)),
            user=user,
            priority=priority,
            deadline=None if patience is None else self.now + patience,
        )
        self.lanes[lane].open[request.request_id] = self.lanes[lane].scheduler.add(request)

    @rule(lane=st.integers(0, 1), pick=st.integers(0, 50))
    def cancel(self, lane: int, pick: int) -> None:
        """Somebody presses Stop; what is not open is no problem."""
        if str(pick) in self.lanes[lane].open:
            self.lanes[lane].finish(str(pick))
        else:
            assert self.lanes[lane].scheduler.finish(str(pick)) is None

    @rule(
        lane=st.integers(0, 1), budget=st.integers(1, N_BATCH), token=st.integers(0, 2), times=st.sampled_from([1, 40])
    )
    def step(self, lane: int, budget: int, token: int, times: int) -> None:
        """The loop performs plans."""
        for _ in range(times):
            self.perform(lane, budget, token)

    @rule(lane=st.integers(0, 1), budget=st.integers(1, N_BATCH), is_damaged=st.booleans())
    def step_badly(self, lane: int, budget: int, is_damaged: bool) -> None:
        """A saved state cannot be read back, or llama.cpp finds no room although the count says there is."""
        self.lanes[lane].cache.is_damaged = is_damaged
        self.lanes[lane].step(budget, 0, has_room=is_damaged)
        self.lanes[lane].cache.is_damaged = False
        self.count_step()

    @rule(seconds=st.sampled_from([0.5, 5.0, 40.0]))
    def wait(self, seconds: float) -> None:
        """Time passes: exactly those whose deadline has passed are named."""
        self.now += seconds
        for lane in self.lanes:
            late = {sequence.request.request_id for sequence in lane.scheduler.expire(self.now)}
            deadlines = {name: sequence.request.deadline for name, sequence in lane.open.items()}
            assert late == {name for name, at in deadlines.items() if at is not None and at <= self.now}
            for name in late:
                lane.finish(name)

    def perform(self, number: int, budget: int, token: int) -> None:
        """Do a step, and remember how conversations that ended in it went."""
        lane = self.lanes[number]
        before = dict(lane.open)
        lane.step(budget, token)
        for name in before.keys() - lane.open.keys():
            sequence = before[name]
            if sequence.request.scope and sequence.length < N_CTX - 20:
                self.turns[number, sequence.request.scope] = tuple(sequence.tokens.tolist())
        self.count_step()

    def count_step(self) -> None:
        """Count, and check what must hold after every single step."""
        Schedules.steps += 1
        self.cells_are_counted_exactly()

    @invariant()
    def slots_have_one_holder(self) -> None:
        """No slot is both idle and busy, or both free and held; a busy one knows its sequence."""
        for lane in self.all():
            slots = lane.scheduler.slots
            idle, free, busy = set(slots.cache._idle), slots._free, set(lane.scheduler.running)
            assert sorted([*idle, *free, *busy]) == list(range(len(idle | free | busy)))
            assert len(busy) <= lane.max_running
            assert all(sequence.slot == slot for slot, sequence in lane.scheduler.running.items())
            assert list(lane.scheduler.running) == sorted(lane.scheduler.running)

    @invariant()
    def the_trees_hold_what_the_slots_hold(self) -> None:
        """What an idle slot is noted with is what it holds; a busy one's is a beginning of it."""
        for lane in self.all():
            cache = lane.scheduler.cache
            if lane.scheduler.slots.has_moves:
                continue
            for slot, entry in cache._entries.items():
                held = [cell.token for cell in lane.cache.held(slot)]
                assert entry.tokens.tolist() == held[: len(entry.tokens)]
                assert slot not in cache or len(entry.tokens) == len(held)
                assert cache._shared.length(slot) == min(entry.shared_length, len(entry.tokens))
                assert not entry.scope or cache._scopes[entry.scope].length(slot) == len(entry.tokens)
            assert all(set(tree._ends) <= set(cache._entries) for tree in (cache._shared, *cache._scopes.values()))

    @invariant()
    def cells_are_counted_exactly(self) -> None:
        """The pool counts what the naive cache holds, and never more than there is."""
        for lane in self.all():
            pool = lane.scheduler.pool
            if not lane.scheduler.slots.has_moves:
                assert pool.used() == lane.cache.used()
                assert not pool.unified or pool.used() <= pool.capacity

    @invariant()
    def host_memory_is_counted_exactly(self) -> None:
        """Idle states keep their limit, and what is counted is what is kept."""
        lanes = self.all()
        if not lanes:
            return
        spilled = sum(s.spilled.size for lane in lanes for s in lane.open.values() if s.spilled)
        idle = sum(saved.size for saved in self.host._held)
        assert self.host.used == spilled + idle
        assert idle <= max(0, self.host.limit - spilled)
        assert sum(len(tree) for tree in self.host._trees.values()) == len(self.host._held)

    @invariant()
    def the_order_is_fair(self) -> None:
        """Classes come one after the other, and in each nobody's second request comes before somebody's first."""
        for lane in self.all():
            waiting = list(lane.scheduler.waiting)
            assert [s.request.request_id for s in waiting] == list(lane.scheduler.waiting_order)
            ranks = [sequence.rank for sequence in waiting]
            assert ranks == sorted(ranks)
            for queue in lane.scheduler.waiting._classes:
                seen: Counter[str] = Counter()
                turns = []
                for sequence in (sequence for sequence in queue if sequence not in queue._returned):
                    seen[sequence.request.user] += 1
                    turns.append(seen[sequence.request.user])
                assert turns == sorted(turns)

    @invariant()
    def nobody_is_lost(self) -> None:
        """Every request that is not finished is known, and waits or runs."""
        for lane in self.all():
            assert {s.request.request_id for s in lane.scheduler.sequences()} == set(lane.open)
            assert len(lane.scheduler.waiting) + len(lane.scheduler.running) == len(lane.open)

    def all(self) -> list[Lane]:
        """Return the lanes, none before the first step."""
        return getattr(self, "lanes", [])

    def teardown(self) -> None:
        """Whatever happened before, everybody finishes in a bounded number of steps."""
        for number, lane in enumerate(self.all()):
            for _ in range(40 + 60 * (1 + len(lane.open))):
                if not lane.scheduler.has_work:
                    break
                self.perform(number, 32, 1)
            assert not lane.open
            lane.scheduler.slots.close()
        if self.all():
            assert self.host.used == 0


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_many_random_schedules() -> None:
    """Fifty thousand steps of the same machine find nothing either."""
    long = settings(max_examples=1000, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck))
    Schedules.steps = runs = 0
    while Schedules.steps < NIGHTLY_STEPS:
        run_state_machine_as_test(Schedules, settings=long)
        runs += 1
    print(f"{Schedules.steps} steps of the scheduler in {runs} runs")
