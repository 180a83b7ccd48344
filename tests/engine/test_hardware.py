"""How much memory may be used: the machine's, or less where a container sets a limit."""

from pathlib import Path

import pytest

from bot.engine.machine import hardware
from bot.engine.machine.hardware import NO_LIMIT, read_cgroup, read_free_memory

GIB = 2**30


def test_the_kernel_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What can be had without swapping counts, not what is unused."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       16777216 kB\nMemFree:  1048576 kB\nMemAvailable:    8388608 kB\n")
    monkeypatch.setattr(hardware, "MEMORY", meminfo)
    monkeypatch.setattr(hardware, "CGROUPS", tmp_path)
    assert read_free_memory() == 8 * GIB

    (tmp_path / "memory.max").write_text(f"{4 * GIB}\n")
    (tmp_path / "memory.current").write_text(f"{3 * GIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {2 * GIB}\n")
    assert read_free_memory() == 3 * GIB


def test_older_containers_are_understood(tmp_path: Path) -> None:
    """Version 1 of the interface has other names."""
    (tmp_path / "memory.limit_in_bytes").write_text(str(2 * GIB))
    (tmp_path / "memory.usage_in_bytes").write_text(str(GIB))
    (tmp_path / "memory.stat").write_text("cache 5\ntotal_inactive_file 1024\n")

    assert read_cgroup(tmp_path) == GIB + 1024


@pytest.mark.parametrize("limit", ["max", "", None])
def test_no_limit_is_no_limit(tmp_path: Path, limit: str | None) -> None:
    """A container without a limit, or no container at all."""
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)

    assert read_cgroup(tmp_path) == NO_LIMIT


def test_a_limit_of_a_group_above_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The service's own group has none, its slice does."""
    inner = tmp_path / "team.slice" / "bot.service"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max")
    (inner.parent / "memory.max").write_text(str(GIB))
    (inner.parent / "memory.current").write_text("0")
    (inner.parent / "memory.stat").write_text("")
    own = tmp_path / "cgroup"
    own.write_text("0::/team.slice/bot.service\n")
    monkeypatch.setattr(hardware, "CGROUPS", tmp_path)
    monkeypatch.setattr(hardware, "OWN_CGROUP", own)

    assert read_free_memory() <= GIB


def test_this_machine_has_memory() -> None:
    """Without anything replaced a plausible number comes out."""
    assert GIB // 16 < read_free_memory() < NO_LIMIT
