"""The scheduler's choices, one by one: whose turn it is, what is reused, who gives way."""

from bot.engine.batching.cells import CellPool
from bot.engine.batching.host_tier import HostTier
from bot.engine.batching.plan import Plan
from bot.engine.batching.scheduler import GROWTH_RESERVE, PATIENCE, QUANTUM, Scheduler
from bot.engine.batching.slots import STEP_BYTES
from bot.engine.batching.waiting import AGING_SECONDS, GLANCE_SECONDS
from bot.engine.types import Request


def build_scheduler(*, cells: int = 1000, **fields: object) -> Scheduler:
    """Return a scheduler with room for everything."""
    chosen = {"n_slots": 8, "max_running": 4, "n_batch": 64, "unified": True} | fields
    return Scheduler(CellPool(cells, unified=bool(chosen.pop("unified"))), **chosen)


def run_step(scheduler: Scheduler, *, budget: int = 64, token: int = 9) -> Plan:
    """Plan and perform a step, sampling *token* for everyone who is ready."""
    plan = scheduler.plan(budget)
    scheduler.commit(plan.pieces)
    for piece in plan.pieces:
        if piece.wants_logits:
            piece.sequence.append(token)
    return plan


def run_until_idle(scheduler: Scheduler) -> list[str]:
    """Step until everybody has finished; return the requests in the order in which they got their last token."""
    order = []
    while scheduler.has_work:
        for piece in run_step(scheduler).pieces:
            if piece.sequence.is_full:
                order.append(piece.sequence.request.request_id)
                scheduler.finish(order[-1])
    return order


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
    scheduler = build_scheduler(cells=300, max_running=3, n_batch=128)
    scheduler.add(Request(request_id="cached", prompt=tuple(range(200)), max_tokens=4, scope="old"))
    run_step(scheduler, budget=128)
    run_step(scheduler, budget=128)
    scheduler.finish("cached")
    old = scheduler.add(Request(request_id="old", prompt=tuple(range(30)), max_tokens=200))
    young = scheduler.add(Request(request_id="young", prompt=tuple(range(5)), max_tokens=200))

    run_until_idle(scheduler)

    assert scheduler.evictions == 1
    assert scheduler.preemptions == 1
    assert (old.generated, young.generated) == (200, 200)


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


def test_a_lower_class_waits_and_gives_its_place() -> None:
    """An interactive request takes the place of a background one, which goes on later with what it had."""
    scheduler = build_scheduler(max_running=1)
    background = scheduler.add(Request(request_id="background", prompt=(1, 2), max_tokens=40, priority=2))
    while background.generated < QUANTUM:
        run_step(scheduler)

    scheduler.add(Request(request_id="summary", prompt=(1, 2), max_tokens=2, priority=1))
    scheduler.add(Request(request_id="person", prompt=(1, 2), max_tokens=2))
    plan = run_step(scheduler)

    assert [piece.sequence.request.request_id for piece in plan.pieces] == ["person"]
    assert [move.kind for move in plan.moves] == ["save", "trim"]
    assert scheduler.waiting_order == ("summary", "background")
    assert run_until_idle(scheduler) == ["person", "summary", "background"]
    assert background.generated == 40
    assert scheduler.host.used == 0


def test_equals_never_take_each_others_place() -> None:
    """Without a lower class to send away, a request waits; one that has just begun is left alone for a little."""
    scheduler = build_scheduler(max_running=1)
    scheduler.add(Request(request_id="first", prompt=(1,), max_tokens=30, priority=1))
    run_step(scheduler)
    scheduler.add(Request(request_id="second", prompt=(1,), max_tokens=1, priority=1))
    scheduler.add(Request(request_id="person", prompt=(1,), max_tokens=1))

    run_step(scheduler)

    assert [sequence.request.request_id for sequence in scheduler.running.values()] == ["first"]
    assert run_until_idle(scheduler) == ["person", "first", "second"]
    assert scheduler.preemptions == 1


