"""How many processor cores and how much memory the engine may really use."""

import math
import os
from contextlib import suppress
from pathlib import Path

CPU_TOPOLOGY = Path("/sys/devices/system/cpu")
CGROUPS = Path("/sys/fs/cgroup")
MEMORY = Path("/proc/meminfo")
OWN_CGROUP = Path("/proc/self/cgroup")
NO_LIMIT = 2**60


def count_usable_cores() -> int:
    """Return the physical cores this process may run on, within its container's share of time; at least one."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    siblings = {_read_siblings(cpu) for cpu in allowed}
    return max(1, min(len(siblings), _read_share()))


def read_free_memory() -> int:
    """Return the bytes that may still be used: of the machine, and of each container around this process."""
    return max(0, min(_read_available(MEMORY), *(read_cgroup(folder) for folder in _list_cgroups())))


def read_cgroup(folder: Path) -> int:
    """Return the bytes that a container may still use; files that can be read again do not count as used."""
    for limit, used, reclaimable in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with suppress(OSError, ValueError):  # "max" is no number: there is no limit
            free = int((folder / limit).read_text()) - int((folder / used).read_text())
            return max(0, free + _read_field(folder / "memory.stat", reclaimable))
    return NO_LIMIT


def _list_cgroups() -> list[Path]:
    """Return the folders of every container around this process; in a container its own stands at the root."""
    folders = [CGROUPS, CGROUPS / "memory"]
    with suppress(OSError):
        for line in OWN_CGROUP.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            root = CGROUPS / "memory" if "memory" in controllers.split(",") else CGROUPS
            inside = Path(path.lstrip("/"))
            folders += [root / part for part in (inside, *inside.parents)]
    return folders


def _read_available(meminfo: Path) -> int:
    """Return what the kernel thinks can be had without swapping; half of all where it says nothing (macOS)."""
    try:
        return _read_field(meminfo, "MemAvailable:") * 1024
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _read_field(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        words = line.split()
        if words and words[0] == name:
            return int(words[1])
    return 0


def _read_siblings(cpu: int) -> str:
    """Return a name for the physical core that *cpu* is a thread of."""
    try:
        return (CPU_TOPOLOGY / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _read_share() -> int:
    """Return the whole cores that the container's limit allows, many if there is none."""
    try:
        quota, period = (CGROUPS / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return 10_000
    return 10_000 if quota == "max" else math.ceil(int(quota) / int(period))
