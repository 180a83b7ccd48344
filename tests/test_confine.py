"""A process that works on other people's files is left what it needs; checked where the kernel offers it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.settings import STARTER_MODEL

ATTACK = """
import os, socket, subprocess, sys
from pathlib import Path
from bot.confine import confine

own, foreign, model, parent = sys.argv[1:]
print(confine(read=[Path(model)], write=[Path(own)]))

def tried(name, deed):
    try:
        deed()
    except OSError:
        print("refused", name)
    else:
        print("done", name)

tried("own", lambda: Path(own, "x").write_text(Path(model).read_bytes()[:4].decode()))
tried("python", lambda: subprocess.run([sys.executable, "-c", "import bot.engine.types"], check=True))
tried("pair", lambda: socket.socketpair())
tried("read", lambda: Path(foreign, ".env").read_text())
tried("write", lambda: Path(foreign, "y").write_text("y"))
tried("rename", lambda: Path(own, "x").rename(Path(foreign, "z")))
tried("link", lambda: os.link(Path(foreign, ".env"), Path(own, "env")))
tried("beside", lambda: Path(model).with_name("other.gguf").read_bytes())
tried("environment", lambda: Path(f"/proc/{parent}/environ").read_bytes())
tried("memory", lambda: Path(f"/proc/{parent}/mem").open("rb"))
tried("signal", lambda: os.kill(int(parent), 0))
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_PACKET, socket.AF_VSOCK):
    tried(family.name, lambda: socket.socket(family, socket.SOCK_STREAM))
child = "import socket; socket.create_connection(('127.0.0.1', 1))"
tried("child", lambda: print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stderr))
"""
OPEN = {"own", "python", "pair", "child"}
FILES = {"read", "write", "rename", "link", "beside", "environment", "memory"}
NETWORK = {"AF_INET", "AF_INET6", "AF_PACKET", "AF_VSOCK"}


@pytest.fixture
def attacked(tmp_path: Path) -> str:
    """Return what a process that turned hostile could and could not do."""
    own, foreign = tmp_path / "own", tmp_path / "foreign"
    own.mkdir()
    foreign.mkdir()
    (foreign / ".env").write_text("SLACK_BOT_TOKEN=xoxb-1")
    model = foreign / "model.gguf"
    model.write_bytes(STARTER_MODEL.read_bytes()[:64])
    model.with_name("other.gguf").write_bytes(b"GGUF")
    command = [sys.executable, "-c", ATTACK, str(own), str(foreign), str(model), str(os.getpid())]
    ended = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert not ended.returncode, ended.stderr
    return ended.stdout


def test_a_confined_process_reaches_nothing_else(attacked: str) -> None:
    """Neither files nor networks nor other processes; what the kernel lacks it says itself."""
    first, *lines = attacked.splitlines()
    done = {line.removeprefix("done ") for line in lines if line.startswith("done ")}

    assert done >= OPEN
    if "files" in first:
        assert not done & FILES
    if "network" in first:
        assert not done & NETWORK
        assert "PermissionError" in attacked
    if first == "nothing":
        pytest.skip("this kernel offers neither Landlock nor seccomp")
