"""The corpus of damaged model files: each ends in one sentence that names it, and no process dies of it."""

import json
import os
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

from bot.engine.adapters import AdapterRefused, try_in_process
from bot.engine.llama.model import start_backend
from bot.engine.loaded import plan_model
from bot.engine.supervisor import EngineSupervisor
from bot.engine.types import EngineOptions
from bot.errors import ModelFileError
from tests.engine.damage import ALIGNMENT, Damager
from tests.engine.test_supervisor import supervised
from tests.engine.tiny_adapter import write_tiny_adapter
from tests.engine.tiny_model import write_tiny_model

STARTER = Path(__file__).parents[2] / "bot" / "models" / "starter.gguf"
SLOWEST_SECONDS = 9.0
ROOT = Path(__file__).parents[2]


class Trial:
    """The process that loads one file after the other, each in a fork of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "damaged.gguf"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.trial"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def load(self, path: Path) -> dict:
        """Return how loading *path* ended."""
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def load_all(self, damaged: Iterator[tuple[str, bytes]]) -> Counter[str]:
        """Load every damaged file and count how it ended; fail at once when one is not refused as it should be."""
        ends = Counter[str]()
        for said, data in damaged:
            self.path.write_bytes(data)
            end = self.load(self.path)
            assert end["code"] in {0, 1}, f"{said}: {end}"
            assert end["seconds"] < SLOWEST_SECONDS, f"{said}: {end}"
            if end["code"] == 1:
                assert str(self.path) in end["said"], f"{said}: {end}"
                assert end["said"].count("\n") == 0, f"{said}: {end}"
            ends["refused" if end["code"] else "served all the same"] += 1
        return ends

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """Return a running trial."""
    running = Trial(tmp_path)
    yield running
    running.close()


NIGHTLY = [pytest.mark.nightly, pytest.mark.timeout(7200)]


@pytest.mark.parametrize(
    ("base", "number"),
    [
        ("tiny", 200),
        ("starter", 30),
        pytest.param("tiny", 10_000, marks=NIGHTLY),
        pytest.param("starter", 2_000, marks=NIGHTLY),
    ],
)
def test_no_damage_ends_the_process(trial: Trial, tmp_path: Path, base: str, number: int) -> None:
    """Random damage of the header, the sizes, the names and the weights: refused in a sentence, or served."""
    model = STARTER if base == "starter" else write_tiny_model(tmp_path / "base.gguf")
    damager = Damager(model.read_bytes())

    ends = trial.load_all(damager.make(seed) for seed in range(number))

    print(f"\ndamaged copies of the {base} model: {ends.total()}, {dict(ends)}, ended processes: 0")
    assert ends.total() == number
    assert ends["refused"] > number // 2


def test_every_cut_is_refused(tmp_path: Path) -> None:
    """Cut off at each boundary of the header and a byte beside it: a sentence with the name, before llama.cpp reads."""
    start_backend()
    cuts = Damager(write_tiny_model(tmp_path / "base.gguf").read_bytes()).boundaries()
    path = tmp_path / "cut.gguf"
    refused = 0
    for _, data in cuts:
        path.write_bytes(data)
        try:
            plan_model(EngineOptions(model_path=path))
        except ModelFileError as error:
            refused += str(path) in str(error)

    print(f"\ncut files: {len(cuts)}, refused by name: {refused}")
    assert refused == len(cuts)
    assert len(cuts) > 400


def write_variants(folder: Path) -> list[Path]:
    """Write files that are wrong as a whole."""
    data = write_tiny_model(folder / "base.gguf").read_bytes()
    damager = Damager(data)
    offsets = [field for field in damager.fields if field.kind == "offset"]
    files = {
        "empty": b"",
        "text": b"# a readme, not a model\n" * 1000,
        "page": b"<!doctype html><title>404</title>",
        "zip": b"PK\x03\x04" + bytes(1000),
        "pickle": b"\x80\x04cos\nsystem\n(S'touch escaped'\ntR.",
        "version 1": data[:4] + struct.pack("<I", 1) + data[8:],
        "version 4": data[:4] + struct.pack("<I", 4) + data[8:],
        "other endian": data[:4] + struct.pack(">IQQ", 3, 20, 20) + data[24:],
        "no tensors": damager.put(damager.fields[2], bytes(8)),
        "overlap": damager.put(offsets[3], struct.pack("<Q", ALIGNMENT)),
        "all at one place": b"",
        "nan": data[: damager.weights_start] + np.full(len(data) // 4, np.nan, np.float32).tobytes(),
        "infinity": data[: damager.weights_start] + np.full(len(data) // 4, np.inf, np.float32).tobytes(),
        "twice": data + data,
        "other vocabulary": data.replace(b"llama.vocab_size", b"llama.vocab_sizo"),
    }
    same = bytearray(data)
    for field in offsets:
        same[field.start : field.end] = bytes(8)
    files["all at one place"] = bytes(same)
    paths = []
    for name, content in files.items():
        path = folder / f"{name}.gguf"
        path.write_bytes(content)
        paths.append(path)
    return [*paths, *write_odd_files(folder), write_tiny_adapter(folder / "adapter.gguf"), *write_other_models(folder)]


def write_odd_files(folder: Path) -> list[Path]:
    """Make what is no usual file at all."""
    names = ["folder", "pipe", "loop", "dangling", "sparse", "device", "unreadable\nname"]
    paths = {name: folder / f"{name}.gguf" for name in names}
    paths["folder"].mkdir()
    os.mkfifo(paths["pipe"])
    paths["loop"].symlink_to(paths["loop"])
    paths["dangling"].symlink_to(folder / "nothing")
    paths["device"].symlink_to("/dev/zero")
    with paths["sparse"].open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 1, 1))
        file.truncate(2**40)
    return [paths[name] for name in names if name != "unreadable\nname"]


def write_other_models(folder: Path) -> list[Path]:
    """Write well-formed files that are not what the engine serves."""
    paths = []
    for name, drop in (("no tokenizer", "tokenizer."), ("no shape", "llama.")):
        path = folder / f"{name}.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        if drop != "llama.":
            writer.add_block_count(1)
            writer.add_context_length(64)
        if drop != "tokenizer.":
            writer.add_tokenizer_model("gpt2")
            writer.add_token_list(["a", "b"])
        writer.add_tensor("token_embd.weight", np.zeros((2, 32), dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        paths.append(path)
    return paths


def test_what_is_no_model_is_named(trial: Trial, tmp_path: Path) -> None:
    """Folders, pipes, devices, endless files, other formats, adapters and models of NaN: one sentence with the name."""
    harmless = {"other vocabulary", "twice"}  # llama.cpp counts the tokens itself, and what lies behind is not read
    for path in write_variants(tmp_path):
        end = trial.load(path)
        assert end["seconds"] < SLOWEST_SECONDS, (path.name, end)
        assert end["code"] == (0 if path.stem in harmless else 1), (path.name, end)
        assert path.name in end["said"] or path.stem in harmless, (path.name, end)


async def test_the_bot_is_told_by_the_supervisor(tmp_path: Path) -> None:
    """The process that the bot starts says it in one sentence; the supervisor names the file and lives on."""
    damager = Damager(write_tiny_model(tmp_path / "base.gguf").read_bytes())
    for seed, data in enumerate((damager.data[:3000], damager.put(damager.fields[3], struct.pack("<q", 2**40)))):
        path = tmp_path / f"damaged {seed}.gguf"
        path.write_bytes(data)
        async with supervised(path) as (supervisor, _):
            with pytest.raises(ModelFileError, match=rf"damaged {seed}\.gguf") as caught:
                await supervisor.wait_ready(30)
            assert supervisor.state == "failed"
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["SIGABRT", "SIGSEGV", "SIGFPE"])
async def test_a_model_that_ends_the_process_is_named(tmp_path: Path, number: str) -> None:
    """When a file gets past every check and llama.cpp dies of it, the sentence names the file, and nobody retries."""
    script = f"import os, signal; print('GGML_ASSERT(x) failed', flush=True); os.kill(os.getpid(), signal.{number})"
    command = [sys.executable, "-c", script, "--model", "/models/new.gguf"]
    async with EngineSupervisor(command, socket_path=tmp_path / "e.sock") as supervisor:
        with pytest.raises(ModelFileError, match=rf"/models/new\.gguf ends the engine \({number}, GGML_ASSERT"):
            await supervisor.wait_ready(20)
        assert supervisor.state == "failed"
        assert supervisor.restarts == 1


@pytest.mark.parametrize("number", [2, pytest.param(200, marks=[pytest.mark.nightly, pytest.mark.timeout(3600)])])
async def test_damaged_adapters_are_refused(tiny_model: Path, tmp_path: Path, number: int) -> None:
    """A damaged adapter, and a model given as one, end in a refusal that names the file; the trial may die of it."""
    good = write_tiny_adapter(tmp_path / "good.gguf")
    damager, ends = Damager(good.read_bytes()), Counter[str]()
    for seed in range(number):
        path = tmp_path / "damaged adapter.gguf"
        path.write_bytes(damager.make(seed)[1])
        try:
            await try_in_process(tiny_model, path, name=path)
            ends["served all the same"] += 1
        except AdapterRefused as error:
            end = "trial died" if "ends the process" in str(error) else "refused"
            ends[end if "damaged adapter.gguf" in str(error) else "not named"] += 1

    with pytest.raises(AdapterRefused, match=r"tiny\.gguf"):
        await try_in_process(tiny_model, tiny_model, name=tiny_model)
    print(f"\ndamaged adapters: {ends.total()}, {dict(ends)}")
    assert ends.total() == number
    assert "not named" not in ends
