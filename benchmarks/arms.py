"""The servers that are compared: each started here as a process of its own on the same file, or given by its URL."""

import asyncio
import importlib.util
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from benchmarks.client import Client, Dialect
from benchmarks.processes import free_port

OURS, PEER, PYTHON_SERVER = "ours", "peer", "llama_cpp.server"
LLAMA_SERVER, LLAMA_SERVER_UNIFIED = "llama-server", "llama-server -kvu"
PYTHON_SERVER_NEEDS = ("fastapi", "uvicorn", "sse_starlette", "starlette_context", "pydantic_settings")
START_SECONDS = 300.0
FACT = re.compile(r"^  (context|conversations|KV cache|GPU|threads) .*|n_slots = .*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a model is served, alike in every arm."""

    model: Path
    n_ctx: int
    sequences: int
    threads: int
    gpu_layers: int
    end_tokens: tuple[int, ...] = ()

    @property
    def cells(self) -> int:
        """The size of the KV cache that ours chooses for these numbers."""
        return max(self.n_ctx, self.n_ctx * self.sequences // 2)


@dataclass(frozen=True, slots=True)
class Arm:
    """A running server with its client; *pid* is 0 for one that somebody else started."""

    name: str
    client: Client
    pid: int
    config: str


def missing_for_python_server(target: Path | None) -> list[str]:
    """Return what `python -m llama_cpp.server` lacks; *target* is a folder with further packages."""
    if target:
        return [name for name in PYTHON_SERVER_NEEDS if not (target / name).exists() and not _is_installed(name)]
    return [name for name in PYTHON_SERVER_NEEDS if not _is_installed(name)]


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


@asynccontextmanager
async def start_ours(serving: Serving, *, extra: Sequence[str] = ()) -> AsyncIterator[Arm]:
    """Run `bot engine` on a private socket."""
    with TemporaryDirectory(prefix="bench-") as folder:
        socket = Path(folder) / "engine.sock"
        command = [
            *(sys.executable, "-m", "bot", "engine", "--model", str(serving.model), "--socket", str(socket)),
            *("--n-ctx", str(serving.n_ctx), "--max-sequences", str(serving.sequences)),
            *("--threads", str(serving.threads), "--n-gpu-layers", str(serving.gpu_layers)),
            *extra,
        ]
        environment = {"DATA_DIR": folder, "LOG_LEVEL": "INFO", "LOG_FORMAT": "text"}
        session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(socket), limit=0, force_close=True), timeout=_no_timeout()
        )
        client = Client(session, "http://engine", "apprentice")
        async with session, _running(command, client, health="/health", **environment) as (pid, facts):
            yield Arm(OURS, client, pid, f"{_shown(command, hidden=folder)}; {facts}")


@asynccontextmanager
async def start_llama_server(binary: Path, serving: Serving, *, is_unified: bool) -> AsyncIterator[Arm]:
    """Run llama-server with the same slots, threads and context for a conversation; the rest at its defaults.

    Its default is a KV cache split between the slots; unified, it gets as many cells for all as ours has.
    """
    port = free_port()
    cells = serving.cells if is_unified else serving.n_ctx * serving.sequences
    command = [
        *(str(binary), "--model", str(serving.model), "--port", str(port), "--ctx-size", str(cells)),
        *("--parallel", str(serving.sequences), "--threads", str(serving.threads)),
        *("--gpu-layers", str(serving.gpu_layers) if serving.gpu_layers >= 0 else "all"),
        *(["--kv-unified"] if is_unified else []),
    ]
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=_no_timeout())
    client = Client(session, f"http://127.0.0.1:{port}", "llama-server")
    async with session, _running(command, client, health="/health") as (pid, facts):
        name = LLAMA_SERVER_UNIFIED if is_unified else LLAMA_SERVER
        yield Arm(name, client, pid, f"{_shown(command)}; {facts}")


@asynccontextmanager
async def start_python_server(serving: Serving, *, target: Path | None) -> AsyncIterator[Arm]:
    """Run llama-cpp-python's own server, which answers one request after the other."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "llama_cpp.server", "--model", str(serving.model), "--port", str(port)),
        *("--n_ctx", str(serving.n_ctx), "--n_threads", str(serving.threads), "--n_gpu_layers"),
        *(str(serving.gpu_layers), "--interrupt_requests", "false", "--verbose", "false"),
    ]
    environment = {"PYTHONPATH": str(target)} if target else {}
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=_no_timeout())
    client = Client(session, f"http://127.0.0.1:{port}", "llama_cpp.server", serving.end_tokens)
    async with session, _running(command, client, health="/v1/models", **environment) as (pid, _):
        yield Arm(PYTHON_SERVER, client, pid, _shown(command))


@asynccontextmanager
async def use_peer(url: str, key: str) -> AsyncIterator[Arm]:
    """Use a server that runs already, and the first model that it names."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=_no_timeout()) as session:
        base = url.rstrip("/").removesuffix("/v1")
        async with session.get(f"{base}/v1/models") as response:
            response.raise_for_status()
            entry = (await response.json())["data"][0]
        dialects: dict[str, Dialect] = {"llamacpp": "llama-server", "apprentice": "apprentice"}
        dialect = dialects.get(str(entry.get("owned_by")), "openai")
        yield Arm(PEER, Client(session, base, dialect, (), str(entry["id"])), 0, f"{base} serving {entry['id']}")


def _no_timeout() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None)


def _shown(command: Sequence[str], *, hidden: str = "") -> str:
    """Return a command as it is printed, without folders of this machine."""
    home = str(Path.cwd())
    words = [word.replace(f"{home}/", "").replace(f"{hidden}/", "") if hidden else word for word in command]
    words = [Path(word).name if word.startswith("/") else word for word in words]
    return " ".join(word.replace(f"{home}/", "") for word in words)


@asynccontextmanager
async def _running(
    command: Sequence[str], client: Client, *, health: str, **environment: str
) -> AsyncIterator[tuple[int, str]]:
    """Run a server from the moment that it answers until the block ends: its process id and what it said of itself."""
    with TemporaryDirectory(prefix="bench-log-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *command, env={**os.environ, **environment}, stdout=out, stderr=subprocess.STDOUT
            )
        try:
            began = time.monotonic()
            while not await _answers(client, health):
                if process.returncode is not None or time.monotonic() - began > START_SECONDS:
                    raise RuntimeError(f"{command[0]} did not start: {log.read_text(errors='replace')[-1500:]}")
                await asyncio.sleep(0.05)
            yield process.pid, read_facts(log.read_text(errors="replace"))
        finally:
            if process.returncode is None:
                process.terminate()
            elif process.returncode:
                print(f"{command[0]} died ({process.returncode}): {log.read_text(errors='replace')[-1500:]}")
            await process.wait()


async def _answers(client: Client, path: str) -> bool:
    try:
        async with client.session.get(client.url + path) as response:
            return response.ok
    except aiohttp.ClientError:
        return False


def read_facts(log: str) -> str:
    """Return what a server wrote of its context: our lines about context, cache and threads, or llama-server's one."""
    found = [FACT.search(line) for line in log.splitlines()]
    return "; ".join(" ".join(match.group().split()) for match in found if match)


def read_processor_seconds(pid: int) -> float:
    """Return the processor time that a process has had, which other work on the machine hardly changes; else NaN."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_rss(pid: int) -> int:
    """Return the bytes of memory that a process holds, 0 if it cannot be known."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)
