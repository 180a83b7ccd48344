"""The engine's small pure parts: pace, breaker, waiting line, samplers, event parser, socket file, checksum."""

import itertools
import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.batching.pace import FLOOR, PrefillPace
from bot.engine.breaker import DEGRADED_SECONDS, Breaker
from bot.engine.files.checksum import QUICK_BYTES, hash_model
from bot.engine.machine.fit import choose_threads
from bot.engine.machine.hardware import count_usable_cores
from bot.engine.sampling import MAX_SEED, build_stages
from bot.engine.socket_file import open_socket
from bot.engine.sse import EventParser
from bot.engine.supervisor import build_environment
from bot.engine.types import SamplingParams
from bot.errors import ConfigError


def test_the_pace_follows_the_machine() -> None:
    """A fast machine gets a large share for prompts, a slow one the least that still goes on."""
    fast, slow = PrefillPace(ceiling=512), PrefillPace(ceiling=512)
    for _ in range(50):
        fast.observe(256, 0.01)
        slow.observe(64, 10.0)
        slow.observe(1, 0.0001)

    assert fast.budget() == 512
    assert slow.budget() == FLOOR
    assert fast.longest_step() < 1 < slow.longest_step()
    assert PrefillPace(ceiling=512).longest_step() is None


def test_the_breaker_opens_after_three_crashes_in_a_minute() -> None:
    """The first restart is at once, the third crash within a minute makes it wait, a later one does not."""
    breaker = Breaker()
    delays = []
    for now in (0.0, 1.0, 2.0, 70.0):
        breaker.record(now)
        delays.append(breaker.delay(now))

    assert delays == [0.0, 0.5, DEGRADED_SECONDS, 0.0]


def test_top_k_comes_before_top_p() -> None:
    """A whole vocabulary is never sorted for top_p, and a seed is one that llama.cpp does not reinterpret."""
    kinds = [stage.kind for stage in build_stages(SamplingParams(temperature=0.5, top_k=40, top_p=0.9, min_p=0.1))]

    assert kinds == ["top_k", "top_p", "min_p", "temperature", "seed"]
    assert [stage.kind for stage in build_stages(SamplingParams(temperature=0))] == ["top_k", "greedy"]
    assert 0 <= build_stages(SamplingParams(seed=-1))[-1].value < MAX_SEED


@given(places=st.lists(st.integers(0, 200)), newline=st.sampled_from(["\n", "\r\n"]))
def test_events_survive_any_cut(places: list[int], newline: str) -> None:
    """However the network cuts a stream, the same events come out; comments and other fields are skipped."""
    lines = [
        ": ping",
        'data: {"a": "ü"}',
        "",
        "event: x",
        "id: 1",
        'data: {"b":',
        "data: 2}",
        "",
        "data: [DONE]",
        "",
        "",
    ]
    data = newline.join(lines).encode()
    edges = [0, *sorted(place % len(data) for place in places), len(data)]
    parser = EventParser()

    events = [event for start, end in itertools.pairwise(edges) for event in parser.feed(data[start:end])]

    assert events == [{"a": "ü"}, {"b": 2}]
    assert parser.is_done


def test_the_engine_learns_no_secret() -> None:
    """Paths and hardware settings are passed on, tokens and addresses are not."""
    parent = {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "0",
        "SLACK_BOT_TOKEN": "x",
        "DATABASE_URL": "y",
        "OPENAI_API_KEY": "z",
    }

    passed = build_environment(parent, {"EXTRA": "1"})

    assert {"PATH", "CUDA_VISIBLE_DEVICES", "EXTRA"} <= set(passed)
    assert not {"SLACK_BOT_TOKEN", "DATABASE_URL", "OPENAI_API_KEY"} & set(passed)


def test_a_socket_is_private(tmp_path: Path) -> None:
    """Only the owner can connect, and its new folder is the owner's alone."""
    path = tmp_path / "new" / "e.sock"

    with open_socket(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_leftover_socket_is_no_obstacle(tmp_path: Path) -> None:
    """A dead engine's socket is replaced; a living one's, a file, and a folder open to others are refused."""
    path = tmp_path / "e.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with open_socket(path) as living:
        living.listen()
        with pytest.raises(ConfigError, match="another engine"):
            open_socket(path)
    path.unlink()
    path.write_text("precious")
    with pytest.raises(ConfigError, match="not a socket"):
        open_socket(path)
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="changed by others"):
        open_socket(tmp_path / "other.sock")
    with pytest.raises(ConfigError, match="too long"):
        open_socket(tmp_path / ("x" * 120))


def test_a_checksum_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file is hashed once; another size or time of change means another file."""
    monkeypatch.setattr("bot.engine.files.checksum.QUICK_BYTES", 0)
    path, cache = tmp_path / "m.gguf", tmp_path / "cache"
    path.write_bytes(b"one")
    first = hash_model(path, cache)
    status = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert hash_model(path, cache) == first
    os.utime(path, ns=(1, 1))
    assert hash_model(path, cache) != first


@pytest.mark.parametrize(
    ("weights", "cores", "threads"),
    [(9 << 20, 16, 1), (9 << 20, 1, 1), (5 << 30, 2, 1), (5 << 30, 16, 15), (200 << 20, 16, 4)],
)
def test_threads_leave_a_core_free(weights: int, cores: int, threads: int) -> None:
    """A small model gets one thread, a large one all cores but one."""
    assert choose_threads(weights, cores=cores) == threads


def test_cores_are_counted() -> None:
    """There is at least one core, and no more than the system has."""
    assert 1 <= count_usable_cores() <= (os.cpu_count() or 1)


def test_a_checksum_that_cannot_be_remembered_is_one(tmp_path: Path) -> None:
    """On a full disk a large model is served all the same, with its adapters."""
    path = tmp_path / "large.gguf"
    with path.open("wb") as file:
        file.truncate(QUICK_BYTES + 1)
    (tmp_path / "cache").write_text("no folder")

    assert len(hash_model(path, tmp_path / "cache")) == 64