def test_nobody_waits_for_ever_behind_a_higher_class() -> None:
    """However many interactive requests come, a background one moves up by waiting, and keeps its place then."""
    scheduler = build_scheduler(max_running=1)
    patient = scheduler.add(Request(request_id="patient", prompt=(1,), max_tokens=20, priority=2, user="a"))
    scheduler.add(Request(request_id="0", prompt=(1,), max_tokens=20, user="b"))
    now, number = 0.0, 0
    while not patient.is_full:
        now += GLANCE_SECONDS
        scheduler.expire(now)
        if len(scheduler.waiting) < 3:
            number += 1
            scheduler.add(Request(request_id=str(number), prompt=(1,), max_tokens=20, user="b"))
        for piece in run_step(scheduler).pieces:
            if piece.sequence.is_full:
                scheduler.finish(piece.sequence.request.request_id)

    assert now < 2 * AGING_SECONDS + 70
    assert patient.rank == 0


def test_a_large_request_is_passed_a_few_times_only() -> None:
    """Small requests may overtake one that does not fit yet, but not for ever."""
    scheduler = build_scheduler(cells=360, max_running=3)
    scheduler.add(Request(request_id="running", prompt=tuple(range(60)), max_tokens=300))
    run_step(scheduler)
    scheduler.add(Request(request_id="large", prompt=tuple(range(250)), max_tokens=1))
    for number in range(3 * PATIENCE):
        scheduler.add(Request(request_id=str(number), prompt=(1, 2, 3), max_tokens=5))

    order = run_until_idle(scheduler)

    assert 0 < order.index("large") <= PATIENCE + 2


def test_a_cached_beginning_is_no_obstacle() -> None:
    """A request that shares little with a long idle conversation does without it, if that must give way to it."""
    scheduler = build_scheduler(cells=600, n_batch=600)
    scheduler.add(Request(request_id="idle", prompt=tuple(range(300)), max_tokens=1, scope="a", shared_length=10))
    run_step(scheduler, budget=600)
    scheduler.finish("idle")
    scheduler.add(Request(request_id="running", prompt=tuple(range(500, 600)), max_tokens=80))
    run_step(scheduler, budget=600)

    large = scheduler.add(Request(request_id="large", prompt=tuple(range(350)), max_tokens=9, shared_length=10))
    run_step(scheduler, budget=600)

    assert scheduler.evictions == 1
    assert (large.slot in scheduler.running, large.cached) == (True, 0)


def test_an_answer_has_room_to_grow_before_others_come() -> None:
    """Two long answers are admitted together only if both can grow by the reserve: no turns at preempting."""
    scheduler = build_scheduler(cells=2 * (50 + GROWTH_RESERVE) - 1, n_batch=128)
    for name in "ab":
        scheduler.add(Request(request_id=name, prompt=tuple(range(50)), max_tokens=100))

    run_step(scheduler, budget=128)
    run_step(scheduler, budget=128)

    assert len(scheduler.running) == 1
    run_until_idle(scheduler)
    assert scheduler.preemptions == 0


def test_deadlines_are_named_once_they_pass() -> None:
    """Waiting or answering, exactly those are returned whose moment has come; a finished one is forgotten."""
    scheduler = build_scheduler(max_running=1)
    for name, moment in (("a", 10.0), ("b", 20.0), ("c", None), ("d", 5.0)):
        scheduler.add(Request(request_id=name, prompt=(1,), max_tokens=50, deadline=moment))
    run_step(scheduler)
    scheduler.finish("d")

    late = [[sequence.request.request_id for sequence in scheduler.expire(now)] for now in (9.9, 10.0, 15.0, 20.0)]

    assert late[:2] == [[], ["a"]]
    assert late[2:] == [[], ["a", "b"]], "whoever is not finished is named again with the next one"


