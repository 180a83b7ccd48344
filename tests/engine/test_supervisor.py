"""The supervisor over real engine processes: killed, hung, broken, orphaned."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from prometheus_client import REGISTRY

from bot.engine.client import EngineClient
from bot.engine.supervisor import CHECK_SECONDS, HUNG_SECONDS, EngineSupervisor
from bot.engine.types import AnswerOptions, Chunk
from bot.errors import EngineUnavailable, ModelFileError
from tests.engine.conftest import wait_healthy

HELLO = [{"role": "user", "content": "Hello"}]
ANSWER = AnswerOptions(temperature=0, max_tokens=150)


def command(model: Path, socket_path: Path) -> list[str]:
    """Return the command with which the bot starts its engine."""
    options = ["--model", model, "--socket", socket_path, "--n-ctx", 2048, "--max-sequences", 4, "--n-gpu-layers", 0]
    options += ["--threads", 1, "--log-level", "INFO", "--log-format", "text", "--exit-with-stdin"]
    return [sys.executable, "-m", "bot", "engine", *map(str, options)]


@asynccontextmanager
async def supervised(model: Path, **options: object) -> AsyncIterator[tuple[EngineSupervisor, EngineClient]]:
    """Run an engine process under a supervisor."""
    with TemporaryDirectory(prefix="engine-") as folder:
        path = Path(folder) / "engine.sock"
        async with (
            EngineSupervisor(command(model, path), socket_path=path, **options) as supervisor,
            EngineClient(socket_path=path) as client,
        ):
            yield supervisor, client


async def until(condition: Callable[[], bool], *, seconds: float = 40.0) -> float:
    """Wait until *condition* holds; return how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds
        await asyncio.sleep(0.02)
    return time.monotonic() - started


async def read_and_kill(client: EngineClient, chunks: list[Chunk], pid: int) -> None:
    """Read an answer into *chunks* and kill the engine in the middle of it."""
    async for chunk in client.chat(HELLO, ANSWER):
        chunks.append(chunk)
        if len(chunks) == 20:
            os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether a process exists and is more than a remembered exit code."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


async def test_a_killed_engine_is_back_and_the_answer_is_completed(slow_model: Path) -> None:
    """SIGKILL in the middle of an answer: a new process within seconds, and the same tokens in the end."""
    async with supervised(slow_model) as (supervisor, client):
        await supervisor.wait_ready(20)
        whole = [chunk async for chunk in client.chat(HELLO, ANSWER)]
        killed, first = supervisor.pid, []
        with pytest.raises(EngineUnavailable):
            await read_and_kill(client, first, killed)
        await until(lambda: supervisor.pid not in {None, killed})
        await wait_healthy(client)
        got = [token for chunk in first for token in chunk.token_ids]
        rest = [chunk async for chunk in client.resume(first[0].prompt_token_ids, got, ANSWER)]

    assert len(first) < len(whole)
    assert [t for c in first + rest for t in c.token_ids] == [t for c in whole for t in c.token_ids]
    assert "".join(c.text for c in first + rest) == "".join(c.text for c in whole)
    assert supervisor.restarts == 1


ABORTING = (
    "import ctypes, signal, sys\n"
    "signal.signal(signal.SIGUSR1, lambda *_: ctypes.CDLL(None).abort())\n"
    "from bot.cli import main\n"
    "main()"
)
FAULTS = {"abort inside of C": signal.SIGUSR1, "segmentation fault": signal.SIGSEGV, "hangs": signal.SIGSTOP}


