"""The scheduler against a naive KV cache that remembers every token, whose it is, and in which cell it lies."""

from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bot.engine.cells import CellPool
from bot.engine.scheduler import Move, Plan, Scheduler
from bot.engine.types import Request

N_CTX = 24
N_BATCH = 12
SCOPES = ("", "conversation a", "conversation b")


@dataclass(frozen=True)
class Cell:
    """A token in the KV cache, with whoever may know it already."""

    number: int
    token: int
    owners: frozenset[str]
    is_shared: bool


@dataclass
class NaiveCache:
    """The KV cache as a list of cells per slot; a unified copy shares the cells."""

    unified: bool
    numbers: count = field(default_factory=count)
    slots: dict[int, list[Cell]] = field(default_factory=dict)
    host: dict[str, list[Cell]] = field(default_factory=dict)

    def move(self, move: Move, *, can_trim: bool) -> None:
        """Perform a move of the scheduler."""
        held = self.slots.setdefault(move.slot, [])
        if move.kind == "drop":
            del self.host[move.request_id]
            return
        if move.kind == "save":
            assert move.length == len(held)
            self.host[move.request_id] = list(held)
            return
        if move.kind == "load":
            assert not held
            held += [replace(cell, number=next(self.numbers)) for cell in self.host.pop(move.request_id)]
            assert move.length == len(held)
            return
        if move.kind == "trim":
            assert move.length <= len(held)
            assert can_trim or move.length == 0
            del held[move.length :]
            return
        assert can_trim
        assert not held
        source = self.slots[move.source][: move.length]
        assert len(source) == move.length
        held += source if self.unified else [replace(cell, number=next(self.numbers)) for cell in source]

    def used(self) -> int:
        """Return how many cells hold something."""
        return len({cell.number for held in self.slots.values() for cell in held})


def build_request(number: int, prompt: list[int], **fields: object) -> Request:
    """Return a request whose answer fits."""
    room = N_CTX - len(prompt)
    max_tokens = min(int(fields.pop("max_tokens", 4)), room)
    return Request(request_id=str(number), prompt=tuple(prompt), max_tokens=max_tokens, **fields)


def owner_of(request: Request) -> str:
    """Return whose words a request holds; without a scope they are its own alone."""
    return request.scope or f"request {request.request_id}"


