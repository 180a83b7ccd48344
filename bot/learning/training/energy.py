"""How much energy a training takes: measured where the machine tells, reckoned from stated watts where it does not."""

import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from bot.language import N_
from bot.learning import sentences

JOULES_PER_KWH = 3.6e6
RAPL = Path("/sys/class/powercap")


class Meter:
    """Adds up joules between two readings; counters that begin anew are met by reading them at every step."""

    def __init__(self, *, watts: float = 0.0, is_cuda: bool = False, rapl: Path = RAPL) -> None:
        self.source, self._counters = _find_counters(rapl, is_cuda=is_cuda)
        self._watts = watts
        self._joules = 0.0
        self._started = time.monotonic()
        self._last = [read() for read, _ in self._counters]
        if not self._counters and watts > 0:
            self.source = sentences.STATED_WATTS.format(watts=watts)

    def read(self) -> None:
        """Take what the counters have gained since the last reading."""
        for number, (read, limit) in enumerate(self._counters):
            now = read()
            gained = now - self._last[number]
            self._joules += gained if gained >= 0 else gained + limit
            self._last[number] = now

    def kwh(self) -> float | None:
        """Return the energy since the beginning; None where nobody knows."""
        if self._counters:
            self.read()
            return self._joules / JOULES_PER_KWH
        if self._watts > 0:
            return self._watts * (time.monotonic() - self._started) / JOULES_PER_KWH
        return None


Counter = tuple[Callable[[], float], float]  # joules so far, and at how many it begins anew


def _find_counters(rapl: Path, *, is_cuda: bool) -> tuple[str, list[Counter]]:
    if is_cuda and (counter := _open_nvml()):
        return N_("the GPU's own counter (NVML)"), [counter]
    found: list[Counter] = []
    for zone in sorted(rapl.glob("intel-rapl:[0-9]")):
        with suppress(OSError, ValueError):
            limit = _read_micro(zone / "max_energy_range_uj")
            _read_micro(zone / "energy_uj")  # root alone may read it on most systems
            found.append((lambda path=zone / "energy_uj": _read_micro(path), limit))  # type: ignore[misc]
    source = N_("the processor's own counter (RAPL), with all else that ran on it")
    return source if found else "", found


def _open_nvml() -> Counter | None:
    try:
        nvml = import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        card = nvml.nvmlDeviceGetHandleByIndex(0)
        nvml.nvmlDeviceGetTotalEnergyConsumption(card)
    except nvml.NVMLError:
        return None
    return (lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1e3), 0.0


def _read_micro(path: Path) -> float:
    return int(path.read_text()) / 1e6