@pytest.mark.parametrize("fault", FAULTS)
async def test_answers_survive_any_end_of_the_engine(slow_model: Path, fault: str) -> None:
    """However it ends, three people's answers are completed by the next one, as if nothing had been."""
    with TemporaryDirectory(prefix="engine-") as folder:
        path = Path(folder) / "engine.sock"
        arguments = command(slow_model, path)[3:]
        engine = [sys.executable, "-c", ABORTING, *arguments]
        async with EngineSupervisor(engine, socket_path=path) as supervisor, EngineClient(socket_path=path) as client:
            await supervisor.wait_ready(30)
            whole = [chunk async for chunk in client.chat(HELLO, ANSWER)]
            broken = supervisor.pid
            answers = [list[Chunk]() for _ in range(3)]
            reading = [asyncio.create_task(read_on(client, chunks)) for chunks in answers]
            await until(lambda: all(len(chunks) > 10 for chunks in answers))
            os.kill(broken, FAULTS[fault])
            async with asyncio.timeout(60):
                await asyncio.gather(*reading)

            assert supervisor.pid != broken
            assert supervisor.restarts == 1
    expected = "".join(chunk.text for chunk in whole)
    assert ["".join(chunk.text for chunk in chunks) for chunks in answers] == [expected] * 3


async def read_on(client: EngineClient, read: list[Chunk]) -> None:
    """Read an answer to its end, as a turn of the bot does: whenever the engine goes away, where it stopped."""
    while not (read and read[-1].usage):
        try:
            got = [token for chunk in read for token in chunk.token_ids]
            prompt = read[0].prompt_token_ids if read else None
            chunks = client.resume(prompt, got, ANSWER) if prompt else client.chat(HELLO, ANSWER)
            async for chunk in chunks:
                read.append(chunk)  # noqa: PERF401 - what was read before it breaks is what counts
        except EngineUnavailable:
            await asyncio.sleep(0.1)


async def test_an_engine_is_not_replaced_because_its_supervisor_was_held_up(tiny_model: Path) -> None:
    """What takes this process longer than an engine may be silent says nothing about the engine."""
    async with supervised(tiny_model) as (supervisor, client):
        await supervisor.wait_ready(20)
        assert await client.health()
        kept = supervisor.pid
        time.sleep(HUNG_SECONDS + 1)  # noqa: ASYNC251 - that nothing else runs is the point
        await asyncio.sleep(CHECK_SECONDS + 1)
        assert (supervisor.pid, supervisor.state) == (kept, "ready")


async def test_a_hung_engine_is_replaced(tiny_model: Path) -> None:
    """A process that exists but does not answer for five seconds is killed and started anew, and that is counted."""
    before = REGISTRY.get_sample_value("apprentice_engine_restarts_total")
    async with supervised(tiny_model) as (supervisor, client):
        await supervisor.wait_ready(20)
        hung = supervisor.pid
        os.kill(hung, signal.SIGSTOP)

        seconds = await until(lambda: supervisor.pid not in {None, hung} and supervisor.state == "ready")

        assert await client.health()
        assert not is_alive(hung)
        assert 4 < seconds < 30
        assert REGISTRY.get_sample_value("apprentice_engine_restarts_total") == before + 1


async def test_leaving_ends_the_process(tiny_model: Path) -> None:
    """After the context nothing of the engine is left, not even when it was stopped like a hung one."""
    async with supervised(tiny_model) as (supervisor, _):
        await supervisor.wait_ready(20)
        pid = supervisor.pid

    assert not is_alive(pid)
    assert supervisor.state == "stopped"