def test_an_idle_conversation_returns_from_host_memory() -> None:
    """What gave its cells away is saved once, loaded for its own scope, and decodes only what is new."""
    scheduler = build_scheduler(cells=500, host=HostTier(10_000), n_batch=512)
    words = tuple(range(300))
    scheduler.add(Request(request_id="one", prompt=words, max_tokens=1, scope="thread"))
    run_step(scheduler, budget=512)
    scheduler.finish("one")
    scheduler.add(Request(request_id="big", prompt=tuple(range(400)), max_tokens=1))
    saving = run_step(scheduler, budget=512)
    scheduler.finish("big")

    stranger = scheduler.add(Request(request_id="stranger", prompt=(*words, 1), max_tokens=1, scope="other"))
    run_step(scheduler, budget=512)
    scheduler.finish("stranger")
    turn = scheduler.add(Request(request_id="two", prompt=(*words, 1, 2), max_tokens=1, scope="thread"))
    loading = run_step(scheduler, budget=512)

    assert [move.kind for move in saving.moves] == ["save", "trim"]
    assert stranger.cached == 0
    assert [move.kind for move in loading.moves if move.kind == "load"] == ["load"]
    assert turn.cached == 300
    assert [(piece.start, piece.count) for piece in loading.pieces] == [(300, 2)]


def test_who_runs_is_brought_together_where_cells_are_split() -> None:
    """llama.cpp computes neighbouring slots together: who stands apart moves, and what is idle there is saved."""
    scheduler = build_scheduler(unified=False, host=HostTier(10_000), n_batch=512)
    words = tuple(range(100))
    asked = [
        scheduler.add(Request(request_id=name, prompt=(*words, number), max_tokens=9, scope=name))
        for number, name in enumerate("abcd")
    ]
    run_step(scheduler, budget=512)
    scheduler.finish("b")
    scheduler.finish("c")
    plan = run_step(scheduler)

    assert sorted(scheduler.running) == [0, 1]
    assert [sequence.slot for sequence in (asked[0], asked[3])] == [0, 1]
    assert [(move.kind, move.slot) for move in plan.moves] == [("save", 1), ("trim", 1), ("copy", 1), ("trim", 3)]
    assert [(piece.sequence.request.request_id, piece.start, piece.count) for piece in plan.pieces] == [
        ("a", 101, 1),
        ("d", 101, 1),
    ]
    scheduler.add(Request(request_id="b2", prompt=(*words, 1, 9, 5), max_tokens=2, scope="b"))
    assert "load" in [move.kind for move in run_step(scheduler).moves]


def test_what_is_quickly_computed_again_is_not_saved() -> None:
    """A short conversation, or one whose beginning another slot holds, is not worth a state."""
    scheduler = build_scheduler(cells=300, host=HostTier(10_000), n_batch=512)
    scheduler.add(Request(request_id="short", prompt=tuple(range(60)), max_tokens=1, scope="thread"))
    run_step(scheduler, budget=512)
    scheduler.finish("short")
    scheduler.add(Request(request_id="big", prompt=tuple(range(250)), max_tokens=1))

    plan = run_step(scheduler, budget=512)

    assert [move.kind for move in plan.moves] == ["trim"]
    assert scheduler.host.used == 0


def test_a_step_saves_no_more_than_it_has_time_for() -> None:
    """While answers grow, large states are saved one a step, and whoever needs their cells waits for that."""
    scheduler = build_scheduler(cells=1000, host=HostTier(1 << 40), n_batch=1000, measure=lambda _: STEP_BYTES)
    for name in "abcd":
        scheduler.add(Request(request_id=name, prompt=tuple(range(200)), max_tokens=1, scope=name))
        run_step(scheduler, budget=1000)
        scheduler.finish(name)
    scheduler.add(Request(request_id="growing", prompt=(1,), max_tokens=50))
    run_step(scheduler, budget=1000)
    scheduler.add(Request(request_id="big", prompt=tuple(range(700)), max_tokens=50))

    saves = [[move.kind for move in run_step(scheduler, budget=1000).moves].count("save") for _ in range(4)]

    assert saves == [1, 1, 1, 0]
    assert len(scheduler.running) == 2


