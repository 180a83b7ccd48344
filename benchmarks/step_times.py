"""What the engine says about its own steps: the difference between two readings of its `/metrics`."""

import re
from dataclasses import dataclass

from benchmarks.arms import OURS, Arm

LINE = re.compile(r"^(?P<name>\w+?)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reading:
    """All values at one moment, by name and labels."""

    values: dict[str, float]

    def total(self, name: str) -> float:
        """Return the sum of a metric over all its labels."""
        return sum(value for key, value in self.values.items() if key.partition("{")[0] in {name, f"{name}_total"})


def parse_metrics(text: str) -> Reading:
    """Return Prometheus' text as values."""
    found = LINE.finditer(text)
    return Reading({f"{line['name']}{{{line['labels'] or ''}}}": float(line["value"]) for line in found})


async def read_metrics(arm: Arm) -> Reading:
    """Return the engine's counters; empty for every other server."""
    if arm.name != OURS:
        return Reading({})
    async with arm.client.session.get(f"{arm.client.url}/metrics") as response:
        return parse_metrics(await response.text())


def measure_steps(before: Reading, after: Reading) -> dict[str, float]:
    """Return the mean milliseconds of each part of a step between two readings, and the steps."""
    prefix = "engine_step_seconds_count{part="
    values: dict[str, float] = {}
    for key in after.values:
        if key.startswith(prefix):
            count = after.values[key] - before.values.get(key, 0)
            part = key.removeprefix(prefix).strip('"}')
            name = key.replace("_count", "_sum")
            if count:
                values[f"step_{part}_ms"] = (after.values[name] - before.values.get(name, 0)) / count * 1000
                values["steps"] = count
    return values


def measure_growth(before: Reading, after: Reading) -> dict[str, float]:
    """Return how often the engine evicted, preempted and swapped between two readings."""
    names = ("engine_evictions", "engine_preemptions", "engine_swaps")
    return {name.removeprefix("engine_"): after.total(name) - before.total(name) for name in names if after.values}