async def test_a_damaged_model_is_named_and_the_bot_lives(tmp_path: Path) -> None:
    """The error says which file; the supervisor stays, and says so again when asked."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\xff" * 100)
    async with supervised(broken) as (supervisor, client):
        for _ in range(2):
            with pytest.raises(ModelFileError, match=r"broken\.gguf"):
                await supervisor.wait_ready(20)

        assert supervisor.state == "failed"
        assert not await client.health()


async def test_a_process_that_keeps_dying_is_not_started_in_a_loop(tmp_path: Path) -> None:
    """After three crashes the state is failed and the last line says why."""
    script = "import sys; print('no luck today', file=sys.stderr); sys.exit(3)"
    async with EngineSupervisor([sys.executable, "-c", script], socket_path=tmp_path / "e.sock") as supervisor:
        with pytest.raises(EngineUnavailable, match="no luck today"):
            await supervisor.wait_ready(20)
        await asyncio.sleep(0.5)

        assert supervisor.restarts == 3
        assert list(supervisor.lines) == ["no luck today"]


async def test_waiting_has_an_end(tmp_path: Path) -> None:
    """An engine that never answers does not keep anybody waiting for ever."""
    script = "import time; time.sleep(60)"
    async with EngineSupervisor([sys.executable, "-c", script], socket_path=tmp_path / "e.sock") as supervisor:
        with pytest.raises(EngineUnavailable, match="not ready"):
            await supervisor.wait_ready(0.2)
        pid = supervisor.pid

    assert not is_alive(pid)


async def test_the_engine_sees_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The bot's tokens are not in the engine's environment."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-planted")
    monkeypatch.setenv("DATABASE_URL", "postgresql://planted")
    script = "import os, sys; print(dict(os.environ), flush=True); sys.stdin.read()"
    async with EngineSupervisor([sys.executable, "-c", script], socket_path=tmp_path / "e.sock") as supervisor:
        await until(lambda: bool(supervisor.lines))

    assert "planted" not in supervisor.lines[0]
    assert "PATH" in supervisor.lines[0]


async def test_no_orphan_survives_its_parent(tiny_model: Path) -> None:
    """When the bot is killed, the engine's standard input closes and it ends by itself."""
    with TemporaryDirectory(prefix="engine-") as folder:
        path = Path(folder) / "engine.sock"
        parent_script = (
            "import subprocess, sys, time\n"
            "child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)\n"
            "print(child.pid, flush=True)\n"
            "time.sleep(60)\n"
        )
        parent = subprocess.Popen(  # noqa: ASYNC220 - a moment, and there is only this test in the loop
            [sys.executable, "-c", parent_script, *command(tiny_model, path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        pid = int(parent.stdout.readline())
        async with EngineClient(socket_path=path) as client:
            await wait_healthy(client)

        parent.kill()
        parent.wait()
        parent.stdout.close()

        await until(lambda: not is_alive(pid), seconds=5)


HANGING = (
    "import signal, threading\n"
    "from bot.engine import lanes\n"
    "from bot.engine.llama.context import Context\n"
    "lanes.MIN_STALL_SECONDS = lanes.MAX_STALL_SECONDS = 1.0\n"
    "compute, is_hanging = Context.compute, threading.Event()\n"
    "def hang(self):\n"
    "    while is_hanging.is_set(): threading.Event().wait(60)\n"
    "    return compute(self)\n"
    "Context.compute = hang\n"
    "signal.signal(signal.SIGUSR1, lambda *_: is_hanging.set())\n"
    "from bot.cli import main\n"
    "main()"
)


async def test_a_computation_that_never_ends_is_replaced(slow_model: Path) -> None:
    """The engine still answers for its health, and says that it is stalled; the open answer goes on elsewhere."""
    with TemporaryDirectory(prefix="engine-") as folder:
        path = Path(folder) / "engine.sock"
        engine = [sys.executable, "-c", HANGING, *command(slow_model, path)[3:]]
        async with EngineSupervisor(engine, socket_path=path) as supervisor, EngineClient(socket_path=path) as client:
            await supervisor.wait_ready(30)
            chunks: list[Chunk] = []
            reading = asyncio.create_task(read_on(client, chunks))
            await until(lambda: len(chunks) > 10)
            hung = supervisor.pid
            os.kill(hung, signal.SIGUSR1)
            async with asyncio.timeout(60):
                await reading

            assert supervisor.pid != hung
    assert sum(len(chunk.token_ids) for chunk in chunks) == ANSWER.max_tokens


async def test_a_system_that_starts_no_process_is_asked_again(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files just when the engine has to be replaced: it is started as soon as there is one again."""
    start = asyncio.create_subprocess_exec
    refused = []

    async def refuse(*given: object, **named: object) -> object:
        if not refused:
            refused.append(given)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return await start(*given, **named)

    async with supervised(tiny_model) as (supervisor, client):
        await supervisor.wait_ready(20)
        killed = supervisor.pid
        monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
        os.kill(killed, signal.SIGKILL)
        await until(lambda: bool(refused) and supervisor.pid not in {None, killed})
        await wait_healthy(client)
        assert supervisor.restarts == 2
