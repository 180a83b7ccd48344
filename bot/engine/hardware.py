"""How many processor cores the engine may really use."""

import math
import os
from pathlib import Path

CPU_TOPOLOGY = Path("/sys/devices/system/cpu")
CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def count_usable_cores() -> int:
    """Return the physical cores this process may run on, within its container's share of time; at least one."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    siblings = {_read_siblings(cpu) for cpu in allowed}
    return max(1, min(len(siblings), _read_share()))


def _read_siblings(cpu: int) -> str:
    """Return a name for the physical core that *cpu* is a thread of."""
    try:
        return (CPU_TOPOLOGY / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _read_share() -> int:
    """Return the whole cores that the container's limit allows, many if there is none."""
    try:
        quota, period = CGROUP_LIMIT.read_text().split()
    except (OSError, ValueError):
        return 10_000
    return 10_000 if quota == "max" else math.ceil(int(quota) / int(period))
