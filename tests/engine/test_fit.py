"""Whether the plan is right: sizes against llama.cpp's own, and choices on machines that we do not have."""

import logging
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import llama_cpp as lib
import numpy as np
import pytest

from bot.engine.files.gguf_header import read_header
from bot.engine.llama.context import Context
from bot.engine.llama.model import GGML, Model, start_backend
from bot.engine.loaded import Plan, load_model, plan_model
from bot.engine.machine.devices import list_devices
from bot.engine.machine.fit import Device, Fit, Machine, choose_fit, choose_layout, list_rooms
from bot.engine.machine.footprint import Footprint, measure
from bot.engine.types import EngineOptions
from bot.errors import ModelFileError
from bot.settings import STARTER_MODEL
from tests.engine.sparse_model import (
    DEEPSEEK_LITE,
    GEMMA_4B,
    LFM_1B,
    LLAMA_8B,
    MAMBA_1B,
    MOE_30B,
    QWEN_7B,
    Shape,
    write_sparse_model,
)

MIB, GIB = 2**20, 2**30
SHAPES = {
    "llama": LLAMA_8B,
    "qwen": QWEN_7B,
    "gemma": GEMMA_4B,
    "mamba": MAMBA_1B,
    "moe": MOE_30B,
    "deepseek": DEEPSEEK_LITE,
    "lfm": LFM_1B,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return models of real shapes without their weights."""
    folder = tmp_path_factory.mktemp("shapes")
    return {name: write_sparse_model(folder / f"{name}.gguf", shape) for name, shape in SHAPES.items()}


@pytest.fixture(scope="module")
def footprints(files: dict[str, Path]) -> dict[str, Footprint]:
    """Return what each of them takes."""
    return {name: measure(read_header(path)) for name, path in files.items()}


def build_machine(*gpus: float, memory: float, is_unified: bool = False) -> Machine:
    """Return a machine with GPUs and main memory of so many free GiB."""
    devices = [
        Device(f"GPU{number}", "a test", int(free * GIB), int(free * GIB), is_unified)
        for number, free in enumerate(gpus)
    ]
    return Machine(tuple(devices), int(memory * GIB), 8)


def options(**values: object) -> EngineOptions:
    """Return options that name no real file."""
    return EngineOptions(model_path=Path("m.gguf"), **{"kv_unified": True, **values})


def choose(footprint: Footprint, *gpus: float, memory: float, **values: object) -> Fit:
    """Return the plan for a machine."""
    return choose_fit(footprint, build_machine(*gpus, memory=memory), options(**values))


def ask_llama_cpp(
    path: Path, caplog: pytest.LogCaptureFixture, *, flash: int = -1, kv: str = "F16"
) -> dict[str, float]:
    """Return what llama.cpp would allocate for 32 slots and 16,384 cells, in bytes, without allocating the weights."""
    start_backend()
    params = lib.llama_model_default_params()
    params.no_alloc, params.load_mode, params.use_extra_bufts = True, lib.LLAMA_LOAD_MODE_NONE, False
    context_params = lib.llama_context_default_params()
    context_params.n_ctx, context_params.n_seq_max, context_params.kv_unified = 16_384, 32, True
    context_params.n_batch = context_params.n_ubatch = 512
    context_params.n_outputs_max, context_params.flash_attn_type = 64, flash
    context_params.type_k = context_params.type_v = getattr(lib, f"GGML_TYPE_{kv}")
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "bot.engine.llama"):
        model = lib.llama_model_load_from_file(str(path).encode(), params)
        context = lib.llama_init_from_model(model, context_params)
    assert context
    size = int(lib.llama_model_size(model))
    lib.llama_free(context)
    lib.llama_model_free(model)
    said = "\n".join(record.getMessage() for record in caplog.records)
    caches = re.findall(r"(?:llama_kv_cache|llama_memory_recurrent): size = +([\d.]+) MiB", said)
    compute = re.findall(r"compute buffer size = +([\d.]+) MiB", said)
    return {
        "weights": size,
        "cache": sum(map(float, caches)) * MIB,
        "compute": sum(map(float, compute)) * MIB,
    }


@pytest.mark.parametrize("name", SHAPES)
def test_sizes_are_those_of_llama_cpp(
    files: dict[str, Path], footprints: dict[str, Footprint], caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Weights and cache to a thousandth; the room to compute is never too small, and at most twice of what it takes."""
    footprint, real = footprints[name], ask_llama_cpp(files[name], caplog)

    assert footprint.weights == pytest.approx(real["weights"], rel=0.001)
    assert footprint.count_cache(cells=16_384, slots=32, kv_type="f16") == pytest.approx(real["cache"], rel=0.001)
    room = footprint.count_compute(cells=16_384, slots=32, batch=512, has_flash=True)
    assert real["compute"] <= room <= 2 * real["compute"]


@pytest.mark.parametrize(("kv", "flash"), [("F16", 0), ("Q8_0", 1), ("Q4_0", 1)])
def test_kinds_of_the_cache_count(
    files: dict[str, Path], footprints: dict[str, Footprint], caplog: pytest.LogCaptureFixture, kv: str, flash: int
) -> None:
    """A quantized cache is smaller; without flash attention every head needs its scores."""
    real = ask_llama_cpp(files["llama"], caplog, flash=flash, kv=kv)
    footprint = footprints["llama"]

    cache = footprint.count_cache(cells=16_384, slots=32, kv_type=kv.lower())
    room = footprint.count_compute(cells=16_384, slots=32, batch=512, has_flash=flash != 0)
    assert cache == pytest.approx(real["cache"], rel=0.001)
    assert real["compute"] <= room <= 2 * real["compute"]


def test_the_starter_and_tiny_models_take_what_was_planned(tiny_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is really allocated when they are served: the planned cells, weights and at most the planned room."""
    for path in (STARTER_MODEL, tiny_model):
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "bot.engine.llama"):
            loaded = load_model(EngineOptions(model_path=path, threads=1))
        said = "\n".join(record.getMessage() for record in caplog.records)
        need = loaded.fit.needs[-1]

        assert loaded.facts.n_cells == loaded.fit.room.n_cells
        assert need.weights == pytest.approx(loaded.facts.size, rel=0.01)
        assert need.cache == sum(float(size) for size in re.findall(r"CPU KV buffer size = +([\d.]+)", said)) * MIB
        assert need.compute >= sum(float(size) for size in re.findall(r"compute buffer size = +([\d.]+)", said)) * MIB
        loaded.close()


@pytest.mark.parametrize(
    ("gpus", "memory", "layers", "n_ctx"),
    [
        ((), 60, (), 16_384),
        ((), 8, (), 4_096),
        ((7.5,), 16, (33,), 4_096),
        ((15.5,), 32, (33,), 8_192),
        ((23.3,), 64, (33,), 16_384),
        ((79.0,), 200, (33,), 16_384),
        ((4.0,), 16, (21,), 4_096),
    ],
)
def test_a_model_of_eight_billion_on_many_machines(
    footprints: dict[str, Footprint], gpus: Sequence[float], memory: float, layers: tuple[int, ...], n_ctx: int
) -> None:
    """All layers where they fit, the longest conversations that leave room for two adapters."""
    fit = choose(footprints["llama"], *gpus, memory=memory)

    assert not fit.missing
    assert fit.split == layers
    assert fit.room.n_ctx == n_ctx


def test_nothing_is_ever_planned_beyond_what_is_free(footprints: dict[str, Footprint]) -> None:
    """On every machine: a plan that fits leaves the margin in each place and every layer lies somewhere."""
    for footprint in footprints.values():
        for gpus in ((), (2,), (6,), (8, 8), (24,), (24, 10, 6), (80, 80)):
            for memory in (2, 6, 12, 30, 200):
                machine = build_machine(*gpus, memory=memory)
                fit = choose_fit(footprint, machine, options())
                assert sum(need.layers for need in fit.needs) == len(footprint.layers) + 1
                assert fit.gpu_layers == sum(fit.split)
                if not fit.missing:
                    assert all(need.total + need.margin <= need.free for need in fit.needs if need.layers)


def test_more_memory_never_means_fewer_layers(footprints: dict[str, Footprint]) -> None:
    """Layers on the GPU grow with its memory."""
    counts = [choose(footprints["moe"], free / 2, memory=64).gpu_layers for free in range(2, 60)]

    assert counts == sorted(counts)
    assert counts[0] < 10
    assert counts[-1] == 49


def test_two_gpus_share_what_one_cannot_hold(footprints: dict[str, Footprint]) -> None:
    """The first takes what it can; one alone is used when it is enough."""
    assert choose(footprints["moe"], 12, 12, memory=32).gpu_layers == 49
    assert choose(footprints["moe"], 80, 80, memory=200).split == (49, 0)
    partial = choose(footprints["moe"], 5, 4, memory=32)
    assert 0 < partial.split[1] < partial.split[0] < 49


def test_a_model_that_is_larger_than_everything_says_what_is_missing(files: dict[str, Path]) -> None:
    """One sentence: what it needs, what there is, what to do."""
    header = read_header(files["moe"])
    footprint, machine = measure(header), build_machine(4, memory=6)
    plan = Plan(options(), header, footprint, machine, choose_fit(footprint, machine, options()))

    assert plan.fit.missing > 5 * GIB
    assert re.search(r"does not fit: .* needs 1\d\.\d GiB, and 10\.0 GiB are free", plan.explain_lack())
    assert "quantize" in plan.explain_lack()


def test_what_you_ask_for_is_obeyed(footprints: dict[str, Footprint]) -> None:
    """Layers, context, cells and threads are not bargained with; the plan says when that does not fit."""
    assert choose(footprints["llama"], 24, memory=64, n_gpu_layers=0).split == ()
    assert choose(footprints["llama"], 24, memory=64, n_gpu_layers=10).split == (10,)
    assert choose(footprints["llama"], 24, memory=64, n_gpu_layers=999).split == (33,)
    assert choose(footprints["llama"], memory=64, n_gpu_layers=20).split == ()
    assert choose(footprints["llama"], memory=64, n_ctx=30_000).room.n_ctx == 30_000
    assert choose(footprints["llama"], memory=64, n_ctx=1000, kv_cells=5000).room.n_cells == 5000
    assert choose(footprints["llama"], memory=64, threads=3).threads == 3
    assert choose(footprints["llama"], 6, memory=64, n_gpu_layers=33, n_ctx=32_768).missing > GIB
    assert choose(footprints["llama"], memory=8, n_ctx=100_000).missing > GIB


def test_a_smaller_cache_lets_conversations_be_longer(footprints: dict[str, Footprint]) -> None:
    """q8_0 makes room for twice as many cells as f16."""
    plain, small = (choose(footprints["llama"], 10, memory=32, kv_type=kind) for kind in ("f16", "q8_0"))

    assert small.room.n_cells == 2 * plain.room.n_cells


def test_memory_that_is_shared_is_counted_once(footprints: dict[str, Footprint]) -> None:
    """An integrated GPU's memory is the machine's: both together must fit."""
    machine = build_machine(20, memory=20, is_unified=True)
    fit = choose_fit(footprints["moe"], machine, options())

    gpu, host = fit.needs
    assert not fit.missing
    assert gpu.total + host.total + max(gpu.margin, host.margin) <= 20 * GIB


def test_recurrent_models_have_a_state_for_each_slot(footprints: dict[str, Footprint]) -> None:
    """Their memory grows with conversations, not with tokens."""
    mamba = footprints["mamba"]
    few, many = (mamba.count_cache(cells=cells, slots=slots, kv_type="f16") for cells, slots in ((99, 8), (99_999, 8)))

    assert few == many > 0
    assert mamba.count_cache(cells=99, slots=16, kv_type="f16") == 2 * few


@pytest.mark.parametrize(
    ("gpu", "changes", "is_shared"),
    [(80, {}, False), (12, {}, True), (80, {"kv_cells": 5000}, True), (80, {"kv_unified": True}, True)],
)
def test_cells_are_split_where_that_costs_nothing(
    footprints: dict[str, Footprint], gpu: float, changes: dict[str, object], is_shared: bool
) -> None:
    """Each conversation has its own cells if they all can be as long, on as many layers, with as many adapters."""
    asked = options(**{"kv_unified": None, **changes})

    assert choose_layout(footprints["llama"], build_machine(gpu, memory=64), asked).kv_unified is is_shared


def test_rooms_begin_with_the_best() -> None:
    """Adapters before length, length before numbers; a single conversation fills the cells only at the very end."""
    rooms = list(list_rooms(options(), n_ctx_train=131_072))

    assert (rooms[0].n_ctx, rooms[0].n_cells, rooms[0].adapters) == (16_384, 65_536, 2)
    assert (rooms[-1].n_ctx, rooms[-1].n_cells, rooms[-1].adapters) == (2_048, 2_048, 0)
    assert [room.adapters for room in rooms] == sorted((room.adapters for room in rooms), reverse=True)
    assert len(list(list_rooms(options(n_ctx=512, kv_unified=False), n_ctx_train=2048))) == 3


def test_a_plan_that_failed_is_followed_by_a_smaller_one(files: dict[str, Path]) -> None:
    """Three quarters of the memory that was taken: fewer layers, or less to remember."""
    header = read_header(files["moe"])
    footprint = measure(header)
    for machine in (build_machine(12, memory=64), build_machine(memory=60)):
        plan = Plan(options(), header, footprint, machine, choose_fit(footprint, machine, options()))
        smaller = plan.shrink()

        assert not smaller.fit.missing
        assert sum(need.total for need in smaller.fit.needs[:1]) < 0.8 * sum(need.total for need in plan.fit.needs[:1])


def test_the_processor_is_a_device_that_tells_its_memory() -> None:
    """The way to ask ggml works on this machine, though there may be no GPU."""
    start_backend()
    (processor,) = list_devices(GGML, kinds={0})

    assert processor.name == "CPU"
    assert GIB // 4 < processor.free <= processor.total


def test_a_split_reaches_llama_cpp(tiny_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The devices and their shares of the layers; the processor stands for two GPUs here."""
    start_backend()
    (processor,) = list_devices(GGML, kinds={0})
    with caplog.at_level(logging.DEBUG, "bot.engine.llama"):
        model = Model(tiny_model, n_gpu_layers=2, split=[(processor.handle, 1), (processor.handle, 1)])
    context = Context(model, n_cells=256, n_slots=1, n_batch=32, kv_unified=True, threads=1)

    assert context.decode([(0, np.array([1, 2, 3], dtype=np.int32), 0, 1)]) == 0
    assert np.isfinite(context.logits(2)).all()
    assert sum("using device CPU" in record.getMessage() for record in caplog.records) == 2
    context.close()
    model.close()


SMALL = Shape(layers=8, width=512, hidden=512, heads=8, heads_kv=8, head=64, vocab=1000, n_ctx=65_536)
SCRIPT = """
import logging, resource, sys
from pathlib import Path
from bot.engine.loaded import load_model
from bot.engine.types import EngineOptions
logging.basicConfig(level="INFO", format="%(message)s")
used = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmSize"))) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 900 * 2**20,) * 2)
asked = EngineOptions(model_path=Path(sys.argv[1]), threads=1, max_adapters=0, kv_type="f32", kv_unified=True)
loaded = load_model(asked)
print("cells", loaded.facts.n_cells)
"""


def test_less_memory_than_was_promised_makes_a_smaller_context(tmp_path: Path) -> None:
    """A process that may not have what the plan found free: it says so and serves fewer cells instead of dying."""
    model = write_sparse_model(tmp_path / "model.gguf", SMALL)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(model)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "A smaller plan is tried." in done.stderr
    cells = int(done.stdout.split()[-1])
    assert 2_048 <= cells < 65_536


def test_a_process_that_may_start_no_threads_serves_all_the_same(tmp_path: Path) -> None:
    """llama.cpp checks each tensor in a thread of its own; where none can be had, the file goes unchecked."""
    model = write_sparse_model(tmp_path / "model.gguf", SMALL)
    asked = ["prlimit", f"--stack={2**31}:{2**31}", sys.executable, "-c", SCRIPT, str(model)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "is loaded unchecked" in done.stderr
    assert done.stdout.startswith("cells")


def test_an_adapter_is_not_served_as_a_model(tmp_path: Path) -> None:
    """Nor is a header without layers."""
    from tests.engine.tiny_adapter import write_tiny_adapter

    with pytest.raises(ModelFileError, match="is an adapter"):
        plan_model(replace(options(), model_path=write_tiny_adapter(tmp_path / "a.gguf")))
