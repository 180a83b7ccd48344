"""Chooses what of a model goes where, and how much room conversations get: sizes and free memory in, a plan out.

Pure: no file is read and nothing is loaded. Prefers, in this order: all layers on the GPU with room for two adapters
beside the model, long conversations, many of them; when not all layers fit, as many as do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bot.engine.machine.footprint import Footprint
from bot.engine.types import EngineOptions

MIB, GIB = 2**20, 2**30
LONGEST_N_CTX, SHORTEST_N_CTX, SHORTEST_WITH_ADAPTERS = 16_384, 2_048, 4_096
MAX_SLOTS = 256
CACHED_PER_RUNNING = 4
SPARE_ADAPTERS = 2  # the one that is served and the one that is to replace it
KEPT_SHARE = 0.9
BYTES_PER_THREAD = 64 * MIB
PROCESS_BYTES = 256 * MIB  # Python, its libraries and llama.cpp's own tables


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU; a unified one has no memory of its own, *handle* is what llama.cpp knows it by."""

    name: str
    description: str
    free: int
    total: int
    is_unified: bool = False
    handle: int = 0

    @property
    def margin(self) -> int:
        """What is left alone, for drivers, the screen and what no estimate knows."""
        return max(512 * MIB, min(GIB, self.total // 12))


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to compute with."""

    devices: tuple[Device, ...]
    memory: int
    cores: int

    @property
    def margin(self) -> int:
        """What of the main memory is left to everybody else."""
        return max(512 * MIB, min(2 * GIB, self.memory // 10))


@dataclass(frozen=True, slots=True)
class Need:
    """What one place has to hold, and what it has."""

    place: str
    weights: int
    cache: int
    compute: int
    spare: int
    free: int
    margin: int
    layers: int = 0

    @property
    def total(self) -> int:
        """All of it together."""
        return self.weights + self.cache + self.compute + self.spare

    @property
    def missing(self) -> int:
        """How much too little there is; zero when it fits."""
        return max(0, self.total + self.margin - self.free)


@dataclass(frozen=True, slots=True)
class Room:
    """How much is remembered: a conversation's tokens, all cells, and how many adapters find room beside the model."""

    n_ctx: int
    n_cells: int
    adapters: int


@dataclass(frozen=True, slots=True)
class Fit:
    """The plan: *split* has a number of layers for each device, the output counting as one; *needs* the host last.

    *better* is the plan that was tried before this one and did not fit.
    """

    room: Room
    n_layers: int
    split: tuple[int, ...]
    threads: int
    slots: int
    batch: int
    needs: tuple[Need, ...]
    better: "Fit | None" = None

    @property
    def gpu_layers(self) -> int:
        """How many layers leave the main memory."""
        return sum(self.split)

    @property
    def missing(self) -> int:
        """How much too little memory there is in the worst place."""
        return max(need.missing for need in self.needs)


def choose_fit(footprint: Footprint, machine: Machine, options: EngineOptions) -> Fit:
    """Return the best plan; the smallest one, with what is missing, when none fits."""
    all_layers = len(footprint.layers) + 1 if machine.devices else 0
    wanted = all_layers if options.n_gpu_layers < 0 else min(options.n_gpu_layers, all_layers)
    rooms = list(list_rooms(options, n_ctx_train=footprint.n_ctx_train))
    found = _find_largest(footprint, machine, options, rooms=rooms, layers=wanted)
    if found.missing and options.n_gpu_layers < 0 and wanted:
        found = _find_partial(footprint, machine, options, rooms=rooms) or found
    return found


def choose_layout(footprint: Footprint, machine: Machine, options: EngineOptions) -> EngineOptions:
    """Say whether conversations share their cells: each its own is faster, but takes room for all at full length."""
    if options.kv_unified is not None:
        return options
    split, shared = (replace(options, kv_unified=is_unified) for is_unified in (False, True))
    if options.kv_cells:
        return shared
    fits = [choose_fit(footprint, machine, layout) for layout in (split, shared)]
    ranks = [(-fit.missing, fit.gpu_layers, fit.room.n_ctx, fit.room.adapters) for fit in fits]
    return split if ranks[0] >= ranks[1] else shared


def list_rooms(options: EngineOptions, *, n_ctx_train: int) -> Iterator[Room]:
    """Yield what could be remembered, the best first; what the options say is not bargained with."""
    trained = n_ctx_train or LONGEST_N_CTX
    contexts = [options.n_ctx or min(trained, LONGEST_N_CTX)]
    while not options.n_ctx and contexts[-1] > min(trained, SHORTEST_N_CTX):
        contexts.append(max(min(trained, SHORTEST_N_CTX), contexts[-1] // 2))
    for adapters in range(min(options.max_adapters, SPARE_ADAPTERS), -1, -1):
        least = min(contexts[0], SHORTEST_WITH_ADAPTERS) if adapters else 0
        fitting = [n_ctx for n_ctx in contexts if n_ctx >= least]
        for n_ctx in fitting:
            yield from (
                Room(n_ctx, cells, adapters) for cells in list_cells(options, n_ctx=n_ctx, is_last=n_ctx == fitting[-1])
            )


def list_cells(options: EngineOptions, *, n_ctx: int, is_last: bool) -> Iterator[int]:
    """Yield sizes of the cache for conversations of *n_ctx* tokens; one alone may fill it only at last."""
    cells = choose_cells(options, n_ctx=n_ctx)
    yield cells
    while options.kv_unified and not options.kv_cells and cells // 2 >= n_ctx * (1 if is_last else 2):
        cells //= 2
        yield cells


def _find_largest(
    footprint: Footprint, machine: Machine, options: EngineOptions, *, rooms: Sequence[Room], layers: int
) -> Fit:
    """Return the plan with the best room for a given number of layers on the GPU."""
    better: Fit | None = None
    for room in rooms:
        fit = replace(build_fit(footprint, machine, options, room=room, layers=layers), better=better)
        if not fit.missing:
            break
        better = replace(fit, better=None)
    return fit


def _find_partial(
    footprint: Footprint, machine: Machine, options: EngineOptions, *, rooms: Sequence[Room]
) -> Fit | None:
    """Return the plan with the most layers on the GPU when not all fit; adapters may cost few of them."""
    found = []
    for adapters in sorted({room.adapters for room in rooms}, reverse=True):
        modest = [room for room in rooms if room.adapters == adapters and room.n_ctx >= SHORTEST_WITH_ADAPTERS]
        room = (modest or list(rooms))[-1]
        found.append(_find_most(footprint, machine, options, room=room))
    usable = [fit for fit in found if fit and fit.gpu_layers]
    if usable:
        most = max(fit.gpu_layers for fit in usable)
        return next(fit for fit in usable if fit.gpu_layers >= KEPT_SHARE * most)
    fit = _find_largest(footprint, machine, options, rooms=rooms, layers=0)
    return None if fit.missing else fit


def _find_most(footprint: Footprint, machine: Machine, options: EngineOptions, *, room: Room) -> Fit | None:
    """Return the plan with the most layers on the GPU for a given room."""
    better: Fit | None = None
    for layers in range(len(footprint.layers), 0, -1):
        fit = build_fit(footprint, machine, options, room=room, layers=layers)
        if not fit.missing:
            return replace(fit, better=better)
        better = fit
    return None


def build_fit(footprint: Footprint, machine: Machine, options: EngineOptions, *, room: Room, layers: int) -> Fit:
    """Return the plan for a given room and number of layers, whether it fits or not."""
    slots, batch = choose_slots(options), max(options.n_batch, options.max_sequences)
    first = len(footprint.layers) + 1 - layers
    compute = footprint.count_compute(
        cells=room.n_cells, slots=slots, batch=batch, has_flash=options.flash_attention != "off"
    )
    has_devices = bool(machine.devices and layers)
    needs, place = [], first
    devices = machine.devices if has_devices else ()
    for number, device in enumerate(devices):
        need = Need(device.name, 0, 0, compute, room.adapters * compute, device.free, device.margin)
        while place <= len(footprint.layers):
            more = _add_layer(need, footprint, place, room=room, slots=slots, kv_type=options.kv_type)
            if more.missing and (number + 1 < len(devices)):
                break
            need, place = more, place + 1
        needs.append(need if need.layers else Need(device.name, 0, 0, 0, 0, device.free, device.margin))
    host = _measure_host(footprint, machine, options, room=room, first=first if has_devices else None)
    split = tuple(need.layers for need in needs)
    own = sum(layer.weights for layer in footprint.layers[: first if has_devices else None])
    threads = options.threads or choose_threads(own, cores=machine.cores)
    unified = [need for need, device in zip(needs, machine.devices, strict=False) if device.is_unified]
    if unified:
        host = replace(host, free=host.free - sum(need.total for need in unified))
    return Fit(room, len(footprint.layers) + 1, split, threads, slots, batch, (*needs, host))


def _add_layer(need: Need, footprint: Footprint, index: int, *, room: Room, slots: int, kv_type: str) -> Need:
    """Return what a device needs with one layer more."""
    everything = footprint.count_layer(index, cells=room.n_cells, slots=slots, kv_type=kv_type)
    weights = footprint.layers[index].weights if index < len(footprint.layers) else everything
    cache = everything - weights
    return replace(
        need,
        weights=need.weights + weights,
        cache=need.cache + cache,
        spare=need.spare + room.adapters * cache,
        layers=need.layers + 1,
    )


def _measure_host(
    footprint: Footprint, machine: Machine, options: EngineOptions, *, room: Room, first: int | None
) -> Need:
    """Return what the main memory holds: everything from the beginning to layer *first*, all if there is none."""
    slots, batch = choose_slots(options), max(options.n_batch, options.max_sequences)
    here = footprint.layers[:first]
    own = replace(footprint, layers=here)
    cache = own.count_cache(cells=room.n_cells, slots=slots, kv_type=options.kv_type)
    has_output = first is None or first > len(footprint.layers)
    output = footprint.output_bytes if has_output and not footprint.is_tied else 0
    weights = footprint.input_bytes + sum(layer.weights for layer in here) + output
    logits = footprint.count_outputs(slots=slots, batch=batch) * 4 * footprint.n_vocab
    flash = options.flash_attention != "off"
    compute = footprint.count_compute(cells=room.n_cells, slots=slots, batch=batch, has_flash=flash)
    each = cache + logits + (compute if here else compute // 4)
    return Need(
        "main memory",
        weights,
        cache,
        each - cache + PROCESS_BYTES,
        room.adapters * each,
        machine.memory,
        machine.margin,
        layers=len(here) + (1 if has_output else 0),
    )


def choose_cells(options: EngineOptions, *, n_ctx: int) -> int:
    """Return the size of the KV cache: every conversation's full context when split, half of that when shared.

    Conversations rarely fill their context at the same time; when they do, the youngest waits.
    """
    if not options.kv_unified:
        return n_ctx * options.max_sequences
    return max(n_ctx, options.kv_cells or n_ctx * options.max_sequences // 2)


def choose_threads(weights: int, *, cores: int) -> int:
    """Return how many threads compute: one core stays free, and a small model is computed by few.

    llama.cpp's threads wait for each other in a busy loop after every operation. One thread that has to share its
    core then holds up all the others: with as many threads as cores, a busy machine is a hundred times slower.
    """
    return max(1, min(cores - 1, 1 + weights // BYTES_PER_THREAD))


def choose_slots(options: EngineOptions) -> int:
    """Return how many sequences the cache can tell apart; idle ones cost nothing where the cells are shared."""
    slots = options.max_sequences * (CACHED_PER_RUNNING if options.kv_unified else 1)
    return min(MAX_SLOTS, max(slots, options.max_sequences))