def test_a_full_host_memory_keeps_what_waits_to_be_loaded() -> None:
    """The states that are saved, one a step, to make room for a conversation do not push out its own."""
    host = HostTier(2 * STEP_BYTES)
    scheduler = build_scheduler(cells=700, host=host, n_batch=700, measure=lambda _: STEP_BYTES)
    for name in "abc":
        scheduler.add(Request(request_id=name, prompt=tuple(range(200)), max_tokens=1, scope=name))
        run_step(scheduler, budget=700)
        scheduler.finish(name)
    scheduler.add(Request(request_id="growing", prompt=tuple(range(200)), max_tokens=90))
    run_step(scheduler, budget=700)
    turn = scheduler.add(Request(request_id="turn", prompt=tuple(range(300)), max_tokens=50, scope="a"))

    moves = [[move.kind for move in run_step(scheduler, budget=700).moves] for _ in range(3)]

    assert moves == [["save", "trim"], ["save", "trim"], ["load"]]
    assert turn.cached == 200


def test_requests_without_a_scope_leave_one_system_prompt_behind() -> None:
    """A hundred of them do not fill the slots of conversations with copies of the same beginning."""
    scheduler = build_scheduler()
    for number in range(20):
        prompt = (*range(10), 100 + number)
        scheduler.add(Request(request_id=str(number), prompt=prompt, max_tokens=1, shared_length=10))
        run_step(scheduler)
        scheduler.finish(str(number))

    assert len(scheduler.cache) == 1
    assert scheduler.pool.used() == 10


def test_recurrent_memory_is_continued_from_its_end_only() -> None:
    """A memory that cannot be cut serves the turn that continues all of it, from its slot or from the host."""
    scheduler = build_scheduler(cells=500, host=HostTier(10_000), n_batch=512, can_trim=False)
    words = tuple(range(300))
    scheduler.add(Request(request_id="one", prompt=words, max_tokens=1, scope="thread"))
    run_step(scheduler, budget=512)
    scheduler.finish("one")
    edited = scheduler.add(Request(request_id="edited", prompt=(*words[:200], 7), max_tokens=1, scope="thread"))
    run_step(scheduler, budget=512)
    scheduler.finish("edited")
    scheduler.add(Request(request_id="big", prompt=tuple(range(450)), max_tokens=1))
    run_step(scheduler, budget=512)
    scheduler.finish("big")

    turn = scheduler.add(Request(request_id="two", prompt=(*words, 1), max_tokens=1, scope="thread"))
    plan = run_step(scheduler, budget=512)

    assert edited.cached == 0
    assert turn.cached == 300
    assert [move.kind for move in plan.moves] == ["trim", "load"]


def test_a_state_that_does_not_come_back_is_computed_again() -> None:
    """The sequence begins anew in its slot, and ends as it would have."""
    scheduler = build_scheduler(cells=200, n_batch=512)
    for name in "ab":
        scheduler.add(Request(request_id=name, prompt=tuple(range(30)), max_tokens=100))
    lost = 0
    while scheduler.has_work:
        plan = scheduler.plan(512)
        loads = [move.slot for move in plan.moves if move.kind == "load"]
        if loads:
            scheduler.retract(plan.pieces)
            scheduler.lose(loads[0])
            lost += 1
            continue
        scheduler.commit(plan.pieces)
        for piece in plan.pieces:
            if piece.wants_logits:
                piece.sequence.append(9)
                if piece.sequence.is_full:
                    scheduler.finish(piece.sequence.request.request_id)

    assert lost == 1
    assert scheduler.pool.used() == 0