class SchedulerMachine(RuleBasedStateMachine):
    """Requests come, grow, end and are cancelled in any order; memory runs short."""

    @initialize(
        unified=st.booleans(),
        can_trim=st.booleans(),
        capacity=st.integers(N_CTX, 3 * N_CTX),
        max_running=st.integers(1, 4),
        spare=st.integers(0, 3),
    )
    def start(self, *, unified: bool, can_trim: bool, capacity: int, max_running: int, spare: int) -> None:
        """Choose the context."""
        self.can_trim = can_trim
        self.cache = NaiveCache(unified)
        self.capacity = capacity if unified else N_CTX
        self.scheduler = Scheduler(
            CellPool(self.capacity, unified=unified),
            n_slots=max_running + spare,
            max_running=max_running,
            n_batch=N_BATCH,
            can_trim=can_trim,
        )
        self.numbers = count()
        self.open: set[str] = set()

    @rule(
        prompt=st.lists(st.integers(0, 1), min_size=1, max_size=N_CTX - 1),
        scope=st.sampled_from(SCOPES),
        shared=st.integers(0, 8),
        max_tokens=st.integers(1, 10),
        user=st.sampled_from("xy"),
    )
    def submit(self, prompt: list[int], scope: str, shared: int, max_tokens: int, user: str) -> None:
        """A request arrives."""
        fields = {"scope": scope, "shared_length": min(shared, len(prompt)), "max_tokens": max_tokens, "user": user}
        request = build_request(next(self.numbers), prompt, **fields)
        self.scheduler.add(request)
        self.open.add(request.request_id)

    @rule(pick=st.integers(0, 50))
    def cancel(self, pick: int) -> None:
        """Somebody presses Stop; what is open goes, what is not open is no problem."""
        self.scheduler.finish(str(pick))
        self.open.discard(str(pick))

    @rule(budget=st.integers(1, N_BATCH), token=st.integers(0, 1))
    def step(self, budget: int, token: int) -> None:
        """The loop performs a plan."""
        self.perform(self.scheduler.plan(budget), token)

    @rule(budget=st.integers(1, N_BATCH))
    def run_out_of_cells(self, budget: int) -> None:
        """llama.cpp finds no room although the count says there is."""
        plan = self.scheduler.plan(budget)
        for move in plan.moves:
            self.cache.move(move, can_trim=self.can_trim)
        self.scheduler.retract(plan.pieces)
        self.scheduler.make_room()

    def perform(self, plan: Plan, token: int) -> None:
        """Decode a plan into the naive cache and sample *token* for everyone who is ready."""
        for move in plan.moves:
            self.cache.move(move, can_trim=self.can_trim)
        assert [piece.sequence.slot for piece in plan.pieces] == sorted({p.sequence.slot for p in plan.pieces})
        assert sum(piece.count for piece in plan.pieces) <= N_BATCH
        for piece in plan.pieces:
            held = self.cache.slots.setdefault(piece.sequence.slot, [])
            assert piece.start == len(held)
            request = piece.sequence.request
            for token_id in piece.sequence.tokens[piece.start : piece.start + piece.count].tolist():
                held.append(Cell(next(self.cache.numbers), token_id, frozenset({owner_of(request)}), is_shared=False))
            shared = request.shared_length  # what one request declares shared is so from now on, whoever computed it
            held[:shared] = [replace(cell, is_shared=True) for cell in held[:shared]]
        self.scheduler.commit(plan.pieces)
        for piece in plan.pieces:
            if piece.wants_logits:
                piece.sequence.append(token)
                if piece.sequence.is_full:
                    self.scheduler.finish(piece.sequence.request.request_id)
                    self.open.remove(piece.sequence.request.request_id)

    @invariant()
    def every_sequence_sees_its_own_tokens(self) -> None:
        """A running sequence's slot holds exactly its tokens, computed by its own scope or shared."""
        pending = self.scheduler._moves
        touched = {move.slot for move in pending}
        for slot, sequence in self.scheduler.running.items():
            if slot in touched:
                continue
            held = self.cache.slots.get(slot, [])
            request = sequence.request
            assert [cell.token for cell in held] == sequence.tokens[: sequence.computed].tolist()
            for position, cell in enumerate(held):
                is_allowed_shared = cell.is_shared and position < request.shared_length
                assert is_allowed_shared or owner_of(request) in cell.owners
            held[:] = [replace(cell, owners=cell.owners | {owner_of(request)}) for cell in held]

    @invariant()
    def cells_are_counted_exactly(self) -> None:
        """The pool counts what the naive cache holds, and never more than there is."""
        if self.scheduler._moves:
            return
        used = self.cache.used()
        assert self.scheduler.pool.used() == used
        if self.cache.unified:
            assert used <= self.capacity

    @invariant()
    def nobody_is_lost(self) -> None:
        """Every request that is not finished is known."""
        assert {sequence.request.request_id for sequence in self.scheduler.sequences()} == self.open

    def teardown(self) -> None:
        """Whatever happened before, everybody finishes in a bounded number of steps."""
        if not hasattr(self, "scheduler"):
            return
        self.finish_everybody()
        assert not self.cache.host

    def finish_everybody(self) -> None:
        """Step until nobody is open."""
        bound = 20 + 40 * N_CTX * (1 + len(self.open))
        for _ in range(bound):
            self.perform(self.scheduler.plan(4), 1)
            if not self.open and not self.scheduler.has_work:
                return
        raise AssertionError(f"{self.open} never finish")


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.nightly
def test_many_random_schedules() -> None:
    """Fifty thousand steps of the same machine find nothing either."""
    long_settings = settings(
        max_examples=1000, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(SchedulerMachine, settings=long_settings)


def build_scheduler(**fields: int) -> Scheduler:
    """Return a scheduler with room for everything."""
    chosen = {"n_slots": 8, "max_running": 4, "n_batch": 64} | fields
    return Scheduler(CellPool(1000), **chosen)


def run_step(scheduler: Scheduler, *, budget: int = 64, token: int = 9) -> Plan:
    """Plan and perform a step, sampling *token* for everyone who is ready."""
    plan = scheduler.plan(budget)
    scheduler.commit(plan.pieces)
    for piece in plan.pieces:
        if piece.wants_logits:
            piece.sequence.append(token)
    return plan


def test_growing_answers_come_before_prompts() -> None:
    """A long prompt takes no more than its budget while another answer grows, and that answer grows every step."""
    scheduler = build_scheduler()
    first = scheduler.add(Request(request_id="first", prompt=(1, 2), max_tokens=50))
    run_step(scheduler)
    scheduler.add(Request(request_id="long", prompt=tuple(range(200)), max_tokens=1))

    for _ in range(5):
        before = first.generated
        plan = run_step(scheduler, budget=16)

        assert first.generated == before + 1
        assert sum(piece.count for piece in plan.pieces) <= 17


def test_a_short_prompt_overtakes_a_long_one() -> None:
    """Whoever needs least is served first."""
    scheduler = build_scheduler()
    scheduler.add(Request(request_id="long", prompt=tuple(range(200)), max_tokens=1))
    scheduler.add(Request(request_id="short", prompt=(1, 2, 3), max_tokens=1))

    plan = run_step(scheduler)

    assert {piece.sequence.request.request_id: piece.count for piece in plan.pieces} == {"long": 61, "short": 3}


def test_a_long_prompt_does_not_starve() -> None:
    """However many short prompts come, the long one's turn comes too."""
    scheduler = build_scheduler(n_batch=8)
    long = scheduler.add(Request(request_id="long", prompt=tuple(range(300)), max_tokens=1))

    for number in range(40):
        scheduler.add(Request(request_id=str(number), prompt=tuple(range(8)), max_tokens=1))
        for piece in run_step(scheduler).pieces:
            if piece.sequence.is_full:
                scheduler.finish(piece.sequence.request.request_id)

    assert long.computed > 0


def test_a_turn_continues_its_conversation() -> None:
    """The next turn of a thread decodes only what is new, in the same slot."""
    scheduler = build_scheduler()
    scheduler.add(Request(request_id="one", prompt=tuple(range(20)), max_tokens=5, scope="thread"))
    run_step(scheduler)
    scheduler.finish("one")
    turn = scheduler.add(Request(request_id="two", prompt=tuple(range(30)), max_tokens=5, scope="thread"))

    plan = run_step(scheduler)

    assert turn.cached == 20
    assert [(piece.start, piece.count) for piece in plan.pieces] == [(20, 10)]


def test_a_stranger_gets_the_shared_part_only() -> None:
    """Another conversation with the same words may use the system prompt and nothing more."""
    scheduler = build_scheduler()
    words = tuple(range(20))
    scheduler.add(Request(request_id="one", prompt=words, max_tokens=5, scope="thread", shared_length=6))
    run_step(scheduler)
    scheduler.finish("one")
    other = scheduler.add(Request(request_id="two", prompt=words, max_tokens=5, scope="other", shared_length=6))
    nobody = scheduler.add(Request(request_id="three", prompt=words, max_tokens=5))

    run_step(scheduler)

    assert other.cached == 6
    assert nobody.cached == 0


def test_memory_pressure_takes_caches_before_answers() -> None:
    """A cached conversation gives way; when there is none, the youngest answer waits and then goes on."""
    scheduler = Scheduler(CellPool(100), n_slots=4, max_running=3, n_batch=128)
    scheduler.add(Request(request_id="cached", prompt=tuple(range(40)), max_tokens=4, scope="old"))
    run_step(scheduler, budget=128)
    scheduler.finish("cached")
    old = scheduler.add(Request(request_id="old", prompt=tuple(range(30)), max_tokens=60))
    young = scheduler.add(Request(request_id="young", prompt=tuple(range(5)), max_tokens=60))

    for _ in range(200):
        for piece in run_step(scheduler, budget=128).pieces:
            if piece.sequence.is_full:
                scheduler.finish(piece.sequence.request.request_id)

    assert scheduler.evictions == 1
    assert scheduler.preemptions >= 1
    assert (old.generated, young.generated) == (60, 60)


def test_several_answers_compute_their_prompt_once() -> None:
    """The second answer to one request waits for the first one's prompt and copies it."""
    scheduler = build_scheduler()
    prompt = tuple(range(200))
    first, second = (
        scheduler.add(Request(request_id=name, prompt=prompt, max_tokens=5, scope="once")) for name in ("a", "b")
    )

    decoded = sum(piece.count for _ in range(6) for piece in run_step(scheduler).pieces)

    assert (first.cached, second.cached) == (0, 199)
    assert decoded == 200 + 1 + (first.generated - 1) + (second.generated - 1)


def test_users_take_turns() -> None:
    """One user's burst does not delay another user's first request."""
    scheduler = build_scheduler(max_running=1)
    for number in range(5):
        scheduler.add(Request(request_id=f"a{number}", prompt=(1,), max_tokens=1, user="a"))
    scheduler.add(Request(request_id="b", prompt=(1,), max_tokens=1, user="b"))

    order = []
    for _ in range(6):
        for piece in run_step(scheduler).pieces:
            order.append(piece.sequence.request.request_id)
            scheduler.finish(piece.sequence.request.request_id)

    assert order.index("b") <= 1
