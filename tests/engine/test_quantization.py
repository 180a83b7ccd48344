"""Smaller copies of a model: written as a whole or not at all, and measured honestly."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bot.engine.files.gguf_header import read_header
from bot.engine.files.perplexity import compare, count_perplexity, score_piece, score_text
from bot.engine.files.quantization import check_source, climb, name_target
from bot.engine.files.workbench import WorkFailed, run
from bot.engine.llama.context import Context
from bot.engine.llama.model import Model, start_backend
from bot.errors import ModelFileError
from tests.engine.tiny_model import write_tiny_model

WORDS = "the hello in on a user st hell " * 400


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a random model whose width the small types divide."""
    return write_tiny_model(tmp_path_factory.mktemp("source") / "team-F32.gguf", width=256)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a text to be compared on."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(WORDS)
    return path


def test_each_copy_is_smaller_and_what_it_is_called(source: Path, text: Path) -> None:
    """Four types, sizes that fall, errors that are stated; a second climb measures what is there and writes nothing."""
    said: list[tuple[str, float]] = []
    kinds = ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"]
    rungs = climb(source, kinds, text=text, is_forced=False, report=lambda what, share: said.append((what, share)))

    assert [rung.path.name for rung in rungs] == ["team-F32.gguf", *(f"team-{kind}.gguf" for kind in kinds)]
    assert [read_header(rung.path).file_type for rung in rungs[1:]] == kinds
    assert [rung.size for rung in rungs] == sorted((rung.size for rung in rungs), reverse=True)
    assert rungs[0].change is None
    assert all(rung.change and 0 < rung.change.error < 0.5 for rung in rungs[1:])
    assert ("writing team-Q8_0.gguf", 1.0) in said
    assert sorted(path.name for path in source.parent.iterdir()) == sorted(rung.path.name for rung in rungs)

    times = [rung.path.stat().st_mtime_ns for rung in rungs]
    again = climb(source, ["Q4_K_M"], text=text, is_forced=False, report=lambda *_: None)
    assert [rung.path.stat().st_mtime_ns for rung in rungs] == times
    assert again[1].perplexity == rungs[-1].perplexity


def test_a_quantized_source_is_refused(source: Path, text: Path) -> None:
    """Losing twice needs to be asked for."""
    small = climb(source, ["Q8_0"], text=text, is_forced=False, report=lambda *_: None)[1].path

    with pytest.raises(ModelFileError, match=r"is quantized already \(Q8_0\).*--force"):
        check_source(small, is_forced=False)
    assert check_source(small, is_forced=True)


def test_an_adapter_cannot_be_quantized(tmp_path: Path) -> None:
    """Its base can."""
    from tests.engine.tiny_adapter import write_tiny_adapter

    with pytest.raises(ModelFileError, match="is an adapter"):
        check_source(write_tiny_adapter(tmp_path / "a.gguf"), is_forced=False)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("m-F16.gguf", "m-Q4_K_M.gguf"),
        ("m.bf16.gguf", "m-Q4_K_M.gguf"),
        ("m.gguf", "m-Q4_K_M.gguf"),
        ("m-00001-of-00003.gguf", "m-Q4_K_M.gguf"),
    ],
)
def test_the_type_stands_in_the_name(name: str, target: str) -> None:
    """Beside the source, instead of the source's own type."""
    assert name_target(Path("folder") / name, "Q4_K_M") == Path("folder") / target


def test_perplexity_is_what_one_token_after_the_other_gives(source: Path) -> None:
    """The scores of a piece equal those of feeding its tokens one by one."""
    start_backend()
    model = Model(source, n_gpu_layers=0)
    context = Context(model, n_cells=512, n_slots=1, n_batch=64, kv_unified=True, threads=1)
    tokens = np.array(model.tokenize(WORDS[:400], add_special=False, parse_special=False)[:60], dtype=np.int32)
    scores = score_piece(context, tokens)

    context.trim(0, 0)
    slow = []
    for position, token in enumerate(tokens[:-1]):
        assert context.decode([(0, np.array([token], dtype=np.int32), position, 1)]) == 0
        logits = context.logits(0).astype(np.float64)
        slow.append(float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[tokens[position + 1]]))
    assert len(scores) == 30
    assert np.allclose(scores, slow[-30:], atol=1e-2)


def test_a_change_is_told_from_noise() -> None:
    """Paired: the same shift on every token is sure, however much the tokens differ among each other."""
    base = [float(value) for value in np.random.default_rng(1).exponential(3, 2000)]
    sure = compare(base, [score + 0.01 for score in base])
    noise = np.random.default_rng(2).normal(0, 1, 2000)
    unsure = compare(base, [score + float(shift) for score, shift in zip(base, noise, strict=True)])

    assert sure.change == pytest.approx(0.01005, rel=1e-3)
    assert sure.error < 1e-9
    assert abs(unsure.change) < 3 * unsure.error
    assert count_perplexity([np.log(7.0)] * 5) == pytest.approx(7)


def test_a_text_that_is_too_short_is_refused(source: Path, tmp_path: Path) -> None:
    """A figure of three words would mean nothing."""
    short = tmp_path / "short.txt"
    short.write_text("hello user")

    with pytest.raises(WorkFailed, match="too few to compare"):
        run(["score", str(source), str(short)], report=lambda _: None)
    with pytest.raises(ValueError, match="too few"):
        score_text(source, "hello", report=lambda _: None)


def test_a_file_that_ends_the_process_leaves_nothing(source: Path, text: Path, tmp_path: Path) -> None:
    """Weights that are cut off: one sentence, no half copy, and the parent lives."""
    broken = tmp_path / "broken-F32.gguf"
    broken.write_bytes(source.read_bytes()[:-100_000])

    with pytest.raises(ModelFileError, match="bytes of its weights are missing"):
        climb(broken, ["Q8_0"], text=text, is_forced=False, report=lambda *_: None)
    with pytest.raises(WorkFailed):
        run(["quantize", str(broken), str(tmp_path / "out.gguf"), "Q8_0", "no"], report=lambda _: None)
    assert not list(tmp_path.glob("broken-Q*"))


def test_a_killed_child_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal that ended it stands in the sentence."""
    monkeypatch.setattr(sys, "executable", "/bin/sh")
    kill = f"kill -{signal.SIGABRT.value} $$"
    monkeypatch.setattr("bot.engine.files.workbench.subprocess.Popen", _with_arguments(["-c", kill]))

    with pytest.raises(WorkFailed, match=r"model\.gguf ends the process .*SIGABRT"):
        run(["quantize", "model.gguf"], report=lambda _: None)


def _with_arguments(arguments: list[str]) -> object:
    real = subprocess.Popen

    def start(command: list[str], **options: object) -> object:
        return real([command[0], *arguments], **options)

    return start


def test_ctrl_c_leaves_no_half_copy(source: Path, text: Path, tmp_path: Path) -> None:
    """The work stops with whoever asked for it, and only whole files have a model's name."""
    text.write_text(WORDS[:4000])
    large = write_tiny_model(tmp_path / "large-F32.gguf", width=1024, layers=4)
    command = [sys.executable, "-m", "bot", "models", "quantize", str(large), "--to", "Q4_K_M", "--text", str(text)]
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell that starts the tests with `&` ignores it
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".large*unfinished")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)

    assert process.wait(60) != 0
    assert [path.name for path in tmp_path.iterdir()] == ["large-F32.gguf"]
