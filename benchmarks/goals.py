"""The goals, each beside what was measured: pure arithmetic over the rows of a run."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.arms import LLAMA_SERVER, LLAMA_SERVER_UNIFIED, OURS, PEER, PYTHON_SERVER
from benchmarks.bench import Row
from benchmarks.ceiling import DECODE_AND_SAMPLE, DECODE_ONLY
from benchmarks.figures import Ratio, measure_ratio, median_of

SERVERS = (LLAMA_SERVER, LLAMA_SERVER_UNIFIED, PEER, PYTHON_SERVER)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal of one model and case: what was measured, the limit, and whether it is met."""

    model: str
    goal: str
    measured: str
    limit: str
    is_met: bool


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Return a verdict for every goal that the rows say something about."""
    judges: dict[str, Callable[[Sequence[Row]], Iterator[Verdict]]] = {
        "W1": judge_decode,
        "W3": judge_threads,
        "W4": judge_long_prompt,
        "W5": judge_adapters,
        "W6": judge_pressure,
        "W7": judge_cancels,
        "gate": judge_gate,
    }
    verdicts: list[Verdict] = []
    for model in dict.fromkeys(row.model for row in rows):
        for workload, judge_one in judges.items():
            chosen = [row for row in rows if (row.model, row.workload) == (model, workload)]
            if chosen:
                verdicts += judge_one(chosen)
    return verdicts


def series(rows: Sequence[Row], name: str, *, arm: str, case: str | None = None) -> list[float]:
    """Return a figure of an arm, one value a round in the order of rounds."""
    chosen = [row for row in rows if row.arm == arm and case in {None, row.case} and name in row.values]
    return [row.values[name] for row in sorted(chosen, key=lambda row: row.round)]


def compare(rows: Sequence[Row], name: str, arm: str, *, case: str | None = None) -> Ratio | None:
    """Return ours over another arm, None if one of them was not measured."""
    ours, other = series(rows, name, arm=OURS, case=case), series(rows, name, arm=arm, case=case)
    is_there = ours and len(ours) == len(other) and not any(map(math.isnan, (*ours, *other)))
    return measure_ratio(ours, other) if is_there else None


def middle(rows: Sequence[Row], name: str, **where: str) -> float:
    """Return the median of a figure of ours."""
    return median_of(series(rows, name, arm=OURS, case=where.get("case")))


def total(rows: Sequence[Row], name: str, **where: str) -> float:
    """Return the sum of a figure of ours over all rounds."""
    return sum(series(rows, name, arm=OURS, case=where.get("case")))


def judge_decode(rows: Sequence[Row]) -> Iterator[Verdict]:
    """W1: close to the bare loop, not behind other servers, little work outside C."""
    model = rows[0].model
    limits = {DECODE_ONLY: 0.97, DECODE_AND_SAMPLE: 0.97, **dict.fromkeys(SERVERS, 1.0)}
    for case in sorted({row.case for row in rows if row.case.isdigit()}, key=int):
        for arm, limit in limits.items():
            ratio = compare(rows, "decode_per_second", arm, case=case) or (
                compare(rows, "tokens_per_second", arm, case=case) if arm == PYTHON_SERVER else None
            )
            if ratio:
                text = f"W1, {case} at once: tokens/s over {arm}"
                yield Verdict(model, text, str(ratio), f"≥ {limit}", ratio.value >= limit)
    host = middle(rows, "host_ms", case="host 16")
    if not math.isnan(host):
        yield Verdict(model, "W1, 16 at once: work outside C per step", f"{host:.2f} ms", "≤ 0.3 ms", host <= 0.3)


def judge_threads(rows: Sequence[Row]) -> Iterator[Verdict]:
    """W3: little is read again, and an answer begins soon."""
    model, saved, share = rows[0].model, middle(rows, "saved"), middle(rows, "ttft_share")
    yield Verdict(model, "W3, turns 2-10: prompt tokens not read again", f"{saved:.0%}", "≥ 85 %", saved >= 0.85)
    text = "W3, turns 2-10: time to first token over a cold one"
    yield Verdict(model, text, f"{share:.2f}", "≤ 0.25", share <= 0.25)


def judge_long_prompt(rows: Sequence[Row]) -> Iterator[Verdict]:
    """W4: nobody stands still for long, at little cost."""
    for arm in (LLAMA_SERVER, LLAMA_SERVER_UNIFIED, PEER):
        gap, speed = compare(rows, "longest_gap", arm), compare(rows, "computed_per_second", arm)
        if gap and speed:
            text = f"W4: longest gap over {arm}"
            yield Verdict(rows[0].model, text, str(gap), "≤ 0.25", gap.value <= 0.25)
            text = f"W4: tokens/s of everything over {arm}"
            yield Verdict(rows[0].model, text, str(speed), "≥ 0.9", speed.value >= 0.9)


def judge_adapters(rows: Sequence[Row]) -> Iterator[Verdict]:
    """W5: nobody fails, nobody waits much longer, and the answers are the same afterwards."""
    model = rows[0].model
    failed = total(rows, "errors") + total(rows, "failed_changes")
    changes = total(rows, "changes")
    text = f"W5: failed requests while adapters changed {changes:.0f} times"
    yield Verdict(model, text, f"{failed:.0f}", "0", failed == 0)
    quiet, changing = (series(rows, "ttft_p95", arm=OURS, case=case) for case in ("quiet", "changing"))
    ratio = measure_ratio(changing, quiet)
    yield Verdict(model, "W5: p95 time to first token over a quiet time", str(ratio), "≤ 1.2", ratio.value <= 1.2)
    same = min(series(rows, "same_after", arm=OURS))
    yield Verdict(model, "W5: greedy answers the same afterwards", "yes" if same else "no", "yes", bool(same))


def judge_pressure(rows: Sequence[Row]) -> Iterator[Verdict]:
    """W6: nobody fails, and it takes at most twice as long."""
    model, failed = rows[0].model, total(rows, "errors", case="tight")
    yield Verdict(model, "W6: failed requests with half the room", f"{failed:.0f}", "0", failed == 0)
    tight, roomy = (series(rows, "wall_seconds", arm=OURS, case=case) for case in ("tight", "roomy"))
    ratio = measure_ratio(tight, roomy)
    yield Verdict(model, "W6: time for everything over a roomy engine", str(ratio), "≤ 2", ratio.value <= 2)


def judge_cancels(rows: Sequence[Row]) -> Iterator[Verdict]:
    """W7: nothing stays behind."""
    model = rows[0].model
    left = total(rows, "left_running") + total(rows, "left_waiting") + total(rows, "left_cells")
    yield Verdict(model, "W7: requests and KV cells left after the storm", f"{left:.0f}", "0", left == 0)
    memory = series(rows, "rss_end_mib", arm=OURS)
    growth = memory[-1] / memory[0] - 1 if memory[0] else 0.0
    text = f"W7: memory after the last of {len(memory)} storms over the first"
    yield Verdict(model, text, f"{growth:+.1%}", "≤ +2 %", growth <= 0.02)
    failed = total(rows, "errors")
    yield Verdict(model, "W7: failures of requests that were not cancelled", f"{failed:.0f}", "0", failed == 0)


def judge_gate(rows: Sequence[Row]) -> Iterator[Verdict]:
    """Correctness: what is written does not depend on who else writes, nor on the cache."""
    model = rows[0].model
    compared = [row for row in rows if row.case != "canaries"]
    for name, text in (
        ("equal", "greedy answers equal to one sequence alone"),
        ("cached_equal", "second turns from the cache equal to one sequence alone"),
        ("cached_as_cold", "second turns from the cache equal to unseen ones"),
    ):
        share = middle(compared, name)
        yield Verdict(model, f"Gate, {compared[0].case}: {text}", f"{share:.1%}", "≥ 99 %", share >= 0.99)
    for row in rows:
        if row.case == "canaries":
            own, foreign = row.values["said_own"], row.values["said_foreign"]
            text = f"Gate: of {row.values['conversations']:.0f} threads ({own:.0f} say their own name), say another's"
            yield Verdict(model, text, f"{foreign:.0f}", "0", foreign == 0)
