"""Random schedules on the starter model: whoever comes, leaves or gives way, nobody fails and the counts agree."""

import random
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bot.engine.types import Request, SamplingParams
from tests.engine.lanes_rig import GREEDY, LanesRig

SYSTEM = tuple(range(10, 34))
ENDS = {"stop", "length", "cancelled"}


def choose_request(rng: random.Random, name: str) -> list[Request]:
    """Return one request, or several answers to one."""
    size = rng.choice([1, 3, 10, 40, 60, 150])
    shared = rng.choice([0, 0, len(SYSTEM)])
    prompt = (*SYSTEM[:shared], *(rng.choice([40, 41, 42]) for _ in range(size)))
    is_greedy = rng.random() < 0.5
    request = Request(
        request_id=name,
        prompt=prompt,
        max_tokens=rng.choice([1, 1, 2, 3, 5, 8, 8, 40]),
        sampling=GREEDY if is_greedy else SamplingParams(temperature=1, seed=rng.randrange(99), presence_penalty=0.5),
        ignore_eos=rng.random() < 0.5,
        scope=rng.choice(["", "a", "b", "c", "d"]),
        shared_length=shared,
        user=rng.choice("xyz"),
        priority=rng.choice([0, 0, 1, 2]),
        deadline=time.monotonic() + rng.choice([0.0, 0.005]) if rng.random() < 0.1 else None,
        prompt_logprobs=1 if rng.random() < 0.1 else None,
        top_logprobs=3 if rng.random() < 0.1 else None,
        stop=("e",) if rng.random() < 0.1 else (),
    )
    if rng.random() < 0.8 or request.prompt_logprobs is not None:
        return [request]
    scope = request.scope or f"once {name}"
    return [replace(request, request_id=f"{name}.{index}", scope=scope) for index in range(3)]


def play(rig: LanesRig, rng: random.Random, number: int) -> Counter[str]:
    """Play one schedule to its end and return how its answers ended; all that is checked after each stands here."""
    lanes: dict[str, int] = {}
    for step in range(rng.randint(1, 5)):
        for index in range(rng.choice([0, 1, 1, 2]) if step else 2):
            requests = choose_request(rng, f"{number}.{step}.{index}")
            lane = rng.randrange(2)
            lanes |= dict.fromkeys((request.request_id for request in requests), lane)
            rig.lanes[lane].loop.submit(*requests)
        rig.step()
        if lanes and rng.random() < 0.3:
            name = rng.choice(list(lanes))
            rig.lanes[lanes[name]].loop.cancel(name)
            lanes.pop(name)
    rig.run()
    ends = {name: deltas[-1] for name, deltas in rig.take().items()}
    for name in lanes:
        end = ends[name]
        assert end.finish_reason in ENDS or end.stop_reason == "deadline", (number, end)
    for lane in rig.lanes:
        assert all(held == counted for held, counted in lane.held()), (number, lane.held())
        assert not lane.loop._answers
        assert not lane.loop.scheduler.running
        assert not len(lane.loop.scheduler.waiting)
    assert rig.host._spilled == 0
    assert rig.host.used <= rig.host.limit
    return Counter(str(ends[name].stop_reason or ends[name].finish_reason) for name in lanes)


@pytest.mark.parametrize("kv_unified", [True, False], ids=["unified", "split"])
@pytest.mark.parametrize("number", [60, pytest.param(50_000, marks=[pytest.mark.nightly, pytest.mark.timeout(14400)])])
def test_random_schedules_end_well(tmp_path: Path, kv_unified: bool, number: int) -> None:
    """Two lanes, few cells, a host tier, cancels, deadlines, priorities, scores: after each schedule all agrees."""
    cells = 256 * (1 if kv_unified else 6)
    rig = LanesRig(tmp_path, host_bytes=3_000_000, kv_unified=kv_unified, n_cells=cells, n_slots=6)
    rng, ends = random.Random(number), Counter[str]()
    for schedule in range(number):
        ends += play(rig, rng, schedule)
    totals = Counter[str]()
    for lane in rig.lanes:
        scheduler = lane.loop.scheduler
        totals += Counter(preemptions=scheduler.preemptions, evictions=scheduler.evictions)
        totals += Counter(saved=scheduler.slots.saves, loaded=scheduler.slots.loads)
    rig.close()

    kind = "unified" if kv_unified else "split"
    print(f"\nschedules ({kind} KV): {number}, answers {dict(ends)}, {dict(totals)}, aborts 0")
    assert rig.host.used == 0
    assert ends["length"] > number / 2
    assert ends["deadline"] > 0
    assert totals["saved"] > 0 or not kv_unified
    assert totals["loaded"] > 0 or not kv_unified
    assert totals["preemptions"] > 0 or not kv_unified
    assert totals["evictions"] > 0
