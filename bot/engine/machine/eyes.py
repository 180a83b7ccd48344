"""Where an mmproj goes, and what it takes there, before the model itself is planned into what is left."""

from dataclasses import dataclass, replace

from bot.engine.files.gguf_header import Header
from bot.engine.files.mmproj import name_projector
from bot.engine.machine.fit import MIB, Fit, Machine
from bot.engine.machine.fit_report import size
from bot.engine.types import EngineOptions

COMPUTE_BYTES, COMPUTE_SHARE = 64 * MIB, 0.5  # beside the weights; no header says how much it takes to compute


@dataclass(frozen=True, slots=True)
class EyesFit:
    """The plan for an mmproj."""

    header: Header
    needs: int
    device: str = ""  # the GPU that computes pictures, if one does

    def count_threads(self, machine: Machine, fit: Fit) -> int:
        """Return how many threads compute pictures: those that answers leave, so that nobody's text stutters."""
        return max(1, machine.cores - fit.threads)

    def render(self, machine: Machine, fit: Fit) -> str:
        """Return the plan in one line."""
        where = self.device or f"main memory, threads that answers leave: {self.count_threads(machine, fit)}"
        return f"{self.header.path}, {name_projector(self.header)}: about {size(self.needs)} in {where}"


def place_eyes(header: Header, machine: Machine, options: EngineOptions) -> tuple[EyesFit, Machine]:
    """Return where an mmproj goes, the first GPU if it has room, and what it leaves of the machine."""
    needs = int(header.file_bytes * (1 + COMPUTE_SHARE)) + COMPUTE_BYTES
    first, *others = machine.devices or (None,)
    if first and options.n_gpu_layers and first.free - first.margin > needs:
        left = replace(first, free=first.free - needs)
        return EyesFit(header, needs, first.name), replace(machine, devices=(left, *filter(None, others)))
    return EyesFit(header, needs), replace(machine, memory=machine.memory - needs)
